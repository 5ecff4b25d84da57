"""Stages of an analysis one by one: what each reads, and what it says when that is not there."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gato_coffea.errors import GatoError, InputError
from gato_coffea.exports import write_exports
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


SYSTEMATICS = """
import numpy as np


def hard(events):
    return events.pt > 20


def pileup_down(events):
    return 2.0 - events.pileup_up


def up(events):
    return np.clip(events.score * 1.1, 0, 1)


def down(events):
    return events.score * 0.9
"""


@pytest.mark.parametrize("keep_columns", [True, False])
def test_events_that_leave_a_shape_by_nan_are_counted(
    make_analysis: Any, keep_columns: bool
) -> None:
    """Of columns and of stored cells."""
    kept = "np.clip(events.score * 1.1, 0, 1)"
    assert kept in SYSTEMATICS
    functions = SYSTEMATICS.replace(kept, f"np.where(events.event % 7 == 0, np.nan, {kept})")
    shape = {"kind": "shape", "up": {"score": "py:up"}, "down": {"score": "py:down"}}
    changes = {
        "mass": None,
        "datasets.collisions": None,
        "keep_columns": keep_columns,
        "systematics": {"jes": shape},
        "optimise": {"signals": ["sig"], "n_categories": 2, "method": "exact", "folds": 2},
        "optimise.constraints": {"min_effective": 5},
    }
    job = Job.of(make_analysis(changes, functions=functions, n=900), progress=False)
    stages.run_process(job)
    stages.run_optimise(job)
    (result,) = stages.load_results(job).values()
    told = [note for note in result.notes if "leave all categories" in note]
    assert [note.partition(":")[0] for note in told] == ["sig", "bkg"]
    for note in told:
        n, leave = (int(note.split(word)[1].split()[0]) for word in ("of ", "as their x: "))
        assert 0.1 * n < leave < 0.19 * n
        assert note.endswith(" in jesUp")


@pytest.mark.parametrize("keep_columns", [True, False])
def test_systematics_of_the_file_reach_categories_templates_and_models(
    make_analysis: Any, keep_columns: bool
) -> None:
    changes = {
        "mass": None,
        "datasets.collisions": None,
        "keep_columns": keep_columns,
        "luminosity_per_fb": None,
        "eras": {2022: {"luminosity_per_fb": 2.0}, 2023: {"luminosity_per_fb": 3.0}},
        "datasets.sig_a.era": 2022,
        "datasets.bkg_a.era": 2022,
        "datasets.bkg_b.era": 2023,
        "systematics": {
            "lumi": {"kind": "norm", "value": 1.016},
            "lumi_2023": {"kind": "norm", "value": 1.02, "eras": 2023},
            "xsec": {"kind": "norm", "up": 1.3, "down": 0.8, "processes": "bkg"},
            "jes": {"kind": "shape", "up": {"score": "py:up"}, "down": {"score": "py:down"}},
        },
        "optimise": {
            "signals": ["sig"],
            "n_categories": 3,
            "method": "exact",
            "folds": 2,
            "max_points": 300,
        },
    }
    job = Job.of(make_analysis(changes, functions=SYSTEMATICS, n=1500), progress=False)
    for run in (stages.run_process, stages.run_optimise, stages.run_categorise):
        run(job)
    (result,) = stages.load_results(job).values()
    assert result.training.combined < 0.8 * result.training.statistics_only
    sources = {"jes_2022", "jes_2023", "pileup", "lumi_2023"}
    templates = stages.load_templates(job)
    assert set(templates.variations) == {
        "nominal",
        *(source + side for source in sources for side in ("Up", "Down")),
    }
    assert templates.eras == ("2022", "2023")
    write_exports(templates, stages.load_categories(job), job.analysis, job.folder("exports"))
    card = (job.folder("exports") / "counting/datacard.txt").read_text()
    kinds = {
        line.split()[0]: line.split()[1] for line in card.splitlines() if len(line.split()) > 2
    }
    assert (kinds["lumi"], kinds["xsec"]) == ("lnN", "lnN")
    assert {kinds[name] for name in sources} == {"shape"}


@pytest.mark.parametrize("columns", [True, False])
def test_without_cross_validation_the_training_decides(make_analysis: Any, columns: bool) -> None:
    quick = {"signals": ["sig"], "n_categories": [2, 3], "method": "exact", "folds": 1}
    changes = {"optimise": quick, "keep_columns": columns}
    job = Job.of(make_analysis(changes), progress=False)
    stages.run_process(job)
    stages.run_optimise(job)
    results = stages.load_results(job)
    assert not any(result.cross_validated for result in results.values())
    assert any("no cross-validation" in note for note in results[2].notes)
    stages.run_categorise(job)
    assert stages.load_categories(job).n_categories == results[stages.used_count(job)].n_categories


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
