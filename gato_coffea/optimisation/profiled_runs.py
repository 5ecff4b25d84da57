"""The best contiguous categories for a profile likelihood, with a bound on what any can reach.

At fixed nuisance parameters the likelihood ratio is a sum over categories, so that dynamic
programming finds the best partition of a row of cells. The parameters of that partition are
fitted, the next partition is found there, and so on. Since the likelihood ratio is a minimum over
the parameters, the best sum at *any* fixed parameters is at least what any partition reaches: the
smallest such sum met on the way is a certificate of how good the best partition is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gato_coffea.events.samples import BoolArray, IntArray
from gato_coffea.optimisation.densities import Densities
from gato_coffea.optimisation.partitions import best_partitions, damped, interval_yields
from gato_coffea.optimisation.profiled import Profiled, ProfiledExpansion

ROUNDS = 40
"""Partitions that are tried; a dozen are enough for five and more categories."""

SETTLED = 1e-5
"""Relative distance of bound and value below which nothing is left to be found."""

PATIENCE = 6
"""Partitions in a row that are not better, after which the search ends: the parameters move less
and less."""


@dataclass(frozen=True, kw_only=True)
class ProfiledRuns:
    """The best partition that was found for a number of categories.

    Attributes
    ----------
    edges
        First cell of every category but the lowest, increasing.
    value
        The figure of the partition, all parameters fitted.
    bound
        No partition of these cells into as many runs has a larger one; None where nothing is
        known.
    around
        The objective around the partition.
    """

    edges: IntArray
    value: float
    bound: float | None
    around: ProfiledExpansion


def best_runs(
    objective: Profiled,
    row: Densities,
    allowed: BoolArray,
    edges: IntArray,
    *,
    near: ProfiledExpansion | None = None,
    rounds: int = ROUNDS,
) -> ProfiledRuns:
    """Cut a row of cells into the categories with the best profiled figure.

    Parameters
    ----------
    objective
        What is to be as large as possible.
    row
        Yields of the cells, ``P`` of them, in the order in which they are cut.
    allowed
        Whether the run of cells ``i .. j - 1`` may be a category, shape ``(P + 1, P + 1)``.
    edges
        A partition to start from, which says how many categories there are.
    near
        Where the parameters start; at those of the partition by default.
    rounds
        Partitions to try.

    Raises
    ------
    OptimisationError
        If a fit finds no minimum.
    """
    n = len(edges) + 1
    cells = np.arange(len(row.background))
    runs = interval_yields(row, objective)

    def around(edges: IntArray, near: ProfiledExpansion | None, part: float) -> ProfiledExpansion:
        label = np.searchsorted(edges, cells, side="right")
        return objective.around(row.yields(label, n, objective), near=near, part=part)

    now = around(edges, near, 0.0)
    best, bound, stale = (edges, now), np.inf, 0
    for step in range(rounds):
        terms = np.where(allowed, now.run_terms(row, runs), -np.inf)
        partitions = best_partitions(terms, n)
        if not np.isfinite(partitions.value[n - 1]):
            break
        bound = min(bound, now.bound(float(partitions.value[n - 1])))
        edges = partitions.edges(n)
        now = around(edges, now, damped(step))
        stale = stale + 1
        if now.value > best[1].value * (1 + SETTLED):
            stale = 0
        if now.value > best[1].value:
            best = edges, now
        if bound - best[1].value < SETTLED * bound or stale > PATIENCE:
            break
    edges, now = best
    known = np.isfinite(bound) and objective.bounded
    return ProfiledRuns(
        edges=edges, value=now.value, bound=max(bound, now.value) if known else None, around=now
    )
