"""Histograms of the documented interface, and the significance that they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import hist
import numpy as np

from gato_coffea.errors import InputError
from gato_coffea.statistics.counting import asimov_z2

Edges = int | Sequence[float]


def create_hist(
    data: Any,
    weights: Any = None,
    bins: Any = 50,
    low: float = 0.0,
    high: float = 1.0,
    name: str = "NN_output",
) -> hist.Hist[Any]:
    """Histogram of weighted values.

    Parameters
    ----------
    data, weights
        Values and their weights, shape ``(N,)``; without weights every value counts one.
    bins
        Number of bins between ``low`` and ``high``, or an array of edges.
    low, high
        Ends of the axis, where ``bins`` is a number. A value equal to the upper end belongs to
        the last bin.
    name
        Name of the axis.

    Returns
    -------
    hist.Hist
        With the sums of weights and of squared weights.

    Raises
    ------
    InputError
        If there are not as many weights as values.
    """
    axis: Any
    if np.ndim(bins) == 0:
        axis = hist.axis.Regular(int(bins), low, high, name=name)
    else:
        axis = hist.axis.Variable(np.asarray(bins, dtype=np.float64), name=name)
    values = np.array(data, dtype=np.float64).ravel()
    top = axis.edges[-1]
    values[values == top] = np.nextafter(top, -np.inf)
    result = hist.Hist(axis, storage=hist.storage.Weight())
    weight = np.ones_like(values) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape not in ((), values.shape):
        raise InputError(f"{name}: needs {len(values)} weights (got shape {weight.shape})")
    result.fill(values, weight=weight)
    return result


def compute_significance_from_hists(
    h_signal: hist.Hist[Any], h_bkg_list: Sequence[hist.Hist[Any]]
) -> float:
    """Significance of a histogram, its bins added in quadrature.

    Parameters
    ----------
    h_signal
        Signal.
    h_bkg_list
        Backgrounds, on the same axis.

    Returns
    -------
    float
        Asimov significance; a bin without signal or background counts nothing.

    Raises
    ------
    InputError
        If there is no background, or it is binned otherwise.
    """
    if not h_bkg_list:
        raise InputError("significance: needs at least one background histogram (got none)")
    for h in h_bkg_list:
        if len(h.axes) != len(h_signal.axes) or not all(
            np.array_equal(a.edges, b.edges) for a, b in zip(h.axes, h_signal.axes, strict=True)
        ):
            raise InputError("significance: background and signal histograms differ in binning")
    background = np.sum([h.values() for h in h_bkg_list], axis=0)
    return float(np.sqrt(asimov_z2(h_signal.values(), background).sum()))


def build_mass_histograms(
    data_dict: Mapping[str, Any],
    *,
    bins: int = 60,
    mass_range: tuple[float, float] = (100.0, 180.0),
    axis_name: str = "mass",
) -> dict[str, hist.Hist[Any]]:
    """Mass histogram of every process.

    Parameters
    ----------
    data_dict
        A table per process with ``mass`` in GeV and ``weight``.
    bins, mass_range, axis_name
        Axis.
    """
    return {
        process: create_hist(table["mass"], table["weight"], bins, *mass_range, name=axis_name)
        for process, table in data_dict.items()
    }


def build_category_mass_maps(
    assignments: Mapping[str, Any],
    data_dict: Mapping[str, Any],
    n_cats: int,
    *,
    bins: int = 40,
    mass_range: tuple[float, float] = (100.0, 180.0),
    axis_name: str = "mass",
) -> list[dict[str, hist.Hist[Any]]]:
    """Mass histogram of every process in every category.

    Parameters
    ----------
    assignments
        Category of every event, per process; events of category -1 are left out.
    data_dict
        A table per process with ``mass`` in GeV and ``weight``.
    n_cats
        Number of categories.
    bins, mass_range, axis_name
        Axis.

    Returns
    -------
    list[dict[str, hist.Hist[Any]]]
        One mapping a category.

    Raises
    ------
    InputError
        If a process has no assignments, or not one an event.
    """
    result: list[dict[str, hist.Hist[Any]]] = []
    columns = {
        process: (np.asarray(table["mass"]), np.asarray(table["weight"]))
        for process, table in data_dict.items()
    }
    category = {process: np.asarray(assignments.get(process, ())) for process in columns}
    for process, (mass, _) in columns.items():
        if category[process].shape != mass.shape:
            raise InputError(
                f"{process}: needs {len(mass)} assignments (got {category[process].size})"
            )
    for k in range(n_cats):
        maps = {}
        for process, (mass, weight) in columns.items():
            here = category[process] == k
            maps[process] = create_hist(
                mass[here], weight[here], bins, *mass_range, name=axis_name
            )
        result.append(maps)
    return result
