"""Contents of histograms as plots show them: rebinned, scaled, blinded, ordered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import hist
import numpy as np
import numpy.typing as npt

from gato_coffea.categories.axes import MASS, NOMINAL
from gato_coffea.categories.templates import Contents
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature, FloatArray
from gato_coffea.plots.style import FILLS

OTHER = "Other"
EDGE_TOLERANCE = 1e-6
MAX_SCALE = 1000.0
PROMINENT = 0.2


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
        return tuple(n for n, c in self.signals.items() if c.values.sum() > PROMINENT * b)

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
            per=None,
        )

    def blinded(self, window: tuple[float, float]) -> Self:
        """The same without data in any bin that overlaps the window."""
        if self.data is None:
            return self
        hidden = overlapping(self.edges, window)
        data = Contents(*(np.where(hidden, np.nan, part) for part in self.data))
        return replace(self, data=data)


def overlapping(edges: FloatArray, window: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """Which bins overlap a window; a common edge, also one that was rounded, is no overlap.

    >>> overlapping(np.array([0.0, 0.1, 0.1 + 0.2, 0.4]), (0.3, 1.0))
    array([False, False,  True])
    """
    slack = EDGE_TOLERANCE * np.diff(edges).min()
    return np.asarray((edges[1:] > window[0] + slack) & (edges[:-1] < window[1] - slack))


def coarse_edges(edges: FloatArray, n_bins: int) -> FloatArray:
    """About ``n_bins`` equidistant bins whose edges lie on a fine axis.

    An evenly binned axis gives exactly equidistant bins, as many of ``n_bins`` or more as divide
    it; on another axis each edge moves to the nearest fine edge.

    >>> coarse_edges(np.linspace(0, 1, 13), 5)
    array([0.        , 0.16666667, 0.33333333, 0.5       , 0.66666667,
           0.83333333, 1.        ])
    """
    n_fine = len(edges) - 1
    if n_fine <= n_bins:
        return edges
    widths = np.diff(edges)
    if np.allclose(widths, widths.mean(), rtol=1e-6):
        counts = [n for n in range(1, n_fine + 1) if n_fine % n == 0]
        best = min(counts, key=lambda n: abs(math.log(n / n_bins)))
        if 0.5 * n_bins <= best <= 2 * n_bins:
            return edges[:: n_fine // best]
    target = np.linspace(edges[0], edges[-1], n_bins + 1)
    right = np.clip(np.searchsorted(edges, target), 1, n_fine)
    left_is_nearer = target - edges[right - 1] < edges[right] - target
    return np.unique(edges[right - left_is_nearer])


def rebinned(contents: Contents, fine: FloatArray, edges: FloatArray) -> Contents:
    """Sums of fine bins between edges that lie on the fine axis.

    Raises
    ------
    InputError
        If an edge does not lie on the fine axis.
    """
    nearest = np.abs(fine[None, :] - edges[:, None]).argmin(axis=1)
    if np.any(np.abs(fine[nearest] - edges) > EDGE_TOLERANCE * np.diff(fine).min()):
        raise InputError(f"rebin: edges are not on the fine axis (got {edges.tolist()})")
    return Contents(*(np.add.reduceat(part, nearest[:-1]) for part in contents))


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
    """
    shown_axis = histogram.axes[axis]
    fine = np.asarray(shown_axis.edges, dtype=np.float64)
    if n_bins is None:
        edges = fine
    elif feature is None:
        edges = coarse_edges(fine, n_bins)
    else:
        # As many bins as asked for where there are events; the ends are empty on a logit scale.
        every = [process_contents(histogram, p, axis=axis) for p in (*backgrounds, *signals)]
        filled = np.count_nonzero(np.any([c.values != 0 for c in every], axis=0))
        edges = np.append(fine[: -1 : max(1, round(filled / n_bins))], fine[-1])

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
