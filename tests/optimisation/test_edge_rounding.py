"""Edges on multiples of a step, and what that costs."""

from __future__ import annotations

import numpy as np
import pytest

from gato_coffea import Constraints, Feature, optimise
from gato_coffea.categories import EdgeCategories
from gato_coffea.errors import OptimisationError
from gato_coffea.optimisation.edge_rounding import rounded_edges

SCORE = (Feature("score", 0, 1),)


def categories(*inner, label=None):
    edges = np.array([0.0, *inner, 1.0])
    names = np.arange(len(edges) - 1) if label is None else np.array(label)
    return EdgeCategories(features=SCORE, label=names, edges=(edges,))


def test_inner_edges_are_rounded_and_ends_are_not():
    found = rounded_edges(categories(0.2962, 0.7049), 0.1)
    assert found.edges[0].tolist() == [0.0, 0.3, 0.7, 1.0]
    assert found.label.tolist() == [0, 1, 2]
    cells = categories(0.11, 0.22, 0.33, label=[0, 1, 1, 0])
    assert rounded_edges(cells, 0.05).edges[0].tolist() == [0.0, 0.1, 0.35, 1.0]


def test_categories_whose_edges_fall_together():
    close = categories(0.51, 0.54, 0.99)
    with pytest.raises(OptimisationError, match=r"round_to: is too coarse .*0.51, 0.54, 0.99"):
        rounded_edges(close, 0.1)
    fold = rounded_edges(close, 0.1, may_vanish=True)
    assert fold.edges[0].tolist() == [0.0, 0.5, 1.0]
    assert fold.label.tolist() == [0, 1]


def test_only_intervals_have_edges():
    pair = (Feature("a", 0, 1), Feature("b", 0, 1))
    with pytest.raises(OptimisationError, match="round_to: needs categories that are intervals"):
        rounded_edges(EdgeCategories.single(pair), 0.1)


def samples():
    rng = np.random.default_rng(5)
    return {
        "s": {"x": rng.beta(4, 2, 4000), "weight": np.full(4000, 0.01)},
        "b": {"x": rng.beta(2, 4, 4000), "weight": np.full(4000, 0.3)},
    }


@pytest.mark.parametrize("method", ["exact", "lloyd"])
def test_a_result_has_rounded_edges_and_says_what_they_cost(method):
    options = {"signals": ["s"], "n_categories": 3, "method": method, "features": list(SCORE)}
    options["constraints"] = Constraints(min_effective=0, min_effective_per_process=0)
    plain = optimise(samples(), **options)
    result = optimise(samples(), round_to=0.05, **options)
    steps = result.categories.boundaries / 0.05
    assert len(steps) == 2
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    (note,) = [n for n in result.notes if n.startswith("edges are rounded")]
    assert note == (
        f"edges are rounded to multiples of 0.05: training Z {result.training.combined:.4g}, "
        f"{plain.training.combined:.4g} before"
    )
    assert result.training.combined == pytest.approx(plain.training.combined, rel=0.05)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"round_to": 0.1, "method": "gato"}, "round_to needs kind: edges, or method: exact"),
        ({"round_to": 0, "method": "exact"}, r"round_to: must be above 0 \(got 0\)"),
    ],
)
def test_what_cannot_be_rounded(settings, told):
    with pytest.raises(OptimisationError, match=told):
        optimise(samples(), signals=["s"], **settings)
