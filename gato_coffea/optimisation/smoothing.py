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

from gato_coffea.events.samples import FloatArray

MAX_TERMS = 60
"""Terms of the polynomial of a density: a fit solves as many equations at each step, and with
more of them its time would exceed that of the training."""

MAX_DEGREE = 7
"""Highest degree of that polynomial: beyond it the ends of a density wiggle."""

NEWTON_STEPS = 40
"""A limit that is not reached: Newton's method doubles its digits with each step."""

MIN_GAIN = 1e-6
"""Gain in log likelihood below which Newton's method ends: far below one, by which the criterion
of the degree is decided."""

COMPARISON_GAIN = 0.05
"""The same while degrees are only compared: their criteria differ by whole units."""

MAX_GAIN_ERROR = 0.5
"""Part of the foreseen gain by which that of a step with a Hessian from an earlier step may
differ; beyond, the step is mostly wrong and the Hessian is computed anew."""


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
    z = (np.clip((u - mean) / np.where(width > 0, width, 1.0), -4.0, 4.0) / 2.0).T
    powers: list[FloatArray] = []
    size: list[int] = []
    for degree in range(max_degree + 1):
        terms = list(itertools.combinations_with_replacement(range(len(z)), degree))
        if len(powers) + len(terms) > min(MAX_TERMS, max(1, len(u) // 4)):
            break
        powers += [z[list(t)].prod(axis=0) for t in terms]
        size.append(len(powers))
    rows, root = np.stack(powers), np.sqrt(weight / total)
    r = _triangle(rows * root)
    keep = np.abs(np.diagonal(r)) > 1e-10
    if not keep.all():
        rows = rows[keep]
        r = _triangle(rows * root)
    values = np.asarray(np.linalg.solve(r.T, rows), dtype=np.float64)
    return Basis(values.T, tuple(int(keep[:n].sum()) for n in size))


def _triangle(rows: FloatArray) -> FloatArray:
    """The matrix ``r`` for which ``r.T @ r`` holds the scalar products of the rows."""
    return np.asarray(np.linalg.qr(rows.T, mode="r"))


def _log_posterior(basis: FloatArray, theta: FloatArray) -> FloatArray:
    """Log class probabilities, shape ``(classes, P)``; the last class is the reference."""
    logits = np.concatenate([theta @ basis.T, np.zeros((1, len(basis)))])
    logits -= logits.max(axis=0)
    return logits - np.log(np.exp(logits).sum(axis=0))


class Fit(NamedTuple):
    """What `fit_posterior` finds.

    Log class probabilities ``(P, classes)``, negative log likelihood, coefficients
    ``(classes - 1, terms)``, and a square matrix for all of them: the last step's Hessian, for a
    unit of weight.
    """

    log_posterior: FloatArray
    nll: float
    theta: FloatArray
    hessian: FloatArray


def fit_posterior(
    basis: FloatArray,
    weight: FloatArray,
    *,
    start: FloatArray | None = None,
    hessian: FloatArray | None = None,
    enough: float = MIN_GAIN,
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
    hessian
        That of a similar fit, used as long as the steps gain what it foresees.
    enough
        Gain in log likelihood with which the iteration ends.
    """
    seen, terms = weight.T, basis.shape[1]
    n_free, total = len(seen) - 1, seen.sum(axis=0)
    theta = np.zeros((n_free, terms))
    if start is not None:
        theta[:, : start.shape[1]] = start
    whole = float(total.sum())
    ridge = 1e-6 * whole / max(1, terms)

    def state(at: FloatArray) -> tuple[FloatArray, float]:
        log_p = _log_posterior(basis, at)
        return log_p, float(-(seen * log_p).sum() + 0.5 * ridge * (at**2).sum())

    log_p, current = state(theta)
    own = hessian is None
    matrix = np.empty(0) if hessian is None else hessian * whole
    for _ in range(NEWTON_STEPS):
        p = np.exp(log_p[:n_free])
        gradient = (total * p - seen[:n_free]) @ basis + ridge * theta
        if own:
            matrix = _hessian(basis, total, p) + ridge * np.eye(theta.size)
        step = np.linalg.solve(matrix, gradient.ravel()).reshape(theta.shape)
        size, foreseen = 1.0, 0.5 * float((gradient * step).sum())
        while (trial := state(theta - size * step))[1] > current and size > 1e-4:
            if foreseen < enough:
                break
            size /= 2
        gained = current - trial[1]
        if gained >= 0:
            theta, (log_p, current) = theta - size * step, trial
        if foreseen < enough or (own and gained < 0):
            break
        own = own or abs(gained - foreseen) > MAX_GAIN_ERROR * foreseen
    return Fit(log_p.T, current, theta, matrix / whole)


def _hessian(basis: FloatArray, total: FloatArray, p: FloatArray) -> FloatArray:
    """Second derivatives of the negative log likelihood by the coefficients."""
    n_free, terms = len(p), basis.shape[1]
    result = np.empty((n_free, terms, n_free, terms))
    for a in range(n_free):
        for c in range(a + 1):
            mix = total * p[a] * ((a == c) - p[c])
            result[a, :, c] = result[c, :, a] = (basis.T * mix) @ basis
    return result.reshape(n_free * terms, -1)


class Estimate(NamedTuple):
    """Estimated densities, and how they came about.

    ``yields`` ``(classes, P)``, the ``degree`` of the polynomial in the log ratio, its ``basis``
    and its ``fit``; without the latter two the yields are those that were given.
    """

    yields: FloatArray
    degree: int
    basis: FloatArray | None = None
    fit: Fit | None = None


def smooth_densities(
    u: FloatArray,
    yields: FloatArray,
    effective: FloatArray,
    *,
    degree: int | None = None,
    like: Estimate | None = None,
) -> Estimate:
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
        Degree of the polynomial in the log ratio; chosen by Akaike's criterion where None.
    like
        An estimate on the same points that the answer is likely near to, such as that of all
        events: its degree and basis are taken, and its coefficients are where the fit starts.

    Returns
    -------
    Estimate
        Its yields have the same sum for each class as those given; those themselves, and degree
        zero, where the points are too few to fit.
    """
    if degree == 0 or (like is not None and like.fit is None):
        return Estimate(yields, 0)
    total = yields.sum(axis=1)
    fraction = np.maximum(yields, 0.0)
    fraction /= fraction.sum(axis=1, keepdims=True)
    weight = (fraction * effective[:, None]).T
    if like is not None and like.basis is not None and like.fit is not None:
        degree, values = like.degree, like.basis
        best = fit_posterior(values, weight, start=like.fit.theta, hessian=like.fit.hessian)
    else:
        highest = MAX_DEGREE if degree is None else degree
        basis = polynomial_basis(u, weight.sum(axis=1), max_degree=highest)
        if degree is None:
            degree, start = _best_degree(basis, weight)
            if degree == 0:
                return Estimate(yields, 0)
        else:
            degree, start = min(degree, len(basis.size) - 1), None
        values = basis.values[:, : basis.size[degree]]
        best = fit_posterior(values, weight, start=start)
    density = np.exp(best.log_posterior).T * weight.sum(axis=1) / effective[:, None]
    density *= (total / density.sum(axis=1))[:, None]
    return Estimate(density, degree, values, best)


def _best_degree(basis: Basis, weight: FloatArray) -> tuple[int, FloatArray | None]:
    """The degree that Akaike's criterion chooses, and coefficients to start its fit from."""
    criterion, degree, start = np.inf, 0, None
    for trial in range(1, len(basis.size)):
        terms = basis.size[trial]
        values = basis.values[:, :terms]
        fit = fit_posterior(values, weight, start=start, enough=COMPARISON_GAIN)
        aic = 2 * fit.nll + 2 * terms * (weight.shape[1] - 1)
        if aic >= criterion:
            break
        criterion, degree, start = aic, trial, fit.theta
    return degree, start
