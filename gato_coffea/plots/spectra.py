"""Mass spectra: points, the sideband fit with its band, the signal window, pulls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gato_coffea.categories.templates import Contents
from gato_coffea.events.samples import FloatArray
from gato_coffea.plots.contents import round_scale, scale_label
from gato_coffea.plots.points import data_errors, draw_arrows, draw_data
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
    with_unit,
)

FIT_COLOUR = "#3f90da"
"""Blue of the palette, which no signal has."""

PEAK_RATIO = 4.0
"""Height of a peak over the fit from which on the y axis is logarithmic: on a linear one the fit
would lie in the lowest quarter."""

LINE_HEIGHT = 0.055
"""Height of a line of text as a part of the panel: 19 of about 350 points."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A fitted function, as expected events per bin.

    Attributes
    ----------
    x, y
        Positions and values to draw, shape ``(P,)``.
    error
        Its standard deviation there, or None.
    error_label
        Name of the band that it spans in the legend.
    per_bin
        Integral over each bin, shape ``(n,)``, for the pulls.
    label
        Name in the legend.
    """

    x: FloatArray
    y: FloatArray
    per_bin: FloatArray
    error: FloatArray | None = None
    error_label: str = "68% band"
    label: str = "Sideband fit"


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """The mass spectrum of one category.

    Attributes
    ----------
    edges
        Bin edges in ``unit``, shape ``(n + 1,)``.
    points
        What was fitted, and what peaks in it: data, or the sum of backgrounds.
    points_label
        Its name in the legend.
    window
        Signal window; shaded.
    fitted
        Intervals that were fitted; pulls elsewhere are drawn hollow.
    blinded
        The points inside the window are not drawn, nor used for the range of the axis.
    counted
        The points are counts of events, with asymmetric Poisson errors; else sums of weights.
    curve
        The fitted function, or None.
    resonant
        Contents of the backgrounds that peak in the window, which stand on the fitted function.
    signals
        Contents by process.
    label, unit
        Title of the x axis.
    text
        Lines to write into the plot, such as the category and the prediction.
    """

    edges: FloatArray
    points: Contents
    points_label: str
    window: tuple[float, float]
    fitted: Sequence[tuple[float, float]]
    blinded: bool
    counted: bool = False
    curve: Curve | None = None
    resonant: Mapping[str, Contents] = field(default_factory=dict)
    signals: Mapping[str, Contents] = field(default_factory=dict)
    label: str = "Mass"
    unit: str = "GeV"
    text: Sequence[str] = ()

    @property
    def centers(self) -> FloatArray:
        """Centres of the bins."""
        return np.asarray(0.5 * (self.edges[1:] + self.edges[:-1]))

    @property
    def in_window(self) -> npt.NDArray[np.bool_]:
        """Bins that overlap the window."""
        return (self.edges[1:] > self.window[0]) & (self.edges[:-1] < self.window[1])

    @property
    def in_fit(self) -> npt.NDArray[np.bool_]:
        """Bins whose centre lies in a fitted interval."""
        c = self.centers
        return np.asarray(np.any([(c >= low) & (c <= high) for low, high in self.fitted], axis=0))

    @property
    def visible(self) -> npt.NDArray[np.bool_]:
        """Bins whose points may be shown."""
        return ~self.in_window if self.blinded else np.ones(len(self.edges) - 1, dtype=bool)

    @property
    def expected(self) -> FloatArray:
        """All of the background: the curve, and what peaks on it; NaN without a curve."""
        if self.curve is None:
            return np.full(len(self.edges) - 1, np.nan)
        return self.curve.per_bin + sum(
            (contents.values for contents in self.resonant.values()), np.zeros(1)
        )

    @property
    def errors(self) -> tuple[FloatArray, FloatArray]:
        """Errors of the points, down and up."""
        if self.counted:
            return data_errors(self.points)
        return np.sqrt(self.points.variances), np.sqrt(self.points.variances)

    def in_unit(self, unit: str, factor: float) -> Self:
        """The same on an axis whose values are multiplied with a factor."""

        def scaled(pair: tuple[float, float]) -> tuple[float, float]:
            return pair[0] * factor, pair[1] * factor

        curve = self.curve
        return replace(
            self,
            edges=self.edges * factor,
            window=scaled(self.window),
            fitted=[scaled(pair) for pair in self.fitted],
            curve=None if curve is None else replace(curve, x=curve.x * factor),
            unit=unit,
        )

    @property
    def pulls(self) -> FloatArray:
        """Points minus background over the error of the points; NaN where there is no such thing.

        The variance is the background's expectation times the mean squared over the mean weight,
        which is defined in empty bins too.
        """
        if self.curve is None:
            return np.full(len(self.edges) - 1, np.nan)
        values, variances = self.points
        used = self.visible & self.in_fit
        sumw = float(values[used].sum())
        ratio = float(variances[used].sum()) / sumw if sumw > 0 else np.nan
        variance = np.abs(self.expected) * ratio
        with np.errstate(divide="ignore", invalid="ignore"):
            pulls = (values - self.expected) / np.sqrt(variance)
        return np.where(self.visible & np.isfinite(pulls), pulls, np.nan)


def draw_spectrum(
    spectrum: Spectrum, style: Style, *, signal_scale: float | None = None
) -> Figure:
    """Draw a mass spectrum with its sideband fit and pulls.

    Parameters
    ----------
    spectrum, style
        What to show, and how.
    signal_scale
        Factor of all signals, stated in the legend; None finds a round one for each.
    """
    fit = spectrum.curve is not None
    with styled(style, size=(8.0, 7.8), heights=(3.0, 1.0) if fit else (1.0,)) as (figure, axes):
        ax = axes[0]
        for panel in axes:
            panel.axvspan(*spectrum.window, color=WINDOW_COLOUR, alpha=0.55, zorder=0, lw=0)
        top = _draw_points(ax, spectrum)
        if spectrum.curve is not None:
            top = max(top, _draw_curve(ax, spectrum.curve))
            top = max(top, _draw_resonant(ax, spectrum, spectrum.curve))
            _draw_pulls(axes[1], spectrum)
        top = max(top, _draw_signals(ax, spectrum, signal_scale))
        # The window stands last in the legend.
        ax.fill_between(
            [], [], color=WINDOW_COLOUR, alpha=0.55, lw=0, label=_window_label(spectrum)
        )
        ax.set_ylabel(events_per(float(np.diff(spectrum.edges).mean()), spectrum.unit))
        axes[-1].set_xlabel(with_unit(spectrum.label, spectrum.unit))
        axes[-1].set_xlim(float(spectrum.edges[0]), float(spectrum.edges[-1]))
        add_label(ax, style)
        add_legend(ax, n_columns=2)
        lines = len(spectrum.text)
        values, variances = spectrum.points
        shown = spectrum.visible
        low = min(0.0, 1.1 * float(np.min((values - np.sqrt(variances))[shown], initial=0.0)))
        low = 0.0 if values[shown].min(initial=0.0) >= 0 else low
        log = _is_peaked(spectrum)
        if log:
            low = log_floor(_fitted_levels(spectrum))
        # Beside a falling spectrum the text finds room on the right, under the legend.
        room = 1 - 1.2 * LINE_HEIGHT * lines
        right = not log and _highest_on_the_right(spectrum) < room * top
        extra = 0.04 + (0.0 if right else LINE_HEIGHT * lines)
        free = head_room(ax, low, top, log=log, extra=extra)
        for i, line in enumerate(spectrum.text):
            ax.annotate(
                line,
                (1 if right else 0, free),
                (-12 if right else 12, -6 - 19 * i),
                xycoords="axes fraction",
                textcoords="offset points",
                va="top",
                ha="right" if right else "left",
                fontsize=14,
                fontweight="bold" if i == 0 else "normal",
            )
    return figure


def _highest_on_the_right(spectrum: Spectrum) -> float:
    """Largest point or curve right of 35 % of the range, its error included."""
    start = spectrum.edges[0] + 0.35 * (spectrum.edges[-1] - spectrum.edges[0])
    keep = spectrum.visible & (spectrum.centers > start)
    highest = float(np.max((spectrum.points.values + spectrum.errors[1])[keep], initial=0.0))
    if spectrum.curve is not None:
        curve = spectrum.curve
        upper = curve.y if curve.error is None else curve.y + curve.error
        on_right = upper[curve.x > start]
        highest = max(highest, float(np.max(on_right, initial=0.0)))
    return highest


def _fitted_levels(spectrum: Spectrum) -> FloatArray:
    levels = spectrum.points.values[spectrum.in_fit & spectrum.visible]
    return levels if spectrum.curve is None else np.append(levels, spectrum.curve.y)


def _is_peaked(spectrum: Spectrum) -> bool:
    """Whether a peak towers so high that the fit would not be seen on a linear axis."""
    levels = _fitted_levels(spectrum)
    highest = float(np.max(spectrum.points.values[spectrum.visible], initial=0.0))
    positive = bool((levels > 0).any())
    return positive and highest > PEAK_RATIO * float(np.max(levels, initial=0.0))


def _window_label(spectrum: Spectrum) -> str:
    return "Signal window (blinded)" if spectrum.blinded else "Signal window"


def _draw_points(ax: Axes, spectrum: Spectrum) -> float:
    if spectrum.counted:
        points = Contents(*(np.where(spectrum.visible, part, np.nan) for part in spectrum.points))
        label = spectrum.points_label
        upper = draw_data(ax, spectrum.centers, points, label=label, size=5)
        return float(np.max(upper, initial=1e-12))
    values = spectrum.points.values
    keep = spectrum.visible
    error = spectrum.errors[1][keep]
    ax.errorbar(
        spectrum.centers[keep],
        values[keep],
        yerr=error,
        fmt="o",
        markersize=5,
        color="black",
        label=spectrum.points_label,
        zorder=4,
    )
    return float(np.max(values[keep] + error, initial=1e-12))


def _draw_curve(ax: Axes, curve: Curve) -> float:
    ax.plot(curve.x, curve.y, color=FIT_COLOUR, linewidth=2.4, label=curve.label, zorder=3)
    if curve.error is not None:
        ax.fill_between(
            curve.x,
            curve.y - curve.error,
            curve.y + curve.error,
            color=FIT_COLOUR,
            alpha=0.3,
            lw=0,
            label=curve.error_label,
            zorder=2,
        )
    return float(np.max(curve.y if curve.error is None else curve.y + curve.error, initial=0.0))


def _draw_resonant(ax: Axes, spectrum: Spectrum, curve: Curve) -> float:
    """Each resonant background on top of the curve and of those before it."""
    base = curve.per_bin
    for i, (name, contents) in enumerate(spectrum.resonant.items()):
        ax.stairs(
            base + contents.values,
            spectrum.edges,
            baseline=base,
            fill=True,
            color=FILLS[(i + 1) % len(FILLS)],
            alpha=0.8,
            label=name,
            zorder=1,
        )
        base = base + contents.values
    return float(np.max(base, initial=0.0)) if spectrum.resonant else 0.0


def _draw_signals(ax: Axes, spectrum: Spectrum, scale: float | None) -> float:
    top = float(np.max(spectrum.points.values[spectrum.visible], initial=0.0))
    highest = 0.0
    for i, (name, contents) in enumerate(spectrum.signals.items()):
        peak = float(np.max(contents.values, initial=0.0))
        factor = round_scale(peak, top) if scale is None else scale
        ax.stairs(
            contents.values * factor,
            spectrum.edges,
            color=LINES[i % len(LINES)],
            linestyle=DASHES[i % len(DASHES)],
            linewidth=2.0,
            label=scale_label(name, factor),
            baseline=None,
        )
        highest = max(highest, peak * factor)
    return highest


def _draw_pulls(ax: Axes, spectrum: Spectrum) -> None:
    pulls = spectrum.pulls
    fitted = spectrum.in_fit & np.isfinite(pulls)
    other = ~spectrum.in_fit & np.isfinite(pulls)
    centers = spectrum.centers
    for level in (-2, 0, 2):
        ax.axhline(level, color="black", linewidth=1.0, linestyle="-" if level == 0 else ":")
    ax.errorbar(centers[fitted], pulls[fitted], fmt="o", markersize=5, color="black")
    if other.any():
        ax.plot(centers[other], pulls[other], "o", markersize=5, mfc="white", mec="black", ls="")
    reach = max(3.5, min(1.15 * float(np.nanmax(np.abs(pulls[fitted]), initial=0.0)), 10.0))
    ax.set_ylim(-reach, reach)
    for kind, hollow in ((fitted, False), (other, True)):
        draw_arrows(ax, centers[kind], pulls[kind], hollow=hollow)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True, prune="both"))
    ax.set_ylabel("Pull", loc="center", fontsize=16)
