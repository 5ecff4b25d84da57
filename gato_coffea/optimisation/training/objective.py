"""Expected significance in TensorFlow: the formulas of `significance`, with finite gradients.

Everything here acts on arrays over categories, which are small, so it is computed in float64
whatever the dtype of the yields; the result has the dtype that came in.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from gato_coffea.optimisation.training.tensors import Tensor
from gato_coffea.statistics.counting import SERIES_BELOW, Combination
from gato_coffea.statistics.fixed import LEAST_EXCESS

MIN_Z_SQUARED = 1e-12
"""A squared significance of this size is added before a logarithm is taken."""


def _floats(*values: Any) -> tuple[tf.DType, list[Tensor]]:
    """Common dtype of the values and their float64 tensors."""
    tensors = [tf.convert_to_tensor(value) for value in values]
    dtype = next((t.dtype for t in tensors if t.dtype.is_floating), tf.float64)
    return dtype, [tf.cast(t, tf.float64) for t in tensors]


def _curvature(r: Tensor) -> Tensor:
    """``[(1 + r) ln(1 + r) - r] / r**2`` for ``r >= 0``; one half at zero."""
    small = tf.minimum(r, SERIES_BELOW)
    series = tf.zeros_like(r)
    for n in range(8, -1, -1):
        series = 1.0 / ((n + 1) * (n + 2)) - small * series  # Horner's scheme
    large = tf.maximum(r, SERIES_BELOW)
    closed = ((1.0 + large) * tf.math.log1p(large) - large) / large**2
    return tf.where(r < SERIES_BELOW, series, closed)


def _significance_parts(s: Tensor, b: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Where it is defined, ``s / sqrt(b)``, and the factor that makes its square ``Z**2``."""
    valid = (s > 0) & (b > 0)
    b = tf.where(valid, b, tf.ones_like(b))
    s = tf.where(valid, s, tf.zeros_like(s))
    r = s / b
    if v is None:
        return s / tf.sqrt(b), 2.0 * _curvature(r)
    t = tf.where(valid, v, tf.zeros_like(v)) / b
    # The excess over the profiled background, in units of the signal over the nominal one.
    share = 2.0 / (1.0 + t + tf.sqrt((1.0 + t) ** 2 + 4.0 * t * r))
    e = r * share
    return s / tf.sqrt(b), share**2 * (2.0 * (1.0 + t * e) * _curvature(e) + t)


def asimov_z2(s: Any, b: Any) -> Tensor:
    """Square of the median discovery significance of a counting experiment.

    Parameters
    ----------
    s, b
        Expected signal and background yields, of any shapes that broadcast.

    Returns
    -------
    Tensor
        Zero, with zero gradient, where ``s <= 0`` or ``b <= 0``.
    """
    return profiled_z2(s, b, 0.0)


def profiled_z2(s: Any, b: Any, v: Any) -> Tensor:
    """Square of the median discovery significance with background variance ``v``.

    The form of `gato_coffea.statistics.counting.profiled_z2`; its gradient is finite everywhere.

    Parameters
    ----------
    s, b, v
        Expected signal and background yields, and the variance of the latter, of any shapes that
        broadcast.

    Returns
    -------
    Tensor
        Zero, with zero gradient, where ``s <= 0`` or ``b <= 0``.
    """
    certain = isinstance(v, int | float) and v == 0
    dtype, parts = _floats(*((s, b) if certain else (s, b, v)))
    together = functools.reduce(tf.broadcast_dynamic_shape, [tf.shape(a) for a in parts])
    naive, factor = _significance_parts(*(tf.broadcast_to(a, together) for a in parts))
    return tf.cast(naive * naive * factor, dtype)


