"""Soft membership of events in the components of a Gaussian mixture, as pure functions.

All take arbitrary leading batch axes: restarts and folds train side by side. The residuals are
whitened by forward substitution, one coordinate after the other, so that nothing larger than one
number per event and component is ever held and a compiler can fuse it all into one loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from gato_coffea.errors import InputError
from gato_coffea.optimisation.training.tensors import Tensor

MeanNorm = Literal["softmax", "sigmoid"]

HALF_LOG_2PI = 0.5 * float(np.log(2.0 * np.pi))
"""Constant of the logarithm of a Gaussian density."""

RAW_WIDTH_LIMIT = 12.0
"""A width stays within this many e-foldings of its start, so that float32 holds its square."""


def mean_ranges(mean_range: object, dim: int, *, place: str) -> tuple[tuple[float, float], ...]:
    """One pair ``(low, high)`` a dimension, from one pair for all or from as many.

    Raises
    ------
    InputError
        If it is neither, or a pair does not increase.
    """
    try:
        pairs = np.broadcast_to(np.asarray(mean_range, dtype=np.float64), (dim, 2))
    except ValueError:
        pairs = np.full((dim, 2), np.nan)
    if not (np.isfinite(pairs).all() and (pairs[:, 0] < pairs[:, 1]).all()):
        raise InputError(
            f"{place}: mean_range must be one pair (low, high), or {dim} (got {mean_range})"
        )
    return tuple((float(low), float(high)) for low, high in pairs)


def effective_means(
    raw: Tensor, *, mean_norm: MeanNorm = "softmax", mean_range: object = (0.0, 1.0)
) -> Tensor:
    """Means inside the allowed region.

    Parameters
    ----------
    raw
        Trainable values, shape ``(..., K, D)``.
    mean_norm
        ``softmax``: the first ``D`` of ``D + 1`` probabilities, whose last logit is zero.
        ``sigmoid``: each coordinate on its own, inside ``mean_range``.
    mean_range
        A pair ``(low, high)``, or one pair a dimension. Not used by ``softmax``.

    Returns
    -------
    Tensor
        Shape of ``raw``.
    """
    if mean_norm == "softmax":
        logits = tf.concat([raw, tf.zeros_like(raw[..., :1])], axis=-1)
        return tf.nn.softmax(logits, axis=-1)[..., :-1]
    low, high = np.broadcast_to(np.asarray(mean_range, dtype=float), (raw.shape[-1], 2)).T
    start, span = tf.constant(low, raw.dtype), tf.constant(high - low, raw.dtype)
    return start + span * tf.sigmoid(raw)


def raw_means(
    means: object, *, mean_norm: MeanNorm = "softmax", mean_range: object = (0.0, 1.0)
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Trainable values whose `effective_means` are ``means``, in NumPy.

    Parameters
    ----------
    means
        Shape ``(..., K, D)``; values at the border of the region are moved just inside it.
    mean_norm, mean_range
        As in `effective_means`.
    """
    means = np.asarray(means, dtype=np.float64)
    tiny = 1e-6
    if mean_norm == "softmax":
        last = np.maximum(1.0 - means.sum(axis=-1, keepdims=True), tiny)
        return np.log(np.maximum(means, tiny)) - np.log(last)
    low, high = np.broadcast_to(np.asarray(mean_range, dtype=float), (means.shape[-1], 2)).T
    unit = np.clip((means - low) / (high - low), tiny, 1.0 - tiny)
    return np.asarray(np.log(unit) - np.log1p(-unit))


def scale_tril(raw: Tensor, *, sigma0: float | Sequence[float], damping: float = 0.1) -> Tensor:
    """Lower Cholesky factors of the covariances.

    Parameters
    ----------
    raw
        Trainable values, shape ``(..., K, D, D)``; the upper triangle is not used.
    sigma0
        Start width, one number or one a dimension, in units of the discriminants.
    damping
        Factor on the elements below the diagonal.

    Returns
    -------
    Tensor
        Shape of ``raw``: ``sigma0 * exp(raw)`` on the diagonal, ``sigma0 * damping * raw`` below,
        each row in the units of its dimension.
    """
    size = raw.shape[-1]
    width = tf.constant(np.broadcast_to(np.asarray(sigma0, dtype=float), (size,)), raw.dtype)
    limited = tf.clip_by_value(tf.linalg.diag_part(raw), -RAW_WIDTH_LIMIT, RAW_WIDTH_LIMIT)
    below = tf.linalg.band_part(raw, -1, 0) - tf.linalg.diag(tf.linalg.diag_part(raw))
    return tf.linalg.diag(width * tf.exp(limited)) + damping * width[:, None] * below


def component_log_joint(x: Tensor, means: Tensor, scale: Tensor, log_weights: Tensor) -> Tensor:
    """Log of weight times Gaussian density of every event under every component.

    Events are the last axis: the long one, along which a compiler works in vectors.

    Parameters
    ----------
    x
        Events or points, shape ``(P, D)``.
    means
        Shape ``(..., K, D)``.
    scale
        Lower Cholesky factors of the covariances, shape ``(..., K, D, D)``.
    log_weights
        Shape ``(..., K)``.

    Returns
    -------
    Tensor
        Shape ``(..., K, P)``.
    """
    size = x.shape[-1]
    white: list[Tensor] = []
    distance: Tensor = 0.0
    constant = log_weights - size * HALF_LOG_2PI
    for d in range(size):
        residual = x[:, d] - means[..., d, None]
        for j in range(d):
            residual -= scale[..., d, j, None] * white[j]
        white.append(residual / scale[..., d, d, None])
        distance += white[d] * white[d]
        constant -= tf.math.log(scale[..., d, d])
    return constant[..., None] - 0.5 * distance


def log_joint(x: Tensor, means: Tensor, scale: Tensor, log_weights: Tensor) -> Tensor:
    """The same as `component_log_joint` with components as the last axis, ``(..., P, K)``."""
    return tf.linalg.matrix_transpose(component_log_joint(x, means, scale, log_weights))


def memberships(
    x: Tensor, means: Tensor, scale: Tensor, log_weights: Tensor, *, temperature: object = 1.0
) -> Tensor:
    """Soft membership of every event in every component.

    Parameters
    ----------
    x, means, scale, log_weights
        As in `log_joint`.
    temperature
        A number, or a tensor that broadcasts against ``(..., P, K)``. Towards zero, membership
        goes to that of the component with the largest posterior, which does not depend on it.

    Returns
    -------
    Tensor
        Shape ``(..., P, K)``; sums to one over the last axis.
    """
    joint = log_joint(x, means, scale, log_weights)
    return tf.nn.softmax(joint / tf.cast(temperature, joint.dtype), axis=-1)
