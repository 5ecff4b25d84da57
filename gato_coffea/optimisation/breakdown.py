"""What each uncertainty costs: the figure without it, where the fit pulls it, and the bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gato_coffea.optimisation.densities import CategoryYields
from gato_coffea.optimisation.evaluation import Sums
from gato_coffea.optimisation.methods import ExactPartition
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.profiled import Profiled
from gato_coffea.optimisation.result import Breakdown

SIMULATION = "finite simulation"
"""What the statistical uncertainty of simulated backgrounds is called among the others."""


def breakdown(
    problem: Problem, sums: Sums, *, asked: int, exact: ExactPartition | None = None
) -> Breakdown | None:
    """The figure without each uncertainty, and the pulls; None of a counting figure.

    Parameters
    ----------
    problem
        Its objective says which uncertainties there are.
    sums
        All events in the categories.
    asked
        Number of categories that was requested.
    exact
        The partitions of all events by dynamic programming, which give a bound between the groups
        of points that they cut.
    """
    objective = problem.objective
    if not isinstance(objective, Profiled) or not objective.uncertainties:
        return None
    yields = sums.category_yields(problem)
    without = {name: _without(objective, yields, name) for name in objective.uncertainties}
    if objective.mc_uncertainty:
        without[SIMULATION] = float(replace(objective, mc_uncertainty=False).combined(yields))
    runs = None if exact is None else exact.runs(asked)
    return Breakdown(
        everything=float(objective.combined(yields)),
        without=without,
        pulls={
            signal: {name: float(a) for name, a in fit.pulls.items()}
            for signal, fit in zip(
                objective.signals, objective.each(objective.likelihood(yields)), strict=True
            )
        },
        bound=None if runs is None else runs.bound,
        reached=None if runs is None else runs.value,
        groups=None if exact is None or runs is None else len(exact.row.background),
    )


def _without(objective: Profiled, yields: CategoryYields, name: str) -> float:
    """The figure with one uncertainty less."""
    if name not in objective.variations:
        others = tuple(n for n in objective.normalisations if n.name != name)
        return float(replace(objective, normalisations=others).combined(yields))
    n, place = len(objective.processes), objective.variations.index(name)
    rows = np.array(yields.rows)
    for side in (0, len(objective.variations)):
        first = n * (1 + side + place)
        rows[..., first : first + n, :] = rows[..., :n, :]
    return float(objective.combined(replace(yields, rows=rows)))
