"""Penalties that steer training away from categories with too little background simulation."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gato_coffea.gato.objective import safe_sqrt

Tensor = Any

RELATIVE_LIMIT = 100.0
"""A relative uncertainty counts as at most this, also where the background is not positive."""


def low_bkg_penalty(bkg_yields: Any, threshold: float = 10.0) -> Tensor:
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
    return tf.reduce_sum(tf.nn.relu(threshold - tf.convert_to_tensor(bkg_yields)) ** 2, axis=-1)


def high_bkg_uncertainty_penalty(
    bkg_sumsq: Any, bkg_yields: Any, rel_threshold: float = 0.2
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
    yields = tf.convert_to_tensor(bkg_yields)
    error = safe_sqrt(tf.cast(bkg_sumsq, yields.dtype))
    floor = tf.maximum(yields, error / RELATIVE_LIMIT)
    known = floor > 0
    relative = tf.where(known, error / tf.where(known, floor, tf.ones_like(floor)), 1.0)
    return tf.reduce_sum(tf.nn.relu(relative - rel_threshold) ** 2, axis=-1)
