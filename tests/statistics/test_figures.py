from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gato_coffea.errors import OptimisationError
from gato_coffea.statistics.counting import asimov_z2, category_z2
from gato_coffea.statistics.figures import (
    LIMIT_Q,
    determinant,
    limit,
    precision,
    significance,
)
from gato_coffea.statistics.likelihood import Likelihood
from gato_coffea.statistics.uncertainties import Free, Norm
from gato_coffea.statistics.yields import BinnedYields

Make = Callable[..., Likelihood]


def changed(likelihood: Likelihood, **arrays: Any) -> Likelihood:
    return Likelihood(
        yields=replace(likelihood.yields, **arrays), normalisations=likelihood.normalisations
    )


def test_significance_is_that_of_pyhf(any_model: Likelihood, q_of_pyhf: Any) -> None:
    found = float(significance(any_model, "s0").square)
    theirs = q_of_pyhf(any_model, "s0", present=1.0, tested=0.0)
    # pyhf's minimiser stops a little above the minimum; with staterror it has more to find.
    assert found == pytest.approx(theirs, rel=1e-3 if any_model.yields.sumw2.any() else 1e-6)


def test_limit_is_that_of_pyhf(make_model: Make, q_of_pyhf: Any) -> None:
    likelihood = make_model(4, categories=4, variations=2, norms=2)
    mu = 1 / float(limit(likelihood, "s0").value)
    assert q_of_pyhf(likelihood, "s0", present=0.0, tested=mu) == pytest.approx(LIMIT_Q, rel=1e-4)


def test_without_uncertainties_it_is_the_counting_figure(make_model: Make) -> None:
    y = make_model(2, signals=2, variations=0, norms=0, simulation=False).yields
    for i, signal in enumerate(y.signals):
        found = significance(Likelihood(yields=y), signal).square
        counting = category_z2(y.nominal[:2], y.nominal[2:].sum(axis=0)).sum(axis=-1)[i]
        assert found == counting


def test_tiny_uncertainties_change_nothing(make_model: Make) -> None:
    y = make_model(2, variations=0, norms=0, simulation=False).yields
    counting = significance(Likelihood(yields=y), "s0").value
    nearly = Likelihood(yields=y, normalisations=(Norm("lumi", 1 + 1e-9),))
    assert significance(nearly, "s0").value == pytest.approx(counting, rel=1e-9)


def test_a_free_background_alone_leaves_no_significance() -> None:
    y = BinnedYields(
        processes=("s", "b"),
        signals=("s",),
        nominal=np.array([[5.0], [10.0]]),
        sumw2=np.zeros(1),
    )
    free = Likelihood(yields=y, normalisations=(Free("b", ["b"]),))
    assert significance(free, "s").value == pytest.approx(0.0, abs=1e-5)
    assert precision(free, "s").value == pytest.approx(0.0, abs=1e-4)


def test_a_large_prior_is_a_free_parameter(make_model: Make) -> None:
    y = make_model(3, variations=0, norms=0, simulation=False).yields
    free = significance(Likelihood(yields=y, normalisations=(Free("b", ["b0"]),)), "s0")
    # exp(8) at one standard deviation: the prior holds nothing, the shape of the factor is alike.
    wide = Norm("b", float(np.exp(8.0)), processes=["b0"])
    found = significance(Likelihood(yields=y, normalisations=(wide,)), "s0")
    assert found.value == pytest.approx(free.value, rel=2e-3)


def test_a_control_region_measures_a_free_background() -> None:
    nominal = np.array([[5.0, 0.0], [10.0, 1e9]])
    y = BinnedYields(processes=("s", "b"), signals=("s",), nominal=nominal, sumw2=np.zeros(2))
    found = significance(Likelihood(yields=y, normalisations=(Free("b", ["b"]),)), "s").square
    assert found == pytest.approx(asimov_z2(5.0, 10.0), rel=1e-6)


def test_no_signal_no_significance(make_model: Make) -> None:
    likelihood = make_model(1)
    nominal = likelihood.yields.nominal.copy()
    nominal[0] = 0.0
    none = changed(likelihood, nominal=nominal)
    assert significance(none, "s0").value < 1e-4
    with pytest.raises(OptimisationError, match="limit: s0 has no positive yield"):
        limit(none, "s0")


def test_finite_simulation_lowers_every_figure(make_model: Make) -> None:
    likelihood = make_model(6)
    without = changed(likelihood, sumw2=0.0 * likelihood.yields.sumw2)
    for figure in (significance, precision, limit):
        assert figure(likelihood, "s0").value < figure(without, "s0").value


