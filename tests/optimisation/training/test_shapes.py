"""Memberships of shapes: limits, gradients, and agreement with the categories they stand for."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from gato_coffea.events.samples import Feature, Points
from gato_coffea.optimisation.densities import Densities
from gato_coffea.optimisation.problem import Mixtures
from gato_coffea.optimisation.rectangles import Shares, edge_categories, raw_widths

FEATURES = (Feature("a", 0.0, 1.0, "logit"), Feature("b", 0.0, 10.0))
N = 400


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(4)
    x = np.stack([rng.beta(1, 1, N), rng.uniform(0, 10, N)], axis=-1)
    u = np.stack([f.stretch(x[:, d]) for d, f in enumerate(FEATURES)], axis=-1)
    weight = np.ones(N)
    shares = [
        Shares.from_points(u[:, d], weight, low=float(low), high=float(high))
        for d, (low, high) in enumerate(f.stretch(np.array([f.low, f.high])) for f in FEATURES)
    ]
    return SimpleNamespace(x=x, u=u, shares=shares)


@pytest.fixture(scope="module")
def rectangles(points):
    """Two restarts: three bins by two, and two by one."""
    from gato_coffea.optimisation.training.shapes import RectangleShape

    shape = RectangleShape(FEATURES, points.shares, points.u, np.array([[3, 2], [2, 1]]))
    widths = [[np.array([0.2, 0.3, 0.5]), np.array([0.4, 0.6])], [np.array([0.7, 0.3]), [1.0]]]
    raw = [
        np.stack([raw_widths(np.asarray(row[d]), n) for row in widths])[None]
        for d, n in enumerate((3, 2))
    ]
    return SimpleNamespace(shape=shape, raw=raw)


def test_soft_cells_sum_to_one_and_those_that_fill_up_hold_nothing(rectangles):
    soft = rectangles.shape.soft([r.astype(np.float32) for r in rectangles.raw], 0.5).numpy()
    assert soft.shape == (1, 2, 6, N)
    np.testing.assert_allclose(soft.sum(axis=-2), 1.0, atol=1e-6)
    assert (soft >= -1e-6).all()
    assert (soft[0, 1][~rectangles.shape.alive[1]] == 0).all()


def test_cold_cells_are_the_hard_ones_and_the_categories(points, rectangles):
    raw = [r.astype(np.float32) for r in rectangles.raw]
    hard = rectangles.shape.hard(raw).numpy()
    cold = rectangles.shape.soft(raw, 1e-5).numpy()
    near = np.abs(hard - cold).max(axis=-2) > 1e-3
    assert near.mean() < 0.01  # points on an edge, in float32
    for row in range(2):
        inner = rectangles.shape.inner_edges([r[0] for r in raw], row)
        label = edge_categories(FEATURES, inner).assign(points.x)
        cells = np.flatnonzero(rectangles.shape.alive[row])
        same = cells[label] == hard[0, row].argmax(axis=-2)
        assert same.mean() > 0.995
    assert [len(e) for e in rectangles.shape.inner_edges([r[0] for r in raw], 1)] == [1, 0]


def test_gradients_of_soft_cells(rectangles):
    import tensorflow as tf

    weight = np.random.default_rng(0).random((6, N))

    def total(raw):
        soft = rectangles.shape.soft([tf.constant(r, tf.float32) for r in raw], tf.constant(1.0))
        return float(tf.reduce_sum(soft * tf.constant(weight, tf.float32)))

    variables = [tf.constant(r, tf.float32) for r in rectangles.raw]
    with tf.GradientTape() as tape:
        tape.watch(variables)
        value = tf.reduce_sum(
            rectangles.shape.soft(variables, tf.constant(1.0)) * tf.constant(weight, tf.float32)
        )
    gradient = tape.gradient(value, variables)[0].numpy()
    step = 1e-2
    moved = []
    for sign in (1, -1):
        raw = [r.copy() for r in rectangles.raw]
        raw[0][0, 0, 1] += sign * step
        moved.append(total(raw))
    # Central differences of a float32 sum of order 200.
    assert gradient[0, 0, 1] == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=0.02)
    assert gradient[0, 1, 1] == 0.0  # of an edge that only fills up


def test_boundaries_of_components_and_of_edges(points):
    from gato_coffea.optimisation.training.shapes import GaussianShape, RectangleShape

    feature = Feature("a", 0.0, 10.0)
    u = np.linspace(0, 1, 101)[:, None]
    densities = Densities(u, np.ones((1, 101)), np.ones(101), np.ones(101))
    one = np.ones((1, 1, 101))
    known = Points(features=(feature,), processes=("s",), x=10 * u, sumw=one, sumw2=one, count=one)
    alive = np.array([[True, True, False], [True, True, True]])
    shape = GaussianShape(SimpleNamespace(points=known), densities, alive)
    start = Mixtures(
        np.array([0.2, 0.6, 0.9]).reshape(1, 1, 3, 1).repeat(2, axis=1),
        np.full((1, 2, 3, 1, 1), 0.1),
        np.zeros((1, 2, 3)),
    )
    found = shape.boundaries([p[0] for p in shape.to_raw(start)])
    np.testing.assert_allclose(found[0], [4.0], atol=1e-4)
    np.testing.assert_allclose(found[1], [4.0, 7.5], atol=1e-4)

    shares = Shares(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    edges = RectangleShape((feature,), [shares], u, np.array([[2], [3]]))
    raw = np.stack([raw_widths(np.array(w), 3) for w in ([0.3, 0.7], [0.2, 0.3, 0.5])])
    found = edges.boundaries([raw])
    np.testing.assert_allclose(found[0], [3.0], atol=1e-5)
    np.testing.assert_allclose(found[1], [2.0, 5.0], atol=1e-5)
