"""Yardsticks beside a result; their figures are tested with the methods."""

from __future__ import annotations

import numpy as np

from gato_coffea import Feature, optimise
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
