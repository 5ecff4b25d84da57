"""Sideband fits: exact integrals, unbiased and covering predictions, refusals, real data."""

import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize

from gato_coffea.categories.templates import Templates, empty_templates
from gato_coffea.config import parse_analysis
from gato_coffea.errors import ConfigError, InputError
from gato_coffea.sidebands import (
    FAMILIES,
    choose_order,
    family_named,
    fit_categories,
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


PARAMETERS = {
    "exponential": [700.0, 0.03],
    "exponential2": [700.0, 1.2, -0.3],
    "power": [700.0, 3.5],
    "bernstein1": [500.0, 200.0],
    "bernstein2": [500.0, 150.0, 50.0],
    "bernstein3": [500.0, 100.0, 50.0, 50.0],
    "bernstein4": [500.0, 100.0, 0.0, 50.0, 50.0],
    "laurent1": [500.0, 200.0],
    "laurent2": [500.0, 150.0, 50.0],
    "laurent3": [500.0, 100.0, 50.0, 50.0],
}


@pytest.mark.parametrize("name", FAMILIES)
def test_integrals_are_exact_and_gradients_right(name):
    family = family_named(name, sidebands=SIDEBANDS)
    parameters = np.array(PARAMETERS[name])
    bins = np.stack([EDGES[:-1], EDGES[1:]], axis=1)
    value, gradient = family.expected(parameters, bins)

    def density(m):  # the limit of a narrow bin
        return family.expected(parameters, np.array([[m - 1e-4, m + 1e-4]]))[0][0] / 2e-4

    for i in (0, 23, 79):
        slow = quad(density, *bins[i], epsabs=1e-9, epsrel=1e-9)[0]
        assert value[i] == pytest.approx(slow, rel=1e-7)
    inside = (bins[:, 1] <= 120) | (bins[:, 0] >= 130)
    assert value[inside].sum() == pytest.approx(700.0, rel=1e-12)
    merged = family.expected(parameters, np.array([WINDOW]))[0][0]
    assert merged == pytest.approx(value[~inside].sum(), rel=1e-12)
    for p in range(len(parameters)):
        step = np.zeros(len(parameters))
        step[p] = 1e-5 * max(1.0, abs(parameters[p]))
        up, down = (family.expected(parameters + s, bins)[0] for s in (step, -step))
        slow = (up - down) / (2 * step[p])
        # Second-order differences: relative error about the square of the step.
        np.testing.assert_allclose(gradient[:, p], slow, rtol=1e-6, atol=1e-6 * abs(slow).max())


@pytest.mark.parametrize("slope", [-3.0, -1e-3, -1e-9, 0.0, 1e-12, 9.99e-3, 1.001e-2, 0.5, 3.0])
def test_exponential_is_smooth_through_a_flat_shape(slope):
    family = family_named("exponential", sidebands=SIDEBANDS)
    got = family.expected(np.array([1.0, slope]), np.array([[100.0, 101.0], [119.0, 120.0]]))[0]
    assert np.log(got[0] / got[1]) == pytest.approx(19 * slope, rel=1e-9, abs=1e-12)
    assert np.isfinite(got).all()


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


def test_window_is_never_looked_at():
    sumw, sumw2 = toy(np.random.default_rng(3), 500)
    before = fit(sumw, sumw2)
    sumw[20:30], sumw2[20:30] = 1e9, 1e18
    after = fit(sumw, sumw2)
    assert before.to_dict() == after.to_dict()


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


def analysis_with(*, data, **mass):
    datasets = {
        "sig": {"files": "s.root", "process": "sig", "already_normalised": True},
        "b1": {"files": "b.root", "process": "b1", "already_normalised": True},
        "b2": {"files": "c.root", "process": "b2", "already_normalised": True},
    }
    if data:
        datasets["obs"] = {"files": "d.root", "process": "obs", "data": True}
    section = {
        "source": "m",
        "unit": "GeV",
        "range_gev": [100, 180],
        "bins": 80,
        "window_gev": list(WINDOW),
        **mass,
    }
    content = {
        "name": "test",
        "datasets": datasets,
        "discriminants": [{"name": "score", "range": [0, 1]}],
        "mass": section,
        "optimise": {"signals": ["sig"]},
    }
    return parse_analysis(content, directory=Path())


def templates_for(analysis):
    rng = np.random.default_rng(11)
    templates = Templates.single(empty_templates(analysis, 2))
    for process, mean in (("b1", 3000), ("b2", 1000), ("obs", 4000), ("sig", 50)):
        if process in templates.processes:
            slope = 1e-9 if process == "sig" else SLOPE
            for category in (0, 1):
                sumw, sumw2 = toy(rng, mean / (1 + category), slope=slope)
                view = templates.histogram.view()[
                    list(templates.histogram.axes[0]).index(process), 0, category
                ]
                view["value"], view["variance"] = sumw, sumw2
    return templates


def test_categories_fit_data_and_keep_the_window_blind():
    analysis = analysis_with(data=True)
    templates = templates_for(analysis)
    fits = fit_categories(templates, analysis)
    assert [(f.category, f.source, f.observed) for f in fits] == [
        (0, "data", None),
        (1, "data", None),
    ]
    for f, mean in zip(fits, (4000, 2000), strict=True):
        truth = window_truth(mean, "unit")
        assert abs(f.fit.window_yield - truth) < 4 * f.fit.window_error
        assert f.error >= f.fit.window_error
        assert f.spread > 0
        sig = templates.histogram["sig", "nominal", f.category, 120j:130j].values().sum()
        assert f.signals == {"sig": sig}
    text = json.dumps([f.to_dict() for f in fits], allow_nan=False)
    assert "observed" in text
    shown = fit_categories(templates, analysis_with(data=True, blinded=False))
    assert shown[0].observed == templates.histogram["obs", "nominal", 0, 120j:130j].values().sum()
    assert shown[0].observed_error == np.sqrt(shown[0].observed)


def test_categories_without_data_fit_the_backgrounds():
    analysis = analysis_with(data=False, functions=["exponential"])
    templates = templates_for(analysis)
    first = fit_categories(templates, analysis)[0]
    assert first.source == "background"
    both = [templates.histogram[b, "nominal", 0, 120j:130j].values().sum() for b in ("b1", "b2")]
    assert first.observed == sum(both)
    assert first.estimate.alternatives == ()
    assert first.spread is None


def test_mass_section_that_cannot_be_fitted_is_refused():
    message = r"mass: window_gev: 123.5 GeV lies inside one of 80 bins; bins: 160 would do"
    with pytest.raises(ConfigError, match=message):
        analysis_with(data=True, window_gev=[123.5, 126.5])
    with pytest.raises(
        ConfigError, match=r"sidebands_gev: 118.2 GeV lies inside .* bins: 400 would"
    ):
        analysis_with(data=True, sidebands_gev=[[100, 118.2], [130, 180]])
    with pytest.raises(ConfigError, match="one must lie below the window and one above"):
        analysis_with(data=True, sidebands_gev=[[130, 150], [160, 180]])
    with pytest.raises(ConfigError, match=r"sidebands_gev: needs at least 1 entry"):
        analysis_with(data=True, sidebands_gev=[])
    with pytest.raises(ConfigError, match="must be in increasing order without overlap"):
        analysis_with(data=True, sidebands_gev=[[100, 115], [110, 120], [130, 180]])


def test_templates_of_another_analysis_are_refused():
    analysis = analysis_with(data=True)
    with pytest.raises(InputError, match=r"mass.window_gev: 121.5 GeV is no bin edge"):
        fit_categories(
            templates_for(analysis), analysis_with(data=True, bins=160, window_gev=[121.5, 130])
        )


def dimuon_file():
    root = os.environ.get("GATO_COFFEA_DATA")
    folder = Path(root) if root else Path(__file__).parents[3] / "shared/data"
    return folder / "cms_dimuon_2012/open-data-example.root"


def dimuon_pairs():
    """Mass and larger |eta| of events with exactly two muons, of opposite charge."""
    import uproot

    with uproot.open(dimuon_file()) as file:
        tree = file["Events"]
        events = tree.arrays(["Muon_pt", "Muon_eta", "Muon_phi", "Muon_mass", "Muon_charge"])
        events = events[tree["nMuon"].array() == 2]
    pt, eta, phi, mass, charge = (events[name].to_numpy().astype(float) for name in events.fields)
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    energy = np.sqrt(px**2 + py**2 + pz**2 + mass**2).sum(axis=1)
    momentum2 = sum(p.sum(axis=1) ** 2 for p in (px, py, pz))
    invariant = np.sqrt(np.maximum(energy**2 - momentum2, 0))
    opposite = charge.prod(axis=1) < 0
    return invariant[opposite], np.abs(eta).max(axis=1)[opposite]


@pytest.mark.skipif(not dimuon_file().is_file(), reason=f"no real data at {dimuon_file()}")
def test_z_boson_in_collision_data():
    mass, eta = dimuon_pairs()
    edges = np.linspace(60, 120, 61)
    # Published to these digits by an independent analysis of the same events.
    for low, high, background, error, signal in (
        (0.0, 0.9, 72, 8, 1317),
        (0.9, 1.5, 136, 11, 1914),
        (1.5, 2.5, 286, 16, 3120),
    ):
        inside = (eta >= low) & (eta < high)
        h = np.histogram(mass[inside], edges)[0]
        result = fit_sidebands(
            h, h, edges, sidebands=((60, 76), (106, 120)), window=(81, 101), family="exponential"
        )
        assert round(result.window_yield) == background
        assert round(result.window_error) == error
        assert round(h[21:41].sum() - result.window_yield) == signal
        assert result.status == "ok"
