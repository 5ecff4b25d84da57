"""Stacked histograms: backgrounds filled, signals as lines, data as points with a ratio."""

from __future__ import annotations

from collections.abc import Sequence

import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gato_coffea.categories.templates import Contents
from gato_coffea.events.samples import FloatArray
from gato_coffea.plots.contents import Interval, Stack, drawing_order, round_scale, scale_label
from gato_coffea.plots.points import data_errors, draw_arrows, draw_data
from gato_coffea.plots.scales import middle, on_axis, stretch_x
from gato_coffea.plots.style import (
    DASHES,
    FILLS,
    LINES,
    WINDOW_COLOUR,
    Style,
    add_label,
    add_legend,
    events_per,
    head_room,
    log_floor,
    styled,
    unit_of,
    with_unit,
)

MAX_VARIATIONS = 3
"""Uncertainties whose variations a ratio panel shows, the largest ones: more lines than six hide
each other and the data."""

VARIATION_COLOURS = (LINES[0], LINES[1], LINES[4])
"""Those of lines, without black, which is the line at one, and blue, which is a background."""

MAX_REACH = 1.0
"""Largest distance from one that a ratio panel shows: down to zero, and as far up; points beyond
are arrows."""


def draw_stack(
    stack: Stack,
    style: Style,
    *,
    signal_scale: float | None = None,
    log: bool = False,
    intervals: Sequence[Interval] = (),
    categories: bool = False,
    y_label: str | None = None,
    data_label: str = "Data",
    window: tuple[float, float] | None = None,
    note: str = "",
) -> Figure:
    """Draw backgrounds stacked, signals scaled over them, and data with its ratio.

    Where there are data, a signal above a fifth of the backgrounds is not scaled but stacked on
    them, and is part of the prediction that the data are divided by.

    Parameters
    ----------
    stack, style
        What to show, and how.
    signal_scale
        Factor of all signals, stated in the legend; None finds a round one for each.
    log
        Logarithmic y axis; signals are then not scaled unless asked for.
    intervals
        Category of each stretch of the x axis, drawn as boundaries with numbers above.
    categories
        The x axis counts categories.
    y_label
        Title of the y axis; by default events per bin width.
    data_label
        Name of the data in the legend.
    window
        Signal window, shaded.
    note
        Written at the end of the legend.
    """
    shown = stack.shown()
    has_data = shown.data is not None and bool(np.isfinite(shown.data.values).any())
    stacked = shown.prominent if has_data and signal_scale is None else ()
    has_ratio = _has_ratio(shown, stacked) if has_data else bool(stack.varied)
    heights, size = ((3.0, 1.0), (8.0, 7.8)) if has_ratio else ((1.0,), (8.0, 6.8))
    with styled(style, size=size, heights=heights) as (figure, axes):
        ax = axes[0]
        levels = _draw_backgrounds(ax, shown)
        levels += _draw_signals(ax, shown, signal_scale, log, stacked)
        if has_data:
            levels.append(_draw_data(ax, shown, stacked, data_label))
        if has_ratio:
            _draw_ratio(axes[1], shown, stacked)
        top = max((float(np.max(v, initial=0.0)) for v in levels), default=0.0) or 1.0
        lowest = min((float(np.min(v, initial=0.0)) for v in levels), default=0.0)
        log = log and any(bool((v > 0).any()) for v in levels)
        low = log_floor(_must_show(levels)) if log else 1.1 * lowest
        ax.set_ylabel(y_label or _y_label(stack, categories))
        axes[-1].set_xlabel(with_unit(stack.label, stack.unit))
        if categories:
            axes[-1].set_xticks(np.arange(len(stack.edges) - 1))
            for panel in axes:
                panel.tick_params(axis="x", which="minor", top=False, bottom=False)
        _x_range(axes[-1], shown)
        if note:
            ax.plot([], [], " ", label=note)
        _shade(ax, axes, window or shown.hidden, _shade_label(window, shown))
        add_label(ax, style)
        add_legend(ax)
        free = head_room(ax, low, top, log=log, extra=0.09 if intervals else 0.04)
        if intervals:
            _draw_intervals(ax, intervals, free)
    return figure


def draw_stack_on(
    ax: Axes,
    stack: Stack,
    *,
    signal_scale: float | None = None,
    log: bool = False,
    bottom: float | None = None,
    y_label: str | None = None,
) -> None:
    """Draw backgrounds and signals into axes that exist; parameters as in `draw_stack`.

    ``bottom`` is the lower end of the y axis.
    """
    shown = stack.shown()
    levels = _draw_backgrounds(ax, shown) + _draw_signals(ax, shown, signal_scale, log, ())
    top = max((float(np.max(v, initial=0.0)) for v in levels), default=0.0) or 1.0
    lowest = min((float(np.min(v, initial=0.0)) for v in levels), default=0.0)
    log = log and any(bool((v > 0).any()) for v in levels)
    low = log_floor(_must_show(levels)) if log else 1.1 * lowest
    ax.set_ylabel(y_label or _y_label(stack, False))
    ax.set_xlabel(with_unit(stack.label, stack.unit))
    ax.set_xlim(float(stack.edges[0]), float(stack.edges[-1]))
    add_legend(ax)
    head_room(ax, low if bottom is None else bottom, top, log=log)


