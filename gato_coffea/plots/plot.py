"""Figures that are not drawn yet: where they belong, what they show, and how they become files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from gato_coffea.plots.numbers import Numbers, write_csv
from gato_coffea.plots.style import save
from gato_coffea.rendering.drawn import DrawnPlot


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A figure before it is drawn, which another process can do.

    Attributes
    ----------
    name
        Of its files, without an ending.
    section, caption
        Where it stands in the report, and what is said below it.
    draw
        Draws it; a `functools.partial` of a function of a module, so that it can be sent to
        another process.
    numbers
        What it shows.
    """

    name: str
    section: str
    caption: str
    draw: Callable[[], Figure]
    numbers: Numbers

    def write(self, folder: Path) -> DrawnPlot:
        """Write it as PDF and PNG, and its numbers as CSV."""
        files = [
            *save(self.draw(), folder / self.name),
            write_csv(folder / f"{self.name}.csv", self.numbers),
        ]
        return DrawnPlot(self.section, self.caption, tuple(files))


def get_ready() -> None:
    """Do nothing: a process that is given this has loaded the drawing modules before it begins."""


def write_plots(
    plots: Sequence[Plot], folder: Path, *, pool: Executor | None = None
) -> list[DrawnPlot]:
    """Draw and write figures, in this process and in those of a pool, which begins at the end.

    Raises
    ------
    OutputError
        If the folder cannot be written to.
    """
    if pool is None:
        return [plot.write(folder) for plot in plots]
    futures = [pool.submit(plot.write, folder) for plot in reversed(plots)]
    return [
        plot.write(folder) if future.cancel() else future.result()
        for plot, future in zip(plots, reversed(futures), strict=True)
    ]
