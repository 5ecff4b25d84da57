"""Contents of histograms as plots show them: rebinned, scaled, blinded, ordered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple, Self

import hist
import numpy as np
import numpy.typing as npt

from gato_coffea.categories.axes import MASS, NOMINAL
from gato_coffea.categories.templates import Contents
from gato_coffea.errors import InputError
from gato_coffea.events.arrays import FloatArray
from gato_coffea.events.features import EDGE_TOLERANCE, Feature, edge_positions
from gato_coffea.plots.style import FILLS

OTHER = "Other"
"""What several backgrounds are called that share a colour."""

"""How far two edges may be apart to be one, in widths of a bin: rounding of floats."""

MAX_SCALE = 1000.0
"""Largest factor that a signal is drawn with: beyond it, it is not to be seen in data either."""

STACKED_FRACTION = 0.2
"""Part of the backgrounds from which on a signal is stacked on them: beside it, it would be missed
in the ratio of data to backgrounds."""


class Interval(NamedTuple):
    """A stretch of the discriminant that belongs to one category."""

    low: float
    high: float
    category: int


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What a stacked plot shows.

    Attributes
    ----------
    edges
        Bin edges, shape ``(n + 1,)``.
    backgrounds, signals
        Contents by process.
    data
        Counts, or None; a NaN is not drawn.
    label, unit
        Title of the x axis.
    per
        Where bins differ in width and contents are to be shown per unit of width, that unit;
        None shows the contents of each bin.
    feature
        Where given, the x axis is drawn in the stretched coordinate of this discriminant.
    limits
        Ends of a stretched axis; by default those of the bins that are not empty.
    hidden
        Where data are blinded, on the x axis; None where they are not, or all of them are.
    data_weight
        What one entry of the data counts in each bin; None for one.
    varied
        Total of the backgrounds one standard deviation up and down, by uncertainty.
    """

    edges: FloatArray
    backgrounds: Mapping[str, Contents]
    signals: Mapping[str, Contents] = field(default_factory=dict)
    data: Contents | None = None
    label: str = ""
    unit: str | None = None
    per: float | None = None
    feature: Feature | None = None
    limits: tuple[float, float] | None = None
    hidden: tuple[float, float] | None = None
    data_weight: FloatArray | None = None
    varied: Mapping[str, tuple[FloatArray, FloatArray]] = field(default_factory=dict)

    @property
    def band(self) -> tuple[FloatArray, FloatArray]:
        """Errors of the total down and up, from finite simulation and all uncertainties."""
        nominal, variance = self.total
        down, up = variance.copy(), variance.copy()
        for pair in self.varied.values():
            shifts = np.stack([*pair, nominal]) - nominal
            down += shifts.min(axis=0) ** 2
            up += shifts.max(axis=0) ** 2
        return np.sqrt(down), np.sqrt(up)

    @property
    def centers(self) -> FloatArray:
        """Centres of the bins."""
        return np.asarray(0.5 * (self.edges[1:] + self.edges[:-1]))

    @property
    def populated(self) -> tuple[float, float]:
        """From the lower edge of the first bin that is not empty to the upper of the last."""
        parts = [*self.backgrounds.values(), *self.signals.values()]
        filled = np.flatnonzero(np.any([c.values != 0 for c in parts], axis=0))
        if len(filled) == 0:
            return float(self.edges[0]), float(self.edges[-1])
        return float(self.edges[filled[0]]), float(self.edges[filled[-1] + 1])

    @property
    def prominent(self) -> tuple[str, ...]:
        """Signals that are no small part of what is there: above a fifth of the backgrounds."""
        b = float(self.total.values.sum())
        return tuple(n for n, c in self.signals.items() if c.values.sum() > STACKED_FRACTION * b)

    @property
    def widths(self) -> FloatArray:
        """Widths of the bins."""
        return np.diff(self.edges)

    @property
    def total(self) -> Contents:
        """Sum of the backgrounds."""
        zero = np.zeros(len(self.edges) - 1)
        return Contents(
            sum((c.values for c in self.backgrounds.values()), zero),
            sum((c.variances for c in self.backgrounds.values()), zero),
        )

    def shown(self) -> Self:
        """The same with contents as they are drawn: per unit of width where asked for."""
        if self.per is None:
            return self
        factor = self.per / self.widths

        def scaled(c: Contents) -> Contents:
            return Contents(c.values * factor, c.variances * factor**2)

        return replace(
            self,
            backgrounds={name: scaled(c) for name, c in self.backgrounds.items()},
            signals={name: scaled(c) for name, c in self.signals.items()},
            data=None if self.data is None else scaled(self.data),
            data_weight=factor,
            varied={name: (u * factor, d * factor) for name, (u, d) in self.varied.items()},
            per=None,
        )

    def in_unit(self, unit: str, factor: float) -> Self:
        """The same on an axis whose values are multiplied with a factor."""
        low, high = self.hidden or (0.0, 0.0)
        return replace(
            self,
            edges=self.edges * factor,
            unit=unit,
            per=None if self.per is None else self.per * factor,
            hidden=None if self.hidden is None else (low * factor, high * factor),
        )

    def blinded(self, window: tuple[float, float]) -> Self:
        """The same without data in any bin that overlaps the window."""
        if self.data is None:
            return self
        hidden = overlapping(self.edges, window)
        data = Contents(*(np.where(hidden, np.nan, part) for part in self.data))
        return replace(self, data=data, hidden=window)