def _x_range(ax: Axes, stack: Stack) -> None:
    """All bins, or, on a stretched axis, from the first to the last that is not empty."""
    if stack.feature is None:
        ax.set_xlim(float(stack.edges[0]), float(stack.edges[-1]))
        return
    low, high = stack.limits or stack.populated
    stretch_x(ax, stack.feature, low=low, high=high)


def _y_label(stack: Stack, categories: bool) -> str:
    widths = stack.widths
    unit = stack.unit or unit_of(stack.label)
    if categories:
        return "Events"
    if stack.feature is not None and stack.feature.scale != "linear":
        return "Events / bin"
    if stack.per is not None:
        return events_per(stack.per, unit)
    even = np.allclose(widths, widths.mean(), rtol=1e-6)
    return events_per(float(widths.mean()), unit) if even else "Events / bin"


def _draw_backgrounds(ax: Axes, stack: Stack) -> list[FloatArray]:
    ordered = drawing_order(stack.backgrounds)
    if not ordered:
        return []
    names = list(ordered)
    # The legend reads from the top of the stack down.
    mplhep.histplot(
        [ordered[n].values for n in names],
        bins=stack.edges,
        stack=True,
        histtype="fill",
        label=names,
        color=[FILLS[(len(names) - 1 - i) % len(FILLS)] for i in range(len(names))],
        edgecolor="black",
        linewidth=0.5,
        flow="none",
        ax=ax,
    )
    total = stack.total.values
    down, up = stack.band
    ax.stairs(
        total + up,
        stack.edges,
        baseline=total - down,
        fill=True,
        facecolor="none",
        edgecolor="#444444",
        hatch="////",
        linewidth=0,
        label="Stat. + syst. unc." if stack.varied else "Stat. unc.",
    )
    return [total, *(ordered[n].values for n in names), total + up]


def _draw_signals(
    ax: Axes, stack: Stack, scale: float | None, log: bool, stacked: Sequence[str]
) -> list[FloatArray]:
    top = float(np.max(stack.total.values, initial=0.0))
    levels = []
    pile = stack.total.values
    for i, (name, contents) in enumerate(stack.signals.items()):
        peak = float(np.max(contents.values, initial=0.0))
        factor = scale if scale is not None else 1.0 if log else round_scale(peak, top)
        label, values = scale_label(name, factor), contents.values * factor
        if name in stacked:
            pile = pile + contents.values
            label, values = f"{name} (stacked)", pile
        mplhep.histplot(
            values,
            bins=stack.edges,
            yerr=False,
            histtype="step",
            label=label,
            color=LINES[i % len(LINES)],
            linestyle=DASHES[i % len(DASHES)],
            linewidth=2.2,
            flow="none",
            ax=ax,
        )
        levels.append(values)
    return levels


def _prediction(stack: Stack, stacked: Sequence[str]) -> Contents:
    """What data are compared with: the backgrounds, and the signals that are stacked on them."""
    total, variance = stack.total
    for name in stacked:
        total = total + stack.signals[name].values
        variance = variance + stack.signals[name].variances
    return Contents(total, variance)


