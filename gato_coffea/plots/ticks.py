"""Minor ticks without labels, drawn at once while a figure is written.

To matplotlib each tick is an object of two lines and two texts, made, placed and drawn on its own:
hundreds of them cost more than all else in a figure. Here those of one side of a panel are the
markers of one line, which looks the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from matplotlib.axis import Axis, XAxis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import Locator, NullLocator


@contextmanager
def quick_minor_ticks(figure: Figure) -> Iterator[Callable[[], None]]:
    """Take away minor ticks that point into their panels and have no labels, for a while.

    They take no room, so a figure can be laid out without them.

    Yields
    ------
    Callable
        Shows them as lines, at the limits that the panels then have.
    """
    axes = [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]
    locators = {axis: axis.get_minor_locator() for axis in axes if _is_plain(axis)}
    lines: list[Line2D] = []

    def show() -> None:
        for axis, locator in locators.items():
            lines.extend(_lines(axis, locator))

    for axis in locators:
        axis.set_minor_locator(NullLocator())
    try:
        yield show
    finally:
        for line in lines:
            line.remove()
        for axis, locator in locators.items():
            axis.set_minor_locator(locator)


def _is_plain(axis: Axis) -> bool:
    """Whether minor ticks are shown, and all of them point inwards and have no labels."""
    locator = axis.get_minor_locator()
    if isinstance(locator, NullLocator) or not axis.get_visible():
        return False
    inwards = axis.get_minor_ticks(1)[0].get_tickdir() == "in"
    return inwards and not any(axis.get_minor_formatter().format_ticks(list(locator())))


def _lines(axis: Axis, locator: Locator) -> list[Line2D]:
    """The minor ticks of both sides of a panel, as far as they are shown."""
    axis.set_minor_locator(locator)
    at = np.asarray(axis.get_minorticklocs(), dtype=np.float64)  # less those at major ticks
    axis.set_minor_locator(NullLocator())
    low, high = sorted(axis.get_view_interval())
    at = at[(at >= low) & (at <= high)]
    tick = axis.get_minor_ticks(1)[0]
    made = []
    for end, side in enumerate((tick.tick1line, tick.tick2line)):
        if not side.get_visible() or not len(at):
            continue
        line = Line2D([], [])
        line.update_from(side)
        on_border = np.full(len(at), float(end))
        line.set_data(*((at, on_border) if isinstance(axis, XAxis) else (on_border, at)))
        line.set_zorder(axis.get_zorder())
        line.set_transform(side.get_transform())
        axis.axes.add_artist(line)
        line.set_clip_on(False)
        line.set_in_layout(False)
        made.append(line)
    return made
