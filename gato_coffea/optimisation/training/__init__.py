"""Gradient descent of categories; the only part that knows TensorFlow."""
