"""A statistical model as a combine datacard with its histograms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hist
import numpy as np
import uproot

from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray
from gato_coffea.exports.models import WINDOW_ALONE, Channel
from gato_coffea.exports.workspaces import refuse_taken_names
from gato_coffea.files import replacing, write_text

SYMMETRIC = 1e-6
"""Factors up and down whose product differs from one by less are one number in the card."""

STRENGTH = "r"
"""What combine calls the signal strength."""


def write_combine(
    model: Sequence[Channel],
    folder: str | Path,
    *,
    warnings: Sequence[str] = (),
    comments: Sequence[str] = (),
) -> list[Path]:
    """Write ``datacard.txt`` and ``shapes.root`` for combine.

    Every category is a bin of the card; histograms are ``NAME_category0/ggH``,
    ``NAME_category0/ggH_pileupUp`` and ``NAME_category0/data_obs`` of the analysis ``NAME``.
    Signals have process numbers up to 0.

    Parameters
    ----------
    model
        From `channels`.
    folder
        Where both files go.
    warnings
        What does not agree in the model, for the head of the card.
    comments
        What else a reader should know, below it; see `model_comments`.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        If two histograms would have one name, as of a process that is called ``data_obs``.
    OutputError
        If a file cannot be written.
    """
    _check_names(model)
    shapes, card = Path(folder) / "shapes.root", Path(folder) / "datacard.txt"
    with replacing(shapes) as aside, uproot.recreate(aside) as file:
        for channel in model:
            for name, values, errors in _combine_histograms(channel):
                file[f"{channel.name}/{name}"] = _histogram(channel.edges, values, errors)
    write_text(card, datacard(model, shapes=shapes.name, warnings=warnings, comments=comments))
    return [card, shapes]


def _combine_histograms(channel: Channel) -> list[tuple[str, FloatArray, FloatArray]]:
    found = [("data_obs", channel.observed, np.sqrt(channel.observed))]
    for process in channel.processes:
        found.append((process.name, process.values, process.errors))
        for source, (up, down) in process.shapes.items():
            found.append((f"{process.name}_{source}Up", up, process.errors))
            found.append((f"{process.name}_{source}Down", down, process.errors))
    return found


def _check_names(model: Sequence[Channel]) -> None:
    """Refuse two histograms of one name, of which combine would read one for both.

    A variation must not have the name of combine's own signal strength either, or of another
    parameter of the model.
    """
    refuse_taken_names(model)
    for channel in model:
        if any(STRENGTH in process.shapes for process in channel.processes):
            raise InputError(
                f"exports: variation {STRENGTH!r} has the name of combine's signal strength; call "
                "it otherwise"
            )
        names = [name for name, *_ in _combine_histograms(channel)]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise InputError(
                f"exports: {channel.name}/{twice[0]}: two histograms of the card have this name; "
                "call a process or a variation otherwise"
            )


def _histogram(edges: FloatArray, values: FloatArray, errors: FloatArray) -> hist.Hist[Any]:
    histogram = hist.Hist(hist.axis.Variable(edges, name="x"), storage=hist.storage.Weight())
    view: Any = histogram.view()
    view["value"], view["variance"] = values, errors**2
    return histogram


def datacard(
    model: Sequence[Channel],
    *,
    shapes: str,
    warnings: Sequence[str] = (),
    comments: Sequence[str] = (),
) -> str:
    """Text of a combine datacard.

    Parameters
    ----------
    model
        From `channels`.
    shapes
        Path of the ROOT file with the histograms, relative to the card.
    warnings
        Lines of a box at its head.
    comments
        Lines below it.
    """
    columns = [(channel, process) for channel in model for process in channel.processes]
    names = list(dict.fromkeys(p.name for _, p in columns))
    signal = {p.name for _, p in columns if p.signal}
    ordered = sorted(names, key=lambda name: name not in signal)
    number = {name: i - len(signal) + 1 for i, name in enumerate(ordered)}
    rows = [
        ["bin", "", *(c.name for c, _ in columns)],
        ["process", "", *(p.name for _, p in columns)],
        ["process", "", *(str(number[p.name]) for _, p in columns)],
        ["rate", "", *(f"{p.values.sum():.8g}" for _, p in columns)],
    ]
    sources = list(dict.fromkeys(s for _, p in columns for s in p.shapes))
    systematics = [
        [s, "shape", *("1" if s in p.shapes else "-" for _, p in columns)] for s in sources
    ]
    for name in dict.fromkeys(name for _, p in columns for name in p.norms):
        systematics.append([name, "lnN", *(_log_normal(p.norms.get(name)) for _, p in columns)])
    rates = [
        [name, "rateParam", c.name, p.name, "1", "[0,10]"] for c, p in columns for name in p.free
    ]
    line = "-" * 40
    observed = [
        ["bin", *(c.name for c in model)],
        ["observation", *(f"{c.observed.sum():.8g}" for c in model)],
    ]
    aligned = _aligned(rows + systematics)
    told = dict.fromkeys(
        note if note == WINDOW_ALONE else f"{c.name}: {note}" for c in model for note in c.notes
    )
    return "\n".join(
        [
            *_box(warnings),
            *(f"# {line}" for line in (*comments, *told)),
            f"imax {len(model)}",
            f"jmax {len(names) - 1}",
            "kmax *",
            line,
            f"shapes * * {shapes} $CHANNEL/$PROCESS $CHANNEL/$PROCESS_$SYSTEMATIC",
            line,
            *_aligned(observed),
            line,
            *aligned[: len(rows)],
            line,
            *aligned[len(rows) :],
            *_aligned(rates),
            *(f"{c.name} autoMCStats 10" for c in model),
            "",
        ]
    )


def _log_normal(factors: tuple[float, float] | None) -> str:
    """An entry of a row ``lnN``: one factor, or that down over that up where they differ."""
    if factors is None:
        return "-"
    up, down = factors
    if abs(up * down - 1) < SYMMETRIC:
        return f"{up:.6g}"
    return f"{down:.6g}/{up:.6g}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of one table as text; every cell is followed by at least two spaces."""
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    return [
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _box(warnings: Sequence[str]) -> list[str]:
    if not warnings:
        return []
    line = "#" * 40
    return [line, *(f"# WARNING: {warning}" for warning in warnings), line]
