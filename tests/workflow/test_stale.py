"""What results depend on: nothing stale is taken for current, and nothing is redone needlessly."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from gato_coffea.errors import InputError
from gato_coffea.workflow.inputs import input_fingerprints
from gato_coffea.workflow.pipeline import STAGES, _Run, run_all, run_stage, stage_keys
from gato_coffea.workflow.provenance import Provenance
from gato_coffea.workflow.stages import Job


@pytest.fixture
def quick(make_analysis: Any) -> Job:
    """Three stages of a small analysis that have run."""
    job = Job.of(
        make_analysis({"optimise": {"signals": ["sig"], "n_categories": [2], "method": "exact"}}),
        progress=False,
    )
    for name in ("process", "optimise", "categorise"):
        run_stage(job, name)
    return job


def stale(job: Job) -> list[str]:
    """Those of the three stages that are not current."""
    record = Provenance.read(job.output)
    keys = stage_keys(job.analysis, input_fingerprints(job.analysis))
    return [
        name
        for name in ("process", "optimise", "categorise")
        if not record.is_current(name, key=keys[name], output=job.output, needs=STAGES[name].needs)
    ]


def test_what_a_stage_wrote_must_be_there_as_it_was(quick: Job) -> None:
    assert stale(quick) == []
    path = quick.output / "optimise/categories_2.json"
    text = path.read_text()
    path.write_text(text.replace("1", "2", 1))  # of the same size
    assert stale(quick) == ["optimise"]
    path.write_text(text)
    assert stale(quick) == []
    shutil.rmtree(quick.output / "process/columns")
    assert stale(quick) == ["process"]


def test_a_stage_that_is_run_by_hand_forgets_what_builds_on_it(quick: Job) -> None:
    run_stage(quick, "optimise")
    assert stale(quick) == ["categorise"]
    run_stage(quick, "process")
    assert stale(quick) == ["optimise", "categorise"]
    assert (quick.output / "templates/templates.json").is_file()  # ours, to be made again


def test_a_stage_is_stale_when_those_above_have_made_something_else(quick: Job) -> None:
    record = Provenance.read(quick.output)
    run_stage(quick, "process")  # as a run that is killed after it
    now = Provenance.read(quick.output)
    for name in ("optimise", "categorise"):
        now = now.with_stage(name, record.stages[name])
    now.write(quick.output, seed=0, inputs={})
    assert stale(quick) == ["optimise", "categorise"]


def test_results_of_a_stage_that_is_no_more_are_taken_away(quick: Job) -> None:
    run_stage(quick, "sidebands")
    (quick.output / "sidebands/notes.md").write_text("mine")
    without = Job.of(quick.analysis.model_copy(update={"mass": None}), output=quick.output)
    inputs = input_fingerprints(without.analysis)
    _Run(without, inputs, stage_keys(without.analysis, inputs)).drop_others()
    assert [p.name for p in (quick.output / "sidebands").iterdir()] == ["notes.md"]
    assert "sidebands" not in Provenance.read(quick.output).stages


def test_results_that_vanish_during_a_run_are_made_again(make_analysis: Any) -> None:
    analysis = make_analysis(
        {
            "mass": None,
            "datasets.collisions": None,
            "optimise": {"signals": ["sig"], "n_categories": [2], "method": "exact"},
        }
    )
    job = Job.of(analysis, progress=False)
    removed = []

    def ended(report: Any) -> None:
        if report.stage == "categorise" and not removed:
            removed.append("process")
            shutil.rmtree(job.output / "process")

    first = [r.stage for r in run_all(job, ended=ended)]
    again = first.index("categorise") + 1
    assert first[again : again + 2] == ["process", "optimise"]
    assert first[-1] == "report"
    assert (job.output / "process/process.json").is_file()
    assert [r.stage for r in run_all(job) if not r.skipped] == []
    forced = [r.stage for r in run_all(job, force=["exports"]) if not r.skipped]
    assert forced == ["exports", "report"]
    with pytest.raises(InputError, match=r"has no stage 'export' \(allowed: process, "):
        run_all(job, force=["export"])
    shutil.rmtree(job.output / "plots")
    assert next(r.stage for r in run_all(job) if not r.skipped) == "plots"
