"""The cut flow as a table of text."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gato_coffea.config import Analysis
from gato_coffea.processing.output import Cutflow, Step
from gato_coffea.rendering.rounding import NONE, amount
from gato_coffea.rendering.tables import Column, TextTable


def hidden_processes(analysis: Analysis) -> tuple[str, ...]:
    """Processes of which events are read outside the blinded region only."""
    if not analysis.is_blinded:
        return ()
    return (*analysis.data_processes, *analysis.from_data)


def cutflow_table(cutflow: Mapping[str, Cutflow], *, hidden: Collection[str] = ()) -> TextTable:
    """Events and weighted yields of every process after every step of the selection.

    ``hidden`` are the processes that are blinded; see `hidden_processes`.
    """
    steps = list(dict.fromkeys(step for counts in cutflow.values() for step in counts))
    return TextTable(
        title="Cut flow: events (scaled to the luminosity)",
        columns=[
            Column("process", is_text=True),
            *(Column(step, "events left, and in brackets their yield") for step in steps),
        ],
        rows=[
            (_name(process, hidden), *(_cell(counts.get(step)) for step in steps))
            for process, counts in cutflow.items()
        ],
    )


def _name(process: str, hidden: Collection[str]) -> str:
    return f"{process} outside the blinded region" if process in hidden else process


def _cell(counts: Step | None) -> str:
    if counts is None:
        return NONE
    return f"{counts['events']:.0f} ({amount(counts['weighted'])})"
