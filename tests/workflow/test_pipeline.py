import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import uproot
import yaml

from gato_coffea.categories.templates import templates_from_samples
from gato_coffea.config import read_analysis
from gato_coffea.errors import ConfigError, InputError, OutputError
from gato_coffea.processing.executors import process
from gato_coffea.workflow import pipeline, stages
from gato_coffea.workflow.cli import main
from gato_coffea.workflow.pipeline import (
    FIRST_USE,
    PACKAGE,
    STAGES,
    run_all,
    run_stage,
    stage_keys,
)
from gato_coffea.workflow.provenance import (
    Provenance,
)
from gato_coffea.workflow.results import chosen
from gato_coffea.workflow.stages import Job

FUNCTIONS = """\
import os
import numpy as np


def one(events):
    if os.environ.get("KILL_ME"):
        os._exit(9)
    return np.ones(len(events))
"""


def write_ntuples(folder: Path) -> None:
    rng = np.random.default_rng(3)
    folder.mkdir(exist_ok=True)
    shapes = {"sig": (4, 2), "bkg": (2, 4)}
    for name, (a, b) in shapes.items():
        with uproot.recreate(folder / f"{name}.root") as file:
            mass = rng.normal(125, 2, 4000) if name == "sig" else rng.uniform(100, 180, 4000)
            branches = {
                "score": rng.beta(a, b, 4000),
                "mass": np.clip(mass, 100, 180),
                "event": np.arange(4000),
            }
            file.mktree("Events", {key: value.dtype for key, value in branches.items()})
            file["Events"].extend(branches)


def content() -> dict[str, object]:
    def dataset(name: str, cross_section_pb: float) -> dict[str, object]:
        return {
            "files": f"data/{name}.root",
            "process": name,
            "cross_section_pb": cross_section_pb,
            "sum_of_weights": {"count_events": True},
        }

    return {
        "name": "small",
        "luminosity_per_fb": 1.0,
        "datasets": {"sig": dataset("sig", 0.05), "bkg": dataset("bkg", 1.0)},
        "weight": {"nominal": "py:one"},
        "event_id": ["event"],
        "discriminants": [{"name": "score", "range": [0, 1], "bins": 50}],
        "mass": {
            "source": "mass",
            "unit": "GeV",
            "range_gev": [100, 180],
            "bins": 40,
            "window_gev": [120, 130],
        },
        "optimise": {"signals": ["sig"], "n_categories": [2, 3], "method": "exact"},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_ntuples(tmp_path / "data")
    (tmp_path / "analysis.py").write_text(FUNCTIONS)
    write(tmp_path, {})
    return tmp_path


def write(folder: Path, changes: dict[str, object]) -> None:
    (folder / "analysis.yaml").write_text(yaml.safe_dump(content() | changes))


def job(folder: Path, **options: object) -> Job:
    return Job.of(read_analysis(folder), progress=False, **options)


def ran(reports: list[pipeline.StageReport]) -> list[str]:
    return [r.stage for r in reports if not r.skipped]


def test_every_stage_writes_what_it_records_and_is_then_skipped(folder: Path) -> None:
    first = run_all(job(folder))
    assert ran(first) == list(STAGES)
    output = folder / "results"
    record = json.loads((output / "provenance.json").read_text())
    for stage in record["stages"].values():
        for name, mark in stage["files"].items():
            assert (output / name).stat().st_size == mark["size"]
    assert record["seed"] == 0
    assert record["versions"]["gato-coffea"] == "0.1.0"
    assert set(record["inputs"]) == {str(p.resolve()) for p in (folder / "data").iterdir()}
    assert json.loads((output / "config.json").read_text())["name"] == "small"
    assert not list(output.rglob(".*"))
    before = {p: p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file()}
    again = run_all(job(folder))
    assert ran(again) == []
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert [r.wall_s for r in again] == [r.wall_s for r in first]


def write_second_score(folder: Path) -> None:
    for name in ("sig", "bkg"):
        path = folder / f"data/{name}.root"
        with uproot.open(path) as file:
            branches = file["Events"].arrays(library="np")
        with uproot.recreate(path) as file:
            file["Events"] = branches | {"second": np.sqrt(branches["score"])}


SECOND = [
    {"name": "score", "range": [0, 1], "bins": 50},
    {"name": "second", "range": [0, 1], "bins": 50},
]


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        ({}, "a second pass over the events"),
        ({"histograms_2d": True}, "a second pass over the events"),  # edges inside bins
        ({"mass": None}, "a second pass over the events"),
        ({"discriminants": SECOND}, "a second pass over the events"),
        ({"keep_columns": True}, "columns"),
    ],
)
def test_templates_of_categories_of_cells_are_those_of_events(
    folder: Path, changes: dict[str, object], source: str
) -> None:
    write_second_score(folder)
    settings = {"signals": ["sig"], "n_categories": 3, "method": "lloyd"}
    write(folder, {"keep_columns": False, "optimise": settings} | changes)
    cells = job(folder)
    for stage in ("process", "optimise", "categorise"):
        run_stage(cells, stage)
    assert stages.read_template_source(cells) == source
    write(folder, {"keep_columns": True, "optimise": settings} | changes)
    samples = process(job(folder).analysis, progress=False).samples
    assert samples is not None
    expected = templates_from_samples(samples, stages.load_categories(cells), cells.analysis)
    found = stages.load_templates(cells)
    for part in ("value", "variance"):
        np.testing.assert_allclose(
            found.histogram.view(flow=True)[part],
            expected.histogram.view(flow=True)[part],
            rtol=1e-12,
        )


