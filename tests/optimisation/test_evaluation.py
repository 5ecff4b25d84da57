"""Sums into categories, against figures known otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from gato_coffea.config import Constraints
from gato_coffea.events.samples import BLOCK, Cells, Feature, Grid, Sample, points_from_cells
from gato_coffea.optimisation.evaluation import (
    EventTally,
    PointTally,
    yields_of,
)
from gato_coffea.optimisation.objective import Counting
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.window import Window, window_fraction

WINDOW = Window(100.0, 180.0, 120.0, 130.0)
SCORE = Feature("score", 0.0, 1.0)
GRID = Grid((SCORE,), (np.linspace(0, 1, 21),))
FOLDS = 4


def sample(n, *, seed, signal=False):
    rng = np.random.default_rng(seed)
    return Sample(
        x=rng.beta(4 if signal else 2, 2 if signal else 4, (n, 1)),
        weight=rng.uniform(0.5, 1.5, n) * np.where(rng.random(n) < 0.1, -1, 1),
        mass=rng.normal(125, 4, n) if signal else rng.uniform(95, 185, n),
        fold=rng.integers(0, FOLDS, n),
    )


@pytest.fixture(scope="module")
def samples():
    return {
        "s1": sample(900, seed=1, signal=True),
        "s2": sample(700, seed=2, signal=True),
        "b1": sample(3000, seed=3),
        "b2": sample(2000, seed=4),
    }


def cut(*edges):
    """Categories whose boundaries lie on the grid; the lowest cell belongs to none."""

    def assign(x):
        label = np.searchsorted(edges, x[:, 0], side="right")
        return np.where(x[:, 0] < 0.05, -1, label)

    return assign


def points_of(samples, window):
    mass_range = None if window is None else (window.low, window.high)
    in_window = None if window is None else (window.window_low, window.window_high)
    cells = {
        name: Cells.fill(GRID, s, n_folds=FOLDS, window=in_window, mass_range=mass_range)
        for name, s in samples.items()
    }
    return points_from_cells(cells, in_window=None if window is None else ("s1", "s2"))


def problem(points, objective, signals=("s1", "s2")):
    rest = tuple(name for name in points.processes if name not in signals)
    return Problem(points, signals, rest, objective, Constraints())


@pytest.mark.parametrize("window", [None, WINDOW])
@pytest.mark.parametrize("by_fold", [False, True])
def test_events_and_points_agree_where_categories_follow_the_cells(samples, window, by_fold):
    events = EventTally(samples, signals=("s1", "s2"), n_folds=FOLDS, window=window)
    points = PointTally(points_of(samples, window))
    assigns = [cut(0.3, 0.6), cut(0.35, 0.6), cut(0.3, 0.7), cut(0.25, 0.8)]
    one, other = (t.total(assigns, 3, by_fold=by_fold) for t in (events, points))
    assert one.processes == other.processes
    np.testing.assert_allclose(one.sumw, other.sumw, rtol=1e-11)
    np.testing.assert_allclose(one.sumw2, other.sumw2, rtol=1e-11)
    if window is None:
        np.testing.assert_array_equal(one.count, other.count)
        assert one.sumw_mass is None
        assert other.sumw_mass is None
    else:
        b = [2, 3]  # of a signal nobody asks for the mean mass
        np.testing.assert_allclose(one.sumw_mass[b], other.sumw_mass[b], rtol=1e-11)
        np.testing.assert_array_equal(one.count[b], other.count[b])


def test_held_out_yields_by_hand(samples):
    assigns = [cut(0.3, 0.6), cut(0.35, 0.6), cut(0.3, 0.7), cut(0.25, 0.8)]
    tally = EventTally(samples, signals=("s1",), n_folds=FOLDS, window=None)
    pooled = tally.total(assigns, 3, by_fold=True)
    for c, s in enumerate(samples.values()):
        for k in range(3):
            inside = np.zeros(len(s), dtype=bool)
            for i, (x, fold) in enumerate(zip(s.x[:, 0], s.fold, strict=True)):
                low, high = [(0.3, 0.6), (0.35, 0.6), (0.3, 0.7), (0.25, 0.8)][fold]
                inside[i] = x >= 0.05 and int(x >= low) + int(x >= high) == k
            assert pooled.count[c, k] == inside.sum()
            assert pooled.sumw[c, k] == pytest.approx(s.weight[inside].sum(), rel=1e-12)
            assert pooled.sumw2[c, k] == pytest.approx((s.weight[inside] ** 2).sum(), rel=1e-12)


def test_signal_counts_in_the_window_and_background_in_the_range(samples):
    tally = EventTally(samples, signals=("s1", "s2"), n_folds=FOLDS, window=WINDOW)
    sums = tally.total([cut(0.5)], 2, by_fold=False)
    s, b = samples["s1"], samples["b1"]
    high = s.x[:, 0] >= 0.5
    assert sums.sumw[0, 1] == pytest.approx(s.weight[high & (np.abs(s.mass - 125) <= 5)].sum())
    high = (b.x[:, 0] >= 0.5) & (np.abs(b.mass - 140) <= 40)
    assert sums.sumw[2, 1] == pytest.approx(b.weight[high].sum())
    assert sums.sumw_mass[2, 1] == pytest.approx((b.weight * b.mass)[high].sum())
    own = problem(points_of(samples, WINDOW), Counting(window=WINDOW))
    yields = sums.category_yields(own)
    total, moment = sums.sumw[2:].sum(axis=0), sums.sumw_mass[2:].sum(axis=0)
    factor = window_fraction(moment / total, WINDOW)
    np.testing.assert_allclose(yields.background, factor * total)
    np.testing.assert_allclose(yields.variance, factor**2 * sums.sumw2[2:].sum(axis=0))
    found = yields_of(own, sums)
    np.testing.assert_allclose(found.factor, factor)
    np.testing.assert_allclose(found.background, yields.background)
    np.testing.assert_allclose(found.effective_background, yields.effective)


def test_events_of_no_category_count_nowhere(samples):
    tally = EventTally(samples, signals=("s1",), n_folds=FOLDS, window=None)
    nothing = tally.total([lambda x: np.full(len(x), -1)], 2, by_fold=False)
    np.testing.assert_array_equal(nothing.sumw, 0)
    everything = tally.total([lambda x: np.zeros(len(x), dtype=int)], 2, by_fold=False)
    np.testing.assert_array_equal(everything.count, [[900, 0], [700, 0], [3000, 0], [2000, 0]])


def test_events_without_folds_are_one_fold():
    s = {"s": Sample(x=np.ones((3, 1)), weight=np.array([1.0, 2.0, -0.5]))}
    tally = EventTally(s, signals=("s",), n_folds=1, window=None)
    assert tally.n_folds == 1
    sums = tally.total([lambda x: np.zeros(len(x), dtype=int)], 1, by_fold=True)
    assert sums.sumw[0, 0] == 2.5


def test_events_of_several_blocks_are_summed_like_those_of_one():
    rng = np.random.default_rng(8)
    n = 3 * BLOCK + 11  # more than one block in every fold
    x, weight, fold = rng.normal(size=(n, 1)), rng.normal(1.0, 0.5, n), np.arange(n) % 2
    tally = EventTally(
        {"a": Sample(x=x, weight=weight, fold=fold)}, signals=("a",), n_folds=2, window=None
    )

    def above(cut):
        return lambda values: (values[:, 0] > cut).astype(int)

    found = tally.total([above(0.0), above(1.0)], 2, by_fold=True)
    label = (x[:, 0] > fold).astype(int)
    for sums, column in ((found.sumw, weight), (found.sumw2, weight**2), (found.count, weight**0)):
        np.testing.assert_allclose(sums[0], np.bincount(label, column, 2), rtol=1e-10)