def test_precision_is_the_curvature_of_the_likelihood(make_model: Make) -> None:
    # For a signal that is small beside the background all figures agree.
    likelihood = make_model(8, categories=4)
    nominal = likelihood.yields.nominal.copy()
    assert likelihood.yields.up is not None
    assert likelihood.yields.down is not None
    scale = np.where(likelihood.is_signal[:, None], 1e-4, 1.0)
    small = changed(
        likelihood,
        nominal=nominal * scale,
        up=likelihood.yields.up * scale,
        down=likelihood.yields.down * scale,
    )
    z = significance(small, "s0").value
    assert precision(small, "s0").value == pytest.approx(z, rel=1e-3)


def test_limit_of_many_events() -> None:
    y = BinnedYields(
        processes=("s", "b"),
        signals=("s",),
        nominal=np.array([[1e3, 3e3], [1e10, 4e10]]),
        sumw2=np.zeros(2),
    )
    wanted = np.sqrt((1e6 / 1e10 + 9e6 / 4e10) / LIMIT_Q)
    assert limit(Likelihood(yields=y), "s").value == pytest.approx(wanted, rel=1e-5)


def test_other_signals(make_model: Make) -> None:
    likelihood = make_model(9, signals=2)
    fixed = significance(likelihood, "s0")
    profiled = significance(likelihood, "s0", others="profiled")
    assert profiled.value < fixed.value
    assert profiled.names[-1] == "strength of s1"
    one = make_model(9, signals=1)
    assert determinant(one).value == pytest.approx(precision(one, "s0").value)
    both = [precision(likelihood, s, others="profiled").value for s in ("s0", "s1")]
    # The geometric mean of the ellipse's axes is at least that of the profiled precisions.
    assert determinant(likelihood).value >= np.sqrt(both[0] * both[1]) * (1 - 1e-9)


def test_an_unknown_signal(make_model: Make) -> None:
    with pytest.raises(OptimisationError, match=r"signal: is not there \(got 'HZZ'; allowed: s0"):
        significance(make_model(0), "HZZ")


FIGURES: dict[str, Callable[[Likelihood], Any]] = {
    "significance": lambda m: significance(m, "s0"),
    "significance, others profiled": lambda m: significance(m, "s0", others="profiled"),
    "precision": lambda m: precision(m, "s1"),
    "precision, others profiled": lambda m: precision(m, "s1", others="profiled"),
    "limit": lambda m: limit(m, "s0"),
    "determinant": determinant,
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("seed", [0, 1])
def test_gradients_are_differences_of_refits(make_model: Make, name: str, seed: int) -> None:
    figure = FIGURES[name]
    likelihood = make_model(seed, categories=3, backgrounds=2, signals=2, variations=2, norms=2)
    gradient = figure(likelihood).gradient
    rng = np.random.default_rng(seed)
    for key in ("nominal", "up", "down", "sumw2"):
        values = getattr(likelihood.yields, key)
        direction = rng.normal(size=values.shape) * np.abs(values)
        step = 1e-4
        low, high = (
            float(figure(changed(likelihood, **{key: values + d * direction})).square)
            for d in (-step, step)
        )
        found = float((getattr(gradient, key) * direction).sum())
        assert found == pytest.approx((high - low) / (2 * step), rel=2e-4, abs=1e-9), key


def test_many_sets_at_a_time(make_model: Make) -> None:
    likelihood = make_model(5, categories=4)
    factors = np.array([0.5, 1.0, 2.0])
    y = likelihood.yields
    assert y.up is not None
    assert y.down is not None
    each = factors[:, None, None]
    many = Likelihood(
        yields=replace(
            y,
            nominal=each * y.nominal,
            up=each[..., None] * y.up,
            down=each[..., None] * y.down,
            sumw2=factors[:, None] ** 2 * y.sumw2,
        ),
        normalisations=likelihood.normalisations,
    )
    for figure in (significance, precision, limit):
        together = figure(many, "s0")
        assert together.value[1] == pytest.approx(figure(likelihood, "s0").value, rel=1e-7)
        assert np.all(np.diff(together.value) > 0)
        assert together.gradient.nominal.shape == (3, *y.nominal.shape)


def test_pulls_by_name(make_model: Make) -> None:
    found = significance(make_model(5), "s0")
    assert set(found.pulls) == set(found.names)
    # Without the signal, the uncertainty of all rates must take up what is missing.
    assert found.pulls["n0"] > 0
