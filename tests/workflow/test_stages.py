"""Stages of an analysis one by one: what each reads, and what it says when that is not there."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gato_coffea.errors import GatoError, InputError
from gato_coffea.workflow import stages
from gato_coffea.workflow.stages import Job


@pytest.fixture
def job(make_analysis: Any) -> Job:
    quick = {"signals": ["sig"], "n_categories": [2, 3], "method": "exact"}
    return Job.of(make_analysis({"optimise": quick}), progress=False)


def test_a_job_writes_beside_its_analysis_or_aside(job: Job, tmp_path: Path) -> None:
    assert job.output == tmp_path / "results"
    assert job.target("plots") == job.folder("plots") == tmp_path / "results/plots"
    elsewhere = Job.of(job.analysis, output=tmp_path / "o", aside=tmp_path / "aside")
    assert elsewhere.target("plots") == tmp_path / "aside/plots"
    assert elsewhere.folder("plots") == tmp_path / "o/plots"


def test_each_stage_reads_what_the_one_before_has_written(job: Job) -> None:
    stages.run_process(job)
    assert set(stages.read_cutflow(job)) == {"sig", "bkg", "data"}
    stages.run_optimise(job)
    results = stages.load_results(job)
    assert list(results) == [2, 3]
    used = stages.used_count(job)
    assert used in results
    origin = results[used].categories.training
    assert origin["analysis_fingerprint"] == job.analysis.fingerprint()
    stages.run_categorise(job)
    assert stages.read_template_source(job) == "columns"
    kept = json.loads((job.folder("templates") / "used.json").read_text())
    assert (kept["asked"], kept["kept"]) == (used, results[used].n_categories)
    assert stages.load_categories(job).n_categories == kept["kept"]
    assert stages.load_templates(job).processes == ("sig", "bkg", "data")


@pytest.mark.parametrize(
    "step", ["load_processed", "load_results", "load_categories", "load_templates", "load_fits"]
)
def test_what_is_missing_is_named(job: Job, step: str) -> None:
    with pytest.raises(GatoError) as told:
        getattr(stages, step)(job)
    assert str(job.output) in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("content", ["[]", "{}", '{"templates_from": 3}'])
def test_a_damaged_file_is_named(job: Job, content: str) -> None:
    job.folder("templates").mkdir(parents=True)
    (job.folder("templates") / "used.json").write_text(content)
    with pytest.raises(InputError, match=r"used\.json: is damaged \(templates_from is missing"):
        stages.read_template_source(job)


def test_an_analysis_without_mass_has_no_fits(job: Job) -> None:
    without = Job.of(job.analysis.model_copy(update={"mass": None}))
    assert stages.load_fits(without) == []


def test_native_libraries_are_silenced_and_heard_again(capfd: pytest.CaptureFixture[str]) -> None:
    with stages._native_silence():
        os.write(2, b"from a library\n")
    os.write(2, b"afterwards\n")
    print("and from Python", file=sys.stderr)
    assert capfd.readouterr().err == "afterwards\nand from Python\n"


def test_methods_without_training_load_no_tensorflow(job: Job) -> None:
    from gato_coffea.optimisation.optimise import optimise

    assert stages.optimiser("exact") is optimise
