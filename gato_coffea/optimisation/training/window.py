"""Fraction of a falling mass spectrum in the signal window, differentiable in its mean mass."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gato_coffea.errors import InputError
from gato_coffea.optimisation.training.tensors import Tensor

NEWTON_STEPS = 5
"""Steps for the slope from the mean mass; a compiled step takes all of them, and each doubles the
digits."""


MEAN_LIMIT = 0.998
"""The mean keeps this far from the ends: 1 is an end of the range, 0 its centre."""


def _langevin(x: Tensor) -> tuple[Tensor, Tensor]:
    """``coth(x) - 1/x`` and its derivative, for any ``x``."""
    small = tf.abs(x) < 0.1
    near = tf.where(small, x, tf.zeros_like(x))
    square = near * near
    series = near * (1 / 3 - square * (1 / 45 - square * (2 / 945 - square / 4725)))
    slope = 1 / 3 - square * (1 / 15 - square * (2 / 189 - square / 675))
    far = tf.where(small, tf.ones_like(x), x)
    size = tf.abs(far)
    power = tf.exp(-2.0 * size)
    value = tf.sign(far) * (1.0 + power) / (1.0 - power) - 1.0 / far
    derivative = 1.0 / far**2 - 4.0 * power / (1.0 - power) ** 2
    return tf.where(small, series, value), tf.where(small, slope, derivative)


def _inverse_langevin(y: Tensor) -> Tensor:
    """Solution of ``coth(x) - 1/x = y`` for ``-1 < y < 1``.

    A fixed number of Newton steps from Cohen's approximation (Rheol. Acta 30 (1991) 270), which
    is good to 5 %. Only the last step is differentiated: it gives the exact derivative.
    """
    fixed = tf.stop_gradient(y)
    x = fixed * (3.0 - fixed**2) / (1.0 - fixed**2)
    for _ in range(NEWTON_STEPS):
        value, slope = _langevin(x)
        x -= (value - fixed) / slope
    x = tf.stop_gradient(x)
    value, slope = _langevin(x)
    return x - (value - y) / slope


def _between(x: Tensor, centre: float, width: float) -> Tensor:
    """Integral of ``x exp(-2 x t) / sinh(x)``, normalised on -1/2 to 1/2, over a window."""
    small = tf.abs(x) < 0.03
    near = tf.where(small, x, tf.zeros_like(x))

    def sinh_over_argument(argument: Tensor) -> Tensor:
        square = argument * argument
        return 1.0 + square / 6.0 * (1.0 + square / 20.0 * (1.0 + square / 42.0))

    flat = width * sinh_over_argument(width * near) / sinh_over_argument(near)
    flat *= tf.exp(-2.0 * near * centre)
    far = tf.where(small, tf.ones_like(x), x)
    size = tf.abs(far)
    exponent = -2.0 * far * centre - size * (1.0 - width)  # never positive
    steep = (1.0 - tf.exp(-2.0 * size * width)) / (1.0 - tf.exp(-2.0 * size))
    return tf.where(small, flat, tf.exp(exponent) * steep)


def exponential_slope(mean_mass: object, low: float, high: float) -> Tensor:
    """Slope of the exponential on ``low`` to ``high`` that has a mean.

    Parameters
    ----------
    mean_mass
        Mean mass, of any shape; brought inside the range where it is not.
    low, high
        Ends of the range.

    Returns
    -------
    Tensor
        Shape of ``mean_mass``, in units of 1/mass; positive where the continuum falls. This is
        the estimate of maximum likelihood.
    """
    mean = tf.convert_to_tensor(mean_mass)
    return tf.cast(2.0 * _half_slope(mean, low, high) / (high - low), mean.dtype)


def _half_slope(mean: Tensor, low: float, high: float) -> Tensor:
    y = (0.5 * (low + high) - tf.cast(mean, tf.float64)) / (0.5 * (high - low))
    return _inverse_langevin(tf.clip_by_value(y, -MEAN_LIMIT, MEAN_LIMIT))


def window_fraction(
    mean_mass: object, low: float, high: float, window_low: float, window_high: float
) -> Tensor:
    """Fraction of an exponential on ``low`` to ``high`` that lies in the window.

    Parameters
    ----------
    mean_mass
        Mean mass of the continuum on the range, of any shape: batch axes are welcome.
    low, high
        Ends of the range.
    window_low, window_high
        Ends of the window, inside the range.

    Returns
    -------
    Tensor
        Shape and dtype of ``mean_mass``; computed in float64, with finite gradients.

    Raises
    ------
    InputError
        If the window is not inside the range.
    """
    if not low <= window_low < window_high <= high:
        raise InputError(
            f"mass window: {window_low} to {window_high} is not inside {low} to {high}"
        )
    mean = tf.convert_to_tensor(mean_mass)
    length = high - low
    width = (window_high - window_low) / length
    centre = (0.5 * (window_low + window_high) - 0.5 * (low + high)) / length
    return tf.cast(_between(_half_slope(mean, low, high), centre, width), mean.dtype)


def mean_mass(sumw: Any, sumw_mass: Any, *, low: float, high: float) -> Tensor:
    """Mean mass from sums of weights and of weight times mass.

    The centre of the range where ``sumw`` is not positive: a category without continuum is taken
    as flat.
    """
    sumw = tf.convert_to_tensor(sumw)
    known = sumw > 0
    mean = tf.cast(sumw_mass, sumw.dtype) / tf.where(known, sumw, tf.ones_like(sumw))
    return tf.where(known, mean, tf.cast(0.5 * (low + high), sumw.dtype))
