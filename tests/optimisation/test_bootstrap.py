"""Sums drawn once more vary as those of samples do; what a constraint fixes does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gato_coffea.config import Constraints
from gato_coffea.events.samples import Cells, Feature, Grid, Sample, points_from_cells
from gato_coffea.optimisation.bootstrap import bootstrap, freedom
from gato_coffea.optimisation.evaluation import PointTally, Sums
from gato_coffea.optimisation.objective import Counting
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.quotes import significance_of
from gato_coffea.optimisation.window import Window

WINDOW = Window(100.0, 180.0, 120.0, 130.0)
GRID = Grid((Feature("score", 0.0, 1.0),), (np.linspace(0, 1, 21),))


def problem(points, objective, signals):
    rest = tuple(name for name in points.processes if name not in signals)
    return Problem(points, signals, rest, objective, Constraints())


def sums_of(sumw, effective, moment=None):
    sumw = np.asarray(sumw, dtype=float)
    effective = np.broadcast_to(np.asarray(effective, dtype=float), sumw.shape)
    sumw2 = np.divide(sumw**2, effective, out=np.zeros_like(sumw), where=effective > 0)
    names = tuple(f"s{i}" for i in range(len(sumw) - 1))
    return Sums((*names, "b"), sumw, sumw2, np.ones_like(sumw), moment)


def points_of_names(processes):
    one = Sample(x=np.full((1, 1), 0.5), weight=np.ones(1))
    return points_from_cells({name: Cells.fill(GRID, one, n_folds=1) for name in processes})


def test_what_is_drawn_takes_its_mass_along():
    """A process whose weights nearly cancel: its noise must not move the mean mass alone."""
    sumw = np.array([[3.0, 1.0], [40.0, 10.0], [0.1, 0.1]])
    moment = np.array([[0.0, 0.0], [40.0 * 130, 10.0 * 140], [13.0, 13.0]])
    sums = sums_of(sumw, [[100.0] * 2, [100.0] * 2, [0.01 / 4] * 2], moment)
    sums = replace(sums, processes=("s", "b1", "b2"))
    own = problem(points_of_names(sums.processes), Counting(window=WINDOW), ("s",))
    drawn = bootstrap(own, sums, 0)
    mean = drawn.sumw_mass[:, 1:].sum(axis=1) / drawn.sumw[:, 1:].sum(axis=1)
    assert drawn.sumw[:, 2].std() == pytest.approx(2.0, rel=0.15)
    assert 129 < mean[:, 0].min() < mean[:, 0].max() < 131
    assert (np.abs(np.quantile(mean[:, 1], [0.01, 0.99]) - 140) < 10).all()
    found = significance_of(own, sums, seed=0)
    without = significance_of(replace(own, backgrounds=("b1",)), sums, seed=0)
    assert found.spread < 2 * without.spread


def test_squares_of_weights_are_drawn_with_the_weights():
    sums = sums_of([[3.0, 1.0], [40.0, 10.0]], 20.0)
    drawn = bootstrap(problem(points_of_names(sums.processes), Counting(), ("s0",)), sums, 1)
    np.testing.assert_allclose(drawn.sumw2, drawn.sumw * (sums.sumw2 / sums.sumw))


def test_negative_weights_cancel_in_the_yield_and_not_in_its_variance():
    """Against samples drawn event by event: 600 of weight 2, of which 30 % are negative."""
    rng = np.random.default_rng(3)
    truth = []
    for _ in range(2000):
        plus, minus = rng.poisson(420), rng.poisson(180)
        truth.append((2.0 * (plus - minus), 4.0 * (plus + minus)))
    truth = np.array(truth)
    sums = Sums(
        ("s", "b"),
        *(np.array(a) for a in ([[9.0], [480.0]], [[9.0], [2400.0]])),
        np.array([[9], [600.0]]),
        None,
    )
    signed = Sample(x=np.array([[0.2], [0.7], [0.7]]), weight=np.array([2.0, 2.0, -2.0]))
    signal = Sample(x=np.array([[0.7]]), weight=np.ones(1))
    cells = {n: Cells.fill(GRID, s, n_folds=1) for n, s in (("s", signal), ("b", signed))}
    drawn = bootstrap(problem(points_from_cells(cells), Counting(), ("s",)), sums, 0)
    found = np.array([drawn.sumw[:, 1, 0], drawn.sumw2[:, 1, 0]])
    # 400 draws know a standard deviation to 3.5 %; three times that, and as much of a mean.
    np.testing.assert_allclose(found.std(axis=1), truth.std(axis=0), rtol=0.11)
    assert (np.abs(found.mean(axis=1) - [480, 2400]) < 3 * truth.std(axis=0) / 20).all()
    assert np.corrcoef(found)[0, 1] == pytest.approx(np.corrcoef(truth.T)[0, 1], abs=0.15)


@pytest.fixture(scope="module")
def folds():
    """Many samples of 200 background events on a row of places, one signal event in each place.

    The upper category of the training without each fold: from a fixed place on, or of as many
    events as are asked for.
    """
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = (np.arange(200) + 0.5) / 200
        fold = rng.integers(0, 5, 200)
        grid = Grid((Feature("score", 0.0, 1.0),), (np.linspace(0, 1, 201),))
        each = rng.random(200)[:, None]
        events = Sample(x=each, weight=np.ones(200), fold=fold)
        signal = Sample(x=x[:, None], weight=np.ones(200), fold=fold)
        points = points_from_cells(
            {"s": Cells.fill(grid, signal, n_folds=5), "b": Cells.fill(grid, events, n_folds=5)}
        )
        fixed, counted = [], []
        for f in range(5):
            others = np.sort(each[fold != f, 0])
            fixed.append((points.x[:, 0] > 0.8).astype(int))
            counted.append((points.x[:, 0] > others[-32] - 0.0025).astype(int))
        own = problem(points, Counting(), ("s",))
        found.append([freedom(own, PointTally(points), labels, 2) for labels in (fixed, counted)])
    return np.array(found)


def test_counts_at_a_fixed_place_are_free_and_those_asked_for_are_not(folds):
    fixed, counted = folds[:, 0, 1], folds[:, 1, 1]
    # The jackknife of five folds has a relative variance of 2/4, and one is the most: 0.78 on
    # average. A cell may hold an event more than is asked for.
    assert np.mean(fixed) == pytest.approx(0.78, abs=0.12)
    assert np.mean(counted) < 0.1


def test_without_folds_counts_are_free():
    own = problem(points_of_names(("s", "b")), Counting(), ("s",))
    np.testing.assert_array_equal(freedom(own, PointTally(own.points), [], 3), 1)
