"""Densities are made to agree with the events, as far as the events' statistics can say."""

from __future__ import annotations

import numpy as np
import pytest

from gato_coffea.config import Constraints
from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import Feature
from gato_coffea.optimisation.inputs import as_samples, points_from_samples, with_folds
from gato_coffea.optimisation.objective import Counting
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.targets import calibrate, regional_mean, training_sets

REGION = np.repeat(np.arange(10), 20)


def test_an_estimate_that_the_events_agree_with_stands():
    rng = np.random.default_rng(1)
    estimate = np.exp(rng.normal(size=(2, 200)))
    found = calibrate(estimate, estimate.copy(), np.array([500.0, 900.0]), REGION)
    np.testing.assert_allclose(found, estimate)


def test_many_events_move_a_wrong_estimate_and_few_do_not():
    flat = np.ones((1, 200))
    true = np.where(REGION < 5, 1.5, 0.5)[None]
    many = calibrate(flat, true, np.array([1e6]), REGION)
    np.testing.assert_allclose(many, true, rtol=1e-3)
    few = calibrate(flat, true, np.array([5.0]), REGION)
    assert np.abs(few - 1).max() < 0.2
    assert many.sum() == pytest.approx(200)
    assert few.sum() == pytest.approx(200)


def test_mean_mass_is_that_of_the_region_or_of_all():
    sumw, mass = np.full(200, 2.0), 100.0 + REGION
    own = regional_mean(sumw * mass, sumw, 0.0, REGION)
    np.testing.assert_allclose(own, mass)
    drawn = regional_mean(sumw * mass, sumw, 1e9, REGION)
    np.testing.assert_allclose(drawn, mass.mean(), rtol=1e-6)
    half = regional_mean(sumw * mass, sumw, 40.0, REGION)  # as much as each region holds
    np.testing.assert_allclose(half, 0.5 * (mass + mass.mean()))


def problem_of(fold, *, folds=3):
    rng = np.random.default_rng(2)
    arrays = {
        "signal": {"x": rng.beta(4, 2, 300), "weight": np.full(300, 0.1), "fold": fold},
        "plain": {"x": rng.beta(2, 4, 900), "weight": np.ones(900)},
    }
    points = points_from_samples(
        with_folds(as_samples(arrays), folds),
        features=[Feature("x", 0.0, 1.0)],
        signals=["signal"],
        n_folds=folds,
        max_points=200,
    )
    return Problem(points, ("signal",), ("plain",), Counting(), Constraints())


def test_sets_are_all_events_and_those_without_each_fold():
    problem = problem_of(np.arange(300) % 3)
    sets = training_sets(problem)
    assert len(sets) == 4
    assert [s.raw.scale for s in sets] == pytest.approx([1.0, 1.5, 1.5, 1.5])
    for one in sets:
        assert one.target.background.sum() == pytest.approx(one.raw.background.sum())
        assert one.target.signal.sum() == pytest.approx(one.raw.signal.sum())
        longer = one.padded(256)
        assert longer.target.background.shape == longer.raw.background.shape == (256,)
        assert longer.raw.background.sum() == pytest.approx(one.raw.background.sum())


def test_a_fold_with_all_of_a_signal_is_refused():
    with pytest.raises(OptimisationError, match="signal signal: the yield without fold 1 must be"):
        training_sets(problem_of(np.ones(300, dtype=int)))
