"""Densities as a known shape times a smooth function: for processes that know too little alone.

The logarithm of the function is a polynomial whose coefficients make the moments those of the
events: the exponential family over the known shape, in which the likelihood is concave for
weights of any sign. What is known is, for a process with negative weights, where its entries
are; for a rare process, where the others are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gato_coffea.events.samples import FloatArray
from gato_coffea.optimisation.smoothing import Basis, polynomial_basis

MAX_TILT_DEGREE = 4
"""Highest degree that is tried: the shape that is known holds the rest."""

NEWTON_STEPS = 30
"""A limit that is not reached: Newton's method doubles its digits with each step."""

MIN_GAIN = 1e-9
"""Gain in log likelihood for one entry with which Newton's method ends: with a million entries a
thousandth of one unit."""


class Tilt(NamedTuple):
    """A density with the sum of the yields, and the degree of the polynomial in its tilt."""

    yields: FloatArray
    degree: int


def tilted(
    u: FloatArray,
    shape: FloatArray,
    yields: FloatArray,
    effective: float,
    *,
    degree: int | None = None,
) -> Tilt:
    """Tilt a known shape until its moments are those of the yields.

    Parameters
    ----------
    u
        Stretched coordinates, shape ``(P, D)``.
    shape
        The shape that is known, not negative, shape ``(P,)``.
    yields
        Yields of any sign with a positive sum, shape ``(P,)``.
    effective
        Effective entries of the yields.
    degree
        Of the polynomial; by default the one of Akaike's criterion, in which the yields count as
        so many entries. With degree zero the shape stays as it is.
    """
    total = yields.sum()
    base, fraction = shape / shape.sum(), yields / total
    if degree == 0:
        return Tilt(total * base, 0)
    basis = polynomial_basis(u, shape, max_degree=degree or MAX_TILT_DEGREE)
    if degree is not None:
        degree = min(degree, len(basis.size) - 1)
        return Tilt(total * _fit(basis, base, fraction, effective, degree)[0], degree)
    best, chosen, criterion = base, 0, 0.0
    for trial in range(1, len(basis.size)):
        density, gain = _fit(basis, base, fraction, effective, trial)
        found = 2 * (basis.size[trial] - basis.size[0]) - 2 * effective * gain
        if found >= criterion:
            break
        best, chosen, criterion = density, trial, found
    return Tilt(total * best, chosen)


def _fit(
    basis: Basis, base: FloatArray, fraction: FloatArray, effective: float, degree: int
) -> tuple[FloatArray, float]:
    """The tilted density, and what its log likelihood gains for an entry.

    Every coefficient is drawn to zero as by an entry of its own, so that moments which no density
    has, as few entries of both signs may give them, end at a finite tilt.
    """
    values = basis.values[:, basis.size[0] : basis.size[degree]]
    moments = fraction @ values
    drawn = 1.0 / max(effective, 1.0)
    theta = np.zeros(values.shape[1])

    def state(at: FloatArray) -> tuple[FloatArray, float]:
        exponent = values @ at
        top = exponent[base > 0].max()
        density = base * np.exp(np.minimum(exponent - top, 0.0))
        whole = density.sum()
        loss = np.log(whole) + top - at @ moments
        return density / whole, float(loss + 0.5 * drawn * (at @ at))

    density, loss = state(theta)
    first = loss
    for _ in range(NEWTON_STEPS):
        mean = density @ values
        gradient = mean - moments + drawn * theta
        hessian = (values.T * density) @ values - np.outer(mean, mean)
        hessian += drawn * np.eye(len(theta))
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while (trial := state(theta - size * step))[1] > loss and size > 1e-4:
            size /= 2
        gained = loss - trial[1]
        if gained <= 0:
            break
        theta, (density, loss) = theta - size * step, trial
        if gained < MIN_GAIN:
            break
    return density, first - loss


def without_negative(
    u: FloatArray,
    sumw: FloatArray,
    sumw2: FloatArray,
    count: FloatArray,
    *,
    degree: int | None = None,
) -> Tilt:
    """Yields of a process of which no point has a negative or a cancelled sum.

    Where some have, the entries say where the process is, and a smooth function of the
    discriminants how much weight they have on average.

    Parameters
    ----------
    u
        Stretched coordinates, shape ``(P, D)``.
    sumw, sumw2, count
        Sums of weights, of their squares, and events at each point, shape ``(P,)``.
    degree
        As in `tilted`.
    """
    total = sumw.sum()
    if not ((sumw <= 0) & (count > 0)).any() or total <= 0:
        return Tilt(sumw, 0)
    # Events times their root mean square weight: the yield itself where all weights are equal.
    return tilted(u, np.sqrt(count * sumw2), sumw, float(total**2 / sumw2.sum()), degree=degree)
