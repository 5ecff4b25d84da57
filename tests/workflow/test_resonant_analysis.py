"""An analysis with a resonant background, from ROOT files to the card: yields as the truth's."""

import json

import numpy as np
import pytest
import uproot

from gato_coffea.config import parse_analysis
from gato_coffea.plots.run_values import spectrum_of
from gato_coffea.plots.spectra import draw_spectrum
from gato_coffea.plots.style import Style, save
from gato_coffea.statistics.counting import asimov_z2
from gato_coffea.workflow.pipeline import run_stage
from gato_coffea.workflow.stages import (
    Job,
    load_fits,
    load_headline,
    load_results,
    load_templates,
    read_evaluation,
)

EXPECTED = {"ggH": 60.0, "dy": 4000.0, "ZH": 250.0}
SCORE = {"ggH": (4, 2), "dy": (2, 4), "ZH": (4, 2.5)}
N_SIMULATED = 20_000


def events_of(process, n, rng):
    """Events of a process: all of ggH and ZH peak, and ZH has tails in the sidebands."""
    mass = rng.normal(125, 2, n)
    if process == "dy":
        mass = 100 - np.log1p(-rng.uniform(size=n) * -np.expm1(-0.03 * 80)) / 0.03
    if process == "ZH":
        mass = np.where(rng.uniform(size=n) < 0.1, rng.uniform(100, 180, n), mass)
    return {"score": rng.beta(*SCORE[process], n), "mass": mass}


def write(path, branches):
    with uproot.recreate(path) as file:
        file.mktree("Events", {key: value.dtype for key, value in branches.items()})
        file["Events"].extend(branches)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rng = np.random.default_rng(4)
    folder = tmp_path_factory.mktemp("resonant")
    observed = []
    for process, expected in EXPECTED.items():
        events = events_of(process, N_SIMULATED, rng)
        write(folder / f"{process}.root", events | {"w": np.full(N_SIMULATED, expected / 2e4)})
        if process != "ggH":
            observed.append(events_of(process, rng.poisson(expected), rng))
    data = {key: np.concatenate([part[key] for part in observed]) for key in ("score", "mass")}
    write(folder / "data.root", data)
    return folder


def run_on(folder, output, resonant):
    datasets = {
        name: {"files": f"{name}.root", "process": name, "already_normalised": True, "weight": "w"}
        for name in EXPECTED
    }
    content = {
        "name": "resonant",
        "datasets": datasets | {"data": {"files": "data.root", "process": "data", "data": True}},
        "processes": {name: {"resonant": True} for name in resonant},
        "discriminants": [{"name": "score", "range": [0, 1], "bins": 50}],
        "mass": {
            "source": "mass",
            "unit": "GeV",
            "range_gev": [100, 180],
            "window_gev": [120, 130],
            "functions": ["exponential", "power"],
        },
        "optimise": {"signals": ["ggH"], "n_categories": [2], "method": "exact"},
    }
    job = Job.of(parse_analysis(content, directory=folder), output=output, progress=False)
    for stage in ("process", "optimise", "categorise", "sidebands", "exports"):
        run_stage(job, stage)
    return job


def rates_of(job):
    """Rate of every process, shape (categories,), in the counting model."""
    model = json.loads((job.output / "exports/counting/workspace.json").read_text())
    rates = {}
    for channel in model["channels"]:
        for sample in channel["samples"]:
            rates.setdefault(sample["name"], []).append(sample["data"][0])
    return {name: np.array(values) for name, values in rates.items()}


def truth_of(job):
    """Expected yields in the window by category, from a hundred times the events."""
    from gato_coffea.workflow.stages import load_categories

    rng, categories = np.random.default_rng(9), load_categories(job)
    found = {}
    for process, expected in EXPECTED.items():
        events = events_of(process, 2_000_000, rng)
        inside = (events["mass"] > 120) & (events["mass"] < 130)
        label = categories.assign(events["score"][inside])
        count = np.bincount(label, minlength=categories.n_categories)
        found[process] = expected * count / 2_000_000
    return found


def z_of(signal, background):
    return float(np.sqrt(asimov_z2(signal, background).sum()))


def test_yields_and_significance_are_those_of_the_truth(folder, tmp_path):
    job = run_on(folder, tmp_path / "results", ["ZH"])
    rates, truth, fits = rates_of(job), truth_of(job), load_fits(job)
    assert set(rates) == {"ggH", "ZH", "sideband"}
    # Twenty thousand simulated events: 2 % a category.
    np.testing.assert_allclose(rates["ZH"], truth["ZH"], rtol=0.03)
    errors = [fit.estimate.error for fit in fits]
    assert (np.abs(rates["sideband"] - truth["dy"]) < 2.5 * np.array(errors)).all()
    z_true = z_of(truth["ggH"], truth["dy"] + truth["ZH"])
    quoted = z_of(rates["ggH"], rates["sideband"] + rates["ZH"])
    assert quoted == pytest.approx(z_true, rel=0.05)
    # Without the peak in the model the figure is far too high.
    assert z_of(rates["ggH"], rates["sideband"]) > 1.25 * z_true
    headline = load_headline(job)
    found = read_evaluation(job)
    assert found["quoted"]["combined"] == headline.held_out.combined < headline.before.combined
    assert headline.before == load_results(job)[2].held_out
    if found["models"]["counting"]["everything"] is not None:  # with pyhf
        assert found["models"]["counting"]["everything"]["combined"] == pytest.approx(
            headline.training.combined, rel=1e-3
        )
    told = headline.sentence()
    assert told.startswith("Z with the background of the mass fits and its error: held-out ")
    assert "; before the mass fits: " in told
    spectrum = spectrum_of(load_templates(job), fits[-1], job.analysis)
    assert list(spectrum.resonant) == ["ZH"]
    save(draw_spectrum(spectrum, Style.of(job.analysis)), tmp_path / "mass")


def test_a_peak_that_is_not_declared_is_told(folder, tmp_path):
    job = run_on(folder, tmp_path / "results", [])
    told = [note for fit in load_fits(job) for note in fit.notes]
    assert len(told) == len(load_fits(job))
    assert all("say processes: {ZH: {resonant: true}}" in note for note in told)
    card = (job.output / "exports/counting/datacard.txt").read_text()
    assert "say processes: {ZH: {resonant: true}}" in card
