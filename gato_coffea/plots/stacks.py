"""Stacked histograms: backgrounds filled, signals as lines, data as points with a ratio."""

from __future__ import annotations

from collections.abc import Sequence

import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gato_coffea.events.samples import FloatArray
from gato_coffea.plots.contents import Interval, Stack, drawing_order, round_scale, scale_label
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
    """
    shown = stack.shown()
    has_data = shown.data is not None and bool(np.isfinite(shown.data.values).any())
    heights, size = ((3.0, 1.0), (8.0, 7.8)) if has_data else ((1.0,), (8.0, 6.8))
    with styled(style, size=size, heights=heights) as (figure, axes):
        ax = axes[0]
        levels = _draw_backgrounds(ax, shown)
        stacked = shown.prominent if has_data and signal_scale is None else ()
        levels += _draw_signals(ax, shown, signal_scale, log, stacked)
        if has_data:
            levels.append(_draw_data(ax, shown, data_label))
            _draw_ratio(axes[1], shown, stacked)
        top = max((float(np.max(v, initial=0.0)) for v in levels), default=0.0) or 1.0
        lowest = min((float(np.min(v, initial=0.0)) for v in levels), default=0.0)
        log = log and any(bool((v > 0).any()) for v in levels)
        low = log_floor(_must_show(levels)) if log else 1.1 * lowest
        ax.set_ylabel(y_label or _y_label(stack, categories))
        axes[-1].set_xlabel(with_unit(stack.label, stack.unit))
        if categories:
            axes[-1].set_xticks(np.arange(len(stack.edges) - 1))
            axes[-1].tick_params(axis="x", which="minor", top=False, bottom=False)
        _x_range(axes[-1], shown)
        if window is not None:
            for panel in axes:
                panel.axvspan(*window, color=WINDOW_COLOUR, alpha=0.35, zorder=3, lw=0)
            ax.fill_between([], [], color=WINDOW_COLOUR, alpha=0.35, lw=0, label="Signal window")
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
    total, variance = stack.total
    error = np.sqrt(variance)
    ax.stairs(
        total + error,
        stack.edges,
        baseline=total - error,
        fill=True,
        facecolor="none",
        edgecolor="#444444",
        hatch="////",
        linewidth=0,
        label="Stat. unc.",
    )
    return [total, *(ordered[n].values for n in names)]


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


def _draw_data(ax: Axes, stack: Stack, label: str) -> FloatArray:
    assert stack.data is not None
    values, variances = stack.data
    keep = np.isfinite(values)
    centers = 0.5 * (stack.edges[1:] + stack.edges[:-1])
    error = np.sqrt(variances[keep])
    ax.errorbar(
        centers[keep], values[keep], yerr=error, fmt="o", color="black", label=label, zorder=5
    )
    return values[keep] + error


def _draw_ratio(ax: Axes, stack: Stack, stacked: Sequence[str]) -> None:
    assert stack.data is not None
    total, variance = stack.total
    for name in stacked:
        total = total + stack.signals[name].values
        variance = variance + stack.signals[name].variances
    centers = 0.5 * (stack.edges[1:] + stack.edges[:-1])
    positive = total > 0
    safe = np.where(positive, total, 1.0)
    band = np.where(positive, np.sqrt(variance) / safe, 0.0)
    ax.stairs(
        1 + band,
        stack.edges,
        baseline=1 - band,
        fill=True,
        facecolor="none",
        edgecolor="#444444",
        hatch="////",
        linewidth=0,
    )
    ax.axhline(1.0, color="black", linewidth=1)
    keep = positive & np.isfinite(stack.data.values)
    ratio = stack.data.values[keep] / safe[keep]
    error = np.sqrt(stack.data.variances[keep]) / safe[keep]
    ax.errorbar(centers[keep], ratio, yerr=error, fmt="o", color="black")
    reach = float(np.nanmax(np.abs(ratio - 1) + 0.5 * error, initial=0.1))
    reach = min(max(0.15, 1.15 * reach), 1.0)
    ax.set_ylim(1 - reach, 1 + reach)
    ax.set_ylabel("Data / pred." if stacked else "Data / bkg.", loc="center", fontsize=16)


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
