"""Expected significance of counting experiments, in float64 NumPy.

Every reported figure comes from these formulas. ``objective`` holds the same ones in TensorFlow,
for their gradients.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from gato_coffea.samples import FloatArray

Combination = Literal["geometric", "quadrature", "sum"]

SERIES_BELOW = 1e-2
"""Below this argument `_curvature` is summed as a series, which there is exact to float64."""

SMALLEST_RATIO = 1e-305
"""A background of less than this in units of the signal counts as none: a sum that cancelled."""

SERIES = [(-1.0) ** n / ((n + 1) * (n + 2)) for n in range(9)]


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


def asimov_z2(s: Any, b: Any) -> FloatArray:
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
    return cowan_z2(s, b, 0.0)


def cowan_z2(s: Any, b: Any, v: Any) -> FloatArray:
    """Square of the median discovery significance with background variance ``v``.

    G. Cowan, "Discovery sensitivity for a counting experiment with background uncertainty"
    (2012), equation 20. With ``r = s / b``, ``t = v / (b + v)`` and
    ``g(r) = [(1 + r) ln(1 + r) - r] / r**2`` it reads ``2 s**2 / b [g(r) - t g(r t)]``, in which
    nothing cancels for small ``s`` and nothing diverges for small ``v``: there it goes to
    ``s**2 / (b + v)`` and to `asimov_z2`.

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
    shape = _curvature(r)
    if v.any():
        t = v / (b + v)
        shape = shape - t * _curvature(r * t)
    return np.where(valid, 2 * s * (r * shape), 0.0)


def combine(z: FloatArray, combination: Combination) -> FloatArray:
    """One figure from the significances of several signals.

    Parameters
    ----------
    z
        Significances, the signals along the last axis.
    combination
        ``geometric`` mean, ``quadrature`` sum, or plain ``sum``.
    """
    if combination == "geometric":
        with np.errstate(divide="ignore"):
            return np.asarray(np.exp(np.log(z).mean(axis=-1)))
    if combination == "quadrature":
        return np.asarray(np.sqrt((z**2).sum(axis=-1)))
    return np.asarray(z.sum(axis=-1))


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
    return cowan_z2(signal, total, spread)


def signal_significances(
    signal: FloatArray, background: FloatArray, variance: FloatArray | float = 0.0
) -> FloatArray:
    """Significance of each signal over all categories, shape ``(..., signals)``.

    The parameters are those of `category_z2`.
    """
    return np.sqrt(category_z2(signal, background, variance).sum(axis=-1))
