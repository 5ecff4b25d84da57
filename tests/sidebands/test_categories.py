"""The background of every category, from data and from simulation."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from gato_coffea.categories.templates import Templates, empty_templates
from gato_coffea.config import parse_analysis
from gato_coffea.errors import ConfigError, InputError
from gato_coffea.sidebands import (
    fit_categories,
    fit_sidebands,
)

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
