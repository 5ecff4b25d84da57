"""Gaussian mixtures that stand for given partitions of the points: where training starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.optimisation.problem import Mixtures

FAR = -20.0
"""Log weight of a component that starts without points."""


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


def _one(
    u: FloatArray, label: IntArray, weight: FloatArray, n: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
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
        scale[k] = np.linalg.cholesky(covariance + np.diag((0.03 * overall) ** 2))
        log_weights[k] = 0.0
    return means, scale, log_weights


def _bins(
    u: FloatArray, label: IntArray, weight: FloatArray, n: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
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
