"""Ordered edges and the soft bins between them, in TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray
from gato_coffea.optimisation.training.tensors import Tensor

ARGUMENT_LIMIT = 80.0
"""Beyond this the sigmoid is 0 or 1 in float32."""


def safe_sigmoid(z: Any, steepness: Any) -> Tensor:
    """Sigmoid of ``steepness * z``, without overflow of the value or its gradient.

    Parameters
    ----------
    z
        A tensor, NaN-free; may be infinite.
    steepness
        A number or tensor.
    """
    z = tf.convert_to_tensor(z)
    bound = tf.cast(1e30, z.dtype if z.dtype.is_floating else tf.float32)
    z, steepness = (
        tf.clip_by_value(tf.cast(a, bound.dtype), -bound, bound) for a in (z, steepness)
    )
    product = z * steepness
    return tf.sigmoid(tf.clip_by_value(product, -ARGUMENT_LIMIT, ARGUMENT_LIMIT))


def ordered_edges(raw: Tensor) -> Tensor:
    """Inner edges between 0 and 1 from trainable values.

    Parameters
    ----------
    raw
        Shape ``(..., bins - 1)``; zeros give bins of equal width.

    Returns
    -------
    Tensor
        Shape of ``raw``, increasing.
    """
    logits = tf.concat([raw, tf.zeros_like(raw[..., :1])], axis=-1)
    return tf.cumsum(tf.nn.softmax(logits, axis=-1), axis=-1)[..., :-1]


def raw_edges(unit: object) -> FloatArray:
    """Trainable values whose `ordered_edges` are ``unit``, increasing between 0 and 1."""
    unit = np.asarray(unit, dtype=np.float64)
    share = np.diff(np.concatenate([[0.0], unit, [1.0]]))
    if not (share > 0).all():
        raise InputError(f"edges: must increase inside the range (got {unit.tolist()})")
    return np.asarray(np.log(share[:-1]) - np.log(share[-1]))


def soft_bins(unit: Tensor, edges: Tensor, steepness: object) -> Tensor:
    """Membership of events in the bins of one variable.

    Parameters
    ----------
    unit
        The variable as a fraction of its range, shape ``(N,)``.
    edges
        Inner edges in the same units, shape ``(..., bins - 1)``.
    steepness
        A number, or a tensor of shape ``(...)`` followed by two axes of length one.

    Returns
    -------
    Tensor
        Shape ``(..., N, bins)``; sums to one over the last axis.
    """
    above = safe_sigmoid(unit[:, None] - edges[..., None, :], steepness)
    one = tf.ones_like(above[..., :1])
    return tf.concat([one, above], axis=-1) - tf.concat([above, 0.0 * one], axis=-1)
