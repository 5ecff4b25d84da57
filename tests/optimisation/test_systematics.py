"""Categories trained on the profile likelihood, judged on a sample that they have not seen.

The reference is the toy of `tests.benchmarks.systematics`, whose best figures are known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gato_coffea import Constraints, optimise
from gato_coffea.events.samples import Cells, Grid, as_sample, event_fold
from tests.benchmarks.systematics import BEST, NORMS, SCORE, judge, samples

N_TEST = 1_000_000


@pytest.fixture(scope="module")
def test_sample() -> dict[str, Any]:
    return samples(N_TEST, 300_000, seed=2)


@pytest.fixture(scope="module")
def train_sample() -> dict[str, Any]:
    return samples(seed=1)


def run(events: Any, method: str, counts: list[int], **settings: Any) -> Any:
    return optimise(
        events,
        signals=["signal"],
        n_categories=counts,
        method=method,
        systematics=NORMS,
        constraints=Constraints(min_effective=10),
        **{"folds": 2, "epochs": 120, **settings},
    )


@pytest.mark.parametrize("method", ["exact", "lloyd", "gato"])
def test_they_come_near_to_the_best(
    method: str, train_sample: dict[str, Any], test_sample: dict[str, Any]
) -> None:
    """Within 3 %: what 300 000 events to train on and 10^6 to test on allow.

    Categories that are trained on counting are 17 and 11 % below the best.
    """
    for result in run(train_sample, method, [3, 5], features=[SCORE]):
        z, _ = judge(test_sample, result.categories, n_background=N_TEST)
        assert z > 0.97 * BEST[result.asked]
        quoted = result.held_out
        assert quoted.statistics_only > 1.1 * quoted.combined
        assert abs(quoted.combined - z) < 3 * quoted.spread
        assert result.categories.training["systematics"][:2] == ["scale", "tilt"]


def test_cells_hold_their_variations(train_sample: dict[str, Any]) -> None:
    """Sums on a grid give what the events give, but for other cuts where few events decide."""
    inner = SCORE.unstretch(np.linspace(-6, 9, 400))
    grid = Grid((SCORE,), (np.concatenate([[0.0], inner, [1.0]]),))
    cells, events = {}, {}
    for name, table in train_sample.items():
        fold = event_fold([np.arange(len(table["x"]))], n_folds=2)
        events[name] = as_sample({**table, "fold": fold}, name=name)
        cells[name] = Cells.fill(grid, events[name], n_folds=2)
    (one,) = run(cells, "exact", [5])
    (other,) = run(events, "exact", [5], features=[SCORE])
    assert one.training.combined == pytest.approx(other.training.combined, rel=0.03)
