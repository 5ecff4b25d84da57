"""The numbers that a figure shows, as columns of a CSV file beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gato_coffea.events.samples import FloatArray
from gato_coffea.files import write_text
from gato_coffea.optimisation.result import History
from gato_coffea.plots.categories import Components, Regions
from gato_coffea.plots.contents import Stack
from gato_coffea.plots.points import data_errors
from gato_coffea.plots.significance import SignificanceScan
from gato_coffea.plots.spectra import Spectrum

Numbers = Mapping[str, npt.NDArray[np.generic]]
"""Columns by name; shorter ones end with empty cells."""


def write_csv(path: Path, numbers: Numbers) -> Path:
    """Write columns of numbers, whole or not at all; what is not known is an empty cell."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(numbers)
    rows.writerows(zip_longest(*(map(_cell, column) for column in numbers.values()), fillvalue=""))
    write_text(path, text.getvalue())
    return path


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.10g}" if np.isfinite(value) else ""
    return str(value)


def stack_numbers(stack: Stack) -> Numbers:
    """Contents of the bins of a stack, with the errors that are drawn."""
    total = stack.total
    down, up = stack.band
    columns: dict[str, npt.NDArray[np.generic]] = {
        "low": stack.edges[:-1],
        "high": stack.edges[1:],
        **{name: contents.values for name, contents in stack.backgrounds.items()},
        "background": total.values,
        "background_error_down": down,
        "background_error_up": up,
        **{f"{name}Up": pair[0] for name, pair in stack.varied.items()},
        **{f"{name}Down": pair[1] for name, pair in stack.varied.items()},
        **{name: contents.values for name, contents in stack.signals.items()},
    }
    if stack.data is not None:
        below, above = data_errors(stack.data, stack.data_weight)
        hidden = ~np.isfinite(stack.data.values)
        columns |= {
            "data": stack.data.values,
            "data_error_down": np.where(hidden, np.nan, below),
            "data_error_up": np.where(hidden, np.nan, above),
        }
    return columns


def spectrum_numbers(spectrum: Spectrum) -> Numbers:
    """Points, expected background and pulls of a mass spectrum, and the signals."""
    hidden = ~spectrum.visible
    down, up = spectrum.errors
    return {
        "low": spectrum.edges[:-1],
        "high": spectrum.edges[1:],
        "points": np.where(hidden, np.nan, spectrum.points.values),
        "points_error_down": np.where(hidden, np.nan, down),
        "points_error_up": np.where(hidden, np.nan, up),
        "expected": spectrum.expected,
        "expected_error": _curve_error(spectrum),
        "pull": spectrum.pulls,
        **{name: contents.values for name, contents in spectrum.resonant.items()},
        **{name: contents.values for name, contents in spectrum.signals.items()},
    }


def _curve_error(spectrum: Spectrum) -> FloatArray:
    curve = spectrum.curve
    if curve is None or curve.error is None:
        return np.full(len(spectrum.edges) - 1, np.nan)
    return np.asarray(np.interp(spectrum.centers, curve.x, curve.error))


def scan_numbers(scan: SignificanceScan) -> Numbers:
    """Every significance by the number of categories."""
    at = scan.held_out.n_categories
    columns: dict[str, npt.NDArray[np.generic]] = {"n_categories": at}
    named = {"held_out": scan.held_out, "training": scan.training, **scan.yardsticks}
    for name, more in (
        ("statistics_only", scan.statistics),
        ("exact_and_gap", scan.exact_and_gap),
    ):
        if more is not None:
            named[name] = more
    if scan.with_fits is not None:
        named["held_out_with_mass_fits"] = scan.with_fits
    for name, one in named.items():
        known = dict(zip(one.n_categories.tolist(), one.value.tolist(), strict=True))
        columns[name] = np.array([known.get(n, np.nan) for n in at.tolist()])
    if scan.held_out.spread is not None:
        columns["held_out_spread"] = scan.held_out.spread
    return columns


def history_numbers(history: History) -> Numbers:
    """What was recorded of every epoch."""
    columns = {k: np.asarray(v) for k, v in vars(history).items() if k != "boundaries"}
    rows = [np.sort(np.ravel(row)) for row in history.boundaries]
    for j in range(max(map(len, rows), default=0)):
        columns[f"boundary_{j + 1}"] = np.array([r[j] if j < len(r) else np.nan for r in rows])
    return columns


def region_numbers(regions: Regions) -> Numbers:
    """The category at the centre of every cell: a line for each y, a column for each x."""
    x, y = (0.5 * (e[1:] + e[:-1]) for e in (regions.x_edges, regions.y_edges))
    columns = {f"{value:.6g}": regions.category[i] for i, value in enumerate(x.tolist())}
    return {f"{regions.labels[1]} | {regions.labels[0]}": y, **columns}


def component_numbers(components: Components) -> Numbers:
    """Density and membership of every category along the discriminant."""
    columns = {"x": components.x}
    for name in ("density", "membership"):
        values: FloatArray = getattr(components, name)
        columns |= {f"{name}_{k}": values[:, k] for k in range(values.shape[1])}
    return columns
