"""Systematic uncertainties of the analysis file, from its section to the result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gato_coffea.workflow.pipeline import run_stage, stage_keys
from gato_coffea.workflow.stages import (
    Job,
    load_results,
    read_evaluation,
    run_optimise,
    run_process,
)

FUNCTIONS = """
import numpy as np


def hard(events):
    return events.pt > 20


def score_up(events):
    return np.clip(events.score + 0.02, 0, 1)


def score_down(events):
    return np.clip(events.score - 0.02, 0, 1)
"""
BASE = {
    "weight": {"nominal": ["genWeight", "pileup"]},
    "optimise.method": "exact",
    "optimise.n_categories": [3],
    "optimise.extrapolate_from_sidebands": False,
}
NORM = {"lumi": {"kind": "norm", "value": 1.016}, "bkg": {"kind": "norm", "up": 1.3, "down": 0.8}}
NORM["bkg"]["processes"] = ["bkg"]
SHAPE = {
    "scale": {
        "kind": "shape",
        "up": {"score": "py:score_up"},
        "down": {"score": "py:score_down"},
        "processes": "all",
    },
    "pileup": {"kind": "weight", "up": ["genWeight", "pileup_up"], "down": {"multiply": "pileup"}},
}


def optimised(make_analysis: Any, systematics: Any, **changes: Any) -> Any:
    analysis = make_analysis(
        BASE | {"systematics": systematics} | changes, n=1500, functions=FUNCTIONS
    )
    job = Job.of(analysis, progress=False)
    run_process(job)
    run_optimise(job)
    return load_results(job)[3]


@pytest.mark.parametrize("columns", [True, False])
def test_every_kind_reaches_the_figure(make_analysis: Any, columns: bool) -> None:
    keep = {"keep_columns": columns}
    free = {"bkg_free": {"kind": "free", "processes": ["bkg"]}}
    z = {
        name: optimised(make_analysis, systematics, **keep)
        for name, systematics in (
            ("none", {}),
            ("norm", NORM),
            ("all", NORM | SHAPE),
            ("free", free),
        )
    }
    figures = {name: result.held_out.combined for name, result in z.items()}
    assert figures["none"] > figures["norm"] > figures["all"] > 0
    assert figures["norm"] > figures["free"] > 0
    assert set(z["all"].categories.training["systematics"]) == {"lumi", "bkg", "scale", "pileup"}
    assert z["none"].categories.training["systematics"] == []
    assert np.isclose(z["norm"].held_out.statistics_only, z["none"].held_out.statistics_only, 0.2)


@pytest.mark.parametrize(
    "systematics", [NORM | SHAPE, {"bkg_free": {"kind": "free", "processes": ["bkg"]}}]
)
def test_the_exported_model_gives_what_is_quoted(make_analysis: Any, systematics: Any) -> None:
    """pyhf over the figure of all events, with every uncertainty, within one percent."""
    pytest.importorskip("pyhf")
    changes = {"systematics": systematics, "mass": None, "datasets.collisions": None}
    changes["optimise.extrapolate_from_sidebands"] = None
    analysis = make_analysis(BASE | changes, n=1500, functions=FUNCTIONS)
    job = Job.of(analysis, progress=False)
    for stage in ("process", "optimise", "categorise", "exports"):
        run_stage(job, stage)
    found = read_evaluation(job)
    assert found is not None
    training = load_results(job)[3].training
    assert found["training"]["combined"] == training.combined
    model = found["models"]["counting"]["everything"]["combined"]
    assert model == pytest.approx(training.combined, rel=0.01)
    assert model < 0.98 * found["models"]["counting"]["statistics"]["combined"]


def test_events_are_read_again_for_what_varies_them_alone(make_analysis: Any) -> None:
    def keys(**changed: Any) -> dict[str, str]:
        said = {"systematics": NORM | SHAPE | changed}
        return stage_keys(make_analysis(BASE | said, functions=FUNCTIONS), {})

    before = keys()
    norm = keys(lumi={"kind": "norm", "value": 1.02})
    assert norm["process"] == before["process"]
    assert norm["optimise"] != before["optimise"]
    shape = keys(scale=SHAPE["scale"] | {"processes": ["bkg"]})
    assert shape["process"] != before["process"]
