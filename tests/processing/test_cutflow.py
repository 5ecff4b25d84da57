"""The cut flow as a table: every step of every process, and a dash where it has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from gato_coffea.config import parse_analysis
from gato_coffea.processing.cutflow import cutflow_table, hidden_processes
from gato_coffea.rendering.rounding import NONE


def test_steps_of_all_processes_in_their_order() -> None:
    table = cutflow_table(
        {
            "sig": {
                "all": {"events": 10.0, "weighted": 1.25},
                "trigger": {"events": 7.0, "weighted": 0.875},
            },
            "data": {"selected": {"events": 4.0, "weighted": 4.0}},
        }
    )
    assert [column.name for column in table.columns] == ["process", "all", "trigger", "selected"]
    assert table.rows[0] == ("sig", "10 (1.25)", "7 (0.875)", NONE)
    assert table.rows[1] == ("data", NONE, NONE, "4 (4)")


@pytest.mark.parametrize("blinded", [True, False])
def test_blinded_data_are_called_so(blinded: bool) -> None:
    plain = {"files": "x.root", "already_normalised": True}
    collisions = {"files": "x.root", "process": "data", "data": True}
    derived = {"process": "continuum", "derived_from": "collisions", "weight": "w"}
    analysis = parse_analysis(
        {
            "name": "test",
            "datasets": {
                "sig": {**plain, "process": "sig"},
                "collisions": collisions,
                "derived": {**plain, **derived},
            },
            "discriminants": [{"name": "score", "range": [0, 1]}],
            "blind": {"score": 0.5} if blinded else {},
            "optimise": {"signals": ["sig"]},
        },
        directory=Path(),
    )
    counts = {"selected": {"events": 4.0, "weighted": 4.0}}
    cutflow = dict.fromkeys(("sig", "continuum", "data"), counts)
    names = [row[0] for row in cutflow_table(cutflow, hidden=hidden_processes(analysis)).rows]
    told = " outside the blinded region" if blinded else ""
    assert names == ["sig", f"continuum{told}", f"data{told}"]


def test_an_empty_cut_flow() -> None:
    table = cutflow_table({})
    assert [column.name for column in table.columns] == ["process"]
    assert list(table.rows) == []
