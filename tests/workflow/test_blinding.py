"""Blinded data leave no trace: as if the hidden events had never been in the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from rich.console import Console

from gato_coffea import Layout, collect
from gato_coffea.config import Analysis, Discriminant
from gato_coffea.datasets.check import check_analysis
from gato_coffea.errors import InputError
from gato_coffea.processing.cutflow import cutflow_table
from gato_coffea.processing.executors import process
from gato_coffea.workflow.pipeline import run_stage
from gato_coffea.workflow.stages import Job
from gato_coffea.workflow.tables import dataset_table, terminal_table

BY_SCORE = {"mass": None, "blind": {"score": 0.4}}
BY_FUNCTION = {"mass.source": "py:mass"}
DERIVED = {
    "files": ["data_*.root"],
    "process": "continuum",
    "already_normalised": True,
    "weight": "pileup",
    "derived_from": "collisions",
}
MASS_FUNCTION = """
def mass(events):
    return events.m
"""


def told(analysis: Analysis, directory: Path, caplog: pytest.LogCaptureFixture) -> str:
    """All that is written and said of the events, but for the binary files."""
    caplog.clear()
    processed = process(analysis, progress=False)
    processed.save(directory)
    console = Console(record=True, width=250, quiet=True)
    with console.capture() as capture:
        shown = terminal_table(cutflow_table(processed.cutflow))
        console.print(shown, dataset_table(check_analysis(analysis)))
    return (directory / "process.json").read_text() + capture.get() + caplog.text


def remove_hidden(directory: Path, small: Any, changes: dict[str, Any]) -> int:
    """Take the events that are to be hidden out of the files; how many there were."""
    removed = 0
    for path in sorted(directory.glob("data_*.root")):
        with uproot.open(path) as file:
            columns = file["ntuples/Events"].arrays(library="np")
        hidden = columns["score"] >= 0.4
        if "blind" not in changes:
            hidden = (columns["m"] >= 120) & (columns["m"] <= 130)
        removed += int(hidden.sum())
        small.write(path, {name: column[~hidden] for name, column in columns.items()})
    return removed


@pytest.mark.parametrize("selected", [True, False])
@pytest.mark.parametrize("extra", [{}, {"datasets.continuum": DERIVED}], ids=["data", "derived"])
@pytest.mark.parametrize("changes", [{}, BY_FUNCTION, BY_SCORE], ids=["mass", "py", "score"])
def test_no_count_tells_of_hidden_events(
    make_analysis: Any,
    small: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
    extra: dict[str, Any],
    selected: bool,
) -> None:
    selection = {} if selected else {"selection": None}
    analysis = make_analysis(
        {**changes, **extra, **selection}, functions=small.functions + MASS_FUNCTION, n=150
    )
    with_them = told(analysis, tmp_path / "with", caplog)
    assert remove_hidden(tmp_path, small, changes) > 20
    assert with_them == told(analysis, tmp_path / "without", caplog)


def columns_and_cells(analysis: Analysis, directory: Path) -> dict[str, bytes]:
    """The bytes of every column, and of every cell, that is stored."""
    process(analysis, progress=False, chunksize=100).save(directory)
    found = {}
    for path in sorted([*directory.glob("columns/*.npz"), *directory.glob("cells/*.npz")]):
        with np.load(path) as file:
            found |= {f"{path.stem}.{name}": file[name].tobytes() for name in file.files}
    return found


@pytest.mark.parametrize(
    ("changes", "keep_columns", "named"),
    [({}, True, False), ({}, False, False), (BY_SCORE, True, True)],
    ids=["mass", "cells", "score and ids"],
)
def test_no_byte_of_an_event_tells_of_hidden_ones(
    make_analysis: Any,
    small: Any,
    tmp_path: Path,
    changes: dict[str, Any],
    keep_columns: bool,
    named: bool,
) -> None:
    settings = {"keep_columns": keep_columns, "datasets.continuum": DERIVED}
    analysis = make_analysis({**changes, **settings}, n=150)
    if not named:
        for path in sorted(tmp_path.glob("data_*.root")):
            with uproot.open(path) as file:
                columns = file["ntuples/Events"].arrays(library="np")
            ids = ("run", "luminosityBlock", "event")
            small.write(path, {name: c for name, c in columns.items() if name not in ids})
    with_them = columns_and_cells(analysis, tmp_path / "with")
    assert len(with_them) > 1
    assert "data.fold" not in with_them  # data train nothing
    assert not keep_columns or "continuum.fold" in with_them
    assert remove_hidden(tmp_path, small, changes) > 20
    assert with_them == columns_and_cells(analysis, tmp_path / "without")


def test_unblind_opens_everything(make_analysis: Any) -> None:
    hidden = process(make_analysis({**BY_SCORE, "selection": None}, n=100), progress=False)
    opened = process(
        make_analysis({**BY_SCORE, "selection": None, "unblind": True}, n=100), progress=False
    )
    assert hidden.n_events["collisions"] < opened.n_events["collisions"] == 210
    window = make_analysis({"selection": None, "unblind": True}, n=100)
    assert window.mass is not None
    assert not window.mass.blinded
    assert process(window, progress=False).n_events["collisions"] == 210


def test_the_cut_flow_of_visible_data(make_analysis: Any, small: Any) -> None:
    functions = small.functions + MASS_FUNCTION
    of_branch = process(make_analysis(n=100), progress=False).cutflow["data"]
    assert list(of_branch) == ["all", "trigger", "hard", "selected"]
    # a function is known of selected events only: what came before would tell
    of_function = process(make_analysis(BY_FUNCTION, functions=functions, n=100), progress=False)
    assert of_function.cutflow["data"] == {"selected": of_branch["selected"]}


def test_generator_weights_of_data_are_not_summed(small: Any) -> None:

    layout = Layout(
        discriminants=(Discriminant(name="score", range=(0, 1)),), blind={"score": 0.4}
    )
    events = {n: c for n, c in small.events(100, seed=1).items() if n in ("score", "genWeight")}
    events["genWeight"] = np.ones(100)

    (found,) = collect(
        ak.Array(events), process="data", layout=layout, generator_weight="genWeight", data=True
    ).values()
    assert found["sumw"] == 0.0
    assert found["n_events"] == int((events["score"] < 0.4).sum())


def test_no_visible_data(make_analysis: Any) -> None:
    analysis = make_analysis({"blind": {"score": 1e-6}, "mass": None}, n=50)
    with pytest.raises(InputError) as caught:
        process(analysis, progress=False)
    assert str(caught.value) == (
        "process 'data': no event passes the selection (outside of what is blinded)"
    )


def results(analysis: Analysis, output: Path) -> dict[str, str]:
    """What every stage but the plots writes, as text, but for where it came from."""
    job = Job.of(analysis, output=output, progress=False)
    for stage in ("process", "optimise", "categorise", "sidebands", "exports"):
        run_stage(job, stage)
    return {
        str(path.relative_to(output)): path.read_text()
        for path in sorted(output.rglob("*"))
        if path.suffix in (".json", ".txt", ".csv", ".tex") and path.parent != output
    }


def test_no_result_tells_of_hidden_events(make_analysis: Any, small: Any, tmp_path: Path) -> None:
    analysis = make_analysis(
        {"selection": None, "optimise.method": "exact", "weight.variations": {}}, n=600
    )
    with_them = results(analysis, tmp_path / "with")
    assert "exports/counting/datacard.txt" in with_them
    remove_hidden(tmp_path, small, {})
    assert with_them == results(analysis, tmp_path / "without")
