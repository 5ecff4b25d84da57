"""Yardsticks beside a result; their figures are tested with the methods."""

from __future__ import annotations

import numpy as np
import pytest

from gato_coffea import Feature, optimise
from gato_coffea.errors import OptimisationError
from gato_coffea.optimisation.baselines import better_yardsticks
from gato_coffea.optimisation.result import Significance, Yardstick


def significance(z, spread=None):
    return Significance(z, {"signal": z}, spread)


def yardstick(z):
    return Yardstick(None if z is None else significance(z, 0.9), significance(99.0))


def test_a_yardstick_that_is_better_by_more_than_the_spread_is_told():
    references = {
        "equidistant": yardstick(8.72),
        "exact": yardstick(7.9),
        "lloyd": yardstick(None),
        "50 categories": yardstick(20.0),
    }
    (note,) = better_yardsticks(significance(7.27, 0.66), references)
    assert note == (
        "yardstick equidistant: held-out Z 8.720 is above the 7.270 of these categories by more "
        "than its spread 0.660"
    )
    assert better_yardsticks(significance(7.27, 1.5), references) == []


def test_bins_that_were_given_are_merged_without_the_held_out_events():
    """All background of the highest bin is held out together: the others know none there."""
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.uniform(0, 0.75, 900), rng.uniform(0.75, 1, 30)])
    fold = np.concatenate([rng.integers(0, 3, 900), np.zeros(30, dtype=int)])
    samples = {
        "s": {"x": rng.beta(5, 2, 900), "weight": np.full(900, 0.02), "fold": np.arange(900) % 3},
        "b": {"x": x, "weight": np.full(930, 0.1), "fold": fold},
    }
    result = optimise(
        samples,
        signals=["s"],
        n_categories=4,
        method="exact",
        folds=3,
        features=[Feature("x", 0, 1)],
    )
    equal = result.yardsticks["equidistant"]
    # In the fold with the events they count in the bin below, as in a sample without them.
    assert equal.held_out.combined < 0.97 * equal.training.combined


def test_bins_that_were_given_are_free_of_the_bias_of_small_numbers():
    quoted, raw = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        samples = {
            "s": {"x": rng.beta(5, 2, 4000), "weight": np.full(4000, 0.01)},
            "b": {"x": rng.beta(2, 5, 400), "weight": np.full(400, 1.0)},
        }
        result = optimise(
            samples,
            signals=["s"],
            n_categories=4,
            method="exact",
            features=[Feature("x", 0, 1)],
            seed=seed,
        )
        equal = result.yardsticks["equidistant"]
        quoted.append(equal.held_out.combined)
        raw.append(equal.training.combined)
    assert np.mean(quoted) < np.mean(raw)


def samples_of_one_score(seed=5):
    rng = np.random.default_rng(seed)
    return {
        "s": {"x": rng.beta(4, 2, 4000), "weight": np.full(4000, 0.01)},
        "b": {"x": rng.beta(2, 4, 4000), "weight": np.full(4000, 0.3)},
    }


OF_ONE_SCORE = {
    "signals": ["s"],
    "n_categories": 4,
    "method": "exact",
    "folds": 3,
    "features": [Feature("score", 0, 1)],
}


def test_edges_of_ones_own_stand_beside_the_result():
    plain = optimise(samples_of_one_score(), kind="edges", **OF_ONE_SCORE)
    ends = [float(edge) for edge in np.ravel(plain.categories.boundaries)]
    assert len(ends) == 3
    result = optimise(
        samples_of_one_score(),
        kind="edges",
        yardsticks={"best": ends, "today": np.array([0.3, 0.9])},
        **OF_ONE_SCORE,
    )
    best, today = result.yardsticks["best"], result.yardsticks["today"]
    assert best.training.combined == pytest.approx(result.training.combined, rel=1e-12)
    assert today.held_out.combined < result.held_out.combined
    assert today.training.combined == pytest.approx(today.held_out.combined, rel=0.01)
    assert "today: held-out" in str(result)
    assert result.held_out == plain.held_out


@pytest.mark.parametrize(
    ("edges", "told"),
    [
        ({"today": [0.5, 1.0]}, "must lie inside the range of score, 0 to 1 (got 1)"),
        ({"today": [0.5, 0.5]}, "must be in increasing order (got [0.5, 0.5])"),
        ({"today": []}, "needs at least 1 entry (got [])"),
        ({"lloyd": [0.5]}, "is the name of another one; choose a name of your own"),
        ({"TransfoD": [0.5]}, "is the name of another one; choose a name of your own"),
    ],
)
def test_edges_that_are_none(edges, told):
    with pytest.raises(OptimisationError) as raised:
        optimise(samples_of_one_score(), yardsticks=edges, **OF_ONE_SCORE)
    assert str(raised.value) == f"yardsticks.{next(iter(edges))}: {told}"


def test_edges_are_for_one_discriminant():
    samples = samples_of_one_score()
    for sample in samples.values():
        sample["x"] = np.stack([sample["x"], sample["x"] ** 2], axis=-1)
    options = OF_ONE_SCORE | {"features": [Feature("a", 0, 1), Feature("b", 0, 1)]}
    with pytest.raises(OptimisationError, match=r"today: edges need one discriminant .got a, b"):
        optimise(samples, yardsticks={"today": [0.5]}, **options)
