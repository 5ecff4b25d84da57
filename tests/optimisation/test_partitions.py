"""Dynamic programming and Lloyd's iteration against all partitions there are."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from gato_coffea.config import Constraints
from gato_coffea.events.samples import Feature, Points
from gato_coffea.optimisation.densities import Densities
from gato_coffea.optimisation.objective import Counting
from gato_coffea.optimisation.partitions import (
    allowed_runs,
    best_partitions,
    constrained_lloyd,
    interval_yields,
    lloyd,
    merge_down,
    merge_unsatisfied,
    run_gains,
    seed_labels,
)
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.window import Window
from gato_coffea.statistics.counting import category_z2

WINDOW = Window(100.0, 180.0, 120.0, 130.0)
LIMITS = (
    Constraints(min_effective=0.0),
    Constraints(min_effective=25.0),
    Constraints(min_effective=0.0, min_background=12.0),
    Constraints(min_effective=10.0, max_rel_unc=0.18),
)


def densities(n, *, m=1, seed=0, with_mass=False):
    rng = np.random.default_rng([seed, n, m])
    background = rng.exponential(8, n) + 0.3
    return Densities(
        u=np.sort(rng.normal(0, 1, n))[:, None],
        signal=rng.exponential(1, (m, n)) * rng.uniform(0.1, 3, (m, n)),
        background=background,
        variance=background * rng.uniform(0.05, 0.6, n),
        moment=background * rng.uniform(105, 160, n) if with_mass else None,
    )


def problem(objective=None, constraints=None, m=1):
    names = tuple(f"s{i}" for i in range(m))
    one = np.ones((m + 1, 1, 1))
    return Problem(
        points=Points(
            features=(Feature("x", 0.0, 1.0),),
            processes=(*names, "b"),
            x=np.full((1, 1), 0.5),
            sumw=one,
            sumw2=one,
            count=one,
        ),
        signals=names,
        backgrounds=("b",),
        objective=objective or Counting("quadrature"),
        constraints=constraints or LIMITS[0],
    )


def contiguous(n, k):
    """Every way to cut a row of ``n`` into ``k`` bins, as labels."""
    for cuts in itertools.combinations(range(1, n), k - 1):
        yield np.searchsorted(cuts, np.arange(n), side="right")


def set_partitions(n, k):
    """Every way to put ``n`` points into ``k`` categories that are not empty, once each."""
    for tail in itertools.product(range(k), repeat=n - 1):
        label = np.array((0, *tail))
        first = [int(np.argmax(label == c)) for c in range(k)]
        if set(label) == set(range(k)) and first == sorted(first):
            yield label


def best_of(partitions, d, k, own):
    """Largest objective among the partitions that satisfy the constraints, and its labels."""
    best, found = -np.inf, None
    for label in partitions:
        yields = d.yields(label, k, own.objective)
        if (own.satisfied(yields) >= 1).all():
            value = float(own.objective.combined(yields))
            if value > best:
                best, found = value, label
    return best, found


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize("with_mass", [False, True])
def test_cutting_a_row_against_brute_force(limits, m, with_mass):
    window = WINDOW if with_mass else None
    own = problem(Counting("quadrature", window=window), limits, m)
    d = densities(10, m=m, seed=5, with_mass=with_mass)
    gain = np.where(allowed_runs(own, d), run_gains(own, d, np.ones(m)), -np.inf)
    found = best_partitions(gain, 6)
    for k in range(1, 7):
        best, label = best_of(contiguous(10, k), d, k, own)
        if label is None:
            assert found.value[k - 1] == -np.inf
            continue
        assert np.sqrt(found.value[k - 1]) == pytest.approx(best, rel=1e-12)
        np.testing.assert_array_equal(found.edges(k), np.flatnonzero(np.diff(label)) + 1)


def test_more_bins_than_cells_are_impossible():
    d = densities(4)
    own = problem()
    gain = np.where(allowed_runs(own, d), run_gains(own, d, np.ones(1)), -np.inf)
    found = best_partitions(gain, 6)
    assert np.isfinite(found.value[:4]).all()
    assert (found.value[4:] == -np.inf).all()
    assert found.largest(6) == 4
    np.testing.assert_array_equal(found.edges(4), [1, 2, 3])
    assert found.edges(1).shape == (0,)


def test_the_largest_number_that_constraints_allow():
    d = densities(10, seed=5)
    own = problem(
        constraints=Constraints(min_effective=0.0, min_background=d.background.sum() / 2.5)
    )
    gain = np.where(allowed_runs(own, d), run_gains(own, d, np.ones(1)), -np.inf)
    found = best_partitions(gain, 5)
    assert found.largest(5) == max(k for k in range(1, 6) if np.isfinite(found.value[k - 1]))
    assert found.largest(5) <= 2
    nothing = best_partitions(np.full((4, 4), -np.inf), 2)
    assert nothing.largest(2) == 0


def test_more_bins_are_never_worse():
    own = problem()
    d = densities(40, seed=2)
    gain = np.where(allowed_runs(own, d), run_gains(own, d, np.ones(1)), -np.inf)
    value = best_partitions(gain, 40).value
    assert (np.diff(value) >= -1e-12 * value[-1]).all()


@pytest.mark.parametrize("with_mass", [False, True])
def test_yields_of_runs_are_sums(with_mass):
    objective = Counting(window=WINDOW if with_mass else None)
    d = densities(7, m=2, with_mass=with_mass)
    runs = interval_yields(d, objective)
    for i, j in itertools.combinations(range(8), 2):
        label = np.where((np.arange(7) >= i) & (np.arange(7) < j), 0, -1)
        yields = d.yields(label, 1, objective)
        np.testing.assert_allclose(runs.signal[:, i, j], yields.signal[:, 0], rtol=1e-12)
        for name in ("background", "variance", "effective", "factor"):
            expected = getattr(yields, name)[0]
            assert getattr(runs, name)[i, j] == pytest.approx(expected, rel=1e-12)


def test_only_runs_are_allowed():
    allowed = allowed_runs(problem(constraints=LIMITS[1]), densities(6))
    assert not np.tril(allowed).any()  # nothing that is empty or goes backwards


@pytest.mark.parametrize("n", [7, 8])
@pytest.mark.parametrize("k", [2, 3])
def test_the_best_categories_are_intervals_of_the_ratio(n, k):
    """Cutting the row of falling ratios is as good as any of all the partitions."""
    own = problem()
    for seed in range(4):
        d = densities(n, seed=seed)
        best, _ = best_of(set_partitions(n, k), d, k, own)
        row = d.ordered(np.argsort(d.signal[0] / d.background))
        gain = np.where(allowed_runs(own, row), run_gains(own, row, np.ones(1)), -np.inf)
        value = best_partitions(gain, k).value[k - 1]
        assert np.sqrt(value) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("combination", ["geometric", "quadrature", "sum"])
@pytest.mark.parametrize("with_mass", [False, True])
def test_lloyd_never_falls_below_its_start(combination, with_mass):
    objective = Counting(combination, window=WINDOW if with_mass else None)
    for seed in range(15):
        rng = np.random.default_rng(seed)
        d = densities(60, m=2, seed=seed, with_mass=with_mass)
        start = rng.integers(0, 5, 60)
        label, value = lloyd(d, start, 5, objective)
        before = float(objective.combined(d.yields(start, 5, objective)))
        assert value >= before
        assert value == float(objective.combined(d.yields(label, 5, objective)))
        assert label.min() >= 0
        assert label.max() < 5
        if not with_mass:
            assert value > 1.02 * before  # a random start is far from good


@pytest.mark.parametrize("combination", ["geometric", "quadrature", "sum"])
@pytest.mark.parametrize(("m", "k"), [(1, 3), (2, 2), (2, 3), (3, 3)])
def test_lloyd_reaches_the_best_partition_of_all(m, k, combination):
    objective = Counting(combination)
    own = problem(objective, m=m)
    d = densities(8, m=m, seed=1)
    best, _ = best_of(set_partitions(8, k), d, k, own)
    values = [
        lloyd(d, np.random.default_rng(seed).integers(0, k, 8), k, objective)[1]
        for seed in range(30)
    ]
    # The geometric mean is not convex in the yields: its best partition need not be a fixed point.
    rel = 1e-3 if combination == "geometric" else 1e-12
    assert max(values) == pytest.approx(best, rel=rel)
    assert max(values) <= best * (1 + 1e-12)


@pytest.mark.parametrize("combination", ["geometric", "quadrature", "sum"])
@pytest.mark.parametrize("with_mass", [False, True])
@pytest.mark.parametrize("uncertain", [{}, {"mc_uncertainty": True, "systematic": 0.1}])
def test_a_step_of_lloyd_follows_the_slope_of_the_objective(combination, with_mass, uncertain):
    objective = Counting(combination, window=WINDOW if with_mass else None, **uncertain)
    d = densities(60, m=2, seed=3, with_mass=with_mass)
    yields = d.yields(np.arange(60) % 5, 5, objective)
    score = objective.around(yields).linear()
    slope = np.empty_like(score)
    for row, c in np.ndindex(score.shape):
        values = []
        for step in (1e-5, -1e-5):
            signal, background = yields.signal.copy(), yields.background.copy()
            variance = yields.variance.copy()
            if row < 2:
                signal[row, c] += step
            elif row == 2:
                background[c] += step * yields.factor[c]
            elif row == 3:
                variance[c] += step * yields.factor[c] ** 2
            elif row == 4:  # resonant backgrounds are those of the window
                background[c] += step
            else:
                variance[c] += step
            moved = replace(yields, signal=signal, background=background, variance=variance)
            values.append(float(objective.combined(moved)))
        slope[row, c] = (values[0] - values[1]) / 2e-5
    # Only where the score is largest matters: it may have any scale.
    np.testing.assert_allclose(score / score[0, 0], slope / slope[0, 0], rtol=1e-6, atol=1e-8)


def test_a_fast_comparison_is_the_significance_with_uncertainties():
    rng = np.random.default_rng(2)
    signal, background = rng.exponential(3, (2, 200)), rng.exponential(5, 200)
    sumw2 = rng.exponential(4, 200)
    signal[0, ::7], background[::9] = -1.0, -2.0
    for uncertain in ({}, {"mc_uncertainty": True}, {"mc_uncertainty": True, "systematic": 0.3}):
        own = Counting("geometric", **uncertain)
        exact = category_z2(signal, background, own.variance(background, sumw2))
        got = own.squares(signal, background, sumw2)
        np.testing.assert_allclose(got, exact, rtol=1e-9, atol=1e-12)


def test_lloyd_stays_where_it_cannot_improve():
    d = densities(8, seed=1)
    own = problem()
    _, label = best_of(set_partitions(8, 3), d, 3, own)
    again, _ = lloyd(d, label, 3, own.objective)
    np.testing.assert_array_equal(again, label)


@pytest.mark.parametrize("uncertainty", [{"mc_uncertainty": True}, {"systematic": 0.1}])
def test_lloyd_knows_of_uncertainties(uncertainty):
    objective = Counting("geometric", **uncertainty)
    for seed in range(5):
        d = densities(50, m=2, seed=seed)
        start = np.random.default_rng(seed).integers(0, 4, 50)
        _, value = lloyd(d, start, 4, objective)
        assert value > 1.02 * float(objective.combined(d.yields(start, 4, objective)))


def test_lloyd_survives_negative_and_absent_yields():
    d = densities(40, m=2)
    d.signal[0, ::5] *= -1
    d.background[::6] = 0.0
    d.background[1::9] *= -1
    label, value = lloyd(d, np.arange(40) % 4, 4, Counting())
    assert np.isfinite(value)
    assert label.min() >= 0


def test_drawn_starts():
    d = densities(200, m=2)
    first = seed_labels(d, 6, Counting(), np.random.default_rng(3))
    again = seed_labels(d, 6, Counting(), np.random.default_rng(3))
    np.testing.assert_array_equal(first, again)
    assert set(first) <= set(range(6))
    assert len(set(first)) >= 4
    other = seed_labels(d, 6, Counting(), np.random.default_rng(4))
    assert (first != other).any()
    objective = Counting()
    value = float(objective.combined(d.yields(first, 6, objective)))
    random = np.random.default_rng(1).integers(0, 6, 200)
    assert value > 1.1 * float(objective.combined(d.yields(random, 6, objective)))


@pytest.mark.parametrize("with_mass", [False, True])
def test_merging_down_takes_the_pair_that_costs_least(with_mass):
    objective = Counting("geometric", window=WINDOW if with_mass else None)
    d = densities(7, m=2, seed=3, with_mass=with_mass)
    label = merge_down(d, 6, objective)
    options = [
        np.unique(np.where(np.arange(7) == j, i, np.arange(7)), return_inverse=True)[1]
        for i, j in itertools.combinations(range(7), 2)
    ]
    values = [float(objective.combined(d.yields(o, 6, objective))) for o in options]
    got = float(objective.combined(d.yields(label, 6, objective)))
    assert got == pytest.approx(max(values), rel=1e-12)
    again = merge_down(d, 3, objective)
    assert set(again) == {0, 1, 2}
    np.testing.assert_array_equal(merge_down(d, 7, objective), np.arange(7))


@pytest.mark.parametrize("limits", LIMITS)
def test_merging_what_is_not_satisfied(limits):
    own = problem(constraints=limits, m=2)
    for seed in range(10):
        d = densities(12, m=2, seed=seed)
        events = densities(12, m=2, seed=100 + seed)
        events.background[3] = 0.0
        label = merge_unsatisfied(own, d, events)
        n = label.max() + 1
        assert set(label) == set(range(n))
        satisfied = own.satisfied(events.yields(label, n, own.objective)) >= 1
        assert satisfied.all() or n == 1
        assert n >= 2


def test_what_is_not_satisfied_goes_to_its_like():
    # Many tiny parts with hardly any signal: each costs next to nothing, all of them everything.
    ratio = np.concatenate([np.geomspace(0.001, 0.01, 60), np.geomspace(0.1, 2.0, 40)])
    background = np.concatenate([np.full(60, 0.4), np.full(40, 2.0)])
    own = problem(constraints=Constraints(min_effective=20.0))
    d = Densities(np.zeros((100, 1)), (ratio * background)[None], background, background)
    label = merge_unsatisfied(own, d, d)
    assert (np.bincount(label, background) >= 20).all()
    assert not set(label[:60]) & set(label[80:])
    changes = np.flatnonzero(np.diff(label))
    assert len(changes) == label.max()  # each is a run in the order of the ratio


@pytest.mark.parametrize("limits", LIMITS[1:3])
@pytest.mark.parametrize("k", [2, 3])
def test_lloyd_under_constraints_keeps_them_and_does_not_fall(k, limits):
    own = problem(constraints=limits)
    for seed in range(5):
        d = densities(40, seed=seed)
        d = d.ordered(np.argsort(d.signal[0] / d.background))
        best, found = best_of(contiguous(40, k), d, k, own)
        for start in (np.arange(40) * k // 40, found):
            label = constrained_lloyd(own, d, d, start, k)
            yields = d.yields(label, k, own.objective)
            value = float(own.objective.combined(yields))
            assert (own.satisfied(yields) >= 1).all()
            assert value <= best * (1 + 1e-12)
            assert value >= float(own.objective.combined(d.yields(start, k, own.objective)))
        assert value == pytest.approx(best)


def test_a_category_takes_what_it_lacks_where_it_is_cheapest():
    # The best category is the last two cells, with 8 entries; the next one has the ten wanted.
    background = np.full(20, 4.0)
    signal = np.concatenate([np.geomspace(0.01, 1.0, 18), [10.0, 12.0]])
    d = Densities(np.zeros((20, 1)), signal[None], background, background)
    own = problem(constraints=Constraints(min_effective=10.0))
    label = constrained_lloyd(own, d, d, np.arange(20) // 10, 2)
    np.testing.assert_array_equal(label, np.arange(20) >= 17)
