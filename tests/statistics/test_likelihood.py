from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from gato_coffea.statistics.likelihood import Likelihood, deviance, expected_events
from gato_coffea.statistics.yields import BinnedYields

Make = Callable[..., Likelihood]


def test_expected_yields_are_those_of_pyhf(make_model: Make, in_pyhf: Any) -> None:
    likelihood = make_model(3, categories=6, variations=4, norms=5, simulation=False)
    model = in_pyhf(likelihood, "s0")
    a = np.random.default_rng(0).normal(0, 1.5, len(likelihood.names))
    named = dict(zip(likelihood.names, a, strict=True)) | {"mu": 1.0}
    parameters = [named[name] for name in model.config.par_order]
    theirs = model.expected_actualdata(parameters)
    assert likelihood.moved(a).yields.sum(axis=-2) == pytest.approx(theirs, rel=1e-10)


@pytest.mark.parametrize("n", [0.0, 0.3, 20.0])
def test_the_factor_on_the_background_is_at_its_best(n: float) -> None:
    s, b, relative = 2.0, 10.0, 0.2

    def value(t: float) -> float:
        return float(deviance(np.array(s + (1 + t) * b), np.array(n)) + t**2 / relative**2)

    best = minimize_scalar(value, bounds=(-1.19, 3), options={"xatol": 1e-10}, method="bounded")
    found = expected_events(*map(np.array, (s, b, (relative * b) ** 2, n)))
    assert (found - s) / b - 1 == pytest.approx(best.x, abs=1e-6)


def test_the_factor_where_the_variance_is_large_or_none() -> None:
    s, b, n = (np.array(x) for x in (1.0, 5.0, 9.0))
    assert expected_events(s, b, np.array(0.0), n) == pytest.approx(6.0)
    assert expected_events(s, b, np.array(1e12), n) == pytest.approx(9.0, rel=1e-9)
    assert expected_events(s, b, np.array(100.0), np.array(0.0)) == 0.0


def test_deviance_of_near_values_and_of_none() -> None:
    assert deviance(np.array(1e9 + 1.0), np.array(1e9)) == pytest.approx(1e-9, rel=1e-6)
    assert deviance(np.array(3.0), np.array(0.0)) == 6.0
    assert deviance(np.array(0.0), np.array(0.0)) == 0.0
    assert deviance(np.array(0.0), np.array(1.0)) == np.inf
    assert deviance(np.array(-1.0), np.array(0.0)) == np.inf


def test_a_category_without_background_counts_nothing() -> None:
    likelihood = Likelihood(
        yields=BinnedYields(
            processes=("s", "b"),
            signals=("s",),
            nominal=np.array([[1.0, -2.0, 5.0], [4.0, 9.0, 0.0]]),
            sumw2=np.ones(3),
        )
    )
    assert likelihood.nominal.tolist() == [[1.0, 0.0, 0.0], [4.0, 9.0, 0.0]]
    assert likelihood.relative_variance.tolist() == [1 / 16, 1 / 81, 0.0]


def test_slopes_and_bends_are_those_of_the_yields(make_model: Make) -> None:
    likelihood = make_model(5, categories=4, signals=2, variations=3, norms=4)
    a = np.random.default_rng(1).normal(0, 0.7, len(likelihood.names))
    rows, n = likelihood.is_signal, len(likelihood.names)
    arguments = {
        "strength": np.where(rows, 0.7, 1.0),
        "observed": likelihood.nominal.sum(axis=-2),
    }
    step = 1e-5 * np.eye(n)

    def terms(at: np.ndarray) -> Any:
        return likelihood.terms(at, **arguments)

    signal, background = likelihood.slopes(terms(a))
    for j in range(n):
        low, high = terms(a - step[j]), terms(a + step[j])
        assert signal[j] == pytest.approx((high.signal - low.signal) / 2e-5, abs=1e-6)
        assert background[j] == pytest.approx((high.background - low.background) / 2e-5, abs=1e-5)
    weight = np.random.default_rng(2).normal(size=likelihood.nominal.shape)
    bends = likelihood.bends(terms(a), weight)
    for j in range(n):
        slopes = [
            likelihood._row_slopes(t.strength[..., None] * t.moved.factor, t)
            for t in (terms(a - step[j]), terms(a + step[j]))
        ]
        found = ((slopes[1] - slopes[0]) * weight).sum(axis=(-2, -1)) / 2e-5
        assert bends[j] == pytest.approx(found, abs=1e-4)


def test_sets_of_yields_side_by_side(make_model: Make) -> None:
    one, other = (make_model(seed, categories=3, norms=2, variations=2) for seed in (0, 1))
    y = [m.yields for m in (one, other)]
    both = Likelihood(
        yields=BinnedYields(
            processes=y[0].processes,
            signals=y[0].signals,
            variations=y[0].variations,
            nominal=np.stack([a.nominal for a in y]),
            sumw2=np.stack([a.sumw2 for a in y]),
            up=np.stack([a.up for a in y if a.up is not None]),
            down=np.stack([a.down for a in y if a.down is not None]),
        ),
        normalisations=one.normalisations,
    )
    a = np.random.default_rng(3).normal(size=(2, len(one.names)))
    found = both.moved(a).yields
    assert found[0] == pytest.approx(one.moved(a[0]).yields)
    assert found.shape == (2, *y[0].nominal.shape)
