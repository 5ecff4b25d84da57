"""What the head of a card says of the model."""

import json
from pathlib import Path

import numpy as np
import pytest

from gato_coffea.categories import EdgeCategories
from gato_coffea.categories.templates import templates_from_samples
from gato_coffea.config import parse_analysis
from gato_coffea.events.samples import Feature, Sample
from gato_coffea.exports import write_exports
from gato_coffea.optimisation.result import Result, Significance, Yields
from gato_coffea.sidebands import fit_categories

CATEGORIES = EdgeCategories(
    features=(Feature("score", 0.0, 1.0),),
    label=np.array([0, 1]),
    edges=(np.array([0.0, 0.5, 1.0]),),
)


def analysis_of(*, data=False, blinded=True, signals=("ggH",), **optimise):
    names = (*signals, "dy", *(["obs"] if data else []))
    datasets = {n: {"files": f"{n}.root", "already_normalised": True} for n in names}
    if data:
        datasets["obs"] = {"files": "obs.root", "data": True}
    content = {
        "name": "run2",
        "luminosity_per_fb": 137,
        "datasets": {n: d | {"process": n} for n, d in datasets.items()},
        "discriminants": [{"name": "score", "range": [0, 1], "bins": 10}],
        "optimise": {"signals": list(signals), **optimise},
        "mass": {
            "source": "m",
            "unit": "GeV",
            "range_gev": [100, 180],
            "bins": 16,
            "window_gev": [120, 130],
            "blinded": blinded,
            "functions": ["exponential"],
        },
    }
    return parse_analysis(content, directory=Path())


def templates_of(analysis, *, n=4000):
    rng = np.random.default_rng(3)
    samples = {}
    for name in (*analysis.processes, *analysis.data_processes):
        signal = name in analysis.optimise.signals
        mass = rng.normal(125, 2, n) if signal else 100 + rng.exponential(40, n)
        kept = (mass > 100) & (mass < 180)
        samples[name] = Sample(
            x=rng.uniform(size=(n, 1))[kept], weight=np.ones(kept.sum()), mass=mass[kept]
        )
    return templates_from_samples(samples, CATEGORIES, analysis)


def heads_of(analysis, folder, *, n=4000, fitted=True):
    templates = templates_of(analysis, n=n)
    fits = fit_categories(templates, analysis) if fitted else None
    write_exports(templates, CATEGORIES, analysis, folder, fits=fits)
    cards = {name: (folder / name / "datacard.txt").read_text() for name in ("counting", "shape")}
    return {name: [x for x in text.splitlines() if x[0] == "#"] for name, text in cards.items()}


@pytest.mark.parametrize(
    ("data", "blinded", "told", "name"),
    [
        (False, True, "not data but the sum of the backgrounds; there are no data", "no_data"),
        (True, True, "not data but the sum of the backgrounds; data are blinded", "no_data"),
        (True, False, "data", "data"),
    ],
)
def test_cards_and_workspaces_say_what_was_observed(data, blinded, told, name, tmp_path):
    heads = heads_of(analysis_of(data=data, blinded=blinded), tmp_path)
    for model, head in heads.items():
        assert [x for x in head if x.startswith(("# analysis", "# observation"))] == [
            "# analysis run2, 137 /fb; signal window of the mass, 120 to 130 GeV",
            f"# observation: {told}",
        ]
        assert any("fitted to the sidebands of simulation" in x for x in head) == (not data)
        workspace = json.loads((tmp_path / model / "workspace.json").read_text())
        measured = {"no_data": "sum_of_backgrounds", "data": "data"}[name]
        assert workspace["measurements"][0]["name"] == f"observation_is_{measured}"


def test_few_entries_of_a_fit_are_told(tmp_path):
    head = heads_of(analysis_of(data=True), tmp_path, n=60)["counting"]
    assert any(x.startswith("# category 0: sideband fit: few entries (only ") for x in head)


def test_a_warning_stands_in_the_card_of_its_own_model(tmp_path):
    analysis = analysis_of()
    templates = templates_of(analysis)
    templates.histogram.view()["value"][templates.processes.index("ggH")] *= 0.02
    fits = fit_categories(templates, analysis)
    # On events that they did not see, the categories are half as good: that is no rounding.
    held_out, z = Significance(50.0, {"ggH": 50.0}, 0.1), Significance(99.0, {"ggH": 99.0})
    ones, names = np.ones((2, 2)), ("ggH", "dy")
    yields = Yields(
        processes=names,
        signals=names[:1],
        backgrounds=names[1:],
        sumw=ones,
        sumw2=ones,
        count=ones,
        factor=np.ones(2),
    )
    result = Result(2, CATEGORIES, held_out, z, yields, {})
    write_exports(templates, CATEGORIES, analysis, tmp_path, fits=fits, result=result)
    models = ("counting", "shape")
    cards = {name: (tmp_path / name / "datacard.txt").read_text() for name in models}
    assert "# WARNING: counting: Z" in cards["counting"]
    assert "WARNING" not in cards["shape"]


def test_without_fits_a_shape_holds_the_whole_range(tmp_path):
    heads = heads_of(analysis_of(), tmp_path, fitted=False)
    assert heads["counting"][0].endswith("signal window of the mass, 120 to 130 GeV")
    assert heads["shape"][0].endswith("whole range of the mass, 100 to 180 GeV")


def test_several_signals_come_with_the_commands_of_the_quoted_figure(tmp_path):
    analysis = analysis_of(signals=("ggH", "vbf"), combination="quadrature")
    head = heads_of(analysis, tmp_path)["counting"]
    text = "\n".join(head)
    assert "2 signals: the quoted Z is the quadratic sum of each signal's with the str" in text
    assert "combine's default r is one strength of all signals" in text
    assert (
        "PhysicsModel:multiSignalModel --PO 'map=.*/ggH:r_ggH[1,0,10]' "
        "--PO 'map=.*/vbf:r_vbf[1,0,10]'" in text
    )
    assert "--redefineSignalPOIs r_ggH --freezeParameters r_vbf" in text
