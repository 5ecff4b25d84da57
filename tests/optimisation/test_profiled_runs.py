from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest

from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import BoolArray
from gato_coffea.optimisation.profiled_runs import best_profiled_runs, run_terms, summed
from gato_coffea.statistics.figures import significance
from gato_coffea.statistics.likelihood import Likelihood
from gato_coffea.statistics.uncertainties import Norm
from gato_coffea.statistics.yields import BinnedYields

CELLS = 10
ANY = np.triu(np.ones((CELLS + 1, CELLS + 1), dtype=np.bool_), k=1)


def cells(*, uncertain: bool = True) -> Likelihood:
    """A rising signal over a falling background, whose shape and rate are uncertain."""
    x = (np.arange(CELLS) + 0.5) / CELLS
    nominal = np.stack([8 * x**2, 400 * (1 - x) ** 2 + 3, 60 * np.ones(CELLS)])
    tilt = 1 + 0.2 * (x - 0.4)
    y = BinnedYields(
        processes=("s", "b", "flat"),
        signals=("s",),
        nominal=nominal,
        sumw2=0.02 * nominal[1:].sum(axis=0),
        variations=("tilt",),
        up=(nominal * tilt)[None],
        down=(nominal / tilt)[None],
    )
    if not uncertain:
        return Likelihood(yields=replace(y.without(["tilt"]), sumw2=0 * y.sumw2))
    norms = (Norm("b", 1.2, processes=["b"]), Norm("flat", 1.3, processes=["flat"]))
    return Likelihood(yields=y, normalisations=norms)


def every_partition(model: Likelihood, n: int, allowed: BoolArray) -> float:
    """The largest squared significance of all partitions into ``n`` runs, one by one."""
    best = 0.0
    for inner in combinations(range(1, CELLS), n - 1):
        ends = [0, *inner, CELLS]
        if all(allowed[i, j] for i, j in pairwise(ends)):
            merged = replace(model, yields=summed(model.yields, np.array(inner, dtype=np.int64)))
            best = max(best, float(significance(merged, "s").square))
    return best


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("uncertain", [True, False])
def test_the_best_of_all_partitions(n: int, uncertain: bool) -> None:
    model = cells(uncertain=uncertain)
    found = best_profiled_runs(model, "s", [n], allowed=ANY)[n]
    best = every_partition(model, n, ANY)
    assert found.bound >= best * (1 - 1e-9)
    # With few categories the alternation may end beside the best; the bound says by how much.
    assert found.square == pytest.approx(best, rel=0.02 if uncertain and n in (2, 3) else 1e-6)
    merged = replace(model, yields=summed(model.yields, found.edges))
    assert significance(merged, "s").square == pytest.approx(found.square)


def test_many_categories_are_certified() -> None:
    found = best_profiled_runs(cells(), "s", [6], allowed=ANY)[6]
    assert found.bound == pytest.approx(found.square, rel=1e-4)


def test_constraints_hold() -> None:
    allowed = ANY.copy()
    allowed[:, -1] &= np.arange(CELLS + 1) <= CELLS - 4  # the last category is four cells wide
    found = best_profiled_runs(cells(), "s", [4], allowed=allowed)[4]
    assert found.edges[-1] <= CELLS - 4
    assert found.square == pytest.approx(every_partition(cells(), 4, allowed), rel=1e-3)
    with pytest.raises(OptimisationError, match="no categories of these cells"):
        best_profiled_runs(cells(), "s", [2], allowed=np.zeros_like(ANY))


def test_terms_add_to_the_likelihood() -> None:
    model = cells()
    a = np.array([0.3, -0.8, 1.2])
    edges = np.array([3, 7])
    merged = replace(model, yields=summed(model.yields, edges))
    terms = run_terms(model, "s", a)
    ends = [0, *edges, CELLS]
    whole = sum(terms[i, j] for i, j in pairwise(ends)) + (a**2).sum()
    value = merged.terms(
        a,
        strength=merged.strengths(["s"], 0.0),
        observed=merged.nominal.sum(axis=-2),
    ).value
    assert whole == pytest.approx(float(value), rel=1e-12)
