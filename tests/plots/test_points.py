"""Data have Poisson errors, and a point beyond its panel is an arrow at the edge."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import poisson

from gato_coffea.categories.templates import Contents
from gato_coffea.plots.points import data_errors, draw_arrows, draw_data, poisson_errors

pytestmark = pytest.mark.usefixtures("untouched_pyplot")


def test_poisson_errors_are_the_central_interval() -> None:
    counts = np.array([1.0, 2.0, 7.0, 100.0])
    down, up = poisson_errors(counts)
    # At the ends of the interval the counts lie at the edge of what is probable.
    np.testing.assert_allclose(poisson.cdf(counts, counts + up), 0.15865, atol=1e-4)
    np.testing.assert_allclose(poisson.sf(counts - 1, counts - down), 0.15865, atol=1e-4)
    down, up = poisson_errors(np.zeros(1))
    assert (down[0], up[0]) == (0.0, pytest.approx(1.841, abs=1e-3))


def test_scaled_counts_have_scaled_errors_also_where_nothing_is() -> None:
    scale = np.array([0.5, 0.5, 2.0])
    counts = np.array([4.0, 0.0, 9.0])
    down, up = data_errors(Contents(counts * scale, counts * scale**2), scale)
    for error, plain in zip((down, up), poisson_errors(counts), strict=True):
        np.testing.assert_allclose(error, plain * scale)


def test_empty_bins_have_an_error_and_no_point() -> None:
    ax = Figure().subplots()
    data = Contents(np.array([3.0, 0.0, np.nan, 0.0]), np.array([3.0, 0.0, np.nan, 0.0]))
    shown = np.array([True, True, True, False])
    draw_data(ax, np.arange(4.0), data, label="Data", shown=shown)
    filled, empty = ax.containers
    np.testing.assert_array_equal(filled.lines[0].get_xdata(), [0.0])
    bars = empty.lines[2][0].get_segments()
    assert [bar[:, 0].tolist() for bar in bars] == [[1.0, 1.0]]
    np.testing.assert_allclose(bars[0][:, 1], [0.0, 1.841], atol=1e-3)


def test_points_beyond_the_panel_are_arrows_that_point_to_them() -> None:
    ax = Figure().subplots()
    ax.set_ylim(0.0, 2.0)
    y = np.array([1.0, 5.0, np.inf, -1.0, np.nan, 2.0])
    draw_arrows(ax, np.arange(6.0), y)
    marked = {line.get_marker(): line.get_xdata().tolist() for line in ax.lines}
    assert marked == {"^": [1.0, 2.0], "v": [3.0]}
    assert ax.get_ylim() == (0.0, 2.0)
