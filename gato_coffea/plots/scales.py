"""Axes on which a discriminant is even in its stretched coordinate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    NullFormatter,
    NullLocator,
)

from gato_coffea.events.samples import Feature, FloatArray

LOGIT_TICKS = (1e-5, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.99999)
"""Ticks of a logit axis as parts of the range: about evenly spaced on it."""


def stretch_x(ax: Axes, feature: Feature, *, low: float, high: float) -> None:
    """Show a discriminant between two values along x, on the scale of its feature."""
    _stretch(ax.xaxis, ax.set_xscale, feature, low, high)
    ax.set_xlim(low, high)


def stretch_y(ax: Axes, feature: Feature, *, low: float, high: float) -> None:
    """Show a discriminant between two values along y, on the scale of its feature."""
    _stretch(ax.yaxis, ax.set_yscale, feature, low, high)
    ax.set_ylim(low, high)


def _stretch(
    axis: Axis, set_scale: Callable[..., None], feature: Feature, low: float, high: float
) -> None:
    if feature.scale == "log":
        set_scale("log")
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    elif feature.scale == "logit":
        set_scale("function", functions=(feature.stretch, feature.unstretch))
        ticks = feature.low + np.array(LOGIT_TICKS) * (feature.high - feature.low)
        ticks = ticks[(ticks >= low) & (ticks <= high)]
        axis.set_major_locator(FixedLocator(ticks.tolist()))
        axis.set_major_formatter(FixedFormatter([_text(t) for t in ticks]))
        axis.set_minor_locator(NullLocator())


def _text(tick: float) -> str:
    if 0 < tick < 1e-3:
        return f"$10^{{{np.log10(tick):.0f}}}$"
    if 0 < 1 - tick < 0.9e-3:
        return f"$1-10^{{{np.log10(1 - tick):.0f}}}$"
    return f"{tick:.6g}"


def on_axis(ax: Axes, x: FloatArray) -> FloatArray:
    """Positions along an x axis on which distances are what the eye sees."""
    points = np.stack([x, np.zeros_like(x)], axis=-1)
    return np.asarray(ax.transScale.transform(points)[:, 0], dtype=np.float64)


def middle(ax: Axes, low: float, high: float) -> float:
    """The value half way between two others, as the eye sees it."""
    seen = on_axis(ax, np.array([low, high]))
    inverse = ax.transScale.inverted()
    return float(inverse.transform([[seen.mean(), 0.0]])[0, 0])
