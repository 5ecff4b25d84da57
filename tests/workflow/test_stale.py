"""What results depend on: nothing stale is taken for current, and nothing is redone needlessly."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gato_coffea.errors import ConfigError, InputError
from gato_coffea.workflow.code import code_fingerprint
from gato_coffea.workflow.inputs import fingerprints, input_fingerprints
from gato_coffea.workflow.pipeline import STAGES, _Run, run_all, run_stage, stage_keys
from gato_coffea.workflow.preparation import make_ntuples
from gato_coffea.workflow.provenance import Provenance, source_hashes
from gato_coffea.workflow.stages import Job

MODULE = """
import json
import os
import numpy as np
from scales.muons import factor

ERA = os.environ.get("SMALL_ERA", "2022")


def hard(events):
    return events.pt > 20


def pileup_down(events):
    return 2.0 - events.pileup_up
"""


def process_key(analysis: Any) -> str:
    return stage_keys(analysis, {})["process"]


def test_what_the_functions_import_from_their_folder_counts(make_analysis: Any) -> None:
    analysis = make_analysis(functions=MODULE)
    folder = analysis.directory
    seen = [process_key(analysis)]
    (folder / "scales").mkdir()
    for name, text in (
        ("scales/__init__.py", ""),
        ("scales/muons.py", "from . import common\nfactor = common.one"),
        ("scales/common.py", "one = 1"),
        ("scales/common.py", "one = 2"),
    ):
        (folder / name).write_text(text)
        seen.append(process_key(analysis))
    assert len(set(seen)) == len(seen)
    (folder / "other.py").write_text("")
    (folder / "json.py").write_text("loads = None")  # hides the standard one
    assert process_key(analysis) not in seen
    seen.append(process_key(analysis))
    (folder / "other.py").write_text("x = 1")  # nothing imports it
    assert process_key(analysis) == seen[-1]


def test_environment_variables_that_the_functions_name_count(
    make_analysis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis = make_analysis(functions=MODULE)
    seen = []
    for era in ("2022", "2023"):
        monkeypatch.setenv("SMALL_ERA", era)
        seen.append(process_key(analysis))
    monkeypatch.setenv("ANOTHER", "1")
    assert process_key(analysis) == seen[-1]
    assert len(set(seen)) == 2
    assert code_fingerprint(analysis.module_path)["$SMALL_ERA"] == "2023"


@pytest.mark.parametrize(
    "line",
    ['os.environ["X_1"]', 'environ.get("X_1", 3)', 'os.getenv("X_1")', 'f(os.environ.pop("X_1"))'],
)
def test_ways_to_read_an_environment_variable(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.py").write_text(f"def g():\n    return {line}\n")
    assert set(code_fingerprint(tmp_path / "a.py")) == {"a.py", "$X_1"}


def test_what_the_analysis_file_says_it_depends_on_counts(
    make_analysis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis = make_analysis({"depends_on": ["sf.json", "$SMALL_ERA"]})
    path = analysis.directory / "sf.json"
    with pytest.raises(InputError, match=r"depends_on\[0\]: no file matches \(got 'sf.json'; loo"):
        process_key(analysis)
    path.write_text("1.0")
    first = process_key(analysis)
    path.write_text("1.1")
    second = process_key(analysis)
    monkeypatch.setenv("SMALL_ERA", "2023")
    assert len({first, second, process_key(analysis)}) == 3
    monkeypatch.delenv("SMALL_ERA")
    path.write_text("1.0")
    assert process_key(analysis) == first  # its content, and not its time
    assert process_key(make_analysis({"depends_on": "sf.json"})) != first


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of a server of the files of the test's folder."""
    handler = partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_changed_file_behind_a_url_is_seen(server: str, tmp_path: Path) -> None:
    url = f"{server}/a.root"
    (tmp_path / "a.root").write_text("one")
    first = fingerprints([url])
    assert fingerprints([url]) == first
    (tmp_path / "a.root").write_text("other")
    assert fingerprints([url]) != first
    with pytest.raises(InputError, match=r"/b\.root: cannot be read \(HTTP Error 404: File not f"):
        fingerprints([f"{server}/b.root"])


def test_the_template_of_the_report_counts_for_the_report(tmp_path: Path) -> None:
    (tmp_path / "report.html.jinja").write_text("<p>")
    first = source_hashes(tmp_path)["report.html.jinja"]
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/report.html.jinja").write_text("<b>")
    assert source_hashes(tmp_path / "copy")["report.html.jinja"] != first


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


PREPARE = """
import os
from pathlib import Path
from parts import name


def prepare(directory):
    (directory / name).write_text(Path(os.environ["SMALL_DATA"], "in.csv").read_text())
"""


def test_prepared_ntuples_follow_their_data_and_must_be_there(
    make_analysis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "in.csv").write_text(name)
    (tmp_path / "make.py").write_text(PREPARE)
    (tmp_path / "parts.py").write_text("name = 'a.root'")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SMALL_DATA", str(tmp_path / "one"))
    analysis = make_analysis({"ntuples": "make.py", "depends_on": "$SMALL_DATA/in.csv"})
    made = tmp_path / "ntuples/a.root"
    assert [make_ntuples(analysis), make_ntuples(analysis)] == [True, False]
    monkeypatch.setenv("SMALL_DATA", str(tmp_path / "two"))
    assert make_ntuples(analysis)
    assert made.read_text() == "two"
    (tmp_path / "two/in.csv").write_text("new")
    assert make_ntuples(analysis)
    assert made.read_text() == "new"
    made.unlink()
    assert make_ntuples(analysis)
    assert made.is_file()
    assert {p.name for p in made.parent.iterdir()} == {"a.root", ".prepared.json"}


def test_a_script_that_makes_nothing_is_told(make_analysis: Any) -> None:
    analysis = make_analysis({"ntuples": "make.py"})
    (analysis.directory / "make.py").write_text("def prepare(directory):\n    pass\n")
    with pytest.raises(ConfigError, match=r"make.py: prepare\(directory\) has made no file in "):
        make_ntuples(analysis)
