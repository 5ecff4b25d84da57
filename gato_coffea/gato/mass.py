"""From the mass sidebands to the signal window, differentiably.

A continuum that falls as a truncated exponential has its slope, by maximum likelihood, from its
mean mass alone. So the fraction of a category's continuum that lies in the signal window is a
smooth function of two sums, and can stand inside a training step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from gato_coffea.errors import InputError
from gato_coffea.gato.convert import SCORE, column
from gato_coffea.samples import FloatArray

Tensor = Any

NEWTON_STEPS = 5
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


def exponential_slope(mean_mass: Any, low: float, high: float) -> Tensor:
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
    mean_mass: Any, low: float, high: float, window_low: float, window_high: float
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


def differentiable_mass_factors(
    model: Any,
    data_dict: Mapping[str, Any],
    *,
    signal_labels: Sequence[str],
    mass_range: tuple[float, float] = (100.0, 180.0),
    window: tuple[float, float] = (123.5, 126.5),
) -> Tensor:
    """The factors of `compute_mass_reweight_factors` from soft memberships.

    For use inside a training step, as the ``background_reweight`` of
    ``get_differentiable_significance``: it follows the categories as they move.

    Parameters
    ----------
    model
        Anything with ``get_probs``.
    data_dict
        For each process tensors ``NN_output``, ``weight`` and ``mass``.
    signal_labels
        Processes that are no continuum.
    mass_range, window
        Range of the fit and signal window in GeV.

    Returns
    -------
    Tensor
        float32, shape ``(K,)``, with finite gradients.
    """
    sums: Tensor = 0.0
    for process, table in data_dict.items():
        if process in signal_labels:
            continue
        mass = tf.cast(column(table, "mass", process=process), tf.float32)
        used = (mass >= mass_range[0]) & (mass <= mass_range[1])
        weight = tf.cast(column(table, "weight", process=process), tf.float32)
        weight = tf.where(used, weight, tf.zeros_like(weight))
        # About the centre: float32 would lose digits in sums of full masses.
        offset = mass - 0.5 * (mass_range[0] + mass_range[1])
        share = model.get_probs(table)
        sums += tf.linalg.matmul(tf.stack([weight, weight * offset]), share)
    centre = 0.5 * (mass_range[0] + mass_range[1])
    half = 0.5 * (mass_range[1] - mass_range[0])
    mean = centre + mean_mass(sums[0], sums[1], low=-half, high=half)
    return window_fraction(mean, *mass_range, *window)


def compute_mass_reweight_factors(
    model: Any,
    data_dict: Mapping[str, Any],
    *,
    signal_labels: Sequence[str] | None = None,
    feature_key: str = "NN_output",
    mass_column: str = "mass",
    weight_column: str = "weight",
    mass_sb_low: float = 100.0,
    mass_sb_high: float = 180.0,
    mass_sig_low: float = 123.5,
    mass_sig_high: float = 126.5,
    nbins: int = 10,
) -> FloatArray:
    """Fraction of each category's continuum that an exponential puts into the signal window.

    Parameters
    ----------
    model
        Anything with ``n_cats`` and ``get_bin_indices``.
    data_dict
        A table per process.
    signal_labels
        Processes that are no continuum; those whose name starts with ``signal`` by default.
    feature_key, mass_column, weight_column
        Names of the columns.
    mass_sb_low, mass_sb_high
        Range of the fit in GeV.
    mass_sig_low, mass_sig_high
        Signal window in GeV.
    nbins
        Changes nothing: the fit is unbinned.

    Returns
    -------
    FloatArray
        Shape ``(K,)``. A category without continuum is taken as flat.

    Raises
    ------
    InputError
        If a column is missing, or every process is a signal.
    """
    if signal_labels is None:
        signal_labels = [name for name in data_dict if name.startswith("signal")]
    continuum = [name for name in data_dict if name not in signal_labels]
    if not continuum:
        raise InputError(f"mass: no process is continuum (got {', '.join(data_dict)})")
    sums = np.zeros((2, model.n_cats))
    for process in continuum:
        table = data_dict[process]
        mass, weight = (
            np.asarray(column(table, name, process=process), dtype=np.float64)
            for name in (mass_column, weight_column)
        )
        score = column(table, feature_key, process=process)
        bins = np.asarray(model.get_bin_indices({SCORE: score}))
        used = (mass >= mass_sb_low) & (mass <= mass_sb_high) & (bins >= 0)
        for row, values in zip(sums, (weight, weight * mass), strict=True):
            row += np.bincount(bins[used], values[used], model.n_cats)
    mean = mean_mass(sums[0], sums[1], low=mass_sb_low, high=mass_sb_high)
    fraction = window_fraction(mean, mass_sb_low, mass_sb_high, mass_sig_low, mass_sig_high)
    return np.asarray(fraction)