def test_the_whole_chain_without_columns(folder: Path) -> None:
    write(folder, {"keep_columns": False})
    whole = job(folder)
    assert ran(run_all(whole)) == list(STAGES)
    result = next(iter(stages.load_results(whole).values()))
    assert any("sums over cells of a fine grid" in note for note in result.notes)
    templates = stages.load_templates(whole)
    yields = stages.load_results(whole)[stages.used_count(whole)].yields
    total = templates.histogram["bkg", "nominal", :, :].project("category").values()
    np.testing.assert_allclose(total, yields.sumw[1], rtol=1e-9)  # in one dimension edges agree
    assert not (whole.folder("process") / "columns").exists()
    assert ran(run_all(whole)) == []


def test_what_changed_is_run_again_and_what_builds_on_it(folder: Path) -> None:
    run_all(job(folder))
    (folder / "results/optimise/categories_2.json").unlink()
    assert ran(run_all(job(folder))) == ["optimise"]
    optimise = content()["optimise"]
    assert isinstance(optimise, dict)
    write(folder, {"optimise": optimise | {"n_categories": [2]}})
    assert ran(run_all(job(folder)))[0] == "optimise"
    assert not (folder / "results/optimise/categories_3.json").exists()


def keys(folder: Path, changes: dict[str, object]) -> dict[str, str]:
    write(folder, changes)
    return stage_keys(read_analysis(folder), {"a.root": {"size": 1}})


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"luminosity_per_fb": 2.0}, "process"),
        ({"selection": "py:one"}, "process"),
        ({"optimise": {"signals": ["sig"], "folds": 3}}, "process"),
        ({"optimise": {"signals": ["sig"], "n_categories": [2, 3], "seed": 1}}, "optimise"),
        ({"processes": {"bkg": {"resonant": False}}}, "optimise"),
        ({"exports": {"accept_poor_fits": [0]}}, "exports"),
        ({"plots": {"style": "ATLAS"}}, "plots"),
        ({"title": "Another"}, "plots"),
    ],
)
def test_keys_change_from_the_stage_that_depends_on_a_section(
    folder: Path, changes: dict[str, object], first: str
) -> None:
    before, after = keys(folder, {}), keys(folder, changes)
    changed = [name for name in before if before[name] != after[name]]
    at = list(before).index(first)
    unrelated = {"exports"} if first == "plots" else set()
    assert set(changed) == set(list(before)[at:]) - unrelated


