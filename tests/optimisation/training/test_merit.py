"""The twins of objectives in TensorFlow against the objectives, with all parameters refitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from gato_coffea.events.samples import FloatArray
from gato_coffea.optimisation.densities import CategoryYields, Densities, window_yields
from gato_coffea.optimisation.profiled import Profiled
from gato_coffea.optimisation.targets import TrainingSet
from gato_coffea.optimisation.training import objective as twins
from gato_coffea.optimisation.training.merit import Yields, deviance_terms, merit_of
from gato_coffea.statistics.fixed import FixedDeviance, excess_term
from tests.optimisation.test_profiled import CASES, densities, objective


def soft_yields(d: Densities, membership: FloatArray, own: Profiled) -> CategoryYields:
    """Yields of one set of soft categories ``(K, P)``."""
    peak = None if d.peak is None else d.peak @ membership.T
    moment = None if d.moment is None else d.moment @ membership.T
    assert d.rows is not None
    return window_yields(
        d.signal @ membership.T,
        d.background @ membership.T,
        d.variance @ membership.T,
        moment,
        own,
        peak,
        None,
        d.rows @ membership.T,
    )


def as_tensors(yields: list[CategoryYields]) -> Yields:
    def stacked(name: str) -> Any:
        return tf.constant(np.array([[getattr(y, name) for y in yields]]), tf.float32)

    b, v = stacked("background"), stacked("variance")
    return Yields(stacked("signal"), b, v, b, v, tf.zeros((1, 2, 0, 4)), stacked("factor"))


@pytest.mark.parametrize("case", CASES)
def test_value_and_slope_are_those_of_the_refitted_figure(case: dict[str, Any]) -> None:
    own = objective(**case)
    d = densities(with_mass=case.get("with_mass", False))
    rng = np.random.default_rng(2)
    membership = rng.dirichlet(np.ones(4), (2, 40)).swapaxes(1, 2)
    merit = merit_of(own, [TrainingSet(d, d)], 2)
    each = [soft_yields(d, one, own) for one in membership]
    yields, soft = as_tensors(each), tf.constant(membership[None], tf.float32)
    rows = merit.rows(yields, soft).numpy().astype(np.float64)
    np.testing.assert_allclose(rows[0, 0, :-2], each[0].rows, rtol=1e-5)
    fitted = merit.refitted(rows, 0)
    counted = tf.ones_like(yields.background)
    value = fitted.value(yields, soft, counted).numpy()[0]
    np.testing.assert_allclose(value, [own.combined(y) for y in each], rtol=2e-4)
    np.testing.assert_allclose(fitted.judged(rows)[0], value, rtol=2e-4)  # type: ignore[index]
    if own.window is not None:
        return  # the window's fraction moves too: its slope is tested with the training step
    # Move some of the second category to the first: in the twin, and refitted in NumPy.
    move = np.zeros_like(membership)
    move[:, 0] = rng.uniform(0, 1, 40) * membership[:, 1]
    move[:, 1] = -move[:, 0]

    def refitted(size: float) -> FloatArray:
        moved = [soft_yields(d, m, own) for m in membership + size * move]
        return np.array([float(own.combined(y)) for y in moved])

    wanted = (refitted(1e-3) - refitted(-1e-3)) / 2e-3
    size = tf.Variable(0.0)
    background = tf.constant(np.array(d.background), tf.float32)
    variance = tf.constant(np.array(d.variance), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        moved = soft + size * tf.constant(move[None], tf.float32)
        b, v = (tf.einsum("p,grkp->grk", a, moved) for a in (background, variance))
        there = yields._replace(background=b, variance=v)
        values = tf.unstack(fitted.value(there, moved, counted)[0])
    found = [float(tape.gradient(v, size)) for v in values]
    np.testing.assert_allclose(found, wanted, rtol=3e-3)


def test_terms_are_those_of_numpy() -> None:
    rng = np.random.default_rng(1)
    columns = rng.uniform(0.1, 5, (4, 50))
    columns[0] = rng.uniform(-0.09, 5, 50)
    columns[3, ::7] = 0.0
    columns[2, ::5] = 0.0
    variance = rng.uniform(0, 2, 50) * (np.arange(50) % 3 > 0)
    wanted = FixedDeviance.terms(None, columns, variance)  # type: ignore[arg-type]
    at = tf.constant(columns)
    with tf.GradientTape() as tape:
        tape.watch(at)
        found = deviance_terms(at, tf.constant(variance))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-10, atol=1e-13)
    assert np.isfinite(tape.gradient(found, at).numpy()).all()
    x = np.array([-1.0, -0.5, -1e-3, 0.0, 1e-9, 2.0])
    np.testing.assert_allclose(
        twins.excess_term(tf.constant(x)).numpy(), excess_term(x), rtol=1e-12
    )
