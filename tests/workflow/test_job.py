"""Jobs: the folders of a stage, and the parts of an analysis with channels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

from gato_coffea.categories import Categories
from gato_coffea.errors import InputError
from gato_coffea.workflow import stages
from gato_coffea.workflow.job import Job, load_processed
from gato_coffea.workflow.pipeline import run_all, run_stage
from gato_coffea.workflow.template_filling import SECOND_PASS

FUNCTIONS = """
import numpy as np


def hard(events):
    return events.pt > 20


def pileup_down(events):
    return 2.0 - events.pileup_up


def even(events):
    return events.event % 3 == 0


def odd(events):
    return events.event % 3 == 1


def rest(events):
    return events.event % 3 == 2


def flipped(events):
    return 1.0 - events.score


def up(events):
    return np.clip(events.score * 1.1, 0, 1)


def down(events):
    return events.score * 0.9
"""
DNN = {"name": "dnn", "source": "py:flipped", "range": [0, 1], "bins": 30}
CHANNELS: dict[str, Any] = {
    "even": {"selection": "py:even", "optimise": {"n_categories": [2, 3]}},
    "odd": {"selection": "py:odd", "discriminants": [DNN]},
    "rest": {"selection": "py:rest", "categories": 1},
}
CHANGES: dict[str, Any] = {
    "channels": CHANNELS,
    "systematics": {
        "jes": {"kind": "shape", "up": {"score": "py:up"}, "down": {"score": "py:down"}},
        "lumi": {"kind": "norm", "value": 1.016},
        "bkg_norm": {"kind": "free", "processes": ["bkg"]},
    },
    "mass": None,
    "optimise": {
        "signals": ["sig"],
        "n_categories": 2,
        "method": "exact",
        "folds": 2,
        "constraints": {"min_effective": 5},
    },
    "datasets.collisions": None,
}


def test_folders_of_a_job(make_analysis: Any, tmp_path: Path) -> None:
    job = Job.of(make_analysis(CHANGES, functions=FUNCTIONS, n=1), output=tmp_path)
    assert job.folder("process") == tmp_path / "process"
    even, odd, rest = job.parts()
    assert even.folder("optimise") == tmp_path / "optimise" / "even"
    assert odd.target("templates") == tmp_path / "templates" / "odd"
    assert [d.name for d in odd.analysis.discriminants] == ["dnn"]
    assert job.optimised() == [even, odd]
    assert rest.channel == "rest"
    assert even.parts() == [even]


def test_an_analysis_with_channels_runs_to_its_templates(
    make_analysis: Any, tmp_path: Path
) -> None:
    job = Job.of(
        make_analysis(CHANGES, functions=FUNCTIONS, n=900), output=tmp_path / "r", progress=False
    )
    reports = run_all(job)
    assert [report.stage for report in reports] == ["process", "optimise", "categorise", "exports"]
    even, odd, rest = job.parts()
    assert set(stages.load_results(even)) == {2, 3}
    assert set(stages.load_results(odd)) == {2}
    unknown = (
        "control regions (rest): the optimisation of a channel does not know what they measure of "
        "jes, pileup, lumi, bkg_norm; the models of the exports do"
    )
    for part in (even, odd):
        assert all(unknown in result.notes for result in stages.load_results(part).values())
    assert not rest.folder("optimise").exists()
    templates = stages.load_templates(job)
    assert templates.channels == ("even", "odd", "rest")
    assert templates.of("odd").binned_in == "dnn"
    assert templates.of("rest").n_categories == 1
    for part in (even, odd, rest):
        one, processed = templates.of(str(part.channel)), load_processed(part)
        assert {"jesUp", "jesDown"} < set(one.variations)
        for name, sample in (processed.samples or {}).items():
            for variation in ("nominal", "jesUp", "pileupDown"):
                total = sum(
                    one.contents(name, k, variation=variation).values.sum()
                    for k in range(one.n_categories)
                )
                events = sample.varied(variation)
                assert total == pytest.approx(events.weight.sum(), rel=1e-12)
        stored = Categories.load(part.folder("templates") / "categories.json")
        assert stored.n_categories == one.n_categories
    with uproot.open(job.folder("templates") / "templates.root") as file:
        found = file["rest/category0/bkg_jesUp"].to_hist()
    np.testing.assert_array_equal(
        found.values(), templates.of("rest").contents("bkg", 0, variation="jesUp").values
    )
    workspace = json.loads((job.folder("exports") / "counting/workspace.json").read_text())
    names = [channel["name"] for channel in workspace["channels"]]
    wanted = [
        f"{c}_category{k}" for c in templates.channels for k in range(templates.of(c).n_categories)
    ]
    assert [name.removeprefix("small_") for name in names] == wanted
    assert (job.folder("exports") / "odd/categories.correctionlib.json").is_file()
    assert all(report.skipped for report in run_all(job))
    again = Job.of(job.analysis, output=job.output, progress=False, second_pass=True)
    run_stage(again, "categorise")
    assert stages.read_template_source(odd) == SECOND_PASS
    second = stages.load_templates(job)
    for channel in templates.channels:
        np.testing.assert_allclose(
            second.of(channel).histogram.values(flow=True),
            templates.of(channel).histogram.values(flow=True),
            rtol=1e-11,
            atol=1e-9,
        )
    with pytest.raises(InputError, match=r"has no stage 'plots' \(allowed: process, "):
        run_stage(job, "plots")


def test_one_model_holds_all_channels(make_analysis: Any, tmp_path: Path) -> None:
    pytest.importorskip("pyhf")
    job = Job.of(
        make_analysis(CHANGES, functions=FUNCTIONS, n=900), output=tmp_path / "r", progress=False
    )
    run_all(job)
    found = stages.read_evaluation(job)
    assert found is not None
    assert found["before_name"] == "channels apart, added in squares"
    held_out = [
        stages.load_results(part)[stages.used_count(part)].held_out.combined
        for part in job.optimised()
    ]
    assert found["before"]["combined"] == pytest.approx(np.hypot(*held_out))
    # pyhf's minimiser and one factor of finite simulation a bin: 1e-3.
    assert found["models"]["counting"]["everything"]["combined"] == pytest.approx(
        found["training"]["combined"], rel=2e-3
    )
    folder = job.folder("exports")
    workspace = json.loads((folder / "counting" / "workspace.json").read_text())
    names = [channel["name"] for channel in workspace["channels"]]
    assert names[-1] == "small_rest_category0"
    assert {name.split("_")[1] for name in names} == {"even", "odd", "rest"}
    kinds = {
        (m["name"], m["type"])
        for channel in workspace["channels"]
        for sample in channel["samples"]
        for m in sample["modifiers"]
    }
    assert {("lumi", "normsys"), ("bkg_norm", "normfactor"), ("jes", "histosys")} <= kinds
    assert (folder / "odd" / "categories.correctionlib.json").is_file()
