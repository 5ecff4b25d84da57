"""How many categories are recommended, and why."""

from __future__ import annotations

import numpy as np
import pytest

from gato_coffea import optimise, recommended
from gato_coffea.errors import OptimisationError
from gato_coffea.optimisation.choice import AUTO_COUNTS, recommendation, recommendation_of


@pytest.mark.parametrize(
    ("held_out", "spread", "asked", "told"),
    [
        ([1.0, 2.0, 2.1], [0.1] * 3, 5, "within one spread (0.10) of the best, 2.10 with 10"),
        ([1.0, 2.0, 2.2], [0.1] * 3, 10, "no smaller number comes within one spread (0.10)"),
        ([3.0, 2.0, 2.2], [0.1] * 3, 2, "is the best"),
        ([1.0, 2.0, 2.1], [None] * 3, 10, "is the best"),
        ([2.0, 2.0, 2.0], [None] * 3, 2, "is the best"),
        ([1.0, 2.0, 2.1], [9.0, 9.0, 0.01], 10, "is the best"),  # the spread is that of the best
    ],
)
def test_the_rule(
    held_out: list[float], spread: list[float | None], asked: int, told: str
) -> None:
    found = recommendation([2, 5, 10], held_out, spread)
    assert found.asked == asked
    assert told in found.reason
    order = [2, 0, 1]
    shuffled = recommendation(*([v[i] for i in order] for v in ([2, 5, 10], held_out, spread)))
    assert shuffled == found


def events(n: int = 3000) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(3)
    return {
        "sig": {"x": rng.beta(4, 2, n), "weight": np.full(n, 0.02)},
        "bkg": {"x": rng.beta(2, 4, 3 * n), "weight": np.full(3 * n, 0.5)},
    }


def test_auto_tries_several_and_recommends_one() -> None:
    results = optimise(events(), signals=["sig"], n_categories="auto", method="exact")
    assert tuple(r.asked for r in results) == AUTO_COUNTS
    best = recommended(results)
    assert best.asked == recommendation_of(results).asked
    top = max(results, key=lambda r: r.held_out.combined)
    assert top.difference_spread == 0.0
    # On the same events most of what each fluctuates by is common to all.
    for r in results:
        if r is not top and r.held_out.combined > 0.9 * top.held_out.combined:
            assert 0 < r.difference_spread < 0.5 * top.held_out.spread
    behind = {r.asked: top.held_out.combined - r.held_out.combined for r in results}
    assert behind[best.asked] <= best.difference_spread
    fewer = [r for r in results if r.asked < best.asked]
    assert all(behind[r.asked] > r.difference_spread for r in fewer)


def test_the_difference_is_that_of_the_same_events() -> None:
    told = recommendation([2, 5, 10], [1.0, 2.0, 2.1], [0.2] * 3, [0.1, 0.04, 0.0])
    assert told.asked == 10
    assert "no smaller number comes within one spread of their difference (0.040)" in told.reason
    told = recommendation([2, 5, 10], [1.0, 2.0, 2.1], [0.01] * 3, [0.1, 0.12, 0.0])
    assert told.asked == 5
    assert "within one spread of their difference (0.12) of the best" in told.reason


def test_auto_asks_for_no_more_than_there_are_points() -> None:
    few = {
        "sig": {"x": np.repeat(np.arange(4.0), 50), "weight": np.full(200, 0.1)},
        "bkg": {"x": np.repeat(np.arange(4.0), 50), "weight": np.full(200, 1.0)},
    }
    results = optimise(few, signals=["sig"], n_categories="auto", method="lloyd")
    assert [r.asked for r in results] == [2, 3]


@pytest.mark.parametrize("asked", ["some", 0, [], [3, 0], 2.5])
def test_what_is_no_number_of_categories(asked: object) -> None:
    with pytest.raises(OptimisationError, match="n_categories: must be whole numbers above zero"):
        optimise(events(20), signals=["sig"], n_categories=asked, method="exact")
