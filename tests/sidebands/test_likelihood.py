"""The likelihood of the sidebands: its minimum, weights and bins."""

import numpy as np
import pytest
from scipy.optimize import minimize

from gato_coffea.sidebands import (
    FAMILIES,
    family_named,
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


def fit(sumw, sumw2, family="exponential", **changes):
    arguments = {"sidebands": SIDEBANDS, "window": WINDOW, "family": family, **changes}
    return fit_sidebands(sumw, sumw2, EDGES, **arguments)


@pytest.mark.parametrize("name", ["exponential", "power", "exponential2", "bernstein2"])
def test_minimum_agrees_with_another_minimiser(name):
    sumw, sumw2 = toy(np.random.default_rng(5), 800, "mixed")
    result = fit(sumw, sumw2, name)
    family = family_named(name, sidebands=SIDEBANDS)
    bins = np.stack([EDGES[:-1], EDGES[1:]], axis=1)
    inside = (bins[:, 1] <= 120) | (bins[:, 0] >= 130)

    def slow(p):
        low = [-np.inf if limit is None else limit for limit, _ in family.limits()]
        mu = family.expected(p, bins[inside])[0] * (1 if (p >= low).all() else -1)
        return (mu - sumw[inside] * np.log(mu)).sum() if (mu > 0).all() else 1e30

    options = {"xatol": 1e-8, "fatol": 1e-10, "maxiter": 4000, "maxfev": 4000}
    start = result.parameters * 1.05
    twin = minimize(slow, start, method="Nelder-Mead", options=options)
    # The minimiser stops at an estimated distance of 2e-7 in units of the mean weight.
    assert result.nll <= twin.fun + 1e-5
    assert result.expected(EDGES)[inside].sum() == pytest.approx(sumw[inside].sum(), rel=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_scaling_weights_scales_the_prediction(name):
    sumw, sumw2 = toy(np.random.default_rng(2), 2000, "negative")
    one, scaled = fit(sumw, sumw2, name), fit(sumw * 1e-3, sumw2 * 1e-6, name)
    # Both stop within 1e-3 of a statistical error of the same minimum.
    close = {"rel": 1e-4}
    assert scaled.window_yield == pytest.approx(1e-3 * one.window_yield, **close)
    assert scaled.window_error == pytest.approx(1e-3 * one.window_error, rel=1e-3)
    assert scaled.effective_entries == pytest.approx(one.effective_entries, rel=1e-12)
    assert scaled.chi2 == pytest.approx(one.chi2, rel=1e-3)


def test_empty_bins_count():
    # Twenty entries near the lower end: leaving the empty bins out would make the slope shallow.
    sumw = np.zeros(80)
    sumw[[0, 1, 2, 4, 5, 7, 9, 12, 15, 19]] = 10.0
    result = fit(sumw, sumw)
    assert result.names == ("sideband_yield", "slope_per_gev")
    assert result.parameters[1] > 0.1
    assert result.window_yield < 10


def test_fine_and_coarse_bins_agree():
    rng = np.random.default_rng(4)
    mass = 100 + rng.exponential(30, 4000)
    mass = mass[mass < 180]
    predictions = []
    for n in (16, 80, 1600):
        edges = np.linspace(100, 180, n + 1)
        h = np.histogram(mass, edges)[0]
        result = fit_sidebands(h, h, edges, sidebands=SIDEBANDS, window=WINDOW)
        predictions.append(result.window_yield)
    # What 5 GeV bins lose is a small part of the statistical error (3 %).
    assert predictions[0] == pytest.approx(predictions[2], rel=5e-3)
    assert predictions[1] == pytest.approx(predictions[2], rel=5e-4)
