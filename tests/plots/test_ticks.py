from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from PIL import Image

from gato_coffea.plots.style import DPI, Style, save_as, styled
from gato_coffea.plots.ticks import quick_minor_ticks

pytestmark = pytest.mark.usefixtures("untouched_pyplot")


def a_figure(*, experiment: str = "CMS") -> Figure:
    """Panels above each other: linear and logarithmic, ticks hidden on one side, a second axis."""
    with styled(Style(experiment=experiment), heights=(2.0, 1.0, 1.0)) as (figure, panels):  # type: ignore[arg-type]
        x = np.linspace(1.0, 95.0, 50)
        panels[0].plot(x, 10.0 ** (x / 20))
        panels[0].set_yscale("log")
        panels[1].plot(x, -x)
        panels[1].set_ylim(3.0, -97.3)  # upside down
        panels[1].tick_params(which="minor", right=False)
        panels[2].semilogy(x, 2.0 + x / 50)  # less than a decade: minor ticks have labels
        panels[2].twinx().plot(x, x**2)
        panels[2].set_xlabel("Score")
    return figure


def pixels(path: Path) -> npt.NDArray[np.int64]:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"), dtype=np.int64)


def minor_ticks(figure: Figure) -> list[int]:
    return [len(axis.get_minorticklocs()) for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]


@pytest.mark.parametrize("experiment", ["CMS", "plain"])
def test_the_picture_is_the_one_with_ticks_of_matplotlib(tmp_path: Path, experiment: str) -> None:
    figure = a_figure(experiment=experiment)
    quick = pixels(save_as(figure, tmp_path / "quick.png"))
    figure.savefig(tmp_path / "ticks.png", dpi=DPI)
    assert min(minor_ticks(figure)) >= 8
    difference = np.abs(quick - pixels(tmp_path / "ticks.png"))
    assert difference.max() == 0
    with quick_minor_ticks(figure):
        figure.savefig(tmp_path / "none.png", dpi=DPI)
    assert np.abs(quick - pixels(tmp_path / "none.png")).mean() > 0.1


def test_ticks_are_as_before_when_the_figure_is_written(tmp_path: Path) -> None:
    figure = a_figure()
    first = save_as(figure, tmp_path / "a.png").read_bytes()
    kept = minor_ticks(figure)
    assert [len(ax.lines) for ax in figure.axes] == [1, 1, 1, 1]
    limits = figure.axes[0].get_xlim()
    figure.axes[0].set_xlim(0.0, 50.0)
    assert save_as(figure, tmp_path / "b.png").read_bytes() != first
    figure.axes[0].set_xlim(*limits)
    assert save_as(figure, tmp_path / "c.png").read_bytes() == first
    assert minor_ticks(figure) == kept


def test_ticks_with_labels_or_outside_the_panel_stay() -> None:
    figure = a_figure()
    linear, labelled = figure.axes[1], figure.axes[2]
    figure.axes[0].tick_params(which="minor", axis="y", direction="out")
    with quick_minor_ticks(figure):
        kinds = [ax.yaxis.get_minor_locator() for ax in (linear, labelled, figure.axes[0])]
    assert [isinstance(kind, NullLocator) for kind in kinds] == [True, False, False]
