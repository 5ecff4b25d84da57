from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gato_coffea.errors import InputError
from gato_coffea.events.samples import (
    BLOCK,
    MOMENTS,
    Cells,
    Feature,
    Grid,
    Sample,
    Variation,
    as_sample,
    concatenate,
    content_fold,
    points_from_cells,
)


def some(n: int, *, seed: int, d: int = 1) -> Sample:
    rng = np.random.default_rng(seed)
    return Sample(
        x=rng.uniform(0, 1, (n, d)),
        weight=rng.normal(0.3, 1, n),
        mass=rng.uniform(100, 180, n),
        fold=rng.integers(0, 3, n),
        variations={"wUp": Variation(weight=rng.normal(0.4, 1, n))},
    )


def test_scaled_and_where() -> None:
    sample = some(50, seed=1)
    picked = sample.scaled(2.0).where(np.arange(0, 50, 5))
    np.testing.assert_array_equal(picked.weight, 2 * sample.weight[::5])
    up = sample.varied("wUp").weight
    np.testing.assert_array_equal(picked.varied("wUp").weight, 2 * up[::5])
    np.testing.assert_array_equal(picked.mass, sample.mass[::5])  # type: ignore[index]
    assert len(picked) == 10


def test_concatenate_fills_missing_variations_with_the_nominal() -> None:
    first = some(3, seed=1)
    second = Sample(x=np.zeros((2, 1)), weight=np.array([7.0, 8.0]), mass=np.zeros(2))
    both = concatenate([first, second])
    np.testing.assert_array_equal(both.varied("wUp").weight[3:], [7, 8])
    moved = replace(second, variations={"jesUp": Variation(x=np.ones((2, 1)))})
    both = concatenate([first, moved])
    np.testing.assert_array_equal(both.varied("jesUp").x, [*first.x, [1.0], [1.0]])
    np.testing.assert_array_equal(both.varied("jesUp").weight, both.weight)
    assert both.variations["jesUp"].weight is None
    assert both.fold is None
    assert both.mass is not None


def test_data_and_simulation_are_no_one_process() -> None:
    data = replace(some(3, seed=1), data=True)
    assert concatenate([data, data]).data
    assert data.where(slice(1)).data
    assert data.scaled(2.0).data
    with pytest.raises(InputError, match="collision data and simulation cannot be one process"):
        concatenate([data, some(3, seed=1)])


