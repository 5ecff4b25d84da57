"""Significance against the number of categories, and yields against their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gato_coffea.events.samples import FloatArray
from gato_coffea.optimisation.result import MANY, Result, Significance
from gato_coffea.optimisation.result_tables import named_figure
from gato_coffea.plots.style import (
    DASHES,
    FILLS,
    LINES,
    Style,
    add_label,
    add_legend,
    head_room,
    log_floor,
    styled,
)

MARKERS = ("s", "^", "D", "v", "P", "X", "*")
"""Markers of yardsticks, which differ without colour."""


class Scan(NamedTuple):
    """Significance against the number of categories."""

    n_categories: FloatArray
    value: FloatArray
    spread: FloatArray | None = None


@dataclass(frozen=True, kw_only=True)
class SignificanceScan:
    """What a figure of significance against the number of categories shows.

    Attributes
    ----------
    held_out
        On events that the categories did not see, with its spread.
    training
        On the training events.
    yardsticks
        References by name, held out where they can be.
    many
        Of very many categories, or None.
    statistics
        With the yields known, where the figures have systematic uncertainties.
    exact_and_gap
        The exact categories' figure on all events times what the bound on the densities of the
        training is above theirs, where it is known. It is no bound on figures from events.
    figure
        What is shown, in words.
    with_fits
        With the background of mass fits, which all others are before; or None.
    """

    held_out: Scan
    training: Scan
    yardsticks: Mapping[str, Scan] = field(default_factory=dict)
    many: float | None = None
    statistics: Scan | None = None
    exact_and_gap: Scan | None = None
    figure: str = "significance Z"
    with_fits: Scan | None = None


def scan_of(
    results: Mapping[int, Result], *, with_fits: Mapping[int, Significance] | None = None
) -> SignificanceScan:
    """The scan of results by the number of categories that was asked for.

    ``with_fits`` has the figures with the mass fits, where these are quoted.

    A yardstick that lacks a held-out figure for any number of categories shows that of the
    training events, and its name says so.
    """
    asked = sorted(results)
    n = np.array(asked, dtype=np.float64)
    ordered = [results[k] for k in asked]
    spread = np.array(
        [np.nan if r.held_out.spread is None else r.held_out.spread for r in ordered]
    )
    names = list(dict.fromkeys(name for r in ordered for name in r.yardsticks))
    yardsticks: dict[str, Scan] = {}
    many = None
    for name in names:
        present = [(k, r.yardsticks[name]) for k, r in results.items() if name in r.yardsticks]
        present.sort(key=lambda item: item[0])
        held_out = [y.held_out for _, y in present]
        known = [h.combined for h in held_out if h is not None]
        honest = len(known) == len(present)
        values = known if honest else [y.training.combined for _, y in present]
        if name == MANY:
            many = values[-1]
            continue
        at = np.array([k for k, _ in present], dtype=np.float64)
        yardsticks[name if honest else f"{name} (training)"] = Scan(at, np.array(values))
    costly = [r for r in ordered if r.uncertainties is not None]
    statistics = with_gap = None
    if costly:
        only = [r.held_out.statistics_only for r in ordered]
        statistics = Scan(n, np.array([np.nan if z is None else z for z in only]))
        gaps = {r.asked: _exact_and_gap(r) for r in costly}
        kept = {k: z for k, z in gaps.items() if z is not None}
        if kept:
            with_gap = Scan(np.array(list(kept), dtype=np.float64), np.array(list(kept.values())))
    return SignificanceScan(
        statistics=statistics,
        exact_and_gap=with_gap,
        figure=named_figure(ordered[0]),
        held_out=Scan(n, np.array([r.held_out.combined for r in ordered]), spread),
        training=Scan(n, np.array([r.training.combined for r in ordered])),
        yardsticks=yardsticks,
        many=many,
        with_fits=None
        if not with_fits
        else Scan(
            np.array(sorted(with_fits), dtype=np.float64),
            np.array([with_fits[k].combined for k in sorted(with_fits)]),
            np.array([with_fits[k].spread or 0.0 for k in sorted(with_fits)]),
        ),
    )


def _exact_and_gap(result: Result) -> float | None:
    """The exact categories' figure on all events, and what they miss on the densities on top."""
    found, exact = result.uncertainties, result.yardsticks.get("exact")
    if found is None or exact is None or found.bound is None or not found.reached:
        return None
    return exact.training.combined * found.bound / found.reached


