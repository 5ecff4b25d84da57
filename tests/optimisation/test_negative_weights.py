"""Samples with many negative weights: what every method reaches in truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, ndtri

import gato_coffea
from gato_coffea.statistics.counting import signal_significances

QUANTILES = ndtri((np.arange(100_000) + 0.5) / 100_000)
PROCESSES = {"signal": (1.0, 40.0), "background": (-1.0, 1000.0)}
FEATURE = gato_coffea.Feature("score", 0.0, 1.0, "logit")


def sample(seed, n, share):
    """Events of two Gaussians, ``share`` of them with a negative weight."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, (mean, total) in PROCESSES.items():
        sign = np.where(rng.random(n) < share, -1.0, 1.0)
        x = expit(rng.normal(mean, 1.0, n))
        found[name] = {"x": x, "weight": sign * total / n / (1 - 2 * share)}
    return found


def true_significance(categories):
    """Significance of the population in the categories."""
    n = categories.n_categories
    yields = [
        total * np.bincount(categories.assign(expit(mean + QUANTILES)), minlength=n) / 100_000
        for mean, total in PROCESSES.values()
    ]
    return float(signal_significances(yields[0][None], yields[1])[0])


def integers(seed):
    """A signal whose weights are integers of both signs, so that sums cancel to nothing."""
    found = sample(seed, 1500, 0.0)
    rng = np.random.default_rng(seed)
    sign = np.where(rng.random(1500) < 0.35, -1.0, 1.0)
    found["signal"]["weight"] = sign * rng.integers(1, 4, 1500)
    found["background"]["weight"] = np.ones(1500)
    return found


def test_sums_that_cancel_end_in_numbers():
    for seed in range(3):
        result = gato_coffea.optimise(
            integers(seed),
            signals=["signal"],
            n_categories=5,
            method="lloyd",  # which training starts from, and where it ended in NaN
            features=[FEATURE],
            folds=2,
            max_points=300,
            smooth=False,
            seed=seed,
        )
        assert np.isfinite(result.held_out.combined)
        assert result.held_out.combined >= 0


@pytest.mark.parametrize("n", [2000, 20_000])
def test_lloyd_is_as_good_as_the_exact_categories(n):
    true = {}
    for method in ("exact", "lloyd"):
        true[method] = [
            true_significance(
                gato_coffea.optimise(
                    sample(seed, n, 0.3),
                    signals=["signal"],
                    n_categories=5,
                    method=method,
                    features=[FEATURE],
                    folds=2,
                ).categories
            )
            for seed in range(2)
        ]
    # Categories that follow the fluctuations reached 0.5 to 0.9 of it.
    assert np.mean(true["lloyd"]) == pytest.approx(np.mean(true["exact"]), rel=0.02)
