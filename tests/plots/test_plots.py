"""What is drawn is what was given, in every style, and nothing stays open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import hist
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.patches import StepPatch
from PIL import Image

from gato_coffea.categories.templates import Contents
from gato_coffea.errors import InputError, OutputError
from gato_coffea.events.samples import Feature
from gato_coffea.plots.contents import (
    OTHER,
    Interval,
    Stack,
    coarse_edges,
    drawing_order,
    rebinned,
    round_scale,
    stack_of,
)
from gato_coffea.plots.stacks import draw_stack
from gato_coffea.plots.style import FILLS, Style, log_floor, save, save_as

STYLE = Style(experiment="plain")


pytestmark = pytest.mark.usefixtures("untouched_pyplot")


def contents(*values: float) -> Contents:
    array = np.array(values)
    return Contents(array, np.abs(array))


def a_stack(**more: Any) -> Stack:
    return Stack(
        edges=np.array([0.0, 1.0, 2.0, 3.0]),
        backgrounds={"top": contents(5, 6, 7), "qcd": contents(100, 50, 20)},
        signals={"ggH": contents(0.1, 0.2, 1.0)},
        label="Score",
        **more,
    )


def steps(figure: Any) -> dict[str, StepPatch]:
    patches = figure.axes[0].patches
    return {str(p.get_label()): p for p in patches if isinstance(p, StepPatch)}


def texts(figure: Any) -> list[str]:
    return [t.get_text() for ax in figure.axes for t in ax.texts]


def legend(figure: Any) -> list[str]:
    return [t.get_text() for t in figure.axes[0].get_legend().get_texts()]


def points(ax: Any, label: str) -> tuple[np.ndarray, np.ndarray]:
    for container in ax.containers:
        if container.get_label() == label:
            x, y = container.lines[0].get_data()
            return np.asarray(x), np.asarray(y)
    raise AssertionError(f"no points {label!r}")


@pytest.mark.parametrize("experiment", ["CMS", "ATLAS", "LHCb", "plain"])
def test_every_style_writes_pdf_and_png(experiment: Any, tmp_path: Path) -> None:
    style = Style(experiment=experiment, label="Work", luminosity_per_fb=12.5, com_tev=8)
    figure = draw_stack(a_stack(), style)
    written = save(figure, tmp_path / "new" / "folder" / "plot.pdf")
    assert [p.name for p in written] == ["plot.pdf", "plot.png"]
    assert written[0].read_bytes().startswith(b"%PDF")
    with Image.open(written[1]) as image:
        assert image.width > 600
    assert sum(p.stat().st_size for p in written) < 300_000
    shown = texts(figure)
    assert "Work" in shown
    assert (experiment in shown) == (experiment != "plain")
    assert any("12.5" in t and "8 TeV" in t for t in shown)


def test_the_style_does_not_depend_on_settings_in_force(tmp_path: Path) -> None:
    first = save_as(draw_stack(a_stack(), STYLE), tmp_path / "a.png").read_bytes()
    with mpl.rc_context({"font.size": 30, "xtick.top": False, "lines.linewidth": 9}):
        second = save_as(draw_stack(a_stack(), STYLE), tmp_path / "b.png").read_bytes()
    assert first == second


def test_unknown_format_and_unwritable_folder(tmp_path: Path) -> None:
    figure = draw_stack(a_stack(), STYLE)
    with pytest.raises(OutputError, match=r"no format of a plot \(got 'xyz'; allowed"):
        save_as(figure, tmp_path / "plot.xyz")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        save(figure, tmp_path / "file" / "plot")


def test_stack_shows_each_background_and_scales_the_signal() -> None:
    figure = draw_stack(a_stack(), STYLE, signal_scale=50)
    drawn = steps(figure)
    for name, values in {"top": [5, 6, 7], "qcd": [100, 50, 20]}.items():
        data = drawn[name].get_data()
        np.testing.assert_allclose(data.values - data.baseline, values)
    np.testing.assert_allclose(drawn["qcd"].get_data().values, [105, 56, 27])
    np.testing.assert_allclose(drawn["ggH × 50"].get_data().values, [5, 10, 50])
    assert legend(figure)[:2] == ["qcd", "top"] or legend(figure)[:2] == ["top", "qcd"]
    assert figure.axes[0].get_ylabel() == "Events / 1"
    assert figure.axes[0].get_ylim()[1] > 1.2 * 105


def test_log_stack_has_no_empty_decades() -> None:
    figure = draw_stack(a_stack(), STYLE, log=True)
    low, high = figure.axes[0].get_ylim()
    assert figure.axes[0].get_yscale() == "log"
    assert 0.01 <= low < 0.2
    assert high < 1e5
    assert log_floor([0.0, -1.0]) == 0.1


def test_nothing_at_all_is_drawn_on_a_linear_axis() -> None:
    nothing = Stack(edges=np.arange(3.0), backgrounds={"A": contents(0, 0)}, label="Category")
    figure = draw_stack(nothing, STYLE, log=True, categories=True)
    assert figure.axes[0].get_yscale() == "linear"


def test_blinded_data_are_not_drawn() -> None:
    stack = a_stack(data=contents(104, 999, 30)).blinded((1.2, 1.8))
    figure = draw_stack(stack, STYLE)
    x, y = points(figure.axes[0], "Data")
    np.testing.assert_array_equal(x, [0.5, 2.5])
    np.testing.assert_array_equal(y, [104, 30])
    for ax in figure.axes:
        for line in ax.lines:
            values = np.asarray(line.get_ydata(), dtype=float)
            assert not np.any(np.isclose(values, 999))
    ratio = figure.axes[1].containers[0].lines[0].get_ydata()
    np.testing.assert_allclose(ratio, [104 / 105, 30 / 27])
    assert figure.axes[0].get_ylim()[1] < 400


def test_a_ratio_panel_is_never_empty_and_shows_what_lies_beyond() -> None:
    data = contents(104, 999, 30)
    figure = draw_stack(a_stack(data=data), STYLE)
    arrows = [line for line in figure.axes[1].lines if line.get_marker() == "^"]
    assert [line.get_xdata().tolist() for line in arrows] == [[1.5]]
    alone = replace(a_stack(data=data), backgrounds={"qcd": contents(0, 0, 0)}, signals={})
    assert len(draw_stack(alone, STYLE).axes) == 1
    half = replace(alone, backgrounds={"qcd": contents(100, 0, 30)})
    arrows = [line for line in draw_stack(half, STYLE).axes[1].lines if line.get_marker() == "^"]
    assert [line.get_xdata().tolist() for line in arrows] == [[1.5]]


def test_the_axis_holds_the_band() -> None:
    broad = Contents(np.array([100.0, 50.0, 20.0]), np.array([1e4, 1.0, 1.0]))
    figure = draw_stack(replace(a_stack(), backgrounds={"qcd": broad}), STYLE)
    assert figure.axes[0].get_ylim()[1] > 200


def test_it_is_written_where_data_are_blinded() -> None:
    stack = a_stack(data=contents(104, 999, 30))
    assert "Data blinded" in legend(draw_stack(stack.blinded((2.0, np.inf)), STYLE))
    shown = legend(draw_stack(stack.blinded((1.0, 2.0)), STYLE, window=(1.0, 2.0)))
    assert "Signal window (data blinded)" in shown
    assert "Signal window" in legend(draw_stack(stack, STYLE, window=(1.0, 2.0)))
    assert "Data blinded" in legend(draw_stack(a_stack(), STYLE, note="Data blinded"))


def test_a_prominent_signal_is_stacked_and_part_of_the_prediction() -> None:
    stack = replace(
        a_stack(data=contents(150, 100, 50)), signals={"Z": contents(50, 40, 30)}, label="m [GeV]"
    )
    figure = draw_stack(stack, STYLE)
    drawn = steps(figure)
    np.testing.assert_allclose(drawn["Z (stacked)"].get_data().values, [155, 96, 57])
    ratio = figure.axes[1].containers[0].lines[0].get_ydata()
    np.testing.assert_allclose(ratio, [150 / 155, 100 / 96, 50 / 57])
    assert figure.axes[1].get_ylabel() == "Data / pred."
    assert figure.axes[0].get_ylabel() == "Events / 1 GeV"


def test_uneven_bins_are_shown_per_width() -> None:
    stack = replace(a_stack(), edges=np.array([0.0, 1.0, 3.0, 3.5]), per=1.0)
    data = steps(draw_stack(stack, STYLE))["top"].get_data()
    np.testing.assert_allclose(data.values - data.baseline, [5, 3, 14])


def test_intervals_are_numbered() -> None:
    figure = draw_stack(a_stack(), STYLE, intervals=[Interval(0, 1, 0), Interval(1, 3, 1)])
    assert {"0", "1"} <= set(texts(figure))
    vertical = [line for line in figure.axes[0].lines if line.get_xdata()[0] == 1]
    assert len(vertical) == 1


def test_a_stretched_axis_keeps_the_contents() -> None:
    feature = Feature("score", 0.0, 1.0, "logit")
    stack = replace(a_stack(), edges=feature.edges(3), feature=feature)
    figure = draw_stack(stack, STYLE, intervals=[Interval(0, 0.3, 0), Interval(0.3, 1, 1)])
    figure.draw_without_rendering()
    data = steps(figure)["top"].get_data()
    np.testing.assert_allclose(data.values - data.baseline, [5, 6, 7])
    assert figure.axes[0].get_ylabel() == "Events / bin"


def test_surplus_backgrounds_become_one() -> None:
    many = {f"p{i}": contents(i + 1.0) for i in range(len(FILLS) + 3)}
    ordered = drawing_order(many)
    assert len(ordered) == len(FILLS)
    assert ordered[OTHER].values[0] == 1 + 2 + 3 + 4
    assert sum(c.values[0] for c in ordered.values()) == sum(c.values[0] for c in many.values())


def test_coarse_edges_lie_on_the_fine_axis() -> None:
    np.testing.assert_allclose(coarse_edges(np.linspace(0, 1, 201), 40), np.linspace(0, 1, 41))
    fine = Feature("score", 0.0, 1.0, "logit").edges(400)
    edges = coarse_edges(fine, 20)
    assert set(edges) <= set(fine)
    assert np.abs(edges - np.linspace(0, 1, 21)).max() < 0.02
    # From 60 to 120 by 1, with a window from 81 to 101: 40 bins would cut it.
    fine_mass = np.arange(60.0, 121.0)
    for window, n in (((81.0, 101.0), 60), ((80.0, 100.0), 30), ((90.0, 102.0), 30)):
        shown = coarse_edges(fine_mass, 40, fixed=window)
        assert set(window) <= set(shown)
        assert len(shown) == n + 1
    uneven = coarse_edges(np.arange(0.0, 1001.0), 40, fixed=(333.0, 400.0))
    assert {0.0, 333.0, 400.0, 1000.0} <= set(uneven)
    assert 35 <= len(uneven) <= 45
    total = Contents(np.arange(400.0), np.arange(400.0))
    assert rebinned(total, fine, edges).values.sum() == total.values.sum()
    with pytest.raises(InputError, match="not on the fine axis"):
        rebinned(total, fine, np.array([0.0, 0.123456, 1.0]))


def test_stack_of_sums_other_axes_and_leaves_the_window_out() -> None:
    h = hist.Hist(
        hist.axis.StrCategory(["qcd"], name="process"),
        hist.axis.StrCategory(["nominal", "Up"], name="variation"),
        hist.axis.Regular(4, 0, 1, name="score"),
        hist.axis.Regular(8, 100, 180, name="mass"),
        storage=hist.storage.Weight(),
    )
    h.fill("qcd", "nominal", [0.1, 0.1, 0.9], [105, 125, 125], weight=[1, 2, 4])
    h.fill("qcd", "Up", [0.1], [105], weight=[100])
    everything = stack_of(h, axis="score", backgrounds=["qcd"])
    np.testing.assert_allclose(everything.backgrounds["qcd"].values, [3, 0, 0, 4])
    np.testing.assert_allclose(everything.backgrounds["qcd"].variances, [5, 0, 0, 16])
    outside = stack_of(h, axis="score", backgrounds=["qcd"], outside=(120, 130))
    np.testing.assert_allclose(outside.backgrounds["qcd"].values, [1, 0, 0, 0])
    with pytest.raises(InputError, match="no process 'top'"):
        stack_of(h, axis="score", backgrounds=["top"])


def test_signal_scale_is_round_and_bounded() -> None:
    assert round_scale(1.0, 1000.0) == 200.0
    assert round_scale(10.0, 10.0) == 1.0
    assert round_scale(0.0, 10.0) == 1.0
    assert round_scale(1e-9, 10.0) == 1000.0
