"""Fits of one function: unbiased and covering predictions, refusals, choice of the order."""

import json
import logging

import numpy as np
import pytest

from gato_coffea.errors import InputError
from gato_coffea.sidebands import (
    FAMILIES,
    choose_order,
    fit_functions,
    fit_sidebands,
)

SIDEBANDS = ((100.0, 120.0), (130.0, 180.0))
WINDOW = (120.0, 130.0)
EDGES = np.linspace(100.0, 180.0, 81)
SLOPE = 0.03
MIXTURES = {  # weights and their probabilities
    "unit": ((1.0,), (1.0,)),
    "mixed": ((5.0, 0.5), (0.3, 0.7)),
    "negative": ((-1.0, 1.0), (0.15, 0.85)),
}


def toy(rng, mean, kind="unit", slope=SLOPE):
    """A mass histogram of truncated exponential events: sums of weights and squared weights."""
    n = rng.poisson(mean)
    mass = 100 - np.log1p(-rng.uniform(size=n) * -np.expm1(-slope * 80)) / slope
    values, probabilities = MIXTURES[kind]
    weight = rng.choice(values, size=n, p=probabilities)
    return tuple(np.histogram(mass, EDGES, weights=w)[0] for w in (weight, weight**2))


def window_truth(mean, kind, slope=SLOPE):
    fraction = (np.exp(-20 * slope) - np.exp(-30 * slope)) / -np.expm1(-80 * slope)
    return mean * fraction * np.dot(*MIXTURES[kind])


def fit(sumw, sumw2, family="exponential", **changes):
    arguments = {"sidebands": SIDEBANDS, "window": WINDOW, "family": family, **changes}
    return fit_sidebands(sumw, sumw2, EDGES, **arguments)


@pytest.mark.parametrize("kind", MIXTURES)
def test_prediction_is_unbiased_and_covers(kind):
    rng = np.random.default_rng(17)
    n_toys, mean = 300, 1000
    fits = [fit(*toy(rng, mean, kind)) for _ in range(n_toys)]
    truth = window_truth(mean, kind)
    predicted = np.array([f.window_yield for f in fits])
    pull = (predicted - truth) / [f.window_error for f in fits]
    # Four standard errors of a mean over the toys, and of a binomial fraction of 0.68.
    assert abs(predicted.mean() - truth) < 4 * predicted.std() / np.sqrt(n_toys)
    assert np.mean(np.abs(pull) < 1) == pytest.approx(0.683, abs=4 * 0.027)
    # The level of the goodness of fit is 0.05: four standard errors above.
    assert np.mean([f.p_value < 0.05 for f in fits]) < 0.05 + 4 * 0.0126


def test_window_is_never_looked_at():
    sumw, sumw2 = toy(np.random.default_rng(3), 500)
    before = fit(sumw, sumw2)
    sumw[20:30], sumw2[20:30] = 1e9, 1e18
    after = fit(sumw, sumw2)
    assert before.to_dict() == after.to_dict()


def test_few_entries_warn_loudly(caplog):
    sumw, sumw2 = toy(np.random.default_rng(6), 25)
    with caplog.at_level(logging.WARNING):
        estimate = fit_functions(
            sumw, sumw2, EDGES, sidebands=SIDEBANDS, window=WINDOW, place="category 3"
        )
    result = estimate.fit
    assert result.status == "few entries"
    assert (estimate.alternatives, estimate.spread) == ((), None)
    assert "category 3: exponential: few entries" in caplog.text
    assert result.window_error > 0


@pytest.mark.parametrize(("sumw", "error"), [(0.0, 1.14 * 10 / 70), (-0.5, np.sqrt(70) / 7)])
def test_no_positive_yield_is_not_fitted(sumw, error, caplog):
    contents = np.full(80, sumw)
    result = fit(contents, np.full(80, 1.0 if sumw else 0.0))
    assert result.status == "empty"
    assert not result.accepted
    assert result.window_yield == pytest.approx(10 * sumw)
    assert result.window_error == pytest.approx(error)
    assert "no positive yield" in caplog.text
    assert np.isfinite(result.curve([110.0, 125.0])).all()


