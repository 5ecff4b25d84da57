"""Yields, objectives and constraints against sums done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gato_coffea.config import Constraints
from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import Feature, Points
from gato_coffea.optimisation.checks import check_problem
from gato_coffea.optimisation.densities import Densities, window_yields
from gato_coffea.optimisation.objective import Counting
from gato_coffea.optimisation.problem import Problem, steady
from gato_coffea.optimisation.window import Window, window_fraction
from gato_coffea.statistics.counting import profiled_z2

WINDOW = Window(100.0, 180.0, 120.0, 130.0)


def points(*, n=6, folds=3, processes=("s1", "s2", "b1", "b2"), with_mass=False, seed=1):
    rng = np.random.default_rng(seed)
    shape = (len(processes), folds, n)
    sumw = rng.uniform(1, 5, shape)
    return Points(
        features=(Feature("score", 0.0, 1.0, "logit"),),
        processes=processes,
        x=np.sort(rng.uniform(0.05, 0.95, n))[:, None],
        sumw=sumw,
        sumw2=sumw * rng.uniform(0.1, 0.3, shape),
        count=np.full(shape, 20.0),
        sumw_mass=sumw * rng.uniform(110, 150, shape) if with_mass else None,
    )


def problem(p=None, *, signals=("s1", "s2"), constraints=None, **objective):
    p = points() if p is None else p
    return Problem(
        points=p,
        signals=signals,
        backgrounds=tuple(name for name in p.processes if name not in signals),
        objective=Counting(**objective),
        constraints=constraints or Constraints(),
        smooth=False,
    )


def test_densities_of_some_folds_stand_for_the_whole():
    p = points(with_mass=True)
    densities = problem(p, window=WINDOW).densities([0, 2])
    assert densities.scale == 1.5
    for k in range(6):
        assert densities.signal[1, k] == pytest.approx(1.5 * (p.sumw[1, 0, k] + p.sumw[1, 2, k]))
        background = sum(p.sumw[c, f, k] for c in (2, 3) for f in (0, 2))
        assert densities.background[k] == pytest.approx(1.5 * background)
        variance = sum(p.sumw2[c, f, k] for c in (2, 3) for f in (0, 2))
        assert densities.variance[k] == pytest.approx(2.25 * variance)
        moment = sum(p.sumw_mass[c, f, k] for c in (2, 3) for f in (0, 2))
        assert densities.moment[k] == pytest.approx(1.5 * moment)
    np.testing.assert_allclose(densities.u[:, 0], np.log(p.x[:, 0] / (1 - p.x[:, 0])))


def test_training_folds():
    assert problem().training_folds(1) == [0, 2]
    assert problem().training_folds(None) == [0, 1, 2]


def test_complementary_folds_average_to_the_whole():
    found = problem()
    whole = found.densities(found.training_folds(None))
    assert whole.scale == 1
    each = [found.densities(found.training_folds(f)).background for f in range(3)]
    np.testing.assert_allclose(np.mean(each, axis=0), whole.background)


def test_yields_leave_out_points_of_no_category():
    found = problem(points(with_mass=True), window=WINDOW)
    densities = found.densities([0, 1, 2])
    label = np.array([0, 2, -1, 2, 0, 2])
    yields = densities.yields(label, 4, found.objective)
    assert yields.signal.shape == (2, 4)
    for k in range(4):
        inside = label == k
        np.testing.assert_allclose(yields.signal[:, k], densities.signal[:, inside].sum(axis=1))
        b, v = densities.background[inside].sum(), densities.variance[inside].sum()
        flat = (WINDOW.window_high - WINDOW.window_low) / (WINDOW.high - WINDOW.low)
        factor = flat
        if inside.any():
            factor = float(window_fraction(densities.moment[inside].sum() / b, WINDOW))
        assert yields.factor[k] == pytest.approx(factor)
        assert yields.background[k] == pytest.approx(b * factor)
        assert yields.variance[k] == pytest.approx(v * factor**2)
        # Statistics are those of the whole range, from which the window is extrapolated.
        assert yields.effective[k] == pytest.approx(b * b / v if inside.any() else 0.0)


def test_order_and_groups():
    found = problem(points(with_mass=True), window=WINDOW)
    densities = found.densities([0, 1, 2])
    label = np.array([0, 0, 1, 1, 1, 2])
    order = np.array([3, 1, 5, 0, 2, 4])
    expected = densities.yields(label, 3, found.objective)
    shuffled = densities.ordered(order).yields(label[order], 3, found.objective)
    grouped = densities.grouped(label, 3)
    alone = grouped.yields(np.arange(3), 3, found.objective)
    for other in (shuffled, alone):
        for name in ("signal", "background", "variance", "effective", "factor"):
            np.testing.assert_allclose(getattr(other, name), getattr(expected, name), rtol=1e-13)
    np.testing.assert_allclose(grouped.u[1], densities.u[2:5].mean(axis=0))
    assert densities.grouped(label, 5).background[3] == 0  # a group without points
    assert len(densities.ordered(order[:2]).background) == 2


def test_without_a_window_the_factor_is_one():
    one = np.ones(3)
    yields = window_yields(one[None], 2 * one, one, None, Counting())
    np.testing.assert_array_equal(yields.factor, 1)
    np.testing.assert_array_equal(yields.effective, 4)


@pytest.mark.parametrize(
    ("mc", "systematic"), [(False, 0.0), (True, 0.0), (False, 0.2), (True, 0.2)]
)
def test_uncertainties_in_the_objective(mc, systematic):
    objective = Counting("quadrature", mc_uncertainty=mc, systematic=systematic)
    yields = window_yields(
        np.array([[3.0, 4.0]]), np.array([10.0, 20.0]), np.array([2.0, 1.0]), None, Counting()
    )
    z2 = 0.0
    for s, b, sumw2 in ((3.0, 10.0, 2.0), (4.0, 20.0, 1.0)):
        variance = (sumw2 if mc else 0.0) + (systematic * b) ** 2
        z2 += float(profiled_z2(s, b, variance))
    assert float(objective.combined(yields)) == pytest.approx(np.sqrt(z2), rel=1e-14)
    assert objective.per_signal(yields).shape == (1,)


def margin(yields, *, scale=1.0, **limits):
    constraints = Constraints(**{"min_effective": 0.0, **limits})
    return problem(constraints=constraints).satisfied(yields, scale=scale)


def test_margins_of_each_constraint():
    background = np.array([1.0, 20.0, 100.0, 0.0, -3.0])
    variance = np.array([0.1, 10.0, 500.0, 0.0, 2.0])
    yields = window_yields(np.ones((1, 5)), background, variance, None, Counting())
    effective = np.array([10.0, 40.0, 20.0, 0.0, 0.0])
    np.testing.assert_allclose(margin(yields, min_effective=20.0), effective / 20)
    np.testing.assert_allclose(
        margin(yields, min_background=10.0), [0.1, 2.0, 10.0, 0.0, -0.3], atol=1e-15
    )
    # A relative uncertainty of 20 % needs 25 effective entries.
    np.testing.assert_allclose(margin(yields, max_rel_unc=0.2), effective / 25)
    both = margin(yields, min_effective=20.0, min_background=10.0)
    np.testing.assert_allclose(both, [0.1, 2.0, 1.0, 0.0, -0.3], atol=1e-15)
    # Four fifths of the events have four fifths of the effective entries.
    np.testing.assert_allclose(margin(yields, scale=1.25, min_effective=25.0), effective / 20)


def test_without_constraints_a_background_is_still_needed():
    yields = window_yields(
        np.ones((1, 3)), np.array([1e-9, 0.0, -1.0]), np.ones(3), None, Counting()
    )
    np.testing.assert_array_equal(margin(yields) >= 1, [True, False, False])


def spoiled(process, factor):
    p = points()
    p.sumw[p.processes.index(process)] *= factor
    return p


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (spoiled("s2", 0.0), "signal s2: the total yield must be above zero (got 0)"),
        (spoiled("s1", -1.0), "signal s1: the total yield must be above zero (got -"),
        (spoiled("b1", -9.0), "background b1, b2: the total yield must be above zero (got -"),
        (points(n=3), "n_categories: 4 categories need as many distinct points (got 3)"),
    ],
)
def test_what_has_no_answer(bad, told):
    with pytest.raises(OptimisationError) as caught:
        check_problem(problem(bad), 4)
    assert told in str(caught.value)
    assert len(caught.value.args) == 1


def test_what_has_an_answer_passes():
    check_problem(problem(), 6)


def test_an_event_more_or_less_is_no_matter_of_the_scale_of_weights():
    small = points()
    tiny = Densities(
        u=np.zeros((2, 1)),
        signal=np.full((1, 2), 1e-12),
        background=np.full(2, 1e-9),
        variance=np.full(2, 1e-19),
    )
    yields = tiny.yields(np.array([0, 1]), 2, Counting())
    np.testing.assert_allclose(yields.effective, 10)
    assert (problem(small).satisfied(yields) >= 1 - 1e-12).all()


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"min_effective": 1e6}, ["min_effective 1e+06 (got 561.9"]),
        ({"min_background": 1e9}, ["min_background 1e+09 (got 1"]),
        (
            {"min_background": 1e9, "max_rel_unc": 1e-4, "min_effective": 1.0},
            ["min_background 1e+09 (got 1", "max_rel_unc 0.0001 (got 0.042"],
        ),
    ],
)
def test_constraints_that_cannot_be_met_say_which_and_by_how_much(limits, told):
    with pytest.raises(OptimisationError) as caught:
        check_problem(problem(constraints=Constraints(**limits)), 2)
    text = str(caught.value)
    assert text.startswith("constraints: not met even by all events in one category: ")
    for part in told:
        assert part in text
    assert text.count("(got ") == len(told)


def test_sums_in_another_order_are_the_same_sums():
    rng = np.random.default_rng(0)
    values = rng.normal(1, 2, (200, 500)) * np.logspace(-8, 8, 200)[:, None]
    shuffled = rng.permuted(values, axis=1)
    assert (values.sum(axis=1) != shuffled.sum(axis=1)).any()
    # One in some ten thousand lies where the digits that are kept end.
    np.testing.assert_array_equal(steady(values.sum(axis=1)), steady(shuffled.sum(axis=1)))
    np.testing.assert_allclose(steady(values), values, rtol=2e-11)
    np.testing.assert_array_equal(steady(steady(values)), steady(values))
    np.testing.assert_array_equal(steady(np.array([0.0, -1.5, 3.0])), [0.0, -1.5, 3.0])
