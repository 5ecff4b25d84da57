from __future__ import annotations

import numpy as np
import pytest

from gato_coffea.config import Discriminant
from gato_coffea.events.features import LOGIT_LIMIT, Feature, Grid, bin_index, edge_positions

LINEAR = Feature("x", -2.0, 3.0)
LOGIT = Feature("score", 0.0, 1.0, "logit")
LOG = Feature("pt", 10.0, 1000.0, "log")


@pytest.mark.parametrize("feature", [LINEAR, LOGIT, LOG], ids=lambda f: f.scale)
def test_stretch_increases_and_has_an_inverse(feature: Feature) -> None:
    x = np.linspace(feature.low, feature.high, 1001)[1:-1]
    u = feature.stretch(x)
    assert (np.diff(u) > 0).all()
    np.testing.assert_allclose(feature.unstretch(u), x, rtol=1e-12, atol=1e-12)
    ends = np.array([feature.low, feature.high])
    np.testing.assert_allclose(feature.unstretch(feature.stretch(ends)), ends, rtol=1e-15)


@pytest.mark.parametrize("feature", [LINEAR, LOGIT, LOG], ids=lambda f: f.scale)
def test_edges(feature: Feature) -> None:
    edges = feature.edges(17)
    assert edges[0] == feature.low
    assert edges[-1] == feature.high
    assert (np.diff(edges) > 0).all()
    steps = np.diff(feature.stretch(edges))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)


def test_scores_at_the_very_ends() -> None:
    u = LOGIT.stretch(np.array([0.0, 1.0, 1e-300]))
    np.testing.assert_array_equal(u, [-LOGIT_LIMIT, LOGIT_LIMIT, -LOGIT_LIMIT])


def test_closed_ranges() -> None:
    x = np.array([-2.0, 3.0, -2.1, 3.1, np.nan, np.inf])
    np.testing.assert_array_equal(LINEAR.inside(x), [True, True] + [False] * 4)


def test_bin_index_against_numpy() -> None:
    rng = np.random.default_rng(2)
    edges = np.sort(rng.uniform(0, 1, 12))
    x = np.concatenate([rng.uniform(-0.1, 1.1, 2000), edges])
    counts = np.bincount(bin_index(x, edges) + 1, minlength=12)[1:]
    np.testing.assert_array_equal(counts, np.histogram(x, edges)[0])


def test_the_cell_of_an_event_against_numpy() -> None:
    grid = Grid.fine([LINEAR, LOGIT], n_cells=[7, 5])
    rng = np.random.default_rng(3)
    x = np.stack([rng.uniform(-2, 3, 500), rng.uniform(0, 1, 500)], axis=-1)
    counts = np.bincount(grid.index(x), minlength=35).reshape(grid.shape)
    np.testing.assert_array_equal(counts, np.histogram2d(*x.T, bins=list(grid.edges))[0])
    outside = np.array([[3.1, 0.5], [0.0, np.nan], [3.0, 1.0]])
    np.testing.assert_array_equal(grid.index(outside), [-1, -1, 34])


@pytest.mark.parametrize(("dim", "cells"), [(1, 2000), (2, 150**2), (3, 62**3), (4, 22**4)])
def test_the_default_grid_keeps_below_a_quarter_million_cells(dim: int, cells: int) -> None:
    grid = Grid.fine([Feature(f"x{d}", 0, 1) for d in range(dim)])
    assert np.prod(grid.shape) == cells <= 250_000


@pytest.mark.parametrize("scale", ["linear", "logit", "log"])
@pytest.mark.parametrize("n_bins", [1, 7, 400])
def test_many_values_are_looked_up_as_one_by_one(scale, n_bins):
    rng = np.random.default_rng(5)
    edges = Feature("a", 0.001, 1.0 + 1e-9, scale).edges(n_bins)
    x = np.concatenate(
        [
            rng.uniform(-0.1, 1.1, 30_000),
            rng.choice(edges, 5000),
            np.nextafter(rng.choice(edges, 5000), rng.choice([-1.0, 2.0], 5000)),
            [np.nan, np.inf, -np.inf],
        ]
    )
    expected = np.searchsorted(edges, x, side="right") - 1
    expected[x == edges[-1]] = n_bins - 1
    expected[~((x >= edges[0]) & (x <= edges[-1]))] = -1
    np.testing.assert_array_equal(bin_index(x, edges), expected)
    np.testing.assert_array_equal(bin_index(x[:3], edges), expected[:3])


def test_a_range_as_narrow_as_numbers_are_is_no_trouble():
    edges = np.array([0.0, 5e-324, 1e-323])
    x = np.repeat(edges, 1000)
    np.testing.assert_array_equal(bin_index(x, edges), np.repeat([0, 1, 1], 1000))


def test_values_are_edges_but_for_rounding() -> None:
    edges = np.array([0.0, 1e-3, 0.3, 1.0])
    values = np.array([0.1 + 0.2, 1e-3 * (1 + 1e-8), 1e-3 * (1 + 1e-4), 0.5, 1.0, 1.1, -0.1])
    np.testing.assert_array_equal(edge_positions(values, edges), [2, 1, -1, -1, 3, -1, -1])


def test_a_feature_is_made_of_a_discriminant() -> None:
    discriminant = Discriminant(name="pt", range=(1, 100), scale="log")
    assert Feature.of(discriminant) == Feature("pt", 1, 100, "log")
