"""Categories and their templates as tables of text, for notebooks."""

from __future__ import annotations

import numpy as np

from gato_coffea.categories.templates import ALL, Templates
from gato_coffea.categories.trained import Categories, EdgeCategories
from gato_coffea.rendering.rounding import with_error
from gato_coffea.rendering.tables import Column, TextTable


def category_summary(categories: Categories) -> TextTable:
    """The discriminants of categories and, of one discriminant, where they lie."""
    features = categories.features
    columns = [
        Column("discriminant", is_text=True),
        Column("range", "outside of it an event is in no category, unless the range is open"),
        Column("scale", "coordinate that the categories were found in", is_text=True),
    ]
    rows = [
        (f.name, f"{f.low:g} to {f.high:g}{' (open)' if f.open else ''}", f.scale)
        for f in features
    ]
    notes = ["category 0 is the least signal-like"]
    if isinstance(categories, EdgeCategories) and len(features) == 1:
        edges = ", ".join(f"{edge:.6g}" for edge in categories.boundaries)
        notes.insert(0, f"boundaries: {edges}")
    return TextTable(title=f"{categories!r}", columns=columns, rows=rows, notes=notes)


def yield_table(templates: Templates) -> TextTable:
    """Nominal yields of the processes of one channel in every category, with their errors."""
    name = "" if templates.channels == (ALL,) else f" in {templates.channels[0]}"
    rows = []
    for process in templates.processes:
        sums = [
            tuple(float(part.sum()) for part in templates.contents(process, k))
            for k in range(templates.n_categories)
        ]
        rows.append((process, *(with_error(s, float(np.sqrt(v))) for s, v in sums)))
    return TextTable(
        title=f"Yields{name}",
        columns=[
            Column("process", is_text=True),
            *(Column(str(k), f"yield in category {k}") for k in range(templates.n_categories)),
        ],
        rows=rows,
    )
