"""How much of an exponential mass spectrum lies in the signal window, in NumPy.

The maximum-likelihood slope of an exponential on a closed range depends on the spectrum through
its mean alone, so a category's sum of weights and sum of weight times mass are all that is
needed. ``mass`` holds the same in TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gato_coffea.events.samples import FloatArray

NEWTON_STEPS = 12
"""A limit that is not reached: Newton's method doubles its digits with each step."""

SLOPE_TOLERANCE = 1e-9
"""Change of the slope times the width of the range with which Newton's method ends: the fraction
in the window is then known to the same precision."""

MAX_SLOPE = 60.0
"""Steepest spectrum considered, as slope times the width of the range: beyond, all events lie in
the first bin."""


@dataclass(frozen=True)
class Window:
    """Mass range and signal window in GeV."""

    low: float
    high: float
    window_low: float
    window_high: float


def _mean(k: FloatArray) -> FloatArray:
    """Mean of ``exp(-k t)`` on the unit interval, less one half; odd in ``k``."""
    small = np.abs(k) < 1e-3
    safe = np.where(small, 1.0, k)
    return np.where(small, -k / 12.0, 1.0 / safe - 0.5 / np.tanh(0.5 * safe))


def window_fraction(mean_mass: FloatArray, window: Window) -> FloatArray:
    """Fraction of an exponential on the range that lies in the window.

    Parameters
    ----------
    mean_mass
        Weighted mean of the mass in the range, in GeV, of any shape. NaN, as of a category
        without events, counts as the centre: a flat spectrum.
    window
        Range and window.

    Returns
    -------
    FloatArray
        Between 0 and 1, of the shape of ``mean_mass``.
    """
    width = window.high - window.low
    offset = (np.asarray(mean_mass, dtype=np.float64) - window.low) / width - 0.5
    offset = np.clip(np.where(np.isfinite(offset), offset, 0.0), -0.48, 0.48)
    # Start where the pole of the mean at the ends is right, then Newton on a monotonic function.
    k = -12.0 * offset / (1.0 - 4.0 * offset**2)
    for _ in range(NEWTON_STEPS):
        half = 0.5 * np.where(np.abs(k) < 1e-3, 1e-3, k)
        slope = -0.25 / half**2 + 0.25 / np.sinh(half) ** 2
        previous, k = k, np.clip(k - (_mean(k) - offset) / slope, -MAX_SLOPE, MAX_SLOPE)
        if (np.abs(k - previous) < SLOPE_TOLERANCE).all():
            break
    a = (window.window_low - window.low) / width
    b = (window.window_high - window.low) / width
    small = np.abs(k) < 1e-6
    safe = np.where(small, 1.0, k)
    return np.where(small, b - a, (np.exp(-safe * a) - np.exp(-safe * b)) / -np.expm1(-safe))
