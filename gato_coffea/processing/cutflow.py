"""The cut flow as a table of text."""

from __future__ import annotations

from collections.abc import Mapping

from gato_coffea.processing.output import Cutflow, Step
from gato_coffea.rendering.rounding import NONE, amount
from gato_coffea.rendering.tables import Column, TextTable


def cutflow_table(cutflow: Mapping[str, Cutflow]) -> TextTable:
    """Events and weighted yields of every process after every step of the selection."""
    steps = list(dict.fromkeys(step for counts in cutflow.values() for step in counts))
    return TextTable(
        title="Cut flow: events (scaled to the luminosity)",
        columns=[
            Column("process", is_text=True),
            *(Column(step, "events left, and in brackets their yield") for step in steps),
        ],
        rows=[
            (process, *(_cell(counts.get(step)) for step in steps))
            for process, counts in cutflow.items()
        ],
    )


def _cell(counts: Step | None) -> str:
    if counts is None:
        return NONE
    return f"{counts['events']:.0f} ({amount(counts['weighted'])})"
