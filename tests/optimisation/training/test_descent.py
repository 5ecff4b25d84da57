"""Gradient descent against the exact optimum, alone and in a batch; few runs, each compiled."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gato_coffea.categories import MixtureCategories
from gato_coffea.config import Constraints
from gato_coffea.datasets.toys import toy_arrays
from gato_coffea.errors import OptimisationError
from gato_coffea.optimisation.inputs import (
    as_samples,
    default_features,
    points_from_samples,
    with_folds,
)
from gato_coffea.optimisation.methods import ExactPartition
from gato_coffea.optimisation.objective import Counting
from gato_coffea.optimisation.problem import Mixtures, Problem
from gato_coffea.optimisation.start import mixtures_from_labels
from gato_coffea.optimisation.targets import training_sets

EPOCHS = 80
"""So few that training does not stop early."""


def assigned(problem, mixtures, g, r, n):
    own = MixtureCategories(
        features=problem.points.features,
        label=np.arange(n),
        means=mixtures.means[g, r, :n],
        scale_tril=mixtures.scale_tril[g, r, :n],
        log_weights=mixtures.log_weights[g, r, :n],
    )
    return own.assign(problem.points.x)


def value(problem, densities, label):
    n = int(label.max()) + 1
    return float(problem.objective.combined(densities.yields(label, n, problem.objective)))


@pytest.fixture(scope="module")
def toy():
    """A batch of two training sets and three restarts: five, three and five categories."""
    from gato_coffea.optimisation.training import descent as training

    samples = with_folds(as_samples(toy_arrays("1d", n_signal=4000, n_bkg=20_000, seed=1)), 3)
    points = points_from_samples(
        samples,
        features=default_features(samples),
        signals=("signal",),
        n_folds=3,
        max_points=200,
    )
    backgrounds = tuple(name for name in samples if name != "signal")
    problem = Problem(
        points, ("signal",), backgrounds, Counting(), Constraints(min_effective=50.0)
    )
    sets = training_sets(problem)[:2]
    # Training aims a little higher than the limits, because points are coarser than events.
    aim = replace(
        problem, constraints=Constraints(min_effective=50.0 * training.AIMED_MARGIN * 1.001)
    )
    exact = [ExactPartition(aim, s, n_max=5) for s in sets]
    order, raw = np.argsort(problem.u[:, 0]), sets[0].raw
    above = np.cumsum((raw.background**2 / np.maximum(raw.variance, 1e-12))[order][::-1])[::-1]
    greedy = np.empty(len(points), dtype=np.int64)
    greedy[order] = np.searchsorted([-1000, -350, -120, -25], -above)  # too few in the highest
    labels = [[e.labels(5) for e in exact], [e.labels(3) for e in exact], [greedy, greedy]]
    weight = sets[0].target.background / sets[0].target.background.sum()
    weight = weight + sets[0].target.signal[0] / sets[0].target.signal.sum()
    start = mixtures_from_labels(problem.u, labels, weight, 5)
    alive = np.arange(5) < np.array([5, 3, 5])[:, None]

    schedule = training.Schedule(epochs=EPOCHS)

    def run(restarts=slice(None), n=5, **options):
        chosen = Mixtures(
            start.means[:, restarts, :n],
            start.scale_tril[:, restarts, :n, :, :],
            start.log_weights[:, restarts, :n],
        )
        return training.train(problem, sets, chosen, schedule, **options)

    mixtures, histories = run(alive=alive)
    return SimpleNamespace(
        problem=problem,
        sets=sets,
        exact=exact,
        labels=labels,
        alive=alive,
        start=start,
        run=run,
        schedule=schedule,
        mixtures=mixtures,
        histories=histories,
    )


@pytest.mark.parametrize("g", [0, 1])
def test_within_a_percent_of_the_exact_optimum(toy, g):
    """From a start that is not allowed, at the limits at which the training has arrived."""
    target, raw, problem = toy.sets[g].target, toy.sets[g].raw, toy.problem
    label = assigned(problem, toy.mixtures, g, 2, 5)
    arrived = problem.satisfied(raw.yields(label, 5, problem.objective), scale=raw.scale).min()
    limits = Constraints(min_effective=50.0 * arrived * 0.999)
    exact = ExactPartition(replace(problem, constraints=limits), toy.sets[g], n_max=5).labels(5)
    assert value(problem, target, label) > 0.99 * value(problem, target, exact)


@pytest.mark.parametrize(("r", "k"), [(0, 5), (1, 3)])
def test_never_worse_than_its_start(toy, r, k):
    for g, s in enumerate(toy.sets):
        before, after = (
            value(toy.problem, s.target, assigned(toy.problem, m, g, r, k))
            for m in (toy.start, toy.mixtures)
        )
        # float32 may put a point on a boundary on either side.
        assert after > before * (1 - 1e-3)


def test_constraints_steer(toy):
    """A start whose highest category holds hardly any background ends with enough in each."""
    problem, raw = toy.problem, toy.sets[0].raw
    margin = [
        problem.satisfied(raw.yields(assigned(problem, m, 0, 2, 5), 5, problem.objective)).min()
        for m in (toy.start, toy.mixtures)
    ]
    assert margin[0] < 0.6
    assert margin[1] > 0.9  # what is still missing is merged afterwards
    history = toy.histories[2]
    assert history.penalty_uncertainty[-1] < 0.02
    assert history.hard[-1] > 0.8 * value(problem, toy.sets[0].target, toy.exact[0].labels(5))
    np.testing.assert_array_equal(history.penalty_yield, 0)  # there is no such constraint


def test_history_of_a_training(toy):
    rows = len(toy.histories[0].epoch)
    np.testing.assert_array_equal(toy.histories[0].epoch, 10 * np.arange(1, rows + 1))
    for history in toy.histories:
        for name in ("loss", "significance", "hard", "penalty_uncertainty", "bias"):
            assert np.isfinite(getattr(history, name)).all()
            assert getattr(history, name).shape == (rows,)
        np.testing.assert_allclose(
            history.loss, history.penalty_uncertainty - history.significance, rtol=1e-5
        )
        assert history.bias[-1] < history.bias[0]
        assert (np.diff(history.temperature) < 0).all()
        assert len(history.boundaries) == rows
        assert len(history.boundaries[-1]) >= 2
    # The colder, the more do soft yields agree with the hard ones.
    first, last = np.mean([[h.bias[0], h.bias[-1]] for h in toy.histories], axis=0)
    assert last < 0.5 * first


def test_alone_as_in_a_batch(toy):
    """Components that fill up the batch change nothing."""
    mixtures, (history,) = toy.run(slice(1, 2), 3)
    together = toy.histories[1]
    rows = min(len(history.epoch), len(together.epoch))
    assert rows >= 5
    # The same steps in float32: differences of 1e-6 grow from epoch to epoch.
    np.testing.assert_allclose(history.loss[:2], together.loss[:2], rtol=1e-3)
    np.testing.assert_allclose(history.loss[:rows], together.loss[:rows], rtol=0.02)
    again, (other,) = toy.run(slice(1, 2), 3)
    np.testing.assert_array_equal(history.loss, other.loss)  # and the same once more
    np.testing.assert_array_equal(mixtures.means, again.means)
    # The colder, the more do soft yields agree with the hard ones.
    first, last = np.mean([[h.bias[0], h.bias[-1]] for h in toy.histories], axis=0)
    assert last < 0.5 * first


def test_schedules_end_at_their_final_values(toy):
    history = toy.histories[0]
    assert history.epoch[-1] == EPOCHS
    # float32 all the way
    assert history.temperature[-1] == np.float32(toy.schedule.temperature[1])
    assert history.learning_rate[-1] == np.float32(toy.schedule.learning_rate[1])
    middle = np.interp(EPOCHS / 2 + 0.5, history.epoch, history.temperature)
    assert middle == pytest.approx(np.mean(toy.schedule.temperature), rel=0.05)


def test_a_step_is_compiled_once_for_its_sizes(toy):
    """With other numbers it gives what one that is compiled for them gives."""
    from gato_coffea.optimisation.training import descent as training

    def swapped(problem=toy.problem):
        return training.train(
            problem, toy.sets[::-1], toy.start, toy.schedule, alive=toy.alive[::-1]
        )

    before = training._compiled.cache_info()
    mixtures, histories = swapped()
    after = training._compiled.cache_info()
    assert after.misses == before.misses
    assert after.hits > before.hits
    training._compiled.cache_clear()
    fresh, (first, *_) = swapped()
    np.testing.assert_array_equal(mixtures.means, fresh.means)
    np.testing.assert_array_equal(mixtures.log_weights, fresh.log_weights)
    np.testing.assert_array_equal(histories[0].loss, first.loss)
    assert not np.array_equal(first.loss, toy.histories[0].loss)
    # Constraints are rules, no numbers.
    swapped(replace(toy.problem, constraints=Constraints(min_effective=60.0)))
    assert training._compiled.cache_info().misses == 2


def test_points_without_yields_change_nothing(toy):
    from gato_coffea.optimisation.training import descent as training

    n = len(toy.problem.points)
    start = Mixtures(
        toy.start.means[:, 1:2, :3],
        toy.start.scale_tril[:, 1:2, :3],
        toy.start.log_weights[:, 1:2, :3],
    )
    plain = toy.run(slice(1, 2), 3)[1][0]
    more = [s.padded(n + 37) for s in toy.sets]
    filled = training.train(toy.problem, more, start, toy.schedule)[1][0]
    np.testing.assert_allclose(filled.loss[:2], plain.loss[:2], rtol=1e-5)
    np.testing.assert_allclose(filled.hard[:5], plain.hard[:5], rtol=0.01)
    assert len(more[1].raw.u) == len(more[1].target.background) == n + 37


def test_parameters_that_are_no_numbers_are_never_kept(toy):
    from gato_coffea.optimisation.training import descent as training

    raw = [np.zeros((2, 3, 5, 1), dtype=np.float32), np.zeros((2, 3, 5), dtype=np.float32)]
    raw[0][1, 2, 4], raw[1][0, 0, 0] = np.nan, np.inf
    finite = training._finite([training.tf.constant(r) for r in raw])
    np.testing.assert_array_equal(finite, [[False, True, True], [True, True, False]])
    shape = training.GaussianShape(toy.problem, toy.sets[0].target, np.ones((3, 5), dtype=bool))
    with pytest.raises(OptimisationError, match="no numbers"):
        training.descend(toy.problem, toy.sets, shape, raw, training.Schedule())
