"""Ordered edges: what they are made from and come back to, and the bins between them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from gato_coffea.errors import InputError
from gato_coffea.optimisation.training.edges import (
    ordered_edges,
    raw_edges,
    safe_sigmoid,
    soft_bins,
)


def test_zeros_are_bins_of_equal_width():
    np.testing.assert_allclose(ordered_edges(tf.zeros(3)).numpy(), [0.25, 0.5, 0.75], rtol=1e-6)


def test_edges_come_back():
    edges = np.array([0.01, 0.3, 0.31, 0.9])
    np.testing.assert_allclose(ordered_edges(tf.constant(raw_edges(edges))).numpy(), edges)


@pytest.mark.parametrize("edges", [[0.5, 0.4], [0.0, 0.5], [0.5, 1.0]])
def test_edges_that_do_not_increase_inside_the_range_are_refused(edges):
    with pytest.raises(InputError, match="edges: must increase inside the range"):
        raw_edges(edges)


def test_steep_bins_are_hard_ones_and_memberships_add_up():
    unit = tf.constant([0.1, 0.3, 0.6, 0.95])
    edges = tf.constant([0.2, 0.5])
    np.testing.assert_allclose(
        soft_bins(unit, edges, 1e4).numpy(), np.eye(3)[[0, 1, 2, 2]], atol=1e-6
    )
    np.testing.assert_allclose(soft_bins(unit, edges, 3.0).numpy().sum(axis=-1), 1, rtol=1e-6)


def test_sigmoid_and_its_slope_are_finite_everywhere():
    z = tf.Variable([-np.inf, -1e30, 0.0, 1e30, np.inf])
    with tf.GradientTape() as tape:
        value = safe_sigmoid(z, 1e20)
    np.testing.assert_allclose(value.numpy(), [0, 0, 0.5, 1, 1], atol=1e-6)
    assert np.isfinite(tape.gradient(value, z).numpy()).all()