def _band(stack: Stack, stacked: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Errors of the prediction down and up, the stacked signals' simulation included."""
    more = sum((stack.signals[name].variances for name in stacked), np.zeros(1))
    down, up = stack.band
    return np.sqrt(down**2 + more), np.sqrt(up**2 + more)


def _draw_variations(ax: Axes, stack: Stack, safe: FloatArray) -> None:
    """The largest uncertainties, up and down, over the nominal total, each in its colour."""
    total = stack.total.values

    def size(name: str) -> float:
        return float(np.sum([np.abs(side - total) for side in stack.varied[name]]))

    largest = sorted(stack.varied, key=size, reverse=True)[:MAX_VARIATIONS]
    for name, colour in zip(largest, VARIATION_COLOURS, strict=False):
        for side, dash in zip(stack.varied[name], ("-", (0, (3, 1.5))), strict=True):
            # Signals that are stacked on the backgrounds do not move.
            ratio = np.where(total > 0, 1 + (side - total) / safe, np.nan)
            label = name if dash == "-" else None
            ax.stairs(
                ratio, stack.edges, baseline=None, color=colour, ls=dash, lw=1.3, label=label
            )
    if largest:
        legend = ax.legend(loc="lower left", ncols=MAX_VARIATIONS, fontsize=11, borderaxespad=0.2)
        legend.set_zorder(8)
        legend.set_frame_on(True)
        legend.get_frame().set(facecolor="white", edgecolor="none", alpha=0.8)
        legend.set_in_layout(False)


def _has_ratio(stack: Stack, stacked: Sequence[str]) -> bool:
    """Whether there is a bin with data and a prediction."""
    assert stack.data is not None
    predicted = _prediction(stack, stacked).values > 0
    return bool((predicted & np.isfinite(stack.data.values)).any())


def _draw_data(ax: Axes, stack: Stack, stacked: Sequence[str], label: str) -> FloatArray:
    assert stack.data is not None
    return draw_data(
        ax,
        stack.centers,
        stack.data,
        label=label,
        weight=stack.data_weight,
        shown=_prediction(stack, stacked).values > 0,
    )


def _draw_ratio(ax: Axes, stack: Stack, stacked: Sequence[str]) -> None:
    total = _prediction(stack, stacked).values
    centers = stack.centers
    positive = total > 0
    safe = np.where(positive, total, 1.0)
    down, up = (np.where(positive, e / safe, 0.0) for e in _band(stack, stacked))
    ax.stairs(
        1 + up,
        stack.edges,
        baseline=1 - down,
        fill=True,
        facecolor="none",
        edgecolor="#444444",
        hatch="////",
        linewidth=0,
    )
    ax.axhline(1.0, color="black", linewidth=1)
    _draw_variations(ax, stack, safe)
    if stack.data is None or not np.isfinite(stack.data.values).any():
        reach = float(np.max([up, down], initial=0.05))
        ax.set_ylim(1 - min(1.15 * reach, MAX_REACH), 1 + min(1.15 * reach, MAX_REACH))
        ax.set_ylabel("Varied / nom.", loc="center", fontsize=16)
        return
    known = np.isfinite(stack.data.values)
    keep = positive & known
    ratio = stack.data.values[keep] / safe[keep]
    errors = np.stack([e[keep] for e in data_errors(stack.data, stack.data_weight)]) / safe[keep]
    ax.errorbar(centers[keep], ratio, yerr=errors, fmt="o", color="black")
    half = 0.5 * errors.mean(axis=0)
    reach = float(np.nanmax(np.abs(ratio - 1) + half, initial=0.1))
    reach = max(reach, float(np.median(up[keep])))
    reach = min(max(0.15, 1.15 * reach), MAX_REACH)
    ax.set_ylim(1 - reach, 1 + reach)
    # Where nothing is predicted, data are infinitely above.
    lone = known & ~positive & (stack.data.values > 0)
    draw_arrows(
        ax, np.append(centers[keep], centers[lone]), np.append(ratio, np.full(lone.sum(), np.inf))
    )
    ax.set_ylabel("Data / pred." if stacked else "Data / bkg.", loc="center", fontsize=16)


def _shade_label(window: tuple[float, float] | None, stack: Stack) -> str:
    if window is None:
        return "Data blinded"
    return "Signal window" if stack.hidden is None else "Signal window (data blinded)"


def _shade(
    ax: Axes, panels: Sequence[Axes], region: tuple[float, float] | None, label: str
) -> None:
    """Shade a part of the x axis in every panel, and say in the legend what it is."""
    if region is None:
        return
    low, high = max(region[0], ax.get_xlim()[0]), min(region[1], ax.get_xlim()[1])
    for panel in panels:
        panel.axvspan(low, high, color=WINDOW_COLOUR, alpha=0.35, zorder=3, lw=0)
    ax.fill_between([], [], color=WINDOW_COLOUR, alpha=0.35, lw=0, label=label)


def _must_show(levels: Sequence[FloatArray]) -> list[float]:
    """Smallest level of the total, which is the first, and a tenth of every other peak."""
    total = levels[0][levels[0] > 0] if levels else np.empty(0)
    peaks = [0.1 * float(np.max(v, initial=0.0)) for v in levels]
    return [float(total.min(initial=np.inf)), *peaks, float(total.max(initial=0.0))]


def _draw_intervals(ax: Axes, intervals: Sequence[Interval], height: float) -> None:
    """Boundaries between categories up to a part of the height, and their numbers there."""
    for inner in intervals[1:]:
        ax.axvline(
            inner.low, 0, height, color="black", linewidth=1.2, linestyle=(0, (4, 3)), zorder=4
        )
    left, right = ax.get_xlim()
    span = float(np.diff(on_axis(ax, np.array([left, right])))[0])
    for interval in intervals:
        low, high = max(interval.low, left), min(interval.high, right)
        # A number needs some width; the boundaries of narrower categories speak for themselves.
        room = (0.01 + 0.016 * len(str(interval.category))) * span
        if low < high and np.diff(on_axis(ax, np.array([low, high])))[0] > room:
            ax.annotate(
                str(interval.category),
                (middle(ax, low, high), height),
                (0, -4),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=14,
                fontweight="bold",
            )