def test_the_choice_of_categories_trains_nothing_again(folder: Path) -> None:
    optimise = content()["optimise"]
    assert isinstance(optimise, dict)
    before, after = keys(folder, {}), keys(folder, {"optimise": optimise | {"use": 2}})
    assert before["optimise"] == after["optimise"]
    assert before["categorise"] != after["categorise"]


def test_keys_depend_on_functions_and_input_files(folder: Path) -> None:
    analysis = read_analysis(folder)
    before = stage_keys(analysis, {"a.root": {"size": 1}})
    assert before != stage_keys(analysis, {"a.root": {"size": 2}})
    (folder / "analysis.py").write_text(FUNCTIONS + "\n# other\n")
    assert before != stage_keys(analysis, {"a.root": {"size": 1}})


def python(package: Path, code: str, *arguments: str) -> str:
    """What a fresh interpreter prints that imports the package from a folder."""
    at = os.environ | {"PYTHONPATH": str(package.parent)}
    command = [sys.executable, "-P", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=at).stdout


@pytest.mark.parametrize(
    ("source", "first"),
    [
        ("workflow/pipeline.py", "process"),
        ("optimisation/result.py", "optimise"),
        ("statistics/counting.py", "optimise"),
        ("sidebands/fits.py", "sidebands"),
        ("plots/run.py", "plots"),
        ("workflow/report.py", "report"),
    ],
)
def test_keys_change_from_the_stage_that_uses_a_changed_source(
    folder: Path, source: str, first: str
) -> None:
    package = folder / "copied" / "gato_coffea"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import json, sys; from gato_coffea import read_analysis;"
        "from gato_coffea.workflow.pipeline import stage_keys;"
        "print(json.dumps(stage_keys(read_analysis(sys.argv[1]), {})))"
    )
    before = json.loads(python(package, code, str(folder)))
    assert before == stage_keys(read_analysis(folder), {})  # a copy is no change
    with (package / source).open("a") as file:
        file.write("# changed\n")
    after = json.loads(python(package, code, str(folder)))
    assert next(name for name in before if before[name] != after[name]) == first
    assert before["report"] != after["report"]


def test_reading_events_loads_no_source_that_counts_later() -> None:
    code = (
        "import sys; import gato_coffea.processing.executors, gato_coffea.processing.processed; "
        "print(*sys.modules)"
    )
    loaded = {name.split(".")[1] for name in python(PACKAGE, code).split() if "coffea." in name}
    assert loaded.isdisjoint(part.removesuffix(".py") for part in FIRST_USE)


def test_an_analysis_without_mass_has_no_sidebands(folder: Path) -> None:
    assert "sidebands" not in keys(folder, {"mass": None})


def test_a_stage_needs_those_above_it(folder: Path) -> None:
    with pytest.raises(InputError, match="stage process has not run; run gato-coffea process"):
        run_stage(job(folder), "optimise")
    run_stage(job(folder), "process")
    write(folder, {"luminosity_per_fb": 3.0})
    with pytest.raises(InputError, match="stage process is out of date"):
        run_stage(job(folder), "optimise")


def test_a_stage_that_the_analysis_lacks_is_refused(folder: Path) -> None:
    write(folder, {"mass": None})
    with pytest.raises(InputError, match="small: has no stage 'sidebands'"):
        run_stage(job(folder), "sidebands")


def test_a_killed_run_leaves_nothing_half_written_and_resumes(folder: Path) -> None:
    code = (
        "import sys; from gato_coffea.workflow.cli import main; "
        f"sys.argv = ['gato-coffea', 'process', {str(folder)!r}]; main()"
    )
    killed = subprocess.run([sys.executable, "-c", code], env={**os.environ, "KILL_ME": "1"})
    assert killed.returncode == 9
    output = folder / "results"
    assert Provenance.read(output).stages == {}
    assert not (output / "process").exists()
    left = output / f".stage.{'0123' * 8}.part"  # by a kill at the moment of writing
    left.mkdir()
    (left / "process").mkdir()
    assert run_stage(job(folder), "process").skipped is False
    assert not list(output.glob(".*"))