def test_all_entries_in_one_bin_stay_finite():
    sumw = np.zeros(80)
    sumw[0] = 100.0
    for name in FAMILIES:
        result = fit(sumw, sumw, name)
        assert np.isfinite([result.window_yield, result.window_error, result.chi2]).all()
        json.dumps(result.to_dict(), allow_nan=False)


def test_poor_fit_is_said():
    sumw = np.where(np.arange(80) % 20 < 10, 200.0, 20.0)
    result = fit(sumw, sumw)
    assert result.status == "poor fit"
    assert not result.accepted
    assert result.p_value < 1e-6


def test_order_follows_the_f_test():
    rng = np.random.default_rng(8)
    settings = {"sidebands": SIDEBANDS, "window": WINDOW}
    chosen = [
        choose_order(*toy(rng, 2000, "mixed"), EDGES, kind="exponential", **settings).family
        for _ in range(60)
    ]
    # A level of 5 %: three of sixty are expected, ten would be four standard deviations off.
    assert chosen.count("exponential2") < 10
    m = 0.5 * (EDGES[1:] + EDGES[:-1])
    curved = 200 * np.exp(-(((m - 100) / 40) ** 2))
    assert choose_order(curved, curved, EDGES, kind="exponential", **settings).family == (
        "exponential2"
    )
    estimate = fit_functions(curved, curved, EDGES, **settings)
    quoted, others = estimate.fit, estimate.alternatives
    assert quoted.family == "exponential2"
    assert {f.family[:5] for f in others} == {"power", "berns", "laure"}
    accepted = [f.window_yield for f in others if f.accepted]
    distances = [abs(y - quoted.window_yield) for y in accepted]
    assert estimate.spread == (max(distances) if distances else None)


def test_curve_and_density():
    result = fit(*toy(np.random.default_rng(9), 3000))
    assert result.expected(EDGES)[20:30].sum() == pytest.approx(result.window_yield, rel=1e-12)
    middle = 0.5 * (EDGES[1:] + EDGES[:-1])
    # A bin's mean density and the density in its middle differ by slope^2 / 24.
    np.testing.assert_allclose(result.curve(middle), result.density(EDGES), rtol=1e-4)
    assert (result.curve_error(middle) > 0).all()
    assert (result.curve_error(middle) < 0.1 * result.curve(middle)).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_variations_carry_the_covariance(name):
    result = fit(*toy(np.random.default_rng(9), 3000, "mixed"), name)
    pairs = result.variations([*SIDEBANDS[0], *SIDEBANDS[1]])
    window = [(up - down)[1] / 2 for up, down in pairs]
    assert np.linalg.norm(window) == pytest.approx(result.window_error, rel=1e-6)


def test_refusals():
    sumw, sumw2 = toy(np.random.default_rng(1), 100)
    with pytest.raises(InputError, match=r"unknown function .got 'gauss'; allowed: exponential,"):
        fit(sumw, sumw2, "gauss")
    with pytest.raises(InputError, match=r"120.5 GeV is no bin edge .*80 bins from 100 to 180"):
        fit(sumw, sumw2, sidebands=((100, 120.5), (130, 180)))
    with pytest.raises(InputError, match=r"190 GeV is no bin edge"):
        fit(sumw, sumw2, sidebands=((100, 120), (130, 190)))
    with pytest.raises(InputError, match=r"c1: sumw must be finite"):
        fit(np.full(80, np.nan), sumw2, place="c1")
    with pytest.raises(InputError, match=r"sumw2 must be finite, of shape \(80,\) .*\(79,\)"):
        fit(sumw, sumw2[1:])
    with pytest.raises(InputError, match=r"window must lie between sidebands .*window \[120.0"):
        fit(sumw, sumw2, sidebands=((130, 150), (160, 180)))
    with pytest.raises(InputError, match="without overlap"):
        fit(sumw, sumw2, sidebands=((100, 125), (130, 180)))
    with pytest.raises(InputError, match="'power' needs masses above zero"):
        fit_sidebands(
            sumw,
            sumw2,
            EDGES - 100,
            sidebands=((0, 20), (30, 80)),
            window=(20, 30),
            family="power",
        )
