"""Constraints that hold exactly in the result, and the order of the categories."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gato_coffea.categories import Categories, MixtureCategories
from gato_coffea.gato.evaluation import Sums, Tally
from gato_coffea.gato.problem import Densities, Problem
from gato_coffea.samples import FloatArray, IntArray

ALMOST = 0.5
"""Share of what the constraints ask from which on a category is worth more events."""

RAISES = tuple(0.01 * 1.5**i for i in range(15))
"""What the log weight of a category that lacks events is raised by, one after the other."""


def signal_likeness(parts: Densities) -> FloatArray:
    """Signal over background of each part; every signal counts with its share, not its rate.

    Parts without background come last.
    """
    share = (parts.signal / parts.signal.sum(axis=1, keepdims=True)).sum(axis=0)
    positive = parts.background > 0
    return np.where(positive, share / np.where(positive, parts.background, 1.0), np.inf)


def parts_of(problem: Problem, sums: Sums) -> Densities:
    """Sums over components as densities of as many points."""
    s = [sums.processes.index(name) for name in problem.signals]
    b = [sums.processes.index(name) for name in problem.backgrounds]
    return Densities(
        u=np.zeros((sums.sumw.shape[1], 1)),
        signal=sums.sumw[s],
        background=sums.sumw[b].sum(axis=0),
        variance=sums.sumw2[b].sum(axis=0),
        moment=None if sums.sumw_mass is None else sums.sumw_mass[b].sum(axis=0),
    )


def enough_events(
    problem: Problem, tally: Tally, categories: Categories
) -> tuple[Categories, Sums]:
    """Give categories of a mixture that lack a few events those of their neighbours.

    The points of the training are coarser than the events, so that a category at its limit may
    miss it by little. Its log weight is raised until it satisfies the constraints, where that
    takes no other category below them.

    Returns
    -------
    tuple
        The categories, and the sums of the events over them.
    """

    def margins(sums: Sums) -> FloatArray:
        parts = parts_of(problem, sums)
        n = len(parts.background)
        return problem.satisfied(parts.yields(np.arange(n), n, problem.objective))

    n = categories.n_categories
    sums = tally.total([categories.assign], n, by_fold=False)
    if not isinstance(categories, MixtureCategories):
        return categories, sums
    margin = margins(sums)
    for k in np.flatnonzero((margin >= ALMOST) & (margin < 1)).tolist():
        for raised in RAISES:
            weights = categories.log_weights + raised * (np.arange(n) == k)
            trial = replace(categories, log_weights=weights)
            found = tally.total([trial.assign], n, by_fold=False)
            reached = margins(found)
            if (reached < np.minimum(margin, 1.0)).any():
                break
            if reached[k] >= 1:
                categories, sums, margin = trial, found, reached
                break
    return categories, sums


def merge_offenders(problem: Problem, parts: Densities) -> tuple[IntArray, list[str]]:
    """Merge components until every category satisfies the constraints.

    Parameters
    ----------
    problem
        Its constraints and objective.
    parts
        Yields of each component (events summed by component), ``K`` of them.

    Returns
    -------
    tuple
        The category of each component, shape ``(K,)``, ordered from the least to the most
        signal-like; and a sentence for each merger.
    """
    n = len(parts.background)
    label = np.arange(n)
    notes = []
    while True:
        names, label = np.unique(label, return_inverse=True)
        n = len(names)
        yields = parts.yields(label, n, problem.objective)
        margin = problem.satisfied(yields, scale=parts.scale)
        worst = int(margin.argmin())
        if margin[worst] >= 1 or n == 1:
            break
        outcomes = [
            -np.inf
            if other == worst
            else float(
                problem.objective.combined(
                    parts.yields(np.where(label == worst, other, label), n, problem.objective)
                )
            )
            for other in range(n)
        ]
        label = np.where(label == worst, int(np.argmax(outcomes)), label)
        if yields.background[worst] != 0 or yields.signal[:, worst].any():
            notes.append(
                "a category was merged into a neighbour: it has "
                f"{100 * max(margin[worst], 0.0):.1f} % of what the constraints ask "
                f"({yields.effective[worst] * parts.scale:.2f} effective background entries, "
                f"background yield {yields.background[worst]:.3g})"
            )
    order = np.argsort(signal_likeness(parts.grouped(label, n)), kind="stable")
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n)
    return rank[label], notes
