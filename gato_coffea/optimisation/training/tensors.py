"""The type of TensorFlow's tensors in signatures."""

from __future__ import annotations

import tensorflow as tf

Tensor = tf.Tensor