def asymptotic_significance(S: Any, B: Any, eps: float = 1e-9) -> Tensor:
    """Asimov significance of each category.

    Parameters
    ----------
    S, B
        Expected signal and background yields, of shapes that broadcast.
    eps
        A background of this size or less counts as none.

    Returns
    -------
    Tensor
        Z, and not its square. Zero where ``S <= 0`` or where there is no background: such a
        category is unknown, never a reward. The gradient is finite everywhere.
    """
    dtype, (s, b) = _floats(S, B)
    s, b = s + tf.zeros_like(b), b + tf.zeros_like(s)
    b = tf.where(b > eps, b, tf.zeros_like(b))
    naive, factor = _significance_parts(s, b)
    return tf.cast(naive * tf.sqrt(factor), dtype)


def safe_sqrt(x: Any) -> Tensor:
    """Square root with zero value and zero gradient where ``x <= 0``."""
    x = tf.convert_to_tensor(x)
    positive = x > 0
    return tf.where(positive, tf.sqrt(tf.where(positive, x, tf.ones_like(x))), tf.zeros_like(x))


def signal_z2(signal: Tensor, background: Tensor, variance: Any = 0.0) -> Tensor:
    """Squared significance of each signal, which sees the background and all other signals.

    Parameters
    ----------
    signal
        Yields, shape ``(..., signals, categories)``.
    background
        Yields, shape ``(..., categories)``.
    variance
        Variance of the background, of that shape or a number.

    Returns
    -------
    Tensor
        Shape ``(..., signals)``. A category without background counts nothing.
    """
    positive = tf.nn.relu(signal)
    others = tf.reduce_sum(positive, axis=-2, keepdims=True) - positive
    known = background[..., None, :]
    total = tf.where(known > 0, known + others, tf.zeros_like(others))
    if isinstance(variance, int | float):
        return tf.reduce_sum(profiled_z2(signal, total, variance), axis=-1)
    spread = tf.broadcast_to(tf.cast(variance, background.dtype), tf.shape(background))
    return tf.reduce_sum(profiled_z2(signal, total, spread[..., None, :]), axis=-1)


def combine_z2(
    z2: Tensor, combination: Combination = "geometric", *, weights: Sequence[float] | None = None
) -> Tensor:
    """One significance from the squared significances of several signals.

    Parameters
    ----------
    z2
        Squared significances, the signals along the last axis.
    combination
        ``geometric`` mean, ``quadrature`` sum, or ``sum``.
    weights
        Weight of each signal; one each by default. One signal alone has weights such as
        ``(0, 1)``.

    Returns
    -------
    Tensor
        Shape of ``z2`` without its last axis. Finite gradient also where a signal is absent.
    """
    dtype, (z2,) = _floats(z2)
    share = tf.ones_like(z2) if weights is None else tf.constant(weights, tf.float64)
    return tf.cast(TOGETHER[combination](z2, share), dtype)


def _geometric(z2: Tensor, share: Tensor) -> Tensor:
    total = tf.reduce_sum(share * tf.ones_like(z2), axis=-1)
    mean = tf.reduce_sum(share * tf.math.log(tf.nn.relu(z2) + MIN_Z_SQUARED), axis=-1) / total
    return tf.exp(0.5 * mean)


TOGETHER: Mapping[Combination, Callable[[Tensor, Tensor], Tensor]] = {
    "geometric": _geometric,
    "determinant": _geometric,  # of one figure for all signals
    "quadrature": lambda z2, share: safe_sqrt(tf.reduce_sum(share * z2, axis=-1)),
    "sum": lambda z2, share: tf.reduce_sum(share * safe_sqrt(z2), axis=-1),
}
"""The twins of `statistics.counting.RULES`."""


def excess_term(x: Tensor) -> Tensor:
    """``(1 + x) ln(1 + x) - x`` for ``x >= -1``: see `statistics.fixed`; finite gradient."""
    small = tf.abs(x) < SERIES_BELOW
    few = tf.where(small, x, tf.zeros_like(x))
    series = tf.zeros_like(x)
    for n in range(8, -1, -1):
        series = 1.0 / ((n + 1) * (n + 2)) - few * series  # Horner's scheme
    large = tf.where(small, tf.ones_like(x), tf.maximum(x, LEAST_EXCESS))
    closed = (1.0 + large) * tf.math.log1p(large) - large
    return tf.where(small, few**2 * series, closed)
