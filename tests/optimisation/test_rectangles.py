"""Rectangular categories: numbers of bins, coordinates and starts."""

from __future__ import annotations

import numpy as np
import pytest

from gato_coffea.events.samples import Feature
from gato_coffea.optimisation.rectangles import (
    Shares,
    alive_bins,
    alive_cells,
    edge_categories,
    even_bins,
    raw_widths,
)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 5, 12, 30])
def test_even_bins_make_no_more_cells_than_asked_and_cannot_be_more(n: int, dim: int) -> None:
    bins = even_bins(n, dim)
    cells = int(np.prod(bins))
    assert len(bins) == dim
    assert cells <= n
    assert all(cells // b * (b + 1) > n for b in bins)


def test_shares_increase_from_end_to_end_and_back() -> None:
    rng = np.random.default_rng(1)
    u, weight = rng.normal(size=300).clip(-3, 3), rng.random(300)
    shares = Shares.from_points(u, weight, low=-4.0, high=5.0)
    at = np.linspace(-4, 5, 50)
    share = shares.of(at)
    assert share[0] == 0.0
    assert share[-1] == 1.0
    assert (np.diff(share) > 0).all()
    np.testing.assert_allclose(shares.at(share), at, atol=1e-12)
    # A tenth of a share is length; the rest is the weight below.
    below = weight[u < 0.5].sum() / weight.sum()
    assert shares.of(np.array([0.5]))[0] == pytest.approx(0.9 * below + 0.1 * 0.5, abs=0.01)


def test_equal_values_and_values_at_the_ends_are_one_knot() -> None:
    u = np.array([0.0, 0.5, 0.5, 0.5, 1.0])
    shares = Shares.from_points(u, np.ones(5), low=0.0, high=1.0)
    assert (np.diff(shares.u) > 0).all()
    assert (np.diff(shares.share) > 0).all()


def test_bins_that_fill_up_come_before_the_last() -> None:
    bins = np.array([[2, 1], [3, 2]])
    assert alive_bins(bins[:, 0]).sum(axis=1).tolist() == [2, 3]
    cells = alive_cells(bins)
    assert cells.shape == (2, 6)
    assert cells.sum(axis=1).tolist() == [2, 6]
    assert cells[0].tolist() == [False, True, False, False, False, True]


def test_widths_of_the_edges_of_another_training() -> None:
    shares = Shares(np.array([0.0, 2.0]), np.array([0.0, 1.0]))
    np.testing.assert_allclose(shares.widths(np.array([0.0, 0.5, 2.0]), 2), [0.25, 0.75])
    np.testing.assert_allclose(shares.widths(np.array([0.0, 2.0]), 4), 0.25)
    raw = raw_widths(np.array([[0.25, 0.75]]), 3)
    np.testing.assert_allclose(raw, [[-np.log(3.0), 0.0]])


def test_edges_that_coincide_are_one() -> None:
    features = (Feature("a", 0.0, 1.0), Feature("b", 0.0, 2.0))
    found = edge_categories(features, [np.array([0.5, 0.5, 1.0]), np.array([])])
    assert [e.tolist() for e in found.edges] == [[0.0, 0.5, 1.0], [0.0, 2.0]]
    assert found.assign(np.array([[0.2, 1.0], [0.7, 1.0]])).tolist() == [0, 1]
