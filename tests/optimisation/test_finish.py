"""Constraints that the events impose on a candidate, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from gato_coffea import Constraints, Feature, optimise

SCORE = [Feature("score", 0, 1)]


def samples(n=900, **more):
    rng = np.random.default_rng(2)
    return {
        "s": {"x": rng.beta(4, 2, n), "weight": np.full(n, 0.02), **more},
        "b": {"x": rng.beta(2, 4, n), "weight": np.ones(n), **more},
    }


def run(data, **options):
    return optimise(data, signals=["s"], method="exact", features=SCORE, **options)


def test_fewer_categories_than_requested_are_explained():
    result = run(samples(), n_categories=8, constraints=Constraints(min_effective=200))
    assert result.n_categories < 8
    assert any(
        note.startswith("number of categories: ") or "was merged" in note for note in result.notes
    )
    assert result.yields.effective_background.min() >= 200


def test_masses_without_a_window_are_pointed_out():
    mass = {"mass": np.full(900, 125.0)}
    note = "events have masses, but no mass window is used"
    assert any(n.startswith(note) for n in run(samples(**mass), n_categories=2).notes)
    assert not any(n.startswith(note) for n in run(samples(), n_categories=2).notes)


def test_differences_on_the_same_events_are_better_known_than_each():
    results = run(samples(), n_categories=[2, 3])
    spreads = sorted(result.difference_spread for result in results)
    assert spreads[0] == pytest.approx(0.0, abs=1e-12)
    assert 0 < spreads[1] < results[0].held_out.spread
