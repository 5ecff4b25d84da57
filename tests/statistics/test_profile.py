from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from gato_coffea.errors import OptimisationError
from gato_coffea.statistics.likelihood import Likelihood
from gato_coffea.statistics.profile import fit, quadratic
from gato_coffea.statistics.uncertainties import Free, Norm
from gato_coffea.statistics.yields import BinnedYields

Make = Callable[..., Likelihood]


def test_gradient_and_curvature_are_those_of_the_likelihood(make_model: Make) -> None:
    likelihood = make_model(7, categories=5, variations=3, norms=3)
    observed = likelihood.nominal.sum(axis=-2)
    strength = likelihood.strengths(["s0"], 0.2)
    a = np.random.default_rng(0).normal(0, 0.5, len(likelihood.names))

    def at(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        terms = likelihood.terms(x, strength=strength, observed=observed)
        return float(terms.value), *quadratic(likelihood, x, terms, observed)

    _, gradient, matrix = at(a)
    for j, step in enumerate(1e-5 * np.eye(len(a))):
        low, high = at(a - step), at(a + step)
        assert gradient[j] == pytest.approx((high[0] - low[0]) / 2e-5, abs=1e-5)
        assert matrix[j] == pytest.approx((high[1] - low[1]) / 2e-5, abs=1e-4)


def test_nothing_moves_on_asimov_data(any_model: Likelihood) -> None:
    observed = any_model.nominal.sum(axis=-2)
    found = fit(any_model, strength=np.ones(len(any_model.is_signal)), observed=observed)
    assert np.abs(found.a).max(initial=0.0) < 1e-6
    assert found.terms.value == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("size", [0.3, 3.0])
def test_the_same_minimum_from_everywhere(make_model: Make, size: float) -> None:
    likelihood = make_model(11, categories=8, variations=6, norms=4, free=True)
    observed = likelihood.nominal.sum(axis=-2)
    strength = likelihood.strengths(["s0"], 0.0)
    first = fit(likelihood, strength=strength, observed=observed)
    start = np.random.default_rng(4).normal(0, size, first.a.shape)
    again = fit(likelihood, strength=strength, observed=observed, start=start)
    assert again.a == pytest.approx(first.a, abs=1e-4)
    assert again.terms.value == pytest.approx(first.terms.value, abs=1e-8)


def test_a_start_where_nothing_is_expected() -> None:
    up, down = np.array([[[1.0], [-40.0]]]), np.array([[[1.0], [60.0]]])
    y = BinnedYields(
        processes=("s", "b"),
        signals=("s",),
        nominal=np.array([[1.0], [10.0]]),
        sumw2=np.zeros(1),
        variations=("jes",),
        up=up,
        down=down,
    )
    likelihood = Likelihood(yields=y)
    found = fit(
        likelihood,
        strength=np.array([0.0, 1.0]),
        observed=np.array([11.0]),
        start=np.array([2.0]),
    )
    assert found.terms.nu == pytest.approx([11.0], abs=0.05)


def test_a_parameter_without_effect_stays_where_it_is() -> None:
    y = BinnedYields(
        processes=("s", "b", "none"),
        signals=("s",),
        nominal=np.array([[1.0, 2.0], [10.0, 4.0], [0.0, 0.0]]),
        sumw2=np.zeros(2),
    )
    likelihood = Likelihood(
        yields=y, normalisations=(Norm("b", 1.1, processes=["b"]), Free("none", ["none"]))
    )
    found = fit(likelihood, strength=np.array([0.0, 1.0, 1.0]), observed=np.array([11.0, 6.0]))
    assert found.a[1] == 0.0
    assert found.a[0] > 0.1


@pytest.mark.parametrize("tested", [0.0, 3.0])
def test_variations_to_the_same_side(make_model: Make, tested: float) -> None:
    # With the same yields up and down the nominal point has no slope, and may be a maximum.
    y = make_model(2, categories=4, variations=2, norms=1).yields
    assert y.up is not None
    for factor in (0.9, 1.1):
        likelihood = Likelihood(yields=replace(y, up=factor * y.up, down=factor * y.up))
        observed = likelihood.nominal.sum(axis=-2)
        strength = likelihood.strengths(["s0"], tested)
        found = fit(likelihood, strength=strength, observed=observed)
        rng = np.random.default_rng(0)
        others = [
            fit(likelihood, strength=strength, observed=observed, start=start).terms.value
            for start in rng.normal(0, 1.5, (20, 2))
        ]
        assert found.terms.value == pytest.approx(min(others), abs=1e-6)


def test_a_fit_that_does_not_settle_names_the_parameter(make_model: Make) -> None:
    y = make_model(0, variations=0, norms=0).yields
    uncertainties = (Norm("lumi", 1.0001), Free("rate", ["b0"]))
    likelihood = Likelihood(yields=y, normalisations=uncertainties)
    observed = likelihood.nominal.sum(axis=-2)
    strength = np.ones(len(likelihood.is_signal))
    with pytest.raises(OptimisationError, match=r"no minimum in 1 steps.*'rate' does not settle"):
        fit(likelihood, strength=strength, observed=3 * observed, max_steps=1)
    with pytest.raises(OptimisationError, match="does not settle"):
        fit(likelihood, strength=strength, observed=np.nan * observed)


@pytest.mark.parametrize(
    ("signal", "up", "down"),
    [
        ([5, 6, 12], [1.62, 1.25, 1.22], [1.26, 1.26, 1.26]),  # as of two generators
        ([8, 11, 5], [1.76, 1.4, 1.34], [1.19, 1.19, 1.19]),
        ([0, 2, 0], [1.2, 1.2, 1.2], [1.2, 1.2, 1.2]),  # two minima near the nominal point
        ([0, 2, 0], [1.5, 1.5, 1.5], [1.5, 1.5, 1.5]),
    ],
)
def test_the_lowest_of_several_minima(
    signal: list[float], up: list[float], down: list[float]
) -> None:
    """Both sides of the variation move the background up: a scan finds the lowest minimum."""
    b = np.array([500.0, 80.0, 15.0])
    nominal = np.stack([np.array(signal, dtype=float), b])
    y = BinnedYields(
        processes=("s", "b"),
        signals=("s",),
        nominal=nominal,
        sumw2=np.zeros(3),
        variations=("ps",),
        up=np.stack([nominal[0], b * up])[None],
        down=np.stack([nominal[0], b * down])[None],
    )
    likelihood = Likelihood(yields=y)
    observed, strength = nominal.sum(axis=0), np.array([0.0, 1.0])
    scan = [
        float(likelihood.terms(np.array([a]), strength=strength, observed=observed).value)
        for a in np.linspace(-3, 3, 1201)
    ]
    for start in (None, np.array([0.8]), np.array([-0.8])):
        found = fit(likelihood, strength=strength, observed=observed, start=start)
        assert found.terms.value == pytest.approx(min(scan), abs=1e-4)
        assert found.terms.value <= min(scan)
