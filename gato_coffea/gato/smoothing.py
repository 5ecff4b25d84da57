"""Densities behind a finite simulation, so that categories do not follow its fluctuations.

Where simulated background is scarce, cells that are empty by chance look like pure signal, and
an optimiser draws its boundaries around them. What decides the best categories is the ratio of
signal to background densities. It is smooth, and a multinomial regression on the stretched
discriminants estimates it from signal and background events together: the classical case-control
argument (Prentice and Pyke, Biometrika 66 (1979) 403). Regularisation by the events' own
statistics, with no parameter to tune: the degree is chosen by Akaike's criterion.

Yields that are reported never come from here; they are sums of weights of the events.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gato_coffea.samples import FloatArray

MAX_TERMS = 60
MAX_DEGREE = 7
NEWTON_STEPS = 40

ENOUGH = 1e-4
ENOUGH_TO_COMPARE = 0.05
"""Gain in log likelihood with which Newton's method ends: far below one unit of the criterion."""


@dataclass(frozen=True)
class Basis:
    """Orthonormal polynomials on a set of points.

    ``values`` has shape ``(P, terms)`` and holds the terms in increasing degree; the first
    ``size[g]`` of them are those of degree ``g`` and below.
    """

    values: FloatArray
    size: tuple[int, ...]