@pytest.mark.parametrize(
    "value",
    [
        {"x": [0.1, 0.2], "weight": [1, 2]},
        {"x": [[0.1], [0.2]], "weight": np.array([1, 2], dtype=np.float32)},
        pd.DataFrame({"NN_output": [0.1, 0.2], "weight": [1.0, 2.0]}),
        pd.DataFrame({"NN_output": [[0.1], [0.2]], "weight": [1.0, 2.0]}),
    ],
)
def test_samples_from_what_people_hold(value: Any) -> None:
    sample = as_sample(value, name="p")
    np.testing.assert_array_equal(sample.x, [[0.1], [0.2]])
    np.testing.assert_array_equal(sample.weight, [1, 2])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"x": [1.0]}, "p: column 'weight' is missing"),
        ({"x": [1.0], "weight": [1.0, 2.0]}, r"p\.weight: must have shape \(1,\) \(got \(2,\)\)"),
        ({"x": [np.nan], "weight": [1.0]}, r"p\.x: 1 of 1 values are NaN or infinite"),
        ({"x": [1.0], "weight": [np.inf]}, r"p\.weight: 1 of 1 values are NaN or infinite"),
        ({"x": [1.0], "weight": ["a"]}, r"p\.weight: must hold numbers \(got text\)"),
        ({"x": np.zeros((1, 1, 1)), "weight": [1.0]}, r"p\.x: must have shape \(N,\) or"),
        ({"x": [1.0], "weight": [1.0], "fold": [1, 2]}, r"p\.fold: must have shape \(1,\)"),
    ],
)
def test_what_is_no_sample(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        as_sample(value, name="p")


def test_cells_are_sums_of_events() -> None:
    sample = some(5000, seed=3)
    grid = Grid.fine([Feature("x", 0, 1)], n_cells=[20])
    window = (120.0, 130.0)
    cells = Cells.fill(grid, sample, n_folds=3, window=window, mass_range=(100, 180))
    totals = dict(zip(MOMENTS, cells.sums.sum(axis=(0, 1)), strict=True))
    assert sample.mass is not None
    inside = (sample.mass >= window[0]) & (sample.mass <= window[1])
    w = sample.weight
    expected = {
        "count": 5000,
        "sumw": w.sum(),
        "sumw2": (w**2).sum(),
        "sumw_window": w[inside].sum(),
        "sumw2_window": (w[inside] ** 2).sum(),
        "sumw_mass": (w * sample.mass).sum(),
    }
    assert totals == pytest.approx(expected, rel=1e-12)
    slow = np.histogram(sample.x[:, 0], grid.edges[0], weights=w)[0]
    np.testing.assert_allclose(cells.sums[..., 1].sum(axis=1), slow[cells.key], rtol=1e-9)
    assert (np.diff(cells.key) > 0).all()


@pytest.mark.parametrize("d", [1, 2, 3])
def test_cells_add(d: int) -> None:
    grid = Grid.fine([Feature(f"x{i}", 0, 1) for i in range(d)], n_cells=[7] * d)
    parts = [some(n, seed=n, d=d) for n in (400, 1, 0, 900)]
    whole = Cells.fill(grid, concatenate(parts), n_folds=3)
    added = reduce(add, [Cells.fill(grid, part, n_folds=3) for part in parts])
    np.testing.assert_array_equal(whole.key, added.key)
    np.testing.assert_allclose(whole.sums, added.sums, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(whole.sum_x, added.sum_x, rtol=1e-12)
    scaled = whole.scaled(3.0)
    np.testing.assert_array_equal(scaled.sums[..., 0], whole.sums[..., 0])
    np.testing.assert_allclose(scaled.sums[..., 2], 9 * whole.sums[..., 2])


def test_cells_that_do_not_fit() -> None:
    sample = some(10, seed=1)
    first = Cells.fill(Grid.fine([Feature("x", 0, 1)], n_cells=[5]), sample, n_folds=3)
    other = Cells.fill(Grid.fine([Feature("x", 0, 2)], n_cells=[5]), sample, n_folds=3)
    with pytest.raises(InputError, match="different grids"):
        first + other
    fewer = Cells.fill(first.grid, sample.where(sample.fold == 0), n_folds=1)
    with pytest.raises(InputError, match="different numbers of folds"):
        first + fewer


def test_events_outside_leave_no_cells() -> None:
    grid = Grid.fine([Feature("x", 0, 1)], n_cells=[5])
    sample = Sample(
        x=np.array([[-0.1], [0.5], [1.0], [np.nan]]), weight=np.ones(4), mass=np.full(4, 200.0)
    )
    assert Cells.fill(grid, sample, n_folds=1).sums[..., 0].sum() == 2
    assert Cells.fill(grid, sample, n_folds=1, mass_range=(100, 180)).sums.sum() == 0


def test_points_from_cells() -> None:
    grid = Grid.fine([Feature("x", 0, 1)], n_cells=[50])
    samples = {"s": some(300, seed=1), "b": some(500, seed=2)}
    cells = {
        name: Cells.fill(grid, s, n_folds=3, window=(120, 130), mass_range=(100, 180))
        for name, s in samples.items()
    }
    points = points_from_cells(cells, in_window=["s"])
    assert points.sumw.shape == (2, 3, len(points))
    assert points.sumw[1].sum() == pytest.approx(samples["b"].weight.sum(), rel=1e-12)
    mass = samples["s"].mass
    assert mass is not None
    inside = (mass >= 120) & (mass <= 130)
    assert points.sumw[0].sum() == pytest.approx(samples["s"].weight[inside].sum(), rel=1e-12)
    mean = np.average(points.x[:, 0], weights=points.count.sum(axis=(0, 1)))
    both = np.concatenate([s.x[:, 0] for s in samples.values()])
    assert mean == pytest.approx(both.mean(), rel=1e-12)
    np.testing.assert_array_equal(grid.index(points.x), points.cell)
    assert points_from_cells(cells).sumw_mass is None


def test_blocks_hold_all_events_once():
    n = 2 * BLOCK + 7
    sample = Sample(
        x=np.arange(n, dtype=float)[:, None],
        weight=np.ones(n),
        fold=np.arange(n) % 3,
        variations={"up": Variation(weight=np.full(n, 2.0))},
    )
    blocks = sample.blocks()
    assert [len(b) for b in blocks] == [BLOCK, BLOCK, 7]
    together = concatenate(blocks)
    np.testing.assert_array_equal(together.x, sample.x)
    np.testing.assert_array_equal(together.fold, sample.fold)
    np.testing.assert_array_equal(together.varied("up").weight, sample.varied("up").weight)
    none = sample.where(np.zeros(n, dtype=bool))
    assert [len(b) for b in none.blocks()] == [0]


def test_folds_of_content_know_nothing_else_and_are_even() -> None:
    rng = np.random.default_rng(4)
    events = Sample(x=rng.random((5000, 2)), weight=np.ones(5000), mass=rng.random(5000))
    folds = content_fold(events, n_folds=5)
    part = np.flatnonzero(rng.random(5000) < 0.3)
    np.testing.assert_array_equal(content_fold(events.where(part), n_folds=5), folds[part])
    # Binomial: 1000 +- 28 a fold
    assert np.abs(np.bincount(folds, minlength=5) - 1000).max() < 140
    zeros = Sample(x=np.array([[0.0], [-0.0]]), weight=np.ones(2))
    assert len(set(content_fold(zeros, n_folds=1000))) == 1


def test_variations_of_a_table_of_columns() -> None:
    x, ones = np.array([0.1, 0.9]), np.ones(2)
    sample = as_sample(
        {
            "x": x,
            "weight": ones,
            "variations": {"jesUp": {"x": [0.2, np.nan]}, "pileupUp": 2 * ones},
        },
        name="ttbar",
    )
    jes, pileup = sample.varied("jesUp"), sample.varied("pileupUp")
    np.testing.assert_array_equal(jes.x[:, 0], [0.2, np.nan])
    assert jes.weight is sample.weight
    np.testing.assert_array_equal(pileup.weight, [2, 2])
    assert pileup.x is sample.x
    assert not pileup.variations
    again = as_sample(sample, name="ttbar")
    np.testing.assert_array_equal(again.varied("jesUp").x, jes.x)


@pytest.mark.parametrize(
    ("variation", "message"),
    [
        (np.ones(3), r"ttbar.variations.jesUp.weight: must have the shape of the nominal, \(2,\)"),
        ({"x": np.ones((2, 2))}, r"jesUp.x: must have the shape of the nominal, \(2, 1\)"),
        ({"weight": [1, np.nan]}, "jesUp.weight: 1 of 2 values are NaN or infinite"),
        ({"score": [1, 2]}, r"jesUp: holds x, weight or mass \(got score\)"),
    ],
)
def test_variations_that_cannot_be_are_refused(variation: Any, message: str) -> None:
    table = {"x": np.ones(2), "weight": np.ones(2), "variations": {"jesUp": variation}}
    with pytest.raises(InputError, match=message):
        as_sample(table, name="ttbar")


def test_cells_of_variations_add_and_a_missing_one_is_the_nominal() -> None:
    grid = Grid.fine((Feature("score", 0, 1),), n_cells=[4])
    x, w = np.array([[0.1], [0.6]]), np.array([1.0, 2.0])
    moved = {"jesUp": Variation(x=np.array([[0.3], [np.nan]]))}
    with_it = Cells.fill(grid, Sample(x=x, weight=w, variations=moved), n_folds=1)
    without = Cells.fill(grid, Sample(x=x, weight=w), n_folds=1)
    total = (with_it + without).scaled(2.0, ratios={"jesUp": 3.0})
    np.testing.assert_array_equal(total.key, [0, 2])
    np.testing.assert_array_equal(total.sums[:, 0, 1], [4, 8])
    up = total.varied("jesUp")
    np.testing.assert_array_equal(up.key, [0, 1, 2])
    np.testing.assert_array_equal(up.sums[:, 0, 1], [6, 6, 12])
    np.testing.assert_array_equal(up.sums[:, 0, 2], [36, 36, 144])
    np.testing.assert_array_equal(total.varied("other").sums, total.sums)