def overlapping(edges: FloatArray, window: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """Which bins overlap a window; a common edge, also one that was rounded, is no overlap.

    >>> overlapping(np.array([0.0, 0.1, 0.1 + 0.2, 0.4]), (0.3, 1.0))
    array([False, False,  True])
    """
    slack = EDGE_TOLERANCE * np.diff(edges).min()
    return np.asarray((edges[1:] > window[0] + slack) & (edges[:-1] < window[1] - slack))


def coarse_edges(edges: FloatArray, n_bins: int, *, fixed: Sequence[float] = ()) -> FloatArray:
    """About ``n_bins`` equidistant bins whose edges lie on a fine axis.

    An evenly binned axis gives exactly equidistant bins, as many of ``n_bins`` or more as divide
    it; on another axis each edge moves to the nearest fine edge. Where values of ``fixed`` are
    fine edges they stay edges, so that no bin is cut by a signal window.

    >>> coarse_edges(np.linspace(0, 1, 13), 5)
    array([0.        , 0.16666667, 0.33333333, 0.5       , 0.66666667,
           0.83333333, 1.        ])
    >>> coarse_edges(np.arange(60.0, 121.0), 20, fixed=(81.0, 102.0))[:8]
    array([60., 63., 66., 69., 72., 75., 78., 81.])
    """
    n_fine = len(edges) - 1
    if n_fine <= n_bins:
        return edges
    stops = np.unique([0, *_positions(edges, fixed), n_fine])
    widths = np.diff(edges)
    if np.allclose(widths, widths.mean(), rtol=1e-6):
        common = int(np.gcd.reduce(np.diff(stops)))
        steps = [step for step in range(1, common + 1) if common % step == 0]
        step = min(steps, key=lambda step: abs(math.log(n_fine / step / n_bins)))
        if 0.5 * n_bins <= n_fine / step <= 2 * n_bins:
            return edges[::step]
    chosen: list[float] = []
    for start, stop in pairwise(stops):
        part = edges[start : stop + 1]
        n = max(1, round(n_bins * (part[-1] - part[0]) / (edges[-1] - edges[0])))
        target = np.linspace(part[0], part[-1], n + 1)
        right = np.clip(np.searchsorted(part, target), 1, len(part) - 1)
        left_is_nearer = target - part[right - 1] < part[right] - target
        chosen += part[right - left_is_nearer].tolist()
    return np.unique(chosen)


def _positions(edges: FloatArray, values: Sequence[float]) -> list[int]:
    """Where values are among edges; those that are no edges are left out."""
    nearest = [int(np.abs(edges - value).argmin()) for value in values]
    slack = EDGE_TOLERANCE * np.diff(edges).min()
    return [i for i, v in zip(nearest, values, strict=True) if abs(edges[i] - v) <= slack]


def rebinned(contents: Contents, fine: FloatArray, edges: FloatArray) -> Contents:
    """Sums of fine bins between edges that lie on the fine axis.

    Raises
    ------
    InputError
        If an edge does not lie on the fine axis.
    """
    positions = edge_positions(edges, fine)
    if (positions < 0).any():
        raise InputError(f"rebin: edges are not on the fine axis (got {edges.tolist()})")
    return Contents(*(np.add.reduceat(part, positions[:-1]) for part in contents))


def process_contents(
    histogram: hist.Hist[Any],
    process: str,
    *,
    axis: str,
    variation: str = NOMINAL,
    outside: tuple[float, float] | None = None,
) -> Contents:
    """Contents of one process along one axis, summed over the others without flow bins.

    ``outside`` leaves out the mass bins that overlap this window, in GeV.
    """
    labels = list(histogram.axes["process"])
    if process not in labels:
        raise InputError(f"histogram: has no process {process!r} (got {labels})")
    picked: Any = histogram[{"process": process, "variation": variation}]
    others = tuple(i for i, a in enumerate(picked.axes) if a.name != axis)
    view = picked.view()
    values, variances = view.value, view.variance
    if outside is not None:
        names = [a.name for a in picked.axes]
        edges = np.asarray(picked.axes[names.index(MASS)].edges)
        kept = ~overlapping(edges, outside)
        shape = np.ones(len(names), dtype=int)
        shape[names.index(MASS)] = len(kept)
        values, variances = values * kept.reshape(shape), variances * kept.reshape(shape)
    return Contents(values.sum(axis=others), variances.sum(axis=others))


def stack_of(
    histogram: hist.Hist[Any],
    *,
    axis: str,
    backgrounds: Sequence[str],
    signals: Sequence[str] = (),
    data: Sequence[str] = (),
    n_bins: int | None = None,
    label: str | None = None,
    unit: str | None = None,
    outside: tuple[float, float] | None = None,
    feature: Feature | None = None,
    fixed: Sequence[float] = (),
) -> Stack:
    """A stack from a histogram with axes process, variation and others.

    Parameters
    ----------
    histogram
        Weighted storage.
    axis
        Name of the axis to show; others are summed over.
    backgrounds, signals, data
        Processes.
    n_bins
        About how many bins to show, equidistant; all by default.
    label, unit
        Title of the x axis; that of the histogram's axis by default.
    outside
        Leaves out the mass bins that overlap this window, in GeV.
    feature
        Make bins, and draw the axis, in the stretched coordinate of this discriminant.
    fixed
        Values that are edges of the shown bins where they are edges of the axis.
    """
    shown_axis = histogram.axes[axis]
    fine = np.asarray(shown_axis.edges, dtype=np.float64)
    if n_bins is None:
        edges = fine
    elif feature is None:
        edges = coarse_edges(fine, n_bins, fixed=fixed)
    else:
        # As many bins as asked for where there are events; the ends are empty on a logit scale.
        every = [process_contents(histogram, p, axis=axis) for p in (*backgrounds, *signals)]
        filled = np.count_nonzero(np.any([c.values != 0 for c in every], axis=0))
        step = max(1, round(filled / n_bins))
        first = next(iter(_positions(fine, fixed)), 0) % step
        edges = np.unique([fine[0], *fine[first:-1:step], fine[-1]])

    def contents(process: str) -> Contents:
        found = process_contents(histogram, process, axis=axis, outside=outside)
        return rebinned(found, fine, edges)

    counts = [contents(p) for p in data if p in list(histogram.axes["process"])]
    widths = np.diff(edges)
    even = bool(np.allclose(widths, widths.mean(), rtol=1e-6))
    return Stack(
        edges=edges,
        backgrounds={p: contents(p) for p in backgrounds},
        signals={p: contents(p) for p in signals},
        data=Contents(*(sum(parts) for parts in zip(*counts, strict=True))) if counts else None,
        label=shown_axis.label if label is None else label,
        unit=unit,
        per=None if even or feature else float((edges[-1] - edges[0]) / (n_bins or len(widths))),
        feature=feature,
    )


def round_scale(signal: float, background: float) -> float:
    """A factor 1, 2 or 5 times a power of ten, from 1 to 1000, that makes a signal visible.

    The scaled maximum of the signal comes out at 15 to 40 % of that of the background, unless
    the factor ends at 1 or 1000.

    >>> round_scale(0.3, 1000.0)
    1000.0
    """
    if not (signal > 0 and background > 0):
        return 1.0
    wanted = min(0.4 * background / signal, MAX_SCALE)
    if wanted <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(wanted))
    return float(power * max(m for m in (1, 2, 5) if m * power <= wanted * (1 + 1e-12)))


def scale_label(name: str, scale: float) -> str:
    """A signal's name with its factor, which is left out where it is 1."""
    return name if scale == 1 else f"{name} × {scale:,.10g}"


def drawing_order(backgrounds: Mapping[str, Contents]) -> dict[str, Contents]:
    """Backgrounds from the smallest to the largest; those beyond the palette become one."""
    ordered = sorted(backgrounds.items(), key=lambda item: float(item[1].values.sum()))
    surplus = len(ordered) - len(FILLS)
    if surplus <= 0:
        return dict(ordered)
    small = [c for _, c in ordered[: surplus + 1]]
    merged = Contents(*(sum(parts) for parts in zip(*small, strict=True)))
    return {OTHER: merged, **dict(ordered[surplus + 1 :])}