def draw_significance(scan: SignificanceScan, style: Style) -> Figure:
    """Draw the held-out significance with its band, and everything it is measured against."""
    with styled(style) as (figure, (ax,)):
        n, value, spread = scan.held_out
        before = "" if scan.with_fits is None else ", before the mass fits"
        shown = [value, scan.training.value]
        if spread is not None and np.isfinite(spread).any():
            band = np.nan_to_num(spread)
            if len(n) > 1:
                ax.fill_between(n, value - band, value + band, color=LINES[0], alpha=0.2, lw=0)
            ax.errorbar(n, value, yerr=band, fmt="none", color=LINES[0], capsize=4, zorder=5)
            shown += [value - band, value + band]
        ax.plot(n, value, "o-", color=LINES[0], label=f"held-out{before}", lw=2.6, ms=9, zorder=6)
        ax.plot(
            scan.training.n_categories,
            scan.training.value,
            "o--",
            color=LINES[0],
            mfc="white",
            label="training",
        )
        if scan.with_fits is not None:
            at, found, error = scan.with_fits
            label = "held-out, with the mass fits"
            ax.errorbar(
                at, found, yerr=error, fmt="*", color="black", ms=16, label=label, zorder=7
            )
            shown.append(found)
        for i, (name, yardstick) in enumerate(scan.yardsticks.items()):
            ax.plot(
                yardstick.n_categories,
                yardstick.value,
                marker=MARKERS[i % len(MARKERS)],
                linestyle=DASHES[(i + 1) % len(DASHES)],
                color=(*LINES[1:], *FILLS)[i % (len(LINES) - 1 + len(FILLS))],
                label=name,
                lw=1.6,
            )
            shown.append(yardstick.value)
        for one, name, look, colour in (
            (scan.statistics, "statistics only", "o-", FILLS[2]),
            (scan.exact_and_gap, "exact + gap on densities", "_:", LINES[2]),
        ):
            if one is not None:
                ax.plot(one.n_categories, one.value, look, color=colour, label=name, lw=1.6)
                shown.append(one.value)
        if scan.many is not None:
            ax.axhline(scan.many, color="black", lw=1.3, ls=(0, (1, 1.5)), label=MANY)
            shown.append(np.array([scan.many]))
        _count_axis(ax, np.concatenate([n, *(y.n_categories for y in scan.yardsticks.values())]))
        ax.set_ylabel(f"Expected {scan.figure}")
        add_label(ax, style)
        add_legend(ax, n_columns=2)
        head_room(ax, *_zoomed(np.concatenate(shown)))
    return figure


def _zoomed(values: FloatArray) -> tuple[float, float]:
    """A y range that shows differences, and starts at 0 where they are large anyway."""
    finite = values[np.isfinite(values)]
    low, high = float(finite.min(initial=np.inf)), float(finite.max(initial=0.0))
    if not np.isfinite(low) or high <= low:
        return 0.0, max(high, 1e-9) * 1.05
    low -= 0.15 * (high - low)
    return (0.0 if low < 0.4 * high else low), high


def _count_axis(ax: Axes, counts: FloatArray) -> None:
    """Ticks at the counts that occur, or at whole numbers where those are many or crowd."""
    low, high = float(counts.min()), float(counts.max())
    pad = max(0.05 * (high - low), 0.4)
    ax.set_xlim(low - pad, high + pad)
    present = np.unique(counts)
    if np.all(np.diff(present) > 0.04 * (high - low)):
        ax.set_xticks(present)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.tick_params(axis="x", which="minor", top=False, bottom=False)
    ax.set_xlabel("Number of categories")