def test_a_failed_stage_is_forgotten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_stage(job(folder), "process")

    def fails(_: Job) -> None:
        raise InputError("no")

    monkeypatch.setitem(STAGES, "process", replace(STAGES["process"], run=fails))
    with pytest.raises(InputError, match="no"):
        run_stage(job(folder), "process")
    assert "process" not in Provenance.read(folder / "results").stages


def test_output_that_cannot_be_written_is_one_line(folder: Path) -> None:
    (folder / "occupied").write_text("")
    target = folder / "occupied" / "results"
    with pytest.raises(OutputError, match=r"occupied/results: cannot be written to .*--output"):
        run_all(job(folder, output=target))


def test_missing_input_is_told_before_anything_is_written(folder: Path) -> None:
    (folder / "data/sig.root").unlink()
    with pytest.raises(InputError, match=r"datasets.sig.files: no file matches"):
        run_all(job(folder))


def test_second_pass_gives_the_same_templates(folder: Path) -> None:
    for stage in ("process", "optimise", "categorise"):
        run_stage(job(folder), stage)
    from_columns = stages.load_templates(job(folder)).histogram
    run_stage(job(folder, second_pass=True), "categorise")
    again = stages.load_templates(job(folder)).histogram
    np.testing.assert_allclose(again.values(flow=True), from_columns.values(flow=True), rtol=1e-12)
    with uproot.open(folder / "results/templates/templates.root") as file:
        stored = file["category1/sig"].to_hist()
    np.testing.assert_array_equal(stored.values(), again["sig", "nominal", 1, :].values())


@pytest.mark.parametrize(
    ("held_out", "spread", "expected"),
    [
        ([1.0, 2.0, 2.1], [0.1, 0.1, 0.1], 5),
        ([1.0, 2.0, 2.2], [0.1, 0.1, 0.1], 10),
        ([3.0, 2.0, 2.2], [0.1, 0.1, 0.1], 2),
        ([1.0, 2.0, 2.1], [None, None, None], 10),
    ],
)
def test_the_smallest_number_within_one_spread_of_the_best_is_used(
    tmp_path: Path, held_out: list[float], spread: list[float | None], expected: int
) -> None:
    write(tmp_path, {})
    summary = {
        "asked": [2, 5, 10],
        "held_out": held_out,
        "training": [4.0, 4.0, 4.0],
        "spread": spread,
    }
    assert chosen(read_analysis(tmp_path), summary) == expected


def test_a_number_to_use_must_have_been_asked_for(tmp_path: Path) -> None:
    # auto tries no more categories than there are points
    write(tmp_path, {"optimise": {"signals": ["sig"], "n_categories": "auto", "use": 20}})
    summary = {"asked": [2], "held_out": [1.0], "spread": [0.1]}
    with pytest.raises(ConfigError, match=r"optimise.use: is none of .*got 20; allowed: 2"):
        chosen(read_analysis(tmp_path), summary)


def test_a_label_that_cannot_be_drawn_stops_a_run_before_it_begins(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    discriminant = {"name": "score", "range": [0, 1], "label": r"$\mumu$"}
    write(folder, {"discriminants": [discriminant]})
    expected = r"small: discriminants\.score\.label: matplotlib cannot read it \(Unknown symbol"
    with pytest.raises(ConfigError, match=expected):
        run_all(job(folder))
    assert not (folder / "results").exists()
    monkeypatch.setattr(sys, "argv", ["gato-coffea", "check", str(folder)])
    with pytest.raises(SystemExit):
        main()
    assert re.search(expected, capsys.readouterr().err)
