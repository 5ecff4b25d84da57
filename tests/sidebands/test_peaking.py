"""Resonant backgrounds: counted in the window, kept out of the continuum; others pointed out."""

import json
from pathlib import Path

import numpy as np
import pytest

from gato_coffea.categories import EdgeCategories
from gato_coffea.categories.templates import Templates, empty_templates
from gato_coffea.config import parse_analysis
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature
from gato_coffea.exports import write_exports
from gato_coffea.exports.models import channels
from gato_coffea.rendering.rounding import amount, with_error
from gato_coffea.sidebands import fit_categories
from gato_coffea.sidebands.tables import sideband_table
from gato_coffea.workflow.results import read_fits, write_fits

EDGES = np.linspace(100.0, 180.0, 81)
MIDDLE = 0.5 * (EDGES[1:] + EDGES[:-1])
CONTINUUM = np.exp(-0.03 * (MIDDLE - 100))
CONTINUUM *= 4000 / CONTINUUM.sum()
PEAK = np.exp(-0.5 * ((MIDDLE - 125) / 2) ** 2)
PEAK *= 200 / PEAK.sum()
LEAK = PEAK * 0.9 + 0.1 * PEAK.sum() / len(PEAK)
"""A peak of which nine hundredths lie in the sidebands."""
WINDOW = slice(20, 30)


def analysis_with(*, data, resonant=("ZH",), exports=None, **mass):
    def dataset(name):
        return {"files": f"{name}.root", "process": name, "already_normalised": True}

    datasets = {name: dataset(name) for name in ("ggH", "dy", "ZH")}
    if data:
        datasets["data"] = {"files": "d.root", "process": "data", "data": True}
    section = {"source": "m", "unit": "GeV", "range_gev": [100, 180], "window_gev": [120, 130]}
    content = {
        "name": "test",
        "datasets": datasets,
        "processes": {name: {"resonant": True} for name in resonant},
        "discriminants": [{"name": "score", "range": [0, 1]}],
        "mass": {**section, **mass},
        "optimise": {"signals": ["ggH"]},
        "exports": exports or {},
    }
    return parse_analysis(content, directory=Path())


def templates_of(analysis, *, data=None, peak=PEAK, weight=0.1):
    """One category; simulation of a tenth of an event each, as expected, without fluctuation."""
    templates = Templates.single(empty_templates(analysis, 1))
    contents = {"dy": CONTINUUM, "ZH": peak, "ggH": 0.25 * PEAK}
    for name, values in contents.items():
        view = templates.histogram.view()[templates.processes.index(name), 0, 0]
        view["value"], view["variance"] = values, weight * values
    if data is not None:
        view = templates.histogram.view()[templates.processes.index("data"), 0, 0]
        view["value"], view["variance"] = data, data
    return templates


@pytest.mark.parametrize("data", [False, True])
def test_a_resonant_background_is_counted_and_never_extrapolated(data):
    analysis = analysis_with(data=data)
    observed = np.round(CONTINUUM + PEAK) if data else None
    (fit,) = fit_categories(templates_of(analysis, data=observed), analysis)
    assert fit.source == ("data" if data else "background")
    assert fit.resonant["ZH"] == pytest.approx(
        (PEAK[WINDOW].sum(), np.sqrt(0.1 * PEAK[WINDOW].sum())), rel=1e-12
    )
    # Within a tenth of the statistical error: data are rounded, and the peak's tails lie outside.
    off = fit.estimate.window_yield - CONTINUUM[WINDOW].sum()
    assert abs(off) < 0.1 * fit.estimate.statistical
    assert fit.observed == (None if data else pytest.approx(CONTINUUM[WINDOW].sum()))
    assert fit.notes == ()


