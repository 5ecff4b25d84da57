"""Results as tables for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gato_coffea.rendering.rounding import NONE
from gato_coffea.rendering.tables import TextTable

if TYPE_CHECKING:
    from gato_coffea.datasets.check import DatasetRow, Tree
    from gato_coffea.optimisation.result import Result
    from gato_coffea.workflow.pipeline import StageReport


LONGEST_CELL = 24
"""Letters up to which a cell stands on one line: a figure with its error, and with that on all
events in brackets; longer ones are sentences, which may be broken between words."""


def fitting_tables(table: TextTable, width: int, *, n_last: int = 0) -> list[Table]:
    """A table for a terminal of so many letters: parts below each other where it is too wide.

    Every part begins with the first column. The last ``n_last`` columns are parts of their own,
    and no name or figure is broken while its column alone fits.
    """
    widths = [_least_width(table, c) for c in range(len(table.columns))]

    def fits(chosen: Sequence[int]) -> bool:
        return sum(widths[c] + 3 for c in chosen) + 1 <= width  # spaces and a line beside each

    n = len(widths)
    parts = [[0]]
    for c in range(1, n):
        own = c == n - n_last and not fits(range(n))
        if len(parts[-1]) > 1 and (own or not fits([*parts[-1], c])):
            parts.append([0])
        parts[-1].append(c)
    shown = []
    for i, chosen in enumerate(parts):
        part = replace(
            table,
            title=table.title if i == 0 else f"{table.title} (continued)",
            columns=[table.columns[c] for c in chosen],
            rows=[tuple(row[c] for c in chosen) for row in table.rows],
            notes=table.notes if i == len(parts) - 1 else (),
        )
        made = terminal_table(part)
        for column, c in zip(made.columns, chosen, strict=True):
            column.min_width = widths[c]
        shown.append(made)
    return shown


def _least_width(table: TextTable, column: int) -> int:
    """Letters that a column needs so that no word of it and no figure is broken."""
    words = table.columns[column].name.split()
    for row in table.rows:
        words += [row[column]] if len(row[column]) <= LONGEST_CELL else row[column].split()
    return max(map(len, words), default=0)


def terminal_table(table: TextTable) -> Table:
    """A table of text as the terminal shows it: its notes below, the sum under a line."""
    shown = Table(title=table.title, title_justify="left", header_style="bold")
    for column in table.columns:
        shown.add_column(column.name, justify="left" if column.is_text else "right")
    for i, row in enumerate(table.rows):
        if table.has_total and i == len(table.rows) - 1:
            shown.add_section()
        shown.add_row(*row)
    shown.caption = "\n".join(table.notes) or None
    shown.caption_justify = "left"
    return shown


def _table(title: str, columns: Sequence[str], *, left: int = 1) -> Table:
    """A table whose first columns are text and whose others are numbers."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i < left else "right")
    return table


def dataset_table(rows: Sequence[DatasetRow]) -> Table:
    """What was found of every dataset."""
    columns = ["dataset", "process", "kind", "tree", "files", "entries", "sum of weights"]
    table = _table("Datasets", [*columns, "problems"], left=4)
    for row in rows:
        table.add_row(
            *(row.dataset, row.process, row.kind, row.tree, str(row.files)),
            "blinded" if row.entries is None else str(row.entries),
            NONE if row.sumw is None else f"{row.sumw:.8g}",
            str(len(row.missing)),
        )
    return table


def tree_tables(trees: Sequence[Tree]) -> list[Table]:
    """Branches of every tree of a file."""
    tables = []
    for tree in trees:
        table = _table(f"{tree.path}: {tree.entries} entries", ["branch", "type"], left=2)
        for name, kind in tree.branches.items():
            table.add_row(name, kind)
        tables.append(table)
    return tables


def note_lines(results: Mapping[int, Result]) -> dict[int | None, list[str]]:
    """Notes by number of categories, each once; those that all results have under None.

    A note that a result has three times becomes ``note (3 times)``.
    """
    each = {asked: Counter(result.notes) for asked, result in results.items()}
    shared = [
        note for note in next(iter(each.values())) if all(note in notes for notes in each.values())
    ]
    shared = shared if len(each) > 1 else []
    found: dict[int | None, list[str]] = {
        asked: [
            note if count == 1 else f"{note} ({count} times)"
            for note, count in notes.items()
            if note not in shared
        ]
        for asked, notes in each.items()
    }
    return found | {None: shared}


def warning_box(warnings: Sequence[str]) -> Panel:
    """What does not agree, in a box."""
    text = Text("\n").join(Text(warning) for warning in warnings)
    return Panel(text, title="Warning", title_align="left", border_style="bold red")


def stage_table(reports: Sequence[StageReport]) -> Table:
    """What every stage cost when it last ran."""
    table = _table("Stages", ["stage", "", "wall time [s]", "peak memory [MB]"], left=2)
    for report in reports:
        state = "unchanged" if report.skipped else "done"
        table.add_row(report.stage, state, f"{report.wall_s:.1f}", f"{report.peak_mb:.0f}")
    total = sum(r.wall_s for r in reports if not r.skipped)
    peak = max((r.peak_mb for r in reports if not r.skipped), default=0.0)
    table.add_section()
    table.add_row("all that ran", "", f"{total:.1f}", f"{peak:.0f}")
    return table
