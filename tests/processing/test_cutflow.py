"""The cut flow as a table: every step of every process, and a dash where it has none."""

from __future__ import annotations

from gato_coffea.processing.cutflow import cutflow_table
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


def test_an_empty_cut_flow() -> None:
    table = cutflow_table({})
    assert [column.name for column in table.columns] == ["process"]
    assert list(table.rows) == []
