"""Gaussian mixtures that stand for given partitions of the points: where training starts.

Two ways lead to one. A component with mean and covariance of a category's points needs nothing
but the partition, and reproduces it roughly. That is not enough where a few points of much
background decide: one of them in the wrong category, and neither figure nor constraints are left.
Intervals of a quadratic function of the discriminants are reproduced exactly: the logarithms of
two Gaussian densities differ by a quadratic function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.optimisation.problem import Mixtures

FAR = -20.0
"""Log weight of a component that starts without points: a membership of 2e-9 at equal density."""

LEAST_WIDTH = 0.03
"""Width that is added to every component, in units of the overall one: its points may be aligned.

A category of twenty in a row is about as wide.
"""

STEEPNESS = 4.0
"""By how much the log odds of neighbouring categories change over the width of a typical one.

The soft categories then overlap at their edges, as those of components of the points' own width
do, and not everywhere.
"""

LEAST_CURVATURE = 0.2
"""Smallest curvature of a component's log density, in units of what all of them have in common.

It bounds how much wider one component is than another: by the root of its inverse.
"""

CURVATURE_STEP = 1.3
"""Factor by which the common curvature is raised until all components are as they must be."""

Components = tuple[FloatArray, FloatArray, FloatArray]
"""Means ``(K, D)``, lower Cholesky factors ``(K, D, D)`` and log weights ``(K,)``."""


class Quadratic(NamedTuple):
    """A quadratic function of ``z = (u - centre) / width``.

    Its value is ``slope @ z + z @ curvature @ z``.
    """

    centre: FloatArray
    width: FloatArray
    slope: FloatArray
    curvature: FloatArray

    def of(self, u: FloatArray) -> FloatArray:
        """Its value at each point."""
        z = (u - self.centre) / self.width
        return np.asarray(z @ self.slope + np.einsum("pi,ij,pj->p", z, self.curvature, z))


def mixtures_from_labels(
    u: FloatArray, labels: Sequence[Sequence[IntArray]], weight: FloatArray, n: int
) -> Mixtures:
    """One mixture for each partition.

    Parameters
    ----------
    u
        Stretched coordinates of the points, shape ``(P, D)``.
    labels
        For each restart and training set, the category of each point.
    weight
        How much each point matters, shape ``(P,)``.
    n
        Number of components.

    Returns
    -------
    Mixtures
        Training sets first, then restarts.
    """
    rows = [[_one(u, label, weight, n) for label in row] for row in labels]
    parts = [np.array([[m[i] for m in row] for row in rows]).swapaxes(0, 1) for i in range(3)]
    return Mixtures(*parts)


def _one(u: FloatArray, label: IntArray, weight: FloatArray, n: int) -> Components:
    if u.shape[1] == 1 and (np.diff(label[np.argsort(u[:, 0], kind="stable")]) >= 0).all():
        return _bins(u[:, 0], label, weight, n)
    total = np.average(u, axis=0, weights=weight)
    overall = np.sqrt(np.average((u - total) ** 2, axis=0, weights=weight))
    means, scale = np.tile(total, (n, 1)), np.tile(np.diag(overall), (n, 1, 1))
    log_weights = np.full(n, FAR)
    for k in range(n):
        w = np.where(label == k, weight, 0.0)
        if not w.sum() > 0:
            continue
        means[k] = w @ u / w.sum()
        residual = u - means[k]
        covariance = (residual * w[:, None]).T @ residual / w.sum()
        scale[k] = np.linalg.cholesky(covariance + np.diag((LEAST_WIDTH * overall) ** 2))
        log_weights[k] = 0.0
    return means, scale, log_weights


def _bins(u: FloatArray, label: IntArray, weight: FloatArray, n: int) -> Components:
    """Components of one width whose posteriors cross exactly at the edges of bins."""
    low = np.array([u[label == k].min() if (label == k).any() else np.nan for k in range(n)])
    high = np.array([u[label == k].max() if (label == k).any() else np.nan for k in range(n)])
    filled = np.flatnonzero(np.isfinite(low))
    means = np.full(n, np.average(u, weights=weight))
    for k in filled:
        inside = label == k
        total = weight[inside].sum()
        means[k] = weight[inside] @ u[inside] / total if total > 0 else u[inside].mean()
    width = max(float(np.ptp(means[filled])) / max(len(filled), 1), 1e-3 * float(np.ptp(u)))
    log_weights = np.full(n, FAR - 0.5 * (np.ptp(u) / width) ** 2)
    previous = filled[0]
    log_weights[previous] = 0.0
    for k in filled[1:]:
        edge = 0.5 * (high[previous] + low[k])
        gain = (edge - means[k]) ** 2 - (edge - means[previous]) ** 2
        log_weights[k] = log_weights[previous] + gain / (2 * width**2)
        previous = k
    shape = (n, 1, 1)
    return means[:, None], np.full(shape, width), log_weights


def quadratic_ratio(
    u: FloatArray, signal: FloatArray, background: FloatArray, weight: FloatArray
) -> Quadratic:
    """The quadratic function that is nearest to the logarithm of signal over background.

    A point counts by the information it holds, the square of the signal over its variance: where
    there is next to no signal the ratio decides nothing, however much background there is.

    Parameters
    ----------
    u
        Stretched coordinates of the points, shape ``(P, D)``.
    signal, background
        Yields of each point, shape ``(P,)``; points that lack one of them do not count.
    weight
        How much each point matters, shape ``(P,)``: centre and width of the points are taken so.
    """
    centre = np.average(u, axis=0, weights=weight)
    width = np.sqrt(np.average((u - centre) ** 2, axis=0, weights=weight))
    width = np.where(width > 0, width, 1.0)
    z = (u - centre) / width
    known = (signal > 0) & (background > 0)
    s, b = np.where(known, signal, 0.0), np.where(known, background, 1.0)
    root = np.sqrt(s**2 / (s + b))
    ratio = np.log(np.where(known, s, 1.0) / b)
    first, second = np.triu_indices(u.shape[1])
    terms = np.column_stack([np.ones(len(z)), z, z[:, first] * z[:, second]])
    found = np.linalg.lstsq(terms * root[:, None], ratio * root, rcond=None)[0]
    slope, products = found[1 : 1 + len(width)], found[1 + len(width) :]
    curvature = np.zeros((len(width), len(width)))
    curvature[first, second] += 0.5 * products
    curvature[second, first] += 0.5 * products
    return Quadratic(centre, width, slope, curvature)


def mixture_along(
    score: Quadratic,
    u: FloatArray,
    label: IntArray,
    weight: FloatArray,
    n: int,
    *,
    steepness: float = STEEPNESS,
) -> Components:
    """Components whose posteriors cross exactly at the edges of intervals of a function.

    Parameters
    ----------
    score
        The function.
    u
        Stretched coordinates of the points, shape ``(P, D)``.
    label
        Category of each point: intervals of the function, in its order.
    weight
        How much each point matters, shape ``(P,)``.
    n
        Number of components; those beyond the categories win nowhere.
    steepness
        As `STEEPNESS`; the hard categories do not depend on it.
    """
    value, k = score.of(u), int(label.max()) + 1
    low = np.array([value[label == c].min() for c in range(k)])
    high = np.array([value[label == c].max() for c in range(k)])
    cuts = 0.5 * (high[:-1] + low[1:])
    widths = np.diff(cuts) if k > 2 else np.array([np.inf])
    mean = np.average(value, weights=weight)
    spread = np.sqrt(np.average((value - mean) ** 2, weights=weight))
    steepness /= max(min(float(np.median(widths)), spread), 1e-6 * spread, 1e-300)
    # Log density of a component: steepness * c * (value - its cuts), for its number c counted
    # from the middle one, less a curvature that all have in common and that decides nothing.
    steps = np.asarray(steepness * (np.arange(k) - 0.5 * (k - 1)), dtype=np.float64)
    precision, means = _proper(score, steps, (u - score.centre) / score.width)
    factor = np.linalg.cholesky(np.linalg.inv(precision))
    offset = -steepness * np.concatenate([[0.0], np.cumsum(cuts)])
    offset += 0.5 * np.einsum("ki,kij,kj->k", means, precision, means)
    offset += np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
    log_weights = np.full(n, offset.min() + FAR)
    log_weights[:k] = offset
    more = [*range(k), *[0] * (n - k)]
    means = means[more] * score.width + score.centre
    return means, factor[more] * score.width[:, None], log_weights - log_weights.max()


def _proper(score: Quadratic, steps: FloatArray, z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Precisions and means of the components, with as little in common as can be.

    The precisions are positive definite, and no mean lies outside the range of the points.
    """
    low, high, unit = z.min(axis=0), z.max(axis=0), np.eye(len(score.width))
    own = -2.0 * steps[:, None, None] * score.curvature
    common = 1.0
    while True:
        precision = common * unit + own
        if np.linalg.eigvalsh(precision).min() > LEAST_CURVATURE * common:
            means = np.linalg.solve(precision, (steps[:, None] * score.slope)[:, :, None])[:, :, 0]
            if ((means >= low) & (means <= high)).all():
                return precision, np.asarray(means, dtype=np.float64)
        common *= CURVATURE_STEP
