"""The nuisance parameters that describe an observation best, for many sets of yields at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import BoolArray, FloatArray, IntArray
from gato_coffea.statistics.likelihood import Likelihood, Terms

TOLERANCE = 1e-10
"""A fit has converged when the next step would lower ``-2 ln L`` by less than this: a
significance of one is then known to 1e-10."""

MAX_STEPS = 200
"""Steps of a fit; ten are usual, and more than fifty were seen only with yields near zero."""

DAMPING = 1e-7
"""First damping of a step that went uphill, in units of the largest curvature; then it grows
tenfold. Curvatures differ by as much: a larger one would let flat directions creep."""

NUDGE = 0.3
"""Step off a saddle, in standard deviations: where both variations move a yield to the same side,
the nominal point is a maximum along that parameter, with no slope to follow. It is halved from
time to time, for the minima beside it may be nearer."""

SMALL_BEND = 0.01
"""Square of the mean shift of both sides, in standard deviations of the events, below which it
makes no second minimum: with residuals of up to five deviations that needs a shift of a tenth."""

STRAIGHT = 0.3
"""Mean shift over half the difference of both sides, squared, below which a yield that is to be
fitted is reached on one side only."""

MIN_CURVATURE = 1e-12
"""Curvature, relative to the largest, that a parameter without any effect is given, so that the
matrix of second derivatives can be inverted: above rounding, below any real one."""


LONGEST_MOVE = 5.0
"""Longest move of a parameter in one step: a free normalisation changes by exp(5), and where the
likelihood is flat a Newton step would go where yields are no numbers any more."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Nuisance parameters at the minimum.

    Attributes
    ----------
    a
        Nuisance parameters, shape ``(..., J)``.
    terms
        The likelihood there.
    steps
        How many steps it took.
    """

    a: FloatArray
    terms: Terms
    steps: int


def fit(
    likelihood: Likelihood,
    *,
    strength: FloatArray,
    observed: FloatArray,
    start: FloatArray | None = None,
    max_steps: int = MAX_STEPS,
) -> Fit:
    """Minimise ``-2 ln L`` over all nuisance parameters, by damped Newton steps.

    Parameters
    ----------
    likelihood
        Yields and uncertainties.
    strength
        Factor on each row, shape ``(..., C)`` or ``(C,)``.
    observed
        Events, shape ``(..., K)``.
    start
        Where to begin, shape ``(..., J)``; at the nominal values by default.
    max_steps
        When to give up.

    Raises
    ------
    OptimisationError
        If no minimum is found; the parameter that is farthest from its own is named.
    """
    batch = np.broadcast_shapes(observed.shape[:-1], strength.shape[:-1])
    n = len(likelihood.names)
    a = np.zeros((*batch, n)) if start is None else np.broadcast_to(start, (*batch, n)).copy()
    terms = likelihood.terms(a, strength=strength, observed=observed)
    if start is not None and not np.isfinite(terms.value).all():
        a = np.where(np.isfinite(terms.value)[..., None], a, 0.0)
        terms = likelihood.terms(a, strength=strength, observed=observed)
    if not n:
        return Fit(a=a, terms=terms, steps=0)
    best = _descend(likelihood, strength, observed, a, terms, max_steps)
    for j in _bent(likelihood, strength, observed):
        for side in (1.0, -1.0):
            a = best.a.copy()
            a[..., j] = side
            terms = likelihood.terms(a, strength=strength, observed=observed)
            try:
                other = _descend(likelihood, strength, observed, a, terms, max_steps)
            except OptimisationError:
                continue  # nowhere lower than the minimum that is known
            lower = (other.terms.value < best.terms.value - TOLERANCE)[..., None]
            if lower.any():
                a = np.where(lower, other.a, best.a)
                terms = likelihood.terms(a, strength=strength, observed=observed)
                best = Fit(a=a, terms=terms, steps=best.steps + other.steps)
    return best


def _bent(likelihood: Likelihood, strength: FloatArray, observed: FloatArray) -> IntArray:
    """Variations whose both sides move yields alike, so that there may be several minima."""
    y = likelihood.yields
    assert y.up is not None
    assert y.down is not None
    weight = strength[..., None, :, None]
    nominal = y.nominal[..., None, :, :]
    up, down = (((side - nominal) * weight).sum(axis=-2) for side in (y.up, y.down))
    error = np.sqrt(np.maximum(observed, 1.0))[..., None, :]
    bend, slope = 0.5 * (up + down) / error, 0.5 * (up - down) / error
    bend2, slope2 = (bend**2).sum(axis=-1), (slope**2).sum(axis=-1)
    found = (bend2 > SMALL_BEND) & (bend2 > STRAIGHT * slope2)
    return np.flatnonzero(found.any(axis=tuple(range(found.ndim - 1))))


def _descend(
    likelihood: Likelihood,
    strength: FloatArray,
    observed: FloatArray,
    a: FloatArray,
    terms: Terms,
    max_steps: int,
) -> Fit:
    """The minimum that is reached from ``a``, where the likelihood is ``terms``."""
    batch, n = a.shape[:-1], a.shape[-1]
    nudge = np.full(batch, NUDGE)
    damping = np.zeros(batch)
    for step in range(max_steps):
        gradient, curvature = quadratic(likelihood, a, terms, observed)
        if not np.isfinite(gradient).all():
            break
        move = _downhill(curvature, gradient, damping)
        longest = np.abs(move).max(axis=-1, keepdims=True)
        move = move * np.minimum(1.0, LONGEST_MOVE / np.maximum(longest, LONGEST_MOVE))
        tried = a + move
        if (np.abs((gradient * move).sum(axis=-1)) < TOLERANCE).all():
            saddle, along = _saddle(curvature)
            if not saddle.any():
                return Fit(a=a, terms=terms, steps=step)
            step_off = nudge[..., None] * along
            sides = [a + step_off, a - step_off]
            values = [
                likelihood.terms(side, strength=strength, observed=observed).value
                for side in sides
            ]
            lower = np.where((values[0] <= values[1])[..., None], sides[0], sides[1])
            tried = np.where(saddle[..., None], lower, a)
            nudge = 0.5 * nudge
        there = likelihood.terms(tried, strength=strength, observed=observed)
        # A change that is rounding of the value itself counts as none.
        better = there.value <= terms.value + 1e-13 * (1.0 + np.abs(terms.value))
        raised = np.where(damping > 0, 10.0 * damping, DAMPING)
        damping = np.where(better, np.where(damping > DAMPING, damping / 10, 0.0), raised)
        a = np.where(better[..., None], tried, a)
        terms = (
            there if better.all() else likelihood.terms(a, strength=strength, observed=observed)
        )
    gradient, curvature = quadratic(likelihood, a, terms, observed)
    size = np.abs(gradient) / np.sqrt(np.maximum(np.diagonal(curvature, 0, -2, -1), MIN_CURVATURE))
    size = np.where(np.isfinite(size), size, np.inf)
    worst = int(size.reshape(-1, n).max(axis=0).argmax())
    raise OptimisationError(
        f"profile likelihood: no minimum in {max_steps} steps; nuisance parameter "
        f"{likelihood.names[worst]!r} does not settle (at {np.abs(a[..., worst]).max():.3g})"
    )


def quadratic(
    likelihood: Likelihood, a: FloatArray, terms: Terms, observed: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Gradient ``(..., J)`` and matrix of second derivatives ``(..., J, J)`` of ``-2 ln L``.

    With the background's factor at its best value everywhere. For signal ``S``, background ``B``
    and ``h = 2 (nu - n ln nu)``, the second derivatives are those at a fixed factor less
    what it takes up: ``(mixed derivative)**2 / (h'' B**2 + 2 / r**2)``.
    """
    some = terms.nu > 0
    nu = np.where(some, terms.nu, 1.0)
    pull = np.where(some, 2.0 * (1.0 - observed / nu), 2.0 * (observed <= 0))
    stiff = np.where(some, 2.0 * observed / nu**2, 0.0)
    gamma, b = terms.gamma, terms.background
    # 1 / (h'' B**2 + 2 / r**2), written for r**2 B**2 = variance, which may be zero.
    size = np.where(b > 0, b, 1.0)
    soft = np.where(b > 0, terms.variance / (stiff * terms.variance + 2.0) / size**2, 0.0)
    mixed_s, mixed_b = stiff * b, stiff * b * gamma + pull
    ss = stiff - soft * mixed_s**2
    sb = stiff * gamma - soft * mixed_s * mixed_b
    bb = stiff * gamma**2 - soft * mixed_b**2
    signal, background = likelihood.slopes(terms)
    by_s, by_b = pull[..., None], (pull * gamma)[..., None]
    gradient = (signal @ by_s + background @ by_b)[..., 0] + 2.0 * likelihood.prior * a
    turned = np.swapaxes(signal, -1, -2), np.swapaxes(background, -1, -2)
    cross = (signal * sb[..., None, :]) @ turned[1]
    matrix = (signal * ss[..., None, :]) @ turned[0] + (background * bb[..., None, :]) @ turned[1]
    matrix = matrix + cross + np.swapaxes(cross, -1, -2) + 2.0 * np.diag(likelihood.prior)
    rows = likelihood.is_signal[:, None]
    weight = np.where(rows, pull[..., None, :], (pull * gamma)[..., None, :])
    return gradient, matrix + likelihood.bends(terms, weight)


def _saddle(curvature: FloatArray) -> tuple[BoolArray, FloatArray]:
    """Whether ``-2 ln L`` falls to both sides of some axis, and the axis, shape ``(..., J)``."""
    size, axes = np.linalg.eigh(curvature)
    limit = -1e-6 * np.maximum(np.abs(size).max(axis=-1), 1.0)
    return size[..., 0] < limit, axes[..., 0]


def _downhill(curvature: FloatArray, gradient: FloatArray, damping: FloatArray) -> FloatArray:
    """A step that lowers ``-2 ln L`` if it is short enough: negative curvatures count as positive.

    ``damping`` adds to the curvatures, in units of the largest.
    """
    size, axes = np.linalg.eigh(curvature)
    size = np.abs(size)
    largest = np.maximum(size.max(axis=-1, keepdims=True), MIN_CURVATURE)
    along = (np.swapaxes(axes, -1, -2) @ gradient[..., None])[..., 0]
    along = along / (size + (damping[..., None] + MIN_CURVATURE) * largest)
    return -(axes @ along[..., None])[..., 0]
