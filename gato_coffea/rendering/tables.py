"""Tables of text: made once, and shown in the terminal, on a page, in a notebook and printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Column:
    """A column: its heading, what it holds in one sentence, and whether that is text."""

    name: str
    meaning: str = ""
    is_text: bool = False


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table of text.

    Attributes
    ----------
    title
        What it shows.
    columns
        Headings with their meaning.
    rows
        Text of every cell.
    marked
        The row to be emphasised, or None.
    has_total
        The last row is the sum of the others.
    notes
        Sentences for below the table.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[tuple[str, ...]]
    marked: int | None = None
    has_total: bool = False
    notes: Sequence[str] = ()

    @property
    def header(self) -> tuple[str, ...]:
        """Headings of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def meanings(self) -> list[tuple[str, str]]:
        """Heading and meaning of every column that has one."""
        return [(column.name, column.meaning) for column in self.columns if column.meaning]

    def lines(self) -> list[str]:
        """The columns as lines of plain text, flush to the right, or to the left where text."""
        cells = [self.header, *self.rows]
        widths = [max(len(row[c]) for row in cells) for c in range(len(self.columns))]
        flush = [str.ljust if column.is_text else str.rjust for column in self.columns]
        return [
            "  ".join(f(cell, w) for f, cell, w in zip(flush, row, widths, strict=True)).rstrip()
            for row in cells
        ]

    def html(self) -> str:
        """The table for a notebook, with the meaning of a column where the mouse rests on it."""
        head = "".join(
            f'<th title="{escape(column.meaning)}">{escape(column.name)}</th>'
            for column in self.columns
        )
        body = "".join(
            f"<tr>{''.join(_cell(cell, i == self.marked) for cell in row)}</tr>"
            for i, row in enumerate(self.rows)
        )
        below = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return (
            f"<table><caption>{escape(self.title)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            + (f"<ul>{below}</ul>" if below else "")
        )


def _cell(text: str, marked: bool) -> str:
    return f"<td><b>{escape(text)}</b></td>" if marked else f"<td>{escape(text)}</td>"


def together(tables: Iterable[TextTable]) -> str:
    """Several tables for a notebook, one below the other."""
    return "".join(table.html() for table in tables)