def test_what_leaks_into_the_sidebands_of_data_is_subtracted():
    analysis = analysis_with(data=True)
    data = np.round(CONTINUUM + 5 * LEAK)
    templates = templates_of(analysis, data=data, peak=5 * LEAK)
    (fit,) = fit_categories(templates, analysis)
    leaked = 5 * LEAK.sum() - 5 * LEAK[WINDOW].sum()
    assert leaked > 80
    assert fit.fit.sideband_yield == pytest.approx(
        data.sum() - data[WINDOW].sum() - leaked, rel=1e-12
    )
    assert abs(fit.estimate.window_yield - CONTINUUM[WINDOW].sum()) < (
        0.1 * fit.estimate.statistical
    )


@pytest.mark.parametrize("data", [False, True])
@pytest.mark.parametrize("resonant", [("ZH",), ()])
def test_much_of_a_peak_in_the_sidebands_is_told(data, resonant):
    analysis = analysis_with(data=data, resonant=resonant)
    peak = 4 * LEAK + 4 * np.where((MIDDLE < 120) | (MIDDLE > 130), 1.0, 0.0)
    observed = CONTINUUM + peak if data else None
    templates = templates_of(analysis, data=observed, peak=peak)
    outside = np.delete(peak, np.arange(20, 30)).sum()
    if not resonant:  # the signal leaks instead
        view = templates.histogram.view()[templates.processes.index("ggH"), 0, 0]
        view["value"] = peak
    (fit,) = fit_categories(templates, analysis)
    told = [note for note in fit.notes if "events are expected in the sidebands" in note]
    name = "ZH" if resonant else "ggH"
    share = 100 * outside / fit.fit.sideband_yield
    assert share > 5
    done = {
        (True, True): "as much was subtracted from the data there, without an error of its own",
        (True, False): "it counts as background there, and makes the prediction too high",
        (False, True): "the fit to simulation is without it, a fit to data would not be",
        (False, False): "the fit to simulation is without it, a fit to data would not be",
    }[data, bool(resonant)]
    assert told == [
        f"{name}: {outside:.4g} events are expected in the sidebands, {share:.2g} % of what is "
        f"fitted: {done}"
    ]
    assert any(told[0] in line for line in sideband_table([fit]).notes)
    if resonant:  # what leaks is in neither fit
        assert fit.fit.sideband_yield == pytest.approx(np.delete(CONTINUUM, range(20, 30)).sum())


@pytest.mark.parametrize("data", [False, True])
def test_the_model_holds_the_resonant_process_beside_the_continuum(data):
    analysis = analysis_with(data=data)
    templates = templates_of(analysis, data=CONTINUUM + PEAK if data else None)
    fits = fit_categories(templates, analysis)
    (channel,) = channels(templates, analysis, fits=fits)
    rates = {p.name: (p.signal, float(p.values.sum())) for p in channel.processes}
    assert rates == {
        "ggH": (True, pytest.approx(0.25 * PEAK[WINDOW].sum())),
        "ZH": (False, pytest.approx(PEAK[WINDOW].sum())),
        "sideband": (False, pytest.approx(fits[0].estimate.window_yield)),
    }


@pytest.mark.parametrize("data", [False, True])
def test_what_is_in_the_window_is_called_what_it_is(data):
    analysis = analysis_with(data=data, blinded=False)
    fits = fit_categories(templates_of(analysis, data=CONTINUUM if data else None), analysis)
    table, fit = sideband_table(fits), fits[0]
    name, other = ("observed", "simulated") if data else ("simulated", "observed")
    assert other not in table.header
    cell = table.rows[0][table.header.index(name)]
    assert cell == (
        amount(fit.observed, digits=5) if data else with_error(fit.observed, fit.observed_error)
    )
    assert ("±" in cell) is not data


def resonant_columns(fits):
    """What the table of fits shows of resonant backgrounds in the first category."""
    table = sideband_table(fits)
    return [table.rows[0][i] for i, name in enumerate(table.header) if name == "ZH"]


def test_tables_show_the_resonant_backgrounds():
    analysis = analysis_with(data=False)
    fits = fit_categories(templates_of(analysis), analysis)
    assert resonant_columns(fits) == ["197.7 ± 4.4"]


