"""Penalties that steer training away from categories with too little background simulation."""

from __future__ import annotations

import tensorflow as tf

from gato_coffea.optimisation.training.objective import safe_sqrt
from gato_coffea.optimisation.training.tensors import Tensor

RELATIVE_LIMIT = 100.0
"""A relative uncertainty counts as at most this, also where the background is not positive."""

MIN_YIELD = 1e-30
"""A yield of this size or less is none: the slope of one over it would not fit into float32."""


def _floats(values: object) -> Tensor:
    tensor = tf.convert_to_tensor(values)
    return tensor if tensor.dtype.is_floating else tf.cast(tensor, tf.float32)


def low_bkg_penalty(bkg_yields: object, threshold: float = 10.0) -> Tensor:
    """Sum over categories of the squared shortfall of background yield.

    Parameters
    ----------
    bkg_yields
        Background yields, shape ``(..., K)``.
    threshold
        Yield below which a category is penalised.

    Returns
    -------
    Tensor
        Shape ``(...)``.
    """
    return tf.reduce_sum(tf.nn.relu(threshold - _floats(bkg_yields)) ** 2, axis=-1)


def high_bkg_uncertainty_penalty(
    bkg_sumsq: object, bkg_yields: object, rel_threshold: float = 0.2
) -> Tensor:
    """Sum over categories of the squared excess of relative statistical uncertainty.

    Parameters
    ----------
    bkg_sumsq, bkg_yields
        Sums of squared weights and of weights, shape ``(..., K)``.
    rel_threshold
        Relative uncertainty above which a category is penalised.

    Returns
    -------
    Tensor
        Shape ``(...)``. A category without any background is taken as uncertain by its whole
        yield; the gradient is finite everywhere.
    """
    dtype = _floats(bkg_yields).dtype
    # In float64: a compiler divides by squares of yields, which may underflow in float32.
    yields, error = tf.cast(bkg_yields, tf.float64), safe_sqrt(tf.cast(bkg_sumsq, tf.float64))
    known = yields > tf.maximum(error / RELATIVE_LIMIT, MIN_YIELD)
    most = tf.where(error > 0, tf.constant(RELATIVE_LIMIT, tf.float64), 1.0)
    relative = tf.where(known, error / tf.where(known, yields, tf.ones_like(yields)), most)
    excess = tf.nn.relu(relative - tf.cast(rel_threshold, tf.float64))
    return tf.cast(tf.reduce_sum(excess**2, axis=-1), dtype)
