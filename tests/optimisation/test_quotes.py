"""The significance that is quoted, its spread and its bias, against figures known otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from gato_coffea.config import Constraints
from gato_coffea.events.samples import Cells, Feature, Grid, Sample, points_from_cells
from gato_coffea.optimisation.bootstrap import bootstrap
from gato_coffea.optimisation.evaluation import Sums
from gato_coffea.optimisation.objective import Counting
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.quotes import pooled_significance, significance_of, zero_note
from gato_coffea.optimisation.result import Significance
from gato_coffea.optimisation.window import Window, window_fraction
from gato_coffea.statistics.counting import asimov_z2

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


def of_sums(sums, objective=None, seed=0):
    n = len(sums.processes)
    points = points_of_names(sums.processes)
    own = problem(points, objective or Counting(), sums.processes[: n - 1])
    return significance_of(own, sums, seed=seed)


def test_significance_is_that_of_the_sums():
    found = of_sums(sums_of([[3.0, 1.0], [0.5, 2.0], [40.0, 10.0]], 100))
    z0 = np.sqrt(asimov_z2(3.0, 40.5) + asimov_z2(1.0, 12.0))
    z1 = np.sqrt(asimov_z2(0.5, 43.0) + asimov_z2(2.0, 11.0))
    assert found.per_signal == pytest.approx({"s0": z0, "s1": z1})
    assert found.combined == pytest.approx(np.sqrt(z0 * z1))
    assert of_sums(sums_of([[3.0], [40.0]], 100), seed=None).spread is None


@pytest.mark.parametrize(("n_s", "n_b"), [(1e5, 400.0), (400.0, 1e5), (900.0, 900.0)])
def test_spread_is_the_error_of_one_category(n_s, n_b):
    # For s << b, Z = s / sqrt(b): dZ / Z is ds / s and half of db / b, added in quadrature.
    found = of_sums(sums_of([[1.0], [1e4]], [[n_s], [n_b]]))
    expected = found.combined * np.sqrt(1 / n_s + 0.25 / n_b)
    # 400 draws know a quantile's half width to about 5 %; three times that.
    assert found.spread == pytest.approx(expected, rel=0.15)


def test_spread_is_the_error_of_many_categories():
    rng = np.random.default_rng(0)
    s, b = rng.uniform(0.5, 2, 12), rng.uniform(1e3, 1e4, 12)
    found = of_sums(sums_of([s, b], [np.full(12, 1e7), np.full(12, 200.0)]))
    z2 = s**2 / b
    # Z^2 = sum z2_k, and each has the relative error 1 / sqrt(200).
    expected = np.sqrt((z2**2).sum() / 200) / (2 * np.sqrt(z2.sum()))
    assert found.spread == pytest.approx(expected, rel=0.15)


def test_spread_covers_the_truth():
    # One signal, six categories, 60 background events each: the quoted Z of many samples.
    rng = np.random.default_rng(12)
    s, b, n = np.linspace(0.2, 2, 6), np.logspace(3, 1.5, 6), 60.0
    truth = np.sqrt(asimov_z2(s, b).sum())
    inside, pulls = 0, []
    for i in range(200):
        drawn = rng.poisson(n, 6)
        found = of_sums(sums_of([s, b * drawn / n], [np.full(6, 1e8), drawn]), seed=i)
        pulls.append((found.combined - truth) / found.spread)
        inside += abs(pulls[-1]) < 1
    # 68 % of 200 with a binomial error of 3.3 %; three of them.
    assert 0.58 < inside / 200 < 0.78
    assert abs(np.mean(pulls)) < 0.6  # a bias well within the spread


def test_same_seed_same_spread_and_scale():
    sums = sums_of([[3.0, 1.0], [40.0, 10.0]], 50)
    assert of_sums(sums, seed=3) == of_sums(sums, seed=3)
    assert of_sums(sums, seed=3).spread != of_sums(sums, seed=4).spread
    scaled = Sums(sums.processes, 4 * sums.sumw, 16 * sums.sumw2, sums.count, None)
    assert of_sums(scaled, seed=3).spread == pytest.approx(2 * of_sums(sums, seed=3).spread)


def test_spread_with_negative_and_vanishing_sums():
    sums = sums_of([[3.0, 0.1, 0.0], [40.0, -2.0, 0.0]], [[50, 0.3, 0], [90, 4, 0]])
    found = of_sums(sums)
    assert np.isfinite(found.spread)
    assert found.spread > 0
    assert np.isfinite(found.combined)


def test_statistics_only_is_the_figure_without_uncertainties():
    sums = sums_of([[3.0, 1.0], [0.5, 2.0], [40.0, 10.0]], 20)
    plain, uncertain = of_sums(sums), of_sums(sums, Counting(mc_uncertainty=True))
    assert plain.statistics_only == plain.combined
    assert uncertain.statistics_only == plain.combined
    assert uncertain.combined < 0.9 * plain.combined


def test_no_held_out_figure_is_above_the_training():
    sums = sums_of([[3.0, 1.0], [40.0, 10.0]], 500)
    limit = Significance(0.3, {"s0": 0.25}, None, 0.31)
    found = pooled(sums, training=limit)
    assert (found.combined, found.per_signal, found.statistics_only) == (0.3, {"s0": 0.25}, 0.31)


def test_spread_with_a_mass_window():
    moment = np.array([[0.0, 0.0], [40.0 * 130, 10.0 * 140]])
    sums = sums_of([[3.0, 1.0], [40.0, 10.0]], 100, moment)
    found = of_sums(sums, Counting(window=WINDOW))
    factor = window_fraction(np.array([130.0, 140.0]), WINDOW)
    expected = np.sqrt(asimov_z2(np.array([3.0, 1.0]), factor * [40.0, 10.0]).sum())
    assert found.combined == pytest.approx(expected)
    assert 0.02 * found.combined < found.spread < 0.2 * found.combined


def test_the_mean_of_the_folds_is_biased_and_the_pooled_figure_is_not():
    """Categories are given; only the statistics of a fold differ from those of the whole."""
    edges = np.array([0.5, 1.3, 2.0])
    k = len(edges) + 1
    # Background is a unit Gaussian, signal one at 2.5 whose yields are known exactly.
    b_true = 1000 * np.diff(np.concatenate([[0], norm.cdf(edges), [1]]))
    s_true = 20 * np.diff(np.concatenate([[0], norm.cdf(edges - 2.5), [1]]))
    truth = np.sqrt(asimov_z2(s_true, b_true).sum())
    n, pooled, mean_of_folds = 1200, [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        label, fold = np.searchsorted(edges, rng.normal(0, 1, n)), rng.integers(0, 5, n)
        counts = np.bincount(fold * k + label, minlength=5 * k).reshape(5, k)
        weight = 1000 / n
        pooled.append(of_sums(sums_of([s_true, weight * counts.sum(axis=0)], 100)).combined)
        each = 5 * weight * counts
        mean_of_folds.append(
            np.mean([of_sums(sums_of([s_true, b], 100), seed=None).combined for b in each])
        )
    pooled, mean_of_folds = np.array(pooled) / truth - 1, np.array(mean_of_folds) / truth - 1
    # The last category has 27 events, 5 in a fold. Z goes as 1 / sqrt(B), whose mean is high by
    # 3 / (8 N): by 1.4 % for 27 and by 7 % for 5 events, as far as that category decides.
    assert abs(pooled.mean()) < 0.014 + 3 * pooled.std() / np.sqrt(len(pooled))
    gap = mean_of_folds - pooled
    assert gap.mean() > 0.03
    assert gap.mean() > 5 * gap.std() / np.sqrt(len(gap))


def pooled(sums, each=(), seed=0, training=None, freedom=None):
    points = points_of_names(sums.processes)
    own = problem(points, Counting(), sums.processes[:-1])
    return pooled_significance(
        own,
        sums,
        training=training or Significance(99.0, dict.fromkeys(own.signals, 99.0), None, 99.0),
        each=[e.category_yields(own) for e in each],
        freedom=freedom,
        seed=seed,
    )


def test_small_numbers_are_made_good():
    """Six events stand in each of the highest categories: the raw figure reads high by 6 %."""
    s, b, n = np.linspace(0.5, 3, 6), np.logspace(3, 0.5, 6), np.array([900, 300, 90, 30, 9, 6.0])
    truth = np.sqrt(asimov_z2(s, b).sum())
    raw, corrected = [], []
    for seed in range(150):
        drawn = np.maximum(np.random.default_rng(seed).poisson(n), 1)
        sums = sums_of([s, b * drawn / n], [np.full(6, 1e8), drawn])
        raw.append(of_sums(sums, seed=None).combined / truth - 1)
        corrected.append(pooled(sums).combined / truth - 1)
    error = np.std(raw) / np.sqrt(len(raw))
    assert np.mean(raw) > 0.02 + error
    # What is left is of the next order.
    assert abs(np.mean(corrected)) < 0.5 * np.mean(raw) + 2 * error


def test_boundaries_that_differ_from_fold_to_fold_cost_nothing():
    """With many events, the figure is the mean of those of the models."""
    x = np.linspace(-5, 6, 20_001)
    b, s = 1e4 * norm.pdf(x), 30 * norm.pdf(x - 1.5)
    each, parts = [], []
    for f in range(5):
        label = np.searchsorted(np.array([0.4, 1.4, 2.4]) + 0.15 * (f - 2), x)
        each.append(sums_of([np.bincount(label, s), np.bincount(label, b)], 1e12))
        fold = np.arange(len(x)) % 5 == f
        parts.append([np.bincount(label[fold], y[fold], 4) for y in (s, b)])
    held_out = sums_of(np.sum(parts, axis=0), 1e12)
    alone = np.mean([of_sums(sums, seed=None).combined for sums in each])
    # Added up as they are, categories that differ lose.
    assert of_sums(held_out, seed=None).combined < alone * (1 - 5e-4)
    assert pooled(held_out, each).combined == pytest.approx(alone, rel=1e-4)


def test_a_large_bias_leaves_a_figure_and_not_zero():
    """Where the one heavy event is not drawn, next to no background is left."""
    sumw, entries = np.array([[3.0], [0.1], [20.0]]), np.array([[1e6], [1e4], [1.0]])
    sums = Sums(("s0", "b", "heavy"), sumw, sumw**2 / entries, np.ones_like(sumw), None)
    own = problem(points_of_names(sums.processes), Counting(), ("s0",))
    raw = significance_of(own, sums)
    limit = Significance(99.0, {"s0": 99.0}, None, 99.0)
    found = pooled_significance(own, sums, training=limit, seed=0)
    # The mean of what is drawn is more than twice the figure: their difference is below zero.
    drawn = objective_of_draws(own, sums)
    assert drawn.mean() > 2 * raw.combined
    assert found.combined == pytest.approx(raw.combined**2 / drawn.mean(), rel=0.05)


def objective_of_draws(own, sums):
    return own.objective.figures(bootstrap(own, sums, 0).category_yields(own))[:, 0]


def test_a_count_that_a_constraint_fixes_reads_low_and_is_made_good():
    """Twelve events by constraint, wherever that is: the yield behind them fluctuates."""
    rng, n = np.random.default_rng(5), 12
    truth, low, right = [], [], []
    for seed in range(200):
        behind = rng.gamma(n)
        sums = sums_of([[3.0], [12.0]], [[1e8], [n]])
        truth.append(np.sqrt(asimov_z2(3.0, behind)))
        low.append(pooled(sums, seed=seed).combined)
        right.append(pooled(sums, seed=seed, freedom=np.zeros(1)).combined)
    error = np.std(truth) / np.sqrt(len(truth)) / np.mean(truth)
    assert abs(np.mean(right) / np.mean(truth) - 1) < 2 * error
    assert np.mean(low) / np.mean(truth) - 1 < -3 * error


def test_a_held_out_figure_of_zero_says_why():
    found = pooled(sums_of([[3.0, 0.0], [-1.0, 10.0]], [[100, 0], [4, 100]]))
    assert found.combined == 0
    assert "in no category do the events held out leave both" in zero_note(found)[0]
    assert zero_note(pooled(sums_of([[3.0], [10.0]], 100))) == []
