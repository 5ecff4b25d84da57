"""Spectra, training, categories, significance and animation show what they were given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gato_coffea.categories import EdgeCategories, MixtureCategories
from gato_coffea.categories.templates import Contents
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature
from gato_coffea.optimisation.result import History, Result, Significance, Yardstick, Yields
from gato_coffea.plots.animation import animate_boundaries
from gato_coffea.plots.categories import (
    components_of,
    draw_components,
    draw_regions,
    intervals_of,
    regions_of,
)
from gato_coffea.plots.contents import (
    Stack,
)
from gato_coffea.plots.significance import draw_significance, scan_of
from gato_coffea.plots.spectra import Curve, Spectrum, draw_spectrum
from gato_coffea.plots.style import Style, save_as
from gato_coffea.plots.training import draw_bias, draw_boundaries, draw_training

STYLE = Style(experiment="plain")


pytestmark = pytest.mark.usefixtures("untouched_pyplot")


def a_stack() -> Stack:
    falling = Contents(np.array([100.0, 50.0, 20.0]), np.ones(3))
    return Stack(edges=np.arange(4.0), backgrounds={"qcd": falling}, label="Score")


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


def a_spectrum(**more: Any) -> Spectrum:
    edges = np.linspace(100, 180, 41)
    centers = 0.5 * (edges[1:] + edges[:-1])
    expected = 300 * np.exp(-(centers - 100) / 30)
    values = np.where((centers > 120) & (centers < 130), 1e6, expected + 5)
    fields: dict[str, Any] = {
        "edges": edges,
        "points": Contents(values, values),
        "points_label": "Data",
        "window": (120.0, 130.0),
        "fitted": [(100.0, 120.0), (130.0, 180.0)],
        "blinded": True,
        "curve": Curve(x=centers, y=expected, per_bin=expected, error=0.1 * expected),
        "signals": {"ggH": Contents(np.ones(40), np.ones(40))},
        "text": ("Category 3",),
    }
    return Spectrum(**(fields | more))


def test_spectrum_hides_the_window_and_draws_the_fit() -> None:
    spectrum = a_spectrum()
    figure = draw_spectrum(spectrum, STYLE)
    x, y = points(figure.axes[0], "Data")
    assert len(x) == 35
    assert not np.any((x > 120) & (x < 130))
    assert y.max() < 400
    assert figure.axes[0].get_ylim()[1] < 1000
    assert figure.axes[0].get_ylabel() == "Events / 2 GeV"
    pulls = np.concatenate([c.lines[0].get_ydata() for c in figure.axes[1].containers])
    assert len(pulls) == 35
    assert np.all(np.abs(pulls) < 5)
    assert "Category 3" in texts(figure)
    assert "Signal window (blinded)" in legend(figure)


def test_resonant_backgrounds_stand_on_the_curve_and_count_in_the_pulls() -> None:
    plain = a_spectrum()
    assert plain.curve is not None
    peak = np.where(plain.in_window, 50.0, 1.0)
    spectrum = a_spectrum(
        points=Contents(plain.curve.per_bin + 3 * peak, plain.curve.per_bin),
        blinded=False,
        resonant={"ZH": Contents(peak, peak), "tH": Contents(2 * peak, peak)},
    )
    np.testing.assert_allclose(spectrum.expected, plain.curve.per_bin + 3 * peak)
    np.testing.assert_allclose(spectrum.pulls, 0.0, atol=1e-9)
    figure = draw_spectrum(spectrum, STYLE)
    assert {"ZH", "tH"} <= set(legend(figure))
    patches = {p.get_label(): p for p in figure.axes[0].patches}
    steps = {name: patches[name].get_data() for name in ("ZH", "tH")}
    np.testing.assert_allclose(steps["ZH"].baseline, plain.curve.per_bin)
    np.testing.assert_allclose(steps["ZH"].values, steps["tH"].baseline)
    np.testing.assert_allclose(steps["tH"].values, spectrum.expected)


def test_pulls_beyond_the_panel_are_arrows() -> None:
    figure = draw_spectrum(a_spectrum(blinded=False), STYLE)
    arrows = [line for line in figure.axes[1].lines if line.get_marker() == "^"]
    assert len(arrows) == 1
    np.testing.assert_array_equal(arrows[0].get_xdata(), np.arange(121, 130, 2.0))


def test_counts_have_poisson_errors_and_an_axis_in_their_unit() -> None:
    spectrum = a_spectrum(counted=True, blinded=True).in_unit("MeV", 1000.0)
    figure = draw_spectrum(spectrum, STYLE)
    assert figure.axes[0].get_ylabel() == "Events / 2000 MeV"
    assert figure.axes[1].get_xlabel() == "Mass [MeV]"
    assert figure.axes[1].get_xlim() == (100e3, 180e3)
    bars = figure.axes[0].containers[0].lines[2][0].get_segments()
    first = spectrum.points.values[0]
    assert bars[0][1, 1] - first > first - bars[0][0, 1] > 0


def test_text_stands_clear_of_points_and_band() -> None:
    flat = Contents(np.full(40, 100.0), np.full(40, 100.0))
    curve = Curve(
        x=np.linspace(100, 180, 81),
        y=np.full(81, 100.0),
        per_bin=np.full(40, 100.0),
        error=np.full(81, 30.0),
    )
    lines = ("Category 3", "Window: 500 ± 20", "ZH: 3.0 ± 0.1", "p = 0.50, ok")
    spectrum = a_spectrum(points=flat, curve=curve, blinded=False, text=lines)
    figure = draw_spectrum(spectrum, STYLE)
    figure.draw_without_rendering()
    ax = figure.axes[0]
    for text in (t for t in ax.texts if t.get_text() in lines):
        box = text.get_window_extent().transformed(ax.transData.inverted())
        assert box.y0 > 130.0


def test_pulls_are_the_distance_in_standard_deviations() -> None:
    spectrum = a_spectrum()
    assert spectrum.curve is not None
    used = spectrum.in_fit
    values, variances = spectrum.points
    scale = variances[used].sum() / values[used].sum()
    hand = 5 / np.sqrt(spectrum.curve.per_bin[used] * scale)
    np.testing.assert_allclose(spectrum.pulls[used], hand)
    assert np.isnan(spectrum.pulls[~used]).all()


def test_unblinded_spectrum_shows_the_window_but_marks_its_pulls() -> None:
    spectrum = a_spectrum(blinded=False)
    figure = draw_spectrum(spectrum, STYLE)
    assert len(points(figure.axes[0], "Data")[0]) == 40
    assert figure.axes[0].get_yscale() == "log"
    without = draw_spectrum(replace(spectrum, curve=None), STYLE)
    assert len(without.axes) == 1


def a_history(n: int = 30, *, one_dimensional: bool = True) -> History:
    epoch = np.arange(n, dtype=float)
    fall = np.exp(-epoch / 10)
    return History(
        epoch=epoch,
        loss=fall - 1,
        significance=1 - fall,
        hard=0.9 - fall,
        penalty_yield=np.zeros(n),
        penalty_uncertainty=np.zeros(n),
        temperature=fall,
        learning_rate=fall / 10,
        bias=-fall,
        boundaries=tuple(np.array([0.2, 0.8]) for _ in range(n)) if one_dimensional else (),
    )


@pytest.mark.parametrize("one_dimensional", [True, False])
def test_training_shows_every_record(one_dimensional: bool) -> None:
    history = a_history(one_dimensional=one_dimensional)
    figure = draw_training(history, STYLE)
    drawn = [np.asarray(line.get_ydata()) for ax in figure.axes for line in ax.lines]
    wanted = [history.loss, history.significance, history.hard, history.temperature]
    wanted += [np.abs(history.bias), history.penalty_yield]
    wanted += [np.full(30, 0.8)] if one_dimensional else [history.learning_rate]
    for values in wanted:
        assert any(len(y) == len(values) and np.allclose(y, values) for y in drawn)


def test_boundaries_of_changing_number_and_bias_with_temperature(tmp_path: Path) -> None:
    figure = draw_boundaries([[0.5], [0.3, 0.6], []], STYLE)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [0.5, 0.3, 0.6])
    figure = draw_bias([0.3, 0.1], STYLE, epochs=[0, 25], annealed=[1.0, 0.1], log=True)
    assert [ax.get_yscale() for ax in figure.axes] == ["log", "log"]
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), [1.0, 0.1])


def a_mixture(n: int = 2) -> MixtureCategories:
    return MixtureCategories(
        features=(Feature("score", 0.0, 1.0),),
        label=np.arange(n),
        means=(np.arange(n)[:, None] + 0.5) / n,
        scale_tril=np.full((n, 1, 1), 0.2 / n),
        log_weights=np.log(np.full(n, 1 / n)),
    )


def test_intervals_are_where_the_category_changes() -> None:
    low, high = intervals_of(a_mixture())
    assert (low.category, high.category) == (0, 1)
    assert low.high == pytest.approx(0.5, abs=1e-9)
    edges = EdgeCategories(
        features=(Feature("score", 0.0, 1.0),),
        label=np.array([0, 1, 0]),
        edges=(np.array([0.0, 0.2, 0.7, 1.0]),),
    )
    found = intervals_of(edges)
    assert [i.category for i in found] == [0, 1, 0]
    np.testing.assert_allclose([i.high for i in found], [0.2, 0.7, 1.0])


def test_components_integrate_to_their_weights() -> None:
    components = components_of(a_mixture(), n_points=2001)
    np.testing.assert_allclose(
        np.trapezoid(components.density, components.x, axis=0), [0.5, 0.5], atol=0.005
    )
    np.testing.assert_allclose(components.membership.sum(axis=1), 1)
    figure = draw_components(components, STYLE)
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), components.density[:, 0])


@pytest.mark.parametrize(("n", "first_column"), [(10, ["0"]), (13, ["0", "7"])])
def test_a_legend_of_many_components_lies_below_the_curves(
    tmp_path: Path, n: int, first_column: list[str]
) -> None:
    figure = draw_components(components_of(a_mixture(n)), STYLE)
    upper, lower = figure.axes
    assert upper.get_legend() is None
    (below,) = figure.legends
    shown = [text.get_text() for text in below.get_texts()]
    assert shown[: len(first_column)] == first_column
    assert sorted(shown, key=int) == [str(k) for k in range(n)]
    for handle, text in zip(below.get_lines(), shown, strict=True):
        assert handle.get_color() == upper.lines[int(text)].get_color()
    save_as(figure, tmp_path / "components.png")
    label = lower.xaxis.label.get_window_extent()
    assert below.get_window_extent().y1 < label.y0
    peak = max(float(np.max(line.get_ydata())) for line in upper.lines[:n])
    assert peak > 0.9 * upper.get_ylim()[1]


def test_regions_follow_the_categories_and_leave_empty_cells_white(tmp_path: Path) -> None:
    features = (Feature("a", 0.0, 1.0), Feature("b", 0.0, 2.0))
    categories = EdgeCategories(
        features=features,
        label=np.array([0, 1]),
        edges=(np.array([0.0, 0.5, 1.0]), np.array([0.0, 2.0])),
    )
    occupied = np.ones((2, 2), dtype=bool)
    occupied[1, 1] = False
    regions = regions_of(categories, n_cells=10, occupied=occupied)
    assert (regions.category[:5] == 0).all()
    assert (regions.category[5:, :5] == 1).all()
    assert (regions.category[5:, 5:] == -1).all()
    figure = draw_regions(regions, STYLE)
    assert {"0", "1"} <= set(texts(figure))
    save_as(figure, tmp_path / "regions.pdf")
    with pytest.raises(InputError, match="regions need two discriminants"):
        regions_of(a_mixture())


def a_result(asked: int, z: float) -> Result:
    def significance(value: float) -> Significance:
        return Significance(value, {"ggH": value}, 0.05)

    yields = Yields(
        processes=("ggH", "qcd"),
        signals=("ggH",),
        backgrounds=("qcd",),
        sumw=np.ones((2, 2)),
        sumw2=np.ones((2, 2)),
        count=np.ones((2, 2)),
        factor=np.ones(2),
    )
    yardsticks = {
        "exact": Yardstick(significance(z + 0.1), significance(z + 0.2)),
        "lloyd": Yardstick(None, significance(z + 0.3)),
        "50 categories": Yardstick(significance(2.0), significance(3.0)),
    }
    return Result(asked, a_mixture(), significance(z), significance(z + 0.15), yields, yardsticks)


def test_significance_shows_held_out_with_its_band_and_the_references() -> None:
    scan = scan_of({5: a_result(5, 1.7), 3: a_result(3, 1.5)})
    np.testing.assert_allclose(scan.held_out.value, [1.5, 1.7])
    assert scan.many == 2.0
    assert list(scan.yardsticks) == ["exact", "lloyd (training)"]
    np.testing.assert_allclose(scan.yardsticks["lloyd (training)"].value, [1.8, 2.0])
    figure = draw_significance(scan, STYLE)
    drawn = {str(line.get_label()): line for line in figure.axes[0].lines}
    np.testing.assert_allclose(drawn["held-out"].get_ydata(), [1.5, 1.7])
    np.testing.assert_allclose(drawn["training"].get_ydata(), [1.65, 1.85])
    np.testing.assert_allclose(drawn["exact"].get_ydata(), [1.6, 1.8])
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(1.45)
    assert band.max() == pytest.approx(1.75)


def test_the_figure_with_the_mass_fits_stands_beside_those_before_them() -> None:
    results = {5: a_result(5, 1.7), 3: a_result(3, 1.5)}
    quoted = Significance(1.3, {"s": 1.3}, 0.05)
    figure = draw_significance(scan_of(results, with_fits={5: quoted}), STYLE)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert "held-out, before the mass fits" in labels
    assert "held-out, with the mass fits" in labels
    assert figure.axes[0].get_ylim()[0] < 1.3


def test_a_single_count_is_drawn() -> None:
    figure = draw_significance(scan_of({3: a_result(3, 1.5)}), STYLE)
    assert list(figure.axes[0].get_xticks()) == [3]


def test_animation_has_the_first_and_the_last_epoch(tmp_path: Path) -> None:
    history = a_history()
    path = animate_boundaries(
        tmp_path / "deep" / "b.gif",
        a_stack(),
        STYLE,
        epochs=history.epoch,
        boundaries=[np.array([0.5 + i / 20]) for i in range(30)],
        significance=history.hard,
        max_frames=4,
    )
    with Image.open(path) as image:
        assert image.n_frames == 4
    with pytest.raises(InputError, match="one epoch at least"):
        animate_boundaries(path, a_stack(), STYLE, epochs=[], boundaries=[])
