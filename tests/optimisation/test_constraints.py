"""After merging, every category satisfies the constraints, and they stand in order."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from gato_coffea import optimise
from gato_coffea.categories import EdgeCategories, MixtureCategories
from gato_coffea.config import Constraints
from gato_coffea.events.samples import Feature, Points, Sample
from gato_coffea.optimisation.constraints import enough_events, merge_offenders, signal_likeness
from gato_coffea.optimisation.densities import Densities
from gato_coffea.optimisation.evaluation import EventTally
from gato_coffea.optimisation.objective import Counting
from gato_coffea.optimisation.problem import Problem

LIMITS = (
    Constraints(),
    Constraints(min_effective=40.0),
    Constraints(min_effective=0.0, min_background=12.0),
    Constraints(min_effective=0.0, max_rel_unc=0.1),
    Constraints(min_effective=20.0, min_background=5.0, max_rel_unc=0.15),
    Constraints(min_effective=0.0),
)


def parts(signal, background, variance=None, *, scale=1.0):
    signal, background = np.atleast_2d(np.asarray(signal, float)), np.asarray(background, float)
    return Densities(
        u=np.zeros((len(background), 1)),
        signal=signal,
        background=background,
        variance=0.1 * np.abs(background) if variance is None else np.asarray(variance, float),
        scale=scale,
    )


def problem(constraints, n_signals=1, combination="geometric"):
    names = tuple(f"s{i}" for i in range(n_signals))
    empty = np.ones((n_signals + 1, 1, 1))
    return Problem(
        points=Points(
            features=(Feature("x", 0.0, 1.0),),
            processes=(*names, "b"),
            x=np.full((1, 1), 0.5),
            sumw=empty,
            sumw2=empty,
            count=empty,
        ),
        signals=names,
        backgrounds=("b",),
        objective=Counting(combination),
        constraints=constraints,
    )


def some(seed, k=8, m=2):
    """Components of which several hold hardly any, no or negative background."""
    rng = np.random.default_rng(seed)
    background = rng.exponential(10, k) * np.logspace(0, -2, k)
    background[rng.integers(k)] = 0.0
    background[rng.integers(1, k)] *= -0.1
    variance = np.abs(background) * rng.uniform(0.02, 0.5, k)
    return parts(rng.exponential(1, (m, k)), background, variance)


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("scale", [1.0, 1.25])
def test_every_category_satisfies_them(limits, scale):
    own = problem(limits, 2)
    for seed in range(20):
        found = some(seed)
        label, notes = merge_offenders(own, found)
        n = label.max() + 1
        assert set(label) == set(range(n))  # no number is left out
        yields = found.yields(label, n, own.objective)
        if n > 1:
            assert (own.satisfied(yields, scale=found.scale) >= 1).all()
        np.testing.assert_allclose(yields.background.sum(), found.background.sum())
        np.testing.assert_allclose(yields.signal.sum(axis=1), found.signal.sum(axis=1))
        assert len(notes) == 8 - n


def test_nothing_is_merged_without_need():
    label, notes = merge_offenders(problem(Constraints()), parts([3, 1, 2], [10, 30, 5]))
    assert notes == []
    # Signal over background: 0.3, 0.03 and 0.4.
    assert label.tolist() == [1, 0, 2]


def test_order_does_not_depend_on_the_rate_of_a_signal():
    rng = np.random.default_rng(3)
    signal, background = rng.exponential(1, (2, 6)), rng.uniform(20, 50, 6)
    first = merge_offenders(problem(Constraints(), 2), parts(signal, background))[0]
    rare = merge_offenders(problem(Constraints(), 2), parts(signal * [[1], [1e-3]], background))[0]
    np.testing.assert_array_equal(first, rare)
    likeness = signal_likeness(parts(signal, background))
    assert (np.diff(likeness[np.argsort(first)]) > 0).all()


def test_parts_without_background_come_last():
    likeness = signal_likeness(parts([1, 1, 1], [2, 0, -1]))
    np.testing.assert_array_equal(likeness, [1 / 6, np.inf, np.inf])


def test_an_offender_goes_where_least_is_lost():
    # Each way to merge the third component, by hand: the objective decides.
    found = parts([5, 2, 0.9, 0.4], [40, 200, 0.2, 500])
    own = problem(Constraints(min_effective=0.0, min_background=1.0))
    label, notes = merge_offenders(own, found)
    values = {}
    for other in (0, 1, 3):
        merged = np.array([0, 1, other, 3])
        values[other] = float(own.objective.combined(found.yields(merged, 4, own.objective)))
    best = max(values, key=values.__getitem__)
    assert label[2] == label[best]
    assert len(set(label)) == 3
    assert len(notes) == 1
    assert "it has 20.0 % of what the constraints ask" in notes[0]
    assert "background yield 0.2" in notes[0]


def test_empty_components_vanish_silently():
    found = parts([3, 0, 1, 0], [10, 0, 30, 0], [1, 0, 3, 0])
    label, notes = merge_offenders(problem(Constraints()), found)
    assert notes == []
    assert len(set(label)) == 2
    assert label[2] < label[0]


def test_signal_without_background_is_merged_and_told():
    label, notes = merge_offenders(problem(Constraints()), parts([3, 1, 2], [10, 30, 0]))
    assert len(set(label)) == 2
    assert "it has 0.0 % of what the constraints ask" in notes[0]


def test_statistics_are_those_of_the_whole_sample():
    # 8.5 effective entries in four of five folds are 10.6 in all of them.
    found = parts([1, 1], [85, 8.5], [85, 8.5])
    one_fold_less = parts([1, 1], [85, 8.5], [85, 8.5], scale=1.25)
    assert len(set(merge_offenders(problem(Constraints()), found)[0])) == 1
    assert len(set(merge_offenders(problem(Constraints()), one_fold_less)[0])) == 2


def test_what_cannot_be_met_ends_with_one_category():
    own = problem(Constraints(min_effective=1e9))
    label, notes = merge_offenders(own, some(1, m=1))
    assert set(label) == {0}
    assert len(notes) >= 6


def test_one_component_is_left_alone():
    label, notes = merge_offenders(problem(Constraints()), parts([1], [100]))
    assert label.tolist() == [0]
    assert notes == []


def short_of_events(n_beyond):
    """Background of which ``n_beyond`` of 200 events lie in the upper of two categories."""
    x = np.concatenate([np.linspace(-4, -0.01, 200 - n_beyond), np.linspace(0.01, 4, n_beyond)])
    samples = {
        "s0": Sample(x=np.linspace(-4, 4, 50)[:, None], weight=np.full(50, 0.1)),
        "b": Sample(x=x[:, None], weight=np.ones(200)),
    }
    categories = MixtureCategories(
        features=(Feature("x", -5.0, 5.0),),
        label=np.arange(2),
        means=np.array([[0.3], [0.7]]),  # in units of the range
        scale_tril=np.full((2, 1, 1), 0.1),
        log_weights=np.zeros(2),
    )
    return categories, EventTally(samples, signals=["s0"], n_folds=1, window=None)


def enlarged(limits, tally, categories):
    sums = tally.total([categories.assign], categories.n_categories, by_fold=False)
    return enough_events(problem(limits), tally, categories, sums)


def test_a_bin_that_lacks_few_events_is_given_them():
    mixture, tally = short_of_events(9)
    bins = EdgeCategories(
        features=mixture.features, label=np.arange(2), edges=(np.array([-5.0, 0.0, 5.0]),)
    )
    found, sums = enlarged(Constraints(min_effective=10.0), tally, bins)
    assert sums.sumw[1].tolist() == [190.0, 10.0]
    assert -0.1 < found.edges[0][1] < 0
    assert found.edges[0][[0, 2]].tolist() == [-5, 5]


def test_a_category_that_lacks_few_events_is_given_them():
    categories, tally = short_of_events(9)
    found, sums = enlarged(Constraints(min_effective=10.0), tally, categories)
    assert sums.sumw[1].tolist() == [190.0, 10.0]
    np.testing.assert_array_equal(sums.sumw, tally.total([found.assign], 2, by_fold=False).sumw)
    np.testing.assert_array_equal(found.means, categories.means)
    assert found.log_weights[0] == 0
    assert 0 < found.log_weights[1] < 0.5


@pytest.mark.parametrize("n", [3, 10, 50])
def test_what_has_enough_or_far_too_little_stays_as_it_is(n):
    categories, tally = short_of_events(n)
    found, sums = enlarged(Constraints(min_effective=10.0), tally, categories)
    assert found is categories
    assert sums.sumw[1].tolist() == [200.0 - n, n]


def test_nobody_is_given_events_that_another_needs():
    categories, tally = short_of_events(99)
    limits = Constraints(min_effective=0.0, min_background=101.0)
    found, _ = enlarged(limits, tally, categories)
    assert found is categories  # 101 and 99: only one of them can have 101


def test_a_category_with_just_the_required_events_is_kept() -> None:
    rng = np.random.default_rng(5)
    x = expit(rng.normal(size=(3000, 2)) + np.where(np.arange(3000) < 1000, 1.3, -0.7)[:, None])
    # Ten of these weights have (10 w)**2 / (10 w**2) effective entries, just below ten.
    events = {
        "s": {"x": x[:1000], "weight": np.full(1000, 0.012)},
        "b": {"x": x[1000:], "weight": np.full(2000, 0.3)},
    }
    found = optimise(events, signals=["s"], n_categories=3, method="exact")
    assert found.n_categories == 3
    assert found.yields.effective_background.min() == pytest.approx(10.0)
