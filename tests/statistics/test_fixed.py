"""Figures at fixed parameters against the figures that are fitted, and their slopes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gato_coffea.statistics.counting import asimov_z2, profiled_z2
from gato_coffea.statistics.figures import Figure, determinant, limit, precision, significance
from gato_coffea.statistics.fixed import excess_term, fixed_deviance, stacked
from gato_coffea.statistics.likelihood import Likelihood
from gato_coffea.statistics.yields import BinnedYields
from tests.statistics.conftest import random_model

FIGURES: dict[str, Callable[[Likelihood], Figure]] = {
    "significance": lambda model: significance(model, "s0"),
    "others profiled": lambda model: significance(model, "s0", others="profiled"),
    "limit": lambda model: limit(model, "s1"),
    "precision": lambda model: precision(model, "s0"),
    "precision of both": lambda model: precision(model, "s0", others="profiled"),
    "determinant": determinant,
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("seed", [1, 2])
def test_at_the_fitted_parameters_it_is_the_figure(name: str, seed: int) -> None:
    model = random_model(seed, signals=2, free=True)
    figure = FIGURES[name](model)
    columns = figure.fixed.columns @ stacked(model.yields)
    square = figure.fixed.square(columns, model.yields.sumw2)
    assert square == pytest.approx(figure.square, rel=1e-7)


@pytest.mark.parametrize("name", FIGURES)
def test_slopes_are_the_derivatives_of_the_figure(name: str) -> None:
    model = random_model(3, signals=2)
    figure = FIGURES[name](model)
    by_columns, by_sumw2 = figure.fixed.slopes(
        figure.fixed.columns @ stacked(model.yields), model.yields.sumw2
    )
    found = figure.fixed.scale * (np.swapaxes(figure.fixed.columns, -1, -2) @ by_columns)
    n = len(model.yields.processes)
    wanted = figure.gradient.nominal
    np.testing.assert_allclose(found[:n], wanted, rtol=1e-6, atol=1e-9)
    up = figure.gradient.up.reshape(-1, wanted.shape[-1])
    np.testing.assert_allclose(found[n : n + len(up)], up, rtol=1e-6, atol=1e-9)
    by_sumw2 = figure.fixed.scale * by_sumw2
    np.testing.assert_allclose(by_sumw2, figure.gradient.sumw2, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", sorted({*FIGURES} - {"limit"}))
def test_at_other_parameters_it_is_no_less(name: str) -> None:
    """What the certificate of a partition rests on; the limit is no minimum over parameters."""
    one, other = random_model(4, signals=2), random_model(5, signals=2)
    fixed, elsewhere = FIGURES[name](one).fixed, FIGURES[name](other).fixed
    for part in (0.1, 0.5, 1.0):
        moved = fixed.towards(elsewhere, part)
        square = moved.square(moved.columns @ stacked(one.yields), one.yields.sumw2)
        assert square >= FIGURES[name](one).square * (1 - 1e-9)
    np.testing.assert_allclose(fixed.towards(elsewhere, 0.0).columns, fixed.columns, atol=1e-12)


def test_without_uncertainties_terms_are_those_of_counting() -> None:
    s, b = np.array([1e-6, 0.1, 3.0, 50.0]), np.array([1.0, 20.0, 0.01, 4.0])
    variance = np.array([0.0, 2.0, 1e-3, 9.0])
    for v, wanted in ((0 * variance, asimov_z2(s, b)), (variance, profiled_z2(s, b, variance))):
        yields = BinnedYields(
            processes=("s", "b"), signals=("s",), nominal=np.stack([s, b]), sumw2=v
        )
        model = Likelihood(yields=yields)
        fixed = fixed_deviance(
            model, np.zeros(0), strength=np.array([0.0, 1.0]), events_at=np.ones(2)
        )
        found = fixed.terms(fixed.columns @ stacked(yields), v)
        np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_excess_term() -> None:
    x = np.array([-1.0, -0.5, -1e-3, 0.0, 1e-9, 9.9e-3, 0.0101, 3.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        closed = np.where(x > -1, (1 + x) * np.log1p(x) - x, 1.0)
    large = np.abs(x) > 1e-3
    np.testing.assert_allclose(excess_term(x)[large], closed[large], rtol=1e-9)
    np.testing.assert_allclose(excess_term(x)[4], 0.5e-18, rtol=1e-6)