def kinked_templates(analysis):
    """One category whose sidebands no function describes."""
    templates = templates_of(analysis)
    kinked = 1e3 * np.where(
        MIDDLE < 140, np.exp(-0.02 * (MIDDLE - 140)), np.exp(11.2 - 0.08 * MIDDLE)
    )
    view = templates.histogram.view()[templates.processes.index("dy"), 0, 0]
    view["value"], view["variance"] = kinked, 0.1 * kinked
    return templates


def test_a_poor_fit_is_exported_only_if_it_is_asked_for(tmp_path):
    analysis = analysis_with(data=False)
    templates = kinked_templates(analysis)
    fits = fit_categories(templates, analysis)
    score = Feature("score", 0.0, 1.0)
    edges, label = (np.array([0.0, 1.0]),), np.zeros(1, dtype=np.int64)
    categories = EdgeCategories(features=(score,), edges=edges, label=label)
    message = (
        r"exports: category 0: no function describes the sidebands \(the best: \w+, p = .*; "
        r"background .* ± .*\); change .* exports: {accept_poor_fits: \[0\]}"
    )
    with pytest.raises(InputError, match=message):
        write_exports(templates, categories, analysis, tmp_path, fits=fits)
    assert not list(tmp_path.iterdir())
    accepted = analysis_with(data=False, exports={"accept_poor_fits": [0]})
    write_exports(templates, categories, accepted, tmp_path, fits=fits)
    assert (
        "no function describes the sidebands" in (tmp_path / "counting/datacard.txt").read_text()
    )
    wrong = analysis_with(data=False, exports={"accept_poor_fits": [3]})
    with pytest.raises(InputError, match=r"there is no category 3 \(allowed: 0 to 0\)"):
        write_exports(templates, categories, wrong, tmp_path, fits=fits)


def test_a_background_that_peaks_unsaid_is_pointed_out(caplog, tmp_path):
    analysis = analysis_with(data=True, resonant=())
    data = CONTINUUM + PEAK
    fits = fit_categories(templates_of(analysis, data=data), analysis)
    (note,) = fits[0].notes
    assert note.startswith("ZH: simulation has 197.7 ± 4.4 in the window, where a fit of its own")
    assert note.endswith("if it peaks there, say processes: {ZH: {resonant: true}}")
    assert f"category 0: {note}" in caplog.text
    assert any(note in line for line in sideband_table(fits).notes)
    assert resonant_columns(fits) == []
    path = write_fits(tmp_path, fits)
    json.loads(path.read_text())
    assert read_fits(tmp_path)[0].notes == fits[0].notes


@pytest.mark.parametrize("data", [False, True])
def test_the_error_of_a_fit_survives_its_file(data, tmp_path):
    analysis = analysis_with(data=data)
    templates = templates_of(analysis, data=np.round(CONTINUUM) if data else None)
    fits = fit_categories(templates, analysis)
    write_fits(tmp_path, fits)
    assert read_fits(tmp_path)[0].estimate.statistical == fits[0].estimate.statistical
    assert (fits[0].estimate.statistical > 2 * fits[0].fit.window_error) == (not data)


def test_falling_backgrounds_are_compatible_with_their_own_sidebands():
    """Samples with few and many events of unit and of heavy weights."""
    functions = ["exponential", "power"]
    analysis = analysis_with(data=False, resonant=(), functions=functions)
    rng = np.random.default_rng(2)
    told = 0
    for events, weight in ((6, 30.0), (100, 1.0), (3000, 0.1), (30_000, 0.1)) * 2:
        templates = templates_of(analysis)
        shape = CONTINUUM / CONTINUUM.sum()
        for name in ("dy", "ZH"):
            view = templates.histogram.view()[templates.processes.index(name), 0, 0]
            counts = rng.poisson(events * shape)
            view["value"], view["variance"] = weight * counts, weight**2 * counts
        told += sum(len(fit.notes) for fit in fit_categories(templates, analysis))
    assert told == 0
