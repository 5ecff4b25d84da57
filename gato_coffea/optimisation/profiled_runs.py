"""The best contiguous categories for a profile likelihood, with a bound on what any can reach.

At fixed nuisance parameters the likelihood ratio is a sum over categories, so that dynamic
programming finds the best partition of a row of cells. The parameters of that partition are
fitted, the next partition is found there, and so on. Since the likelihood ratio is a minimum over
the parameters, the best sum at *any* fixed parameters is at least what any partition reaches: the
smallest such sum met on the way is a certificate of how good the best partition is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import BoolArray, FloatArray, IntArray
from gato_coffea.optimisation.partitions import Partitions, best_partitions
from gato_coffea.statistics.figures import significance
from gato_coffea.statistics.likelihood import Likelihood, deviance, expected_events
from gato_coffea.statistics.yields import BinnedYields

ROUNDS = 40
"""Partitions that are tried; a dozen are enough for five and more categories."""

SETTLED = 1e-6
"""Relative distance of bound and value below which nothing is left to be found."""


@dataclass(frozen=True, kw_only=True)
class ProfiledRuns:
    """The best partition that was found for a number of categories.

    Attributes
    ----------
    edges
        First cell of every category but the lowest, increasing.
    square
        Squared significance of the partition, all parameters fitted.
    bound
        No partition of these cells into as many runs has a larger one.
    a
        Its nuisance parameters without signal.
    """

    edges: IntArray
    square: float
    bound: float
    a: FloatArray


def summed(yields: BinnedYields, edges: IntArray) -> BinnedYields:
    """Yields of runs of cells, the first of which begin at zero and at ``edges``."""
    at = np.concatenate([[0], edges])

    def total(array: FloatArray) -> FloatArray:
        return np.add.reduceat(array, at, axis=-1)

    assert yields.up is not None
    assert yields.down is not None
    return replace(
        yields,
        nominal=total(yields.nominal),
        sumw2=total(yields.sumw2),
        up=total(yields.up),
        down=total(yields.down),
        channels=tuple(yields.channels[i] for i in at),
    )


def run_terms(cells: Likelihood, signal: str, a: FloatArray) -> FloatArray:
    """What each run of cells adds to ``q0`` at fixed nuisance parameters.

    Entry ``[i, j]`` is that of the cells ``i .. j - 1``, the factor on its background at its best.

    Parameters
    ----------
    cells
        Likelihood with a category for every cell.
    signal
        The signal that is absent in the hypothesis.
    a
        Nuisance parameters, shape ``(J,)``.
    """

    def runs(array: FloatArray) -> FloatArray:
        c = np.concatenate([[0.0], np.cumsum(array)])
        return c[None, :] - c[:, None]

    rows = cells.is_signal
    absent = cells.strengths([signal], 0.0)[:, None]
    moved = absent * cells.moved(a).yields
    own, background = runs(moved[rows].sum(axis=0)), runs(moved[~rows].sum(axis=0))
    nominal = runs(cells.background)
    relative = runs(cells.yields.sumw2) / np.where(nominal > 0, nominal, 1.0) ** 2
    variance = np.where(nominal > 0, relative, 0.0) * background**2
    observed = np.maximum(runs(cells.nominal.sum(axis=0)), 0.0)
    nu = expected_events(own, background, variance, observed)
    pull = nu - own - background
    return deviance(nu, observed) + pull**2 / np.where(variance > 0, variance, np.inf)


def best_profiled_runs(
    cells: Likelihood,
    signal: str,
    counts: Sequence[int],
    *,
    allowed: BoolArray,
    rounds: int = ROUNDS,
) -> dict[int, ProfiledRuns]:
    """Cut a row of cells into the categories with the best profiled significance.

    Parameters
    ----------
    cells
        Likelihood with a category for every cell, in the order in which they are cut.
    signal
        The signal whose significance counts.
    counts
        Numbers of categories.
    allowed
        Whether the run of cells ``i .. j - 1`` may be a category, shape ``(P + 1, P + 1)``.
    rounds
        Partitions to try for each number.

    Raises
    ------
    OptimisationError
        If no categories are allowed, or a fit finds no minimum.
    """
    first = np.zeros(len(cells.names))
    return {n: _alternate(cells, signal, n, allowed, first, rounds) for n in counts}


def _alternate(
    cells: Likelihood, signal: str, n: int, allowed: BoolArray, a: FloatArray, rounds: int
) -> ProfiledRuns:
    best: ProfiledRuns | None = None
    bound = np.inf
    for step in range(rounds):
        terms = np.where(allowed, run_terms(cells, signal, a), -np.inf)
        partitions: Partitions = best_partitions(terms, n)
        kept = partitions.largest(n)
        if kept == 0:
            raise OptimisationError("constraints: no categories of these cells satisfy them")
        prior = float((cells.prior * a**2).sum())
        bound = min(bound, float(partitions.value[kept - 1]) + prior)
        edges = partitions.edges(kept)
        merged = replace(cells, yields=summed(cells.yields, edges))
        figure = significance(merged, signal, start=a)
        if best is None or figure.square > best.square:
            best = ProfiledRuns(edges=edges, square=float(figure.square), bound=bound, a=figure.a)
        if bound - best.square < SETTLED * bound:
            break
        a = a + (figure.a - a) * max(2.0 / (step + 2.0), 0.1)
    assert best is not None
    return replace(best, bound=bound)
