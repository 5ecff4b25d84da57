"""Events that leave in a variation: counted in a note, and never all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gato_coffea import Constraints, optimise
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Cells, Feature, Grid, as_sample
from gato_coffea.optimisation.evaluation import EventTally

SCORE = Feature("score", 0.0, 1.0)


def events(seed: int, up: Any, down: Any) -> dict[str, Any]:
    """200 events with a mass, and what they are in both variations of one uncertainty."""
    rng = np.random.default_rng(seed)
    table: dict[str, Any] = {"x": rng.uniform(size=200), "weight": np.ones(200)}
    table["mass"] = rng.uniform(110, 140, 200)
    sides = {"jesUp": up, "jesDown": down}
    table["variations"] = {
        name: {c: np.where(np.arange(200) < n, np.nan, table[c]) for c, n in side.items()}
        for name, side in sides.items()
    }
    return table


def run(samples: Any, **settings: Any) -> Any:
    return optimise(
        samples,
        signals=["s"],
        n_categories=2,
        method="lloyd",
        features=[SCORE],
        constraints=Constraints(min_effective=1),
        folds=1,
        **settings,
    )


def test_events_that_leave_by_nan_are_counted() -> None:
    samples = {
        "s": events(1, {"x": 7}, {"x": 0}),
        "b": events(2, {"mass": 5, "x": 3}, {"mass": 9}),
    }
    notes = run(samples).notes
    assert (
        "s: of 200 events, some leave all categories in a variation, with NaN as their x: 7 in "
        "jesUp" in notes
    )
    assert sum("leave all categories" in note for note in notes) == 2
    assert any(note.startswith("b: of 200") and note.endswith(": 3 in jesUp") for note in notes)
    windows = {"window_gev": (120, 130), "mass_range_gev": (110, 140)}
    samples = {"s": samples["b"], "b": samples["s"]}  # the sidebands measure the continuum
    with_mass = run(samples, **windows).notes
    assert not any(note.startswith("b: of 200") for note in with_mass)
    assert any(note.endswith("x or mass: 5 in jesUp, 9 in jesDown") for note in with_mass)


def test_cells_count_them_too() -> None:
    grid = Grid((SCORE,), (np.linspace(0, 1, 21),))
    samples = {"s": events(1, {"x": 0}, {"x": 0}), "b": events(2, {"x": 5, "mass": 9}, {"x": 0})}
    held = {name: as_sample(table, name=name) for name, table in samples.items()}
    halves = [slice(0, 6), slice(6, 200)]
    cells = {
        name: Cells.fill(grid, sample.where(halves[0]), n_folds=1)
        + Cells.fill(grid, sample.where(halves[1]), n_folds=1)
        for name, sample in held.items()
    }
    told = [note for note in run(cells, smooth=False).notes if "leave all categories" in note]
    assert len(told) == 1
    assert told[0].startswith("b: of 200 events")
    assert told[0].endswith("NaN as their x: 5 in jesUp")
    limits = {"window": (120.0, 130.0), "mass_range": (110.0, 140.0)}
    whole = Cells.fill(grid, held["b"], n_folds=1, **limits)
    assert whole.scaled(2.0).variations["jesUp"].missing == 9


def test_no_note_where_none_leaves() -> None:
    samples = {"s": events(1, {"x": 0}, {"x": 0}), "b": events(2, {"x": 0}, {"mass": 9})}
    assert not any("leave all categories" in note for note in run(samples).notes)


def test_a_variation_that_all_events_leave_is_refused_as_such() -> None:
    samples = {"s": events(1, {"x": 0}, {"x": 0}), "b": events(2, {"x": 200}, {"x": 0})}
    with pytest.raises(InputError, match=r"^b\.variations\.jesUp: no event is left, all 200 "):
        run(samples)
    grid = Grid((SCORE,), (np.linspace(0, 1, 21),))
    cells = {n: Cells.fill(grid, as_sample(t, name=n), n_folds=1) for n, t in samples.items()}
    with pytest.raises(InputError, match=r"^b\.variations\.jesUp: nothing is left of the nominal"):
        run(cells)


def test_events_that_leave_are_in_no_category_of_a_yardstick_either() -> None:
    """Whatever cuts make of a NaN: here all events are in the one category."""
    samples = {"b": as_sample(events(2, {"x": 40}, {"x": 0}), name="b")}
    tally = EventTally(samples, signals=[], n_folds=1, window=None)
    sums = tally.total([lambda x: np.zeros(len(x), dtype=np.int64)], 1, by_fold=False)
    assert sums.varied is not None
    assert sums.varied[:, 0, 0].tolist() == [160, 200]