def draw_comparison(
    baseline: Mapping[str, Mapping[int, float]],
    optimised: Mapping[str, Mapping[int, float]],
    style: Style,
    *,
    baseline_label: str = "equidistant",
    optimised_label: str = "gato",
    size: tuple[float, float] = (8.0, 7.0),
) -> Figure:
    """Draw significances of two ways to bin, for one or several signals.

    Parameters
    ----------
    baseline, optimised
        Significance by number of bins, by signal.
    """
    signals = list(dict.fromkeys([*baseline, *optimised]))
    with styled(style, size=size) as (figure, (ax,)):
        looks: list[dict[str, Any]] = [
            {"marker": "o", "linestyle": "-"},
            {"marker": "s", "linestyle": "--", "mfc": "white"},
        ]
        everything: list[float] = []
        counts: list[float] = []
        for i, signal in enumerate(signals):
            colour = LINES[i % len(LINES)]
            for results, name, look in (
                (optimised, optimised_label, looks[0]),
                (baseline, baseline_label, looks[1]),
            ):
                points = sorted(results.get(signal, {}).items())
                if not points:
                    continue
                x, y = zip(*points, strict=True)
                label = f"{signal}, {name}" if signal else name
                ax.plot(x, y, color=colour, label=label, markersize=8, **look)
                everything += [float(v) for v in y]
                counts += [float(v) for v in x]
        if counts:
            _count_axis(ax, np.array(counts))
        ax.set_xlabel("Number of bins")
        ax.set_ylabel("Expected significance Z")
        add_label(ax, style)
        add_legend(ax, n_columns=2)
        head_room(ax, *_zoomed(np.array(everything)))
    return figure


def draw_yield_and_uncertainty(
    yields: npt.ArrayLike,
    uncertainties: npt.ArrayLike,
    style: Style,
    *,
    log: bool = False,
    limit: float | None = None,
    x_label: str = "Category",
    yield_label: str = "Background yield",
    uncertainty_label: str = "Relative stat. uncertainty",
    size: tuple[float, float] = (8.0, 7.0),
) -> Figure:
    """Draw the background yield of each category above its relative uncertainty.

    Parameters
    ----------
    yields, uncertainties
        Shape ``(K,)``, in the order in which they are drawn.
    log
        Logarithmic axis of yields.
    limit
        Largest uncertainty that is allowed, drawn as a line.
    """
    b = np.asarray(yields, dtype=np.float64).ravel()
    u = np.asarray(uncertainties, dtype=np.float64).ravel()
    position = np.arange(len(b))
    edges = np.arange(len(b) + 1) - 0.5
    with styled(style, size=size, heights=(1.6, 1.0)) as (figure, (ax, lower)):
        ax.stairs(b, edges, fill=True, facecolor=FILLS[0], edgecolor="black", linewidth=0.8)
        if log:
            head_room(ax, log_floor(b) / 2, 1.5 * float(b.max(initial=0.1)), log=True)
        else:
            head_room(ax, 0.0, float(b.max(initial=0.0)) or 1.0, extra=0.08)
        lower.plot(position, 100 * u, "o", color=LINES[0])
        lower.vlines(position, 0, 100 * u, color=LINES[0], linewidth=2)
        finite = u[np.isfinite(u)]
        top = 100 * max(float(finite.max(initial=0.0)), 1e-4)
        if limit is not None:
            top = max(top, 100 * limit)
            lower.axhline(100 * limit, color="black", lw=1.2, ls="--", label="allowed")
            lower.legend(loc="upper left")
        head_room(lower, 0.0, top, extra=0.12)
        ax.set_ylabel(yield_label)
        lower.set_ylabel(f"{uncertainty_label} [%]", fontsize=14, loc="center")
        lower.set_xlabel(x_label)
        lower.set_xlim(-0.5, len(b) - 0.5)
        step = max(1, len(b) // 20)
        lower.set_xticks(position[::step])
        for panel in (ax, lower):
            panel.tick_params(axis="x", which="minor", top=False, bottom=False)
        add_label(ax, style)
    return figure