def polynomial_basis(u: FloatArray, weight: FloatArray, *, max_degree: int = MAX_DEGREE) -> Basis:
    """Polynomials of the coordinates, orthonormal under the weights.

    Parameters
    ----------
    u
        Stretched coordinates, shape ``(P, D)``.
    weight
        Non-negative weights, shape ``(P,)``.
    max_degree
        Highest degree; less where the points are few or the terms many.
    """
    total = weight.sum()
    mean = weight @ u / total
    width = np.sqrt(weight @ (u - mean) ** 2 / total)
    z = np.clip((u - mean) / np.where(width > 0, width, 1.0), -4.0, 4.0) / 2.0
    dim = u.shape[1]
    columns: list[FloatArray] = []
    size: list[int] = []
    for degree in range(max_degree + 1):
        terms = list(itertools.combinations_with_replacement(range(dim), degree))
        if len(columns) + len(terms) > min(MAX_TERMS, max(1, len(u) // 4)):
            break
        columns += [z[:, list(t)].prod(axis=1) for t in terms]
        size.append(len(columns))
    scaled = np.stack(columns, axis=1) * np.sqrt(weight / total)[:, None]
    q, r = np.linalg.qr(scaled)
    keep = np.abs(np.diagonal(r)) > 1e-10
    kept_size = tuple(int(keep[:n].sum()) for n in size)
    root = np.sqrt(weight / total)
    values = np.where(root[:, None] > 0, q / np.where(root > 0, root, 1.0)[:, None], 0.0)
    return Basis(values[:, keep], kept_size)


def _log_posterior(basis: FloatArray, theta: FloatArray) -> FloatArray:
    """Log class probabilities, shape ``(P, classes)``; the last class is the reference."""
    logits = np.concatenate([basis @ theta.T, np.zeros((len(basis), 1))], axis=1)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


class Fit(NamedTuple):
    """Log class probabilities ``(P, classes)``, negative log likelihood, and coefficients."""

    log_posterior: FloatArray
    nll: float
    theta: FloatArray


def fit_posterior(
    basis: FloatArray,
    weight: FloatArray,
    *,
    start: FloatArray | None = None,
    enough: float = ENOUGH,
) -> Fit:
    """Multinomial regression by Newton's method with step halving.

    Parameters
    ----------
    basis
        Regressors, shape ``(P, terms)``.
    weight
        Weight of each class at each point, shape ``(P, classes)``.
    start
        Coefficients of each class but the last to start from, shape ``(classes - 1, terms)`` or
        with fewer terms; the others, and by default all of them, start from zero.
    enough
        Gain in log likelihood with which the iteration ends.
    """
    n_free, terms = weight.shape[1] - 1, basis.shape[1]
    total = weight.sum(axis=1)
    theta = np.zeros((n_free, terms))
    if start is not None:
        theta[:, : start.shape[1]] = start
    ridge = 1e-6 * total.sum() / max(1, terms)

    def loss(at: FloatArray) -> float:
        return float(-(weight * _log_posterior(basis, at)).sum() + 0.5 * ridge * (at**2).sum())

    current = loss(theta)
    for _ in range(NEWTON_STEPS):
        p = np.exp(_log_posterior(basis, theta))[:, :n_free]
        gradient = (total[:, None] * p - weight[:, :n_free]).T @ basis + ridge * theta
        hessian = np.empty((n_free, terms, n_free, terms))
        for a in range(n_free):
            for c in range(a + 1):
                mix = total * p[:, a] * ((a == c) - p[:, c])
                hessian[a, :, c] = hessian[c, :, a] = (basis * mix[:, None]).T @ basis
        flat = hessian.reshape(n_free * terms, -1) + ridge * np.eye(n_free * terms)
        step = np.linalg.lstsq(flat, gradient.ravel(), rcond=None)[0].reshape(theta.shape)
        size, foreseen = 1.0, 0.5 * float((gradient * step).sum())
        while (trial := loss(theta - size * step)) > current and size > 1e-4:
            if foreseen < enough:
                break
            size /= 2
        if trial > current:
            break
        theta, current = theta - size * step, trial
        if foreseen < enough:
            break
    return Fit(_log_posterior(basis, theta), current, theta)


def smooth_densities(
    u: FloatArray,
    yields: FloatArray,
    effective: FloatArray,
    *,
    degree: int | None = None,
    like: FloatArray | None = None,
) -> tuple[FloatArray, int]:
    """Estimate the densities that the weighted points were drawn from.

    Parameters
    ----------
    u
        Stretched coordinates of the points, shape ``(P, D)``.
    yields
        Sums of weights of each class at each point, shape ``(classes, P)``; negative sums count
        as none. The last class is the background.
    effective
        Effective entries of each class, shape ``(classes,)``.
    degree
        Degree of the polynomial in the log ratio; chosen by Akaike's criterion where None. With
        degree zero, which is for points too few to fit, the yields themselves are the estimate.
    like
        An estimate of this degree that the answer is likely near to, such as that of all events.

    Returns
    -------
    tuple
        Estimated yields, of the shape of ``yields`` with the same sum for each class, and the
        degree.
    """
    if degree == 0:
        return yields, 0
    total = yields.sum(axis=1)
    fraction = np.maximum(yields, 0.0)
    fraction /= fraction.sum(axis=1, keepdims=True)
    weight = fraction.T * effective
    highest = MAX_DEGREE if degree is None else degree
    basis = polynomial_basis(u, weight.sum(axis=1), max_degree=highest)
    if degree is not None:
        degree = min(degree, len(basis.size) - 1)
        values = basis.values[:, : basis.size[degree]]
        start = None if like is None else _projected(values, weight, like)
        best = fit_posterior(values, weight, start=start).log_posterior
    else:
        criterion, start = np.inf, None
        for trial in range(1, len(basis.size)):
            terms = basis.size[trial]
            values = basis.values[:, :terms]
            fit = fit_posterior(values, weight, start=start, enough=ENOUGH_TO_COMPARE)
            aic = 2 * fit.nll + 2 * terms * (len(yields) - 1)
            if aic >= criterion:
                break
            criterion, degree, start = aic, trial, fit.theta
        if degree is None:
            return yields, 0
        values = basis.values[:, : basis.size[degree]]
        best = fit_posterior(values, weight, start=start).log_posterior
    density = np.exp(best).T * weight.sum(axis=1) / effective[:, None]
    return density * (total / density.sum(axis=1))[:, None], degree


def _projected(basis: FloatArray, weight: FloatArray, like: FloatArray) -> FloatArray:
    """Coefficients, in a basis that is orthonormal under the weights, of an estimate."""
    known = (like > 0).all(axis=0)
    odds = like / like.sum(axis=1, keepdims=True) * weight.sum(axis=0)[:, None]
    log = np.log(np.where(known, odds, 1.0))
    share = weight.sum(axis=1) / weight.sum()
    return np.asarray((log[:-1] - log[-1]) @ (basis * share[:, None]))
