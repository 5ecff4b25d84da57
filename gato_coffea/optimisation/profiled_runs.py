"""The best contiguous categories for a profile likelihood, with a bound on what any can reach.

At fixed nuisance parameters the likelihood ratio is a sum over categories, so that dynamic
programming finds the best partition of a row of cells. The parameters of that partition are
fitted, the next partition is found there, and so on. Since the likelihood ratio is a minimum over
the parameters, the best sum at *any* fixed parameters is at least what any partition reaches: the
smallest such sum met on the way is a certificate of how good the best partition is. Where it does
not show that nothing is left, as with few categories and large uncertainties, single boundaries
are taken away and put elsewhere while that helps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gato_coffea.events.samples import BoolArray, IntArray
from gato_coffea.optimisation.densities import CategoryYields, Densities
from gato_coffea.optimisation.partitions import best_partitions, damped, interval_yields
from gato_coffea.optimisation.profiled import Profiled, ProfiledExpansion

ROUNDS = 40
"""Partitions that are tried; a dozen are enough for five and more categories."""

SETTLED = 1e-5
"""Relative distance of bound and value below which nothing is left to be found."""

PATIENCE = 6
"""Partitions in a row that are not better, after which the search ends: the parameters move less
and less."""


CERTIFIED = 1e-3
"""Relative distance of bound and value above which boundaries are exchanged: well below what one
sample tells from another."""

POSITIONS = 40
"""Places in a row for a boundary, as many as bins that analyses begin with; others near it."""

NEARBY = (-8, -4, -2, -1, 1, 2, 4, 8)
"""Cells that a boundary is moved by from where it is."""

MAX_EXCHANGES = 40
"""Boundaries that are exchanged one after the other; a dozen were needed for ten."""


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
        partitions = best_partitions(now.run_terms(row, runs, allowed), n)
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
    if len(best[0]) and not (objective.bounded and bound - best[1].value < CERTIFIED * bound):
        best = _exchanged(objective, row, runs, allowed, best, around)
    edges, now = best
    known = np.isfinite(bound) and objective.bounded
    return ProfiledRuns(
        edges=edges, value=now.value, bound=max(bound, now.value) if known else None, around=now
    )


def _exchanged(
    objective: Profiled,
    row: Densities,
    runs: CategoryYields,
    allowed: BoolArray,
    best: tuple[IntArray, ProfiledExpansion],
    around: Callable[[IntArray, ProfiledExpansion | None, float], ProfiledExpansion],
) -> tuple[IntArray, ProfiledExpansion]:
    """A partition that no exchange of one boundary makes better, all parameters fitted."""
    n_cells = len(row.background)
    spread = np.arange(1, n_cells, max(n_cells // POSITIONS, 1))
    for _ in range(MAX_EXCHANGES):
        edges = best[0]
        places = [np.concatenate([spread, edge + np.array(NEARBY)]) for edge in edges]
        moved = [
            np.sort(np.append(np.delete(edges, k), place))
            for k, own in enumerate(places)
            for place in own
        ]
        tried = np.unique(np.array(moved, dtype=np.int64).reshape(-1, len(edges)), axis=0)
        inside = (tried > 0).all(axis=1) & (tried < n_cells).all(axis=1)
        tried = tried[inside & (np.diff(tried, axis=1) > 0).all(axis=1)]
        low = np.pad(tried, ((0, 0), (1, 0)))
        high = np.pad(tried, ((0, 0), (0, 1)), constant_values=n_cells)
        fine = allowed[low, high].all(axis=1)
        if not fine.any():
            break
        value = objective.combined(_of_runs(objective, row, runs, low[fine], high[fine]))
        now = around(tried[fine][int(np.argmax(value))], best[1], 1.0)
        if not now.value > best[1].value * (1 + SETTLED):
            break
        best = tried[fine][int(np.argmax(value))], now
    return best


def _of_runs(
    objective: Profiled, row: Densities, runs: CategoryYields, low: IntArray, high: IntArray
) -> CategoryYields:
    """Yields of ``B`` partitions, whose runs ``low .. high - 1`` have shape ``(B, K)``."""
    assert row.rows is not None
    total = np.concatenate([np.zeros((len(row.rows), 1)), np.cumsum(row.rows, axis=1)], axis=1)
    rows = np.moveaxis(total[:, high] - total[:, low], 0, 1)
    factor = runs.factor[low, high]
    if objective.window is not None:
        rows = rows * np.where(objective.extrapolated[:, None], factor[:, None, :], 1.0)
    return CategoryYields(
        signal=np.moveaxis(runs.signal[:, low, high], 0, 1),
        background=runs.background[low, high],
        variance=runs.variance[low, high],
        effective=runs.effective[low, high],
        factor=factor,
        rows=rows,
    )
