from itertools import combinations, pairwise

import numpy as np
import pytest

from gato_coffea.events.samples import BoolArray
from gato_coffea.optimisation.densities import Densities
from gato_coffea.optimisation.partitions import best_partitions, interval_yields
from gato_coffea.optimisation.profiled import Profiled
from gato_coffea.optimisation.profiled_runs import ProfiledRuns, best_runs
from gato_coffea.statistics.uncertainties import Norm

CELLS = 10
ANY = np.triu(np.ones((CELLS + 1, CELLS + 1), dtype=np.bool_), k=1)


def row() -> Densities:
    """A rising signal over a falling background, whose shape and rate are uncertain."""
    x = (np.arange(CELLS) + 0.5) / CELLS
    nominal = np.stack([8 * x**2, 400 * (1 - x) ** 2 + 3, 60 * np.ones(CELLS)])
    tilt = 1 + 0.2 * (x - 0.4)
    return Densities(
        u=x[:, None],
        signal=nominal[:1],
        background=nominal[1:].sum(axis=0),
        variance=0.02 * nominal[1:].sum(axis=0),
        rows=np.concatenate([nominal, nominal * tilt, nominal / tilt]),
    )


def objective(*, uncertain: bool = True, **changes: object) -> Profiled:
    norms = (Norm("b", 1.2, processes=["b"]), Norm("flat", 1.3, processes=["flat"]))
    return Profiled(
        mc_uncertainty=uncertain,
        processes=("s", "b", "flat"),
        signals=("s",),
        variations=("tilt",),
        normalisations=norms if uncertain else (),
        **changes,  # type: ignore[arg-type]
    )


def value(own: Profiled, edges: object, n: int) -> float:
    label = np.searchsorted(np.asarray(edges), np.arange(CELLS), side="right")
    return float(own.combined(row().yields(label, n, own)))


def every_partition(own: Profiled, n: int, allowed: BoolArray) -> float:
    """The largest figure of all partitions into ``n`` runs, one by one."""
    best = 0.0
    for inner in combinations(range(1, CELLS), n - 1):
        if all(allowed[i, j] for i, j in pairwise([0, *inner, CELLS])):
            best = max(best, value(own, inner, n))
    return best


def found(own: Profiled, n: int, allowed: BoolArray = ANY) -> ProfiledRuns:
    """From the runs that are best for counting."""
    runs = interval_yields(row(), own.counting)
    gain = own.counting.squares(np.moveaxis(runs.signal, 0, 1), runs.background, runs.variance)
    first = best_partitions(np.where(allowed, gain[:, 0], -np.inf), n).edges(n)
    return best_runs(own, row(), allowed, first)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("figure", ["significance", "precision", "limit"])
def test_the_best_of_all_partitions(n: int, figure: str) -> None:
    own = objective(figure=figure)
    runs = found(own, n)
    best = every_partition(own, n, ANY)
    assert runs.value == pytest.approx(value(own, runs.edges, n))
    assert (runs.bound is None) == (figure == "limit")
    if runs.bound is not None:
        assert runs.bound >= best * (1 - 1e-9)
    assert runs.value == pytest.approx(best, rel=1e-5)


def test_many_categories_are_certified() -> None:
    runs = found(objective(), 6)
    assert runs.bound == pytest.approx(runs.value, rel=1e-4)


def test_constraints_hold() -> None:
    allowed = ANY.copy()
    allowed[:, -1] &= np.arange(CELLS + 1) <= CELLS - 4  # the last category is four cells wide
    runs = found(objective(), 4, allowed)
    assert runs.edges[-1] <= CELLS - 4
    assert runs.value == pytest.approx(every_partition(objective(), 4, allowed), rel=1e-3)
