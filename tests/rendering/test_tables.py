"""One table of text, shown as plain lines and as HTML."""

from __future__ import annotations

from gato_coffea.rendering.tables import Column, TextTable, together

TABLE = TextTable(
    title="Yields <b>",
    columns=[Column("process", is_text=True), Column("yield", "expected & scaled")],
    rows=[("ggH", "1.5"), ("<script>", "12"), ("all", "13.5")],
    marked=1,
    has_total=True,
    notes=["a < b"],
)


def test_lines_are_flush():
    assert TABLE.lines() == [
        "process   yield",
        "ggH         1.5",
        "<script>     12",
        "all        13.5",
    ]
    assert TABLE.header == ("process", "yield")
    assert TABLE.meanings == [("yield", "expected & scaled")]


def test_html_is_harmless_and_says_what_columns_are():
    page = together([TABLE, TABLE])
    assert page.count("<table>") == 2
    assert "<script>" not in page
    assert "<td><b>&lt;script&gt;</b></td>" in page
    assert 'title="expected &amp; scaled"' in page
    assert "<li>a &lt; b</li>" in page
