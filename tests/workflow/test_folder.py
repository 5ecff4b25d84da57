"""A results folder: only files of ours are touched, and one run at a time writes there."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path
from typing import Any

import pytest

from gato_coffea.errors import OutputError
from gato_coffea.workflow.folder import require_writable
from gato_coffea.workflow.lock import LOCK, locked
from gato_coffea.workflow.pipeline import run_stage
from gato_coffea.workflow.provenance import Provenance
from gato_coffea.workflow.stages import Job

EXACT = {"optimise": {"signals": ["sig"], "n_categories": [2, 3], "method": "exact"}}
FEWER = {"optimise": {"signals": ["sig"], "n_categories": [2], "method": "exact"}}


def first_stages(job: Job) -> None:
    run_stage(job, "process")
    run_stage(job, "optimise")


@pytest.fixture
def job(make_analysis: Any) -> Job:
    return Job.of(make_analysis(EXACT), progress=False)


def test_a_project_folder_is_refused_and_left_as_it_is(job: Job) -> None:
    project = job.analysis.directory
    for name in ("plots/thesis_fig1.pdf", "process/process.cc", "optimise/scan.py"):
        (project / name).parent.mkdir()
        (project / name).write_text("mine")
    before = sorted(project.rglob("*"))
    told = r"is no results folder of gato-coffea, and holds process/process\.cc, optimise/scan\.py"
    with pytest.raises(OutputError, match=told):
        run_stage(Job.of(job.analysis, output=project, progress=False), "process")
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize("name", ["report.html", "config.json", "provenance.json", "process"])
def test_a_file_under_a_name_of_ours_is_refused(job: Job, name: str) -> None:
    job.output.mkdir()
    (job.output / name).write_text("{}")
    with pytest.raises(OutputError, match=rf"holds {name} under names that are written"):
        run_stage(job, "process")
    assert (job.output / name).read_text() == "{}"


def test_files_of_others_stay_among_results(job: Job, make_analysis: Any) -> None:
    first_stages(job)
    kept = [job.output / name for name in ("process/process.cc", "optimise/scan.py", ".writable")]
    for path in kept:
        path.write_text("mine")
    (job.output / "optimise/result_3.json").write_text("edited since")
    fewer = Job.of(make_analysis(FEWER), progress=False)
    run_stage(fewer, "process")
    run_stage(fewer, "optimise")
    assert [path.read_text() for path in kept] == ["mine"] * 3
    assert not (job.output / "optimise/categories_3.json").exists()  # ours, and no more made
    assert (job.output / "optimise/result_3.json").read_text() == "edited since"


def test_a_file_of_others_is_not_replaced(job: Job) -> None:
    run_stage(job, "process")
    (job.output / "optimise").mkdir()
    (job.output / "optimise/summary.json").write_text("mine")
    with pytest.raises(OutputError, match=r"optimise/summary\.json: was not written by gato-coff"):
        run_stage(job, "optimise")
    assert [p.name for p in (job.output / "optimise").iterdir()] == ["summary.json"]
    assert not list(job.output.glob(".*"))


def test_nothing_is_removed_through_a_link(job: Job, make_analysis: Any, tmp_path: Path) -> None:
    web = tmp_path / "web"
    web.mkdir()
    (web / "index.html").write_text("mine")
    run_stage(job, "process")
    (job.output / "optimise").symlink_to(web)
    run_stage(job, "optimise")
    assert (web / "categories_3.json").is_file()
    fewer = Job.of(make_analysis(FEWER), progress=False)
    run_stage(fewer, "process")
    run_stage(fewer, "optimise")
    assert {"index.html", "categories_3.json"} <= {p.name for p in web.iterdir()}
    assert (job.output / "optimise").is_symlink()


def test_looking_whether_a_folder_can_be_written_touches_no_file(tmp_path: Path) -> None:
    (tmp_path / ".writable").write_text("mine")
    require_writable(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [".writable"]


def test_stages_of_a_folder_that_is_held_do_not_run(job: Job) -> None:
    job.output.mkdir()
    with locked(job.output), pytest.raises(OutputError, match="is being written to by"):
        run_stage(job, "process")
    assert not (job.output / "process").exists()


def test_an_edited_result_is_made_again_and_set_aside(
    job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    first_stages(job)
    path = job.output / "optimise/result_3.json"
    made = path.read_text()
    for text, name in (("first", "result_3.json.edited"), ("second", "result_3.json.edited2")):
        path.write_text(text)
        run_stage(job, "optimise")
        assert path.read_text() == made
        assert path.with_name(name).read_text() == text
        assert f"the edited file is now {name}" in caplog.text
    run_stage(job, "optimise")
    assert len(list(path.parent.glob("*.edited*"))) == 2


def test_a_changed_file_behind_a_link_is_not_replaced(job: Job, tmp_path: Path) -> None:
    first_stages(job)
    web = tmp_path / "web"
    web.mkdir()
    (web / "summary.json").write_text("mine")
    shutil.rmtree(job.output / "optimise")
    (job.output / "optimise").symlink_to(web)
    with pytest.raises(OutputError, match=r"optimise/summary\.json: is behind a link and was ch"):
        run_stage(job, "optimise")
    assert [(p.name, p.read_text()) for p in web.iterdir()] == [("summary.json", "mine")]


def test_a_damaged_record_is_called_so(job: Job) -> None:
    run_stage(job, "process")
    path = job.output / "provenance.json"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(OutputError, match=r"provenance\.json: the record of .* is damaged"):
        run_stage(job, "process")


@pytest.mark.parametrize("limit", [500, 6_000])
def test_a_disk_without_room_is_one_line_and_leaves_nothing_half_written(
    job: Job, limit: int
) -> None:
    """A limit of the size of files gives the errors of a full disk, at the same places."""
    size, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
    try:
        with pytest.raises(OutputError, match="cannot be written") as told:
            first_stages(job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    assert "\n" not in str(told.value)
    if job.output.is_dir():
        left = {path.relative_to(job.output).as_posix() for path in job.output.rglob("*")}
        record = Provenance.read(job.output)
        known = {name for stage in record.stages.values() for name in stage.files}
        assert {name for name in left if (job.output / name).is_file()} <= known | {
            *("config.json", "provenance.json", LOCK)
        }
        for name, mark in ((n, m) for s in record.stages.values() for n, m in s.files.items()):
            assert (job.output / name).stat().st_size == mark.size
    first_stages(job)
