"""Expected significance of counting experiments, in float64 NumPy.

Every reported figure comes from these formulas. ``objective`` holds the same ones in TensorFlow,
for their gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from gato_coffea.config.settings import Combination as Combination
from gato_coffea.events.samples import FloatArray

SERIES_BELOW = 1e-2
"""Below this argument `_curvature` is summed as a series, which there is exact to float64."""

SMALLEST_RATIO = 1e-305
"""A background of less than this in units of the signal counts as none: a sum that cancelled."""

SERIES = [(-1.0) ** n / ((n + 1) * (n + 2)) for n in range(9)]
"""Coefficients of that series; the tenth is below 1e-18 at the largest argument."""


def _curvature(r: FloatArray) -> FloatArray:
    """``[(1 + r) ln(1 + r) - r] / r**2`` for ``r >= 0``; one half at zero."""
    small = r < SERIES_BELOW
    few = r[small]
    series = np.full_like(few, SERIES[-1])
    for coefficient in SERIES[-2::-1]:
        series *= few
        series += coefficient
    result = np.empty_like(r)
    result[small] = series
    large = r[~small]
    result[~small] = ((1 + large) * np.log1p(large) - large) / large / large
    return result


def asimov_z2(s: object, b: object) -> FloatArray:
    """Square of the median discovery significance of a counting experiment.

    ``2 [(s + b) ln(1 + s / b) - s]``: Cowan et al., EPJC 71 (2011) 1554, equation 97.

    Parameters
    ----------
    s, b
        Expected signal and background yields, of any shapes that broadcast.

    Returns
    -------
    FloatArray
        Zero where ``s <= 0``, and also where ``b <= 0``: a category without background is
        unknown, never a reward.

    Examples
    --------
    >>> float(asimov_z2(10.0, 100.0).round(6))
    0.96824
    """
    return profiled_z2(s, b, 0.0)


def profiled_z2(s: object, b: object, v: object) -> FloatArray:
    """Square of the median discovery significance with background variance ``v``.

    The likelihood is that of the exported models (HistFactory, Barlow-Beeston light): a Poisson
    count, and a Gaussian of variance ``v`` on the background, whose shift ``d`` is profiled:
    ``min over d of 2 [(b + d) - n + n ln(n / (b + d))] + d**2 / v`` with ``n = s + b``. The
    minimum is known in closed form. With ``t = v / b``, ``e = (n - b - d) / (b + d)`` and
    ``g(e) = [(1 + e) ln(1 + e) - e] / e**2`` it reads ``b e**2 [2 (1 + t e) g(e) + t]`` and
    ``e = 2 (s / b) / [1 + t + sqrt((1 + t)**2 + 4 t s / b)]``, in which nothing cancels. It goes
    to `asimov_z2` for small ``v`` and to ``s**2 / (b + v)`` for small ``s``, is convex and
    homogeneous, and lies below the formula for a Poisson control measurement (Cowan 2012,
    equation 20) where a category has few effective entries and much signal.

    Parameters
    ----------
    s, b, v
        Expected signal and background yields, and the variance of the latter.

    Returns
    -------
    FloatArray
        Zero where ``s <= 0`` or ``b <= 0``.
    """
    s, b, v = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (s, b, v)))
    valid = (s > 0) & (b > 0) & (b > SMALLEST_RATIO * s)
    s, b = np.where(valid, s, 0.0), np.where(valid, b, 1.0)
    r = s / b
    if not v.any():
        return np.where(valid, 2 * s * (r * _curvature(r)), 0.0)
    t = v / b
    e = excess_ratio(r, t)
    # The factors in an order in which none of the products overflows.
    return np.where(valid, (b * e) * (e * (2 * (1 + t * e) * _curvature(e) + t)), 0.0)


def excess_ratio(r: FloatArray, t: FloatArray) -> FloatArray:
    """Counts over their expectation without signal, less one, where that is profiled.

    ``r`` is the signal and ``t`` the variance, both in units of the background.
    """
    return np.asarray(2 * r / (1 + t + np.hypot(1 + t, 2 * np.sqrt(r) * np.sqrt(t))))


@dataclass(frozen=True)
class Rule:
    """How the significances of several signals make one figure.

    Attributes
    ----------
    words
        What it is called.
    together
        The figure from significances ``(..., signals)``.
    worth
        What a unit of each squared significance adds to it, up to a common factor, at
        significances ``(..., signals)`` that are not zero.
    order
        From squared significances ``(signals, ...)`` something that rises with the figure.
    sums_squares
        Whether the square of the figure is the sum of the squares.
    simultaneous
        Whether it is a figure of all strengths together (`figures.determinant`); the mean is that
        of a diagonal matrix.
    """

    words: str
    together: Callable[[FloatArray], FloatArray]
    worth: Callable[[FloatArray], FloatArray]
    order: Callable[[FloatArray], FloatArray]
    sums_squares: bool = False
    simultaneous: bool = False


def _geometric_mean(z: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(np.log(z).mean(axis=-1)))


GEOMETRIC = Rule(
    "geometric mean",
    together=_geometric_mean,
    worth=lambda z: np.asarray(1.0 / z**2),
    order=lambda squares: np.asarray(squares.prod(axis=0)),
)

RULES: Mapping[Combination, Rule] = {
    "geometric": GEOMETRIC,
    "determinant": replace(GEOMETRIC, words="determinant", simultaneous=True),
    "quadrature": Rule(
        "quadratic sum",
        together=lambda z: np.asarray(np.sqrt((z**2).sum(axis=-1))),
        worth=np.ones_like,
        order=lambda squares: np.asarray(squares.sum(axis=0)),
        sums_squares=True,
    ),
    "sum": Rule(
        "sum",
        together=lambda z: np.asarray(z.sum(axis=-1)),
        worth=lambda z: np.asarray(1.0 / z),
        order=lambda squares: np.asarray(np.sqrt(squares).sum(axis=0)),
    ),
}
"""The ways to combine signals; each is said here once, and its twin in ``training.objective``."""

COMBINATIONS: Mapping[str, str] = {name: rule.words for name, rule in RULES.items()}
"""What they are called."""


def combine(z: FloatArray, combination: Combination) -> FloatArray:
    """One figure from the significances of several signals.

    Parameters
    ----------
    z
        Significances, the signals along the last axis.
    combination
        ``geometric`` mean, ``quadrature`` sum, or plain ``sum``.
    """
    return RULES[combination].together(z)


def category_z2(
    signal: FloatArray, background: FloatArray, variance: FloatArray | float = 0.0
) -> FloatArray:
    """Squared significance of each signal in each category.

    A signal sees the background and all other signals; a category without background counts
    nothing, and a negative yield of a signal counts as none.

    Parameters
    ----------
    signal
        Yields, shape ``(..., signals, categories)``.
    background
        Yields, shape ``(..., categories)``.
    variance
        Variance of the background, shape of ``background`` or a number.

    Returns
    -------
    FloatArray
        Shape of ``signal``.
    """
    positive = np.maximum(signal, 0.0)
    others = positive.sum(axis=-2, keepdims=True) - positive
    known = background[..., None, :] > 0
    total = np.where(known, background[..., None, :] + others, 0.0)
    spread = np.broadcast_to(np.asarray(variance), background.shape)[..., None, :]
    return profiled_z2(signal, total, spread)


def signal_significances(
    signal: FloatArray, background: FloatArray, variance: FloatArray | float = 0.0
) -> FloatArray:
    """Significance of each signal over all categories, shape ``(..., signals)``.

    The parameters are those of `category_z2`.
    """
    return np.sqrt(category_z2(signal, background, variance).sum(axis=-1))
