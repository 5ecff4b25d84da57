"""Declared normalisations in channels and control regions: card, workspace, pyhf and our own."""

from pathlib import Path

import hist
import numpy as np
import pytest

from gato_coffea.categories.templates import Templates
from gato_coffea.config import parse_analysis
from gato_coffea.errors import InputError
from gato_coffea.exports import channels, pyhf_workspace
from gato_coffea.exports.datacards import datacard
from gato_coffea.exports.discovery import evaluate_model
from gato_coffea.exports.likelihood import model_significance
from gato_coffea.statistics.uncertainties import Free, Norm

YIELDS = {
    "resolved": {"sig": [1.0, 6.0], "tt": [300.0, 20.0], "dy": [80.0, 8.0]},
    "boosted": {"sig": [3.0], "tt": [4.0], "dy": [3.0]},
    "control": {"sig": [0.5], "tt": [900.0], "dy": [40.0]},
}
SYSTEMATICS = (
    Norm("lumi", 1.016),
    Norm("dy_norm", up=1.3, down=0.8, processes=["dy"]),
    Norm("tagger", 1.1, processes=["sig", "tt"], channels=["boosted"]),
    Free("tt_rate", ["tt"]),
)


def analysis_of():
    content = {
        "name": "model",
        "datasets": {
            name: {"files": f"{name}.root", "process": name, "already_normalised": True}
            for name in ("sig", "tt", "dy")
        },
        "weight": {"nominal": "w", "variations": {"jesUp": "u", "jesDown": "d"}},
        "discriminants": [{"name": "score", "range": [0, 1], "bins": 20}],
        "optimise": {"signals": ["sig"]},
    }
    return parse_analysis(content, directory=Path())


def templates_of(yields=None, *, up=1.1, down=0.93):
    """Templates with one bin a category; ``jes`` moves the top quark background."""
    found = {}
    for channel, processes in (yields or YIELDS).items():
        n = len(processes["sig"])
        h = hist.Hist(
            hist.axis.StrCategory(list(processes), name="process"),
            hist.axis.StrCategory(["nominal", "jesUp", "jesDown"], name="variation"),
            hist.axis.Integer(0, n, name="category"),
            hist.axis.Regular(1, 0, 1, name="score"),
            storage=hist.storage.Weight(),
        )
        view = h.view(flow=False)
        for i, (name, values) in enumerate(processes.items()):
            factors = (1.0, up, down) if name == "tt" else (1.0,)
            for v, factor in enumerate(factors):
                view["value"][i, v, :, 0] = factor * np.array(values)
                view["variance"][i, v, :, 0] = 0.05 * np.abs(values)
        found[channel] = h
    return Templates(found)


def test_every_uncertainty_is_in_the_card_where_it_acts(parse):
    model = channels(templates_of(), analysis_of(), systematics=SYSTEMATICS)
    names = [
        "model_resolved_category0",
        "model_resolved_category1",
        "model_boosted_category0",
        "model_control_category0",
    ]
    assert [c.name for c in model] == names
    card = parse(datacard(model, shapes="shapes.root"))
    lumi = card.systematics["lumi", "lnN"]
    assert set(lumi) == set(card.rates)
    assert set(lumi.values()) == {1.016}
    dy = card.systematics["dy_norm", "lnN"]
    assert {cell for cell, value in dy.items() if value} == {(name, "dy") for name in names}
    assert dy[names[3], "dy"] == (1.3, 0.8)
    tagger = card.systematics["tagger", "lnN"]
    assert {cell for cell, value in tagger.items() if value} == {
        (names[2], "sig"),
        (names[2], "tt"),
    }
    assert card.free == {"tt_rate": [(name, "tt") for name in names]}
    jes = card.systematics["jes", "shape"]
    assert {cell for cell, value in jes.items() if value} == {(name, "tt") for name in names}
    assert card.simulation == dict.fromkeys(names, 10.0)


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated")
def test_pyhf_and_our_own_likelihood_agree():
    pyhf = pytest.importorskip("pyhf")
    model = channels(templates_of(), analysis_of(), systematics=SYSTEMATICS)
    ours = model_significance(model, ["sig"], "geometric")
    theirs = evaluate_model(model, ["sig"], "geometric")
    assert ours.combined == pytest.approx(theirs.everything.combined, rel=1e-3)
    known = evaluate_model(
        channels(templates_of(), analysis_of(), systematics=()), ["sig"], "geometric"
    )
    assert ours.combined < 0.98 * known.everything.combined
    # Without the control region nothing but the first category measures the top quarks.
    alone = {k: v for k, v in YIELDS.items() if k != "control"}
    free = channels(templates_of(alone), analysis_of(), systematics=SYSTEMATICS)
    assert model_significance(free, ["sig"], "geometric").combined < ours.combined
    workspace = pyhf.Workspace(pyhf_workspace(model))
    assert set(workspace.model().config.par_order) >= {"lumi", "dy_norm", "tagger", "tt_rate"}


def test_background_uncertain_is_that_of_all_normalisations():
    model = channels(templates_of(), analysis_of(), systematics=SYSTEMATICS)
    found = evaluate_model(model, ["sig"], "geometric")
    assert found.statistics.combined > found.background.combined > found.everything.combined


@pytest.mark.parametrize(
    ("uncertainty", "told"),
    [
        (Norm("x", 1.1, processes=["top"]), r"systematics.x.processes: .*'top'.*sig, tt, dy"),
        (Norm("x", 1.1, channels=["sr"]), r"systematics.x.channels: .*'sr'.*resolved, boosted"),
        (Norm("lumi", 1.1), r"systematics.lumi: is given twice"),
    ],
)
def test_names_that_are_not_there_are_refused(uncertainty, told):
    with pytest.raises(InputError, match=told):
        channels(templates_of(), analysis_of(), systematics=(*SYSTEMATICS, uncertainty))


def test_a_normalisation_with_the_name_of_a_variation_is_refused():
    model = channels(templates_of(), analysis_of(), systematics=[Norm("jes", 1.1)])
    with pytest.raises(InputError, match="variation 'jes' has the name of a nuisance parameter"):
        pyhf_workspace(model)


def test_a_variation_with_one_side_is_refused():
    templates = templates_of()
    for h in templates.histograms.values():
        h.view(flow=True)["variance"][:, 2] = 0
    with pytest.raises(InputError, match=r"tt: variation jesDown has no events, and its other"):
        channels(templates, analysis_of())


def test_a_category_without_a_process_has_none_of_its_uncertainties(parse):
    yields = {"resolved": {"sig": [1.0, 6.0], "tt": [300.0, 20.0], "dy": [80.0, 0.0]}}
    model = channels(templates_of(yields), analysis_of(), systematics=[Free("dy_rate", ["dy"])])
    card = parse(datacard(model, shapes="shapes.root"))
    assert card.free == {"dy_rate": [("model_resolved_category0", "dy")]}
    pytest.importorskip("pyhf")
    theirs = evaluate_model(model, ["sig"], "geometric").everything
    ours = model_significance(model, ["sig"], "geometric")
    assert ours.combined == pytest.approx(theirs.combined, rel=1e-3)
