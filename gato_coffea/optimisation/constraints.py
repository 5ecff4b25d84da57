"""Constraints that hold exactly in the result, and the order of the categories."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gato_coffea.categories import Categories, EdgeCategories, MixtureCategories
from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.optimisation.densities import CategoryYields, Densities
from gato_coffea.optimisation.evaluation import Sums, Tally
from gato_coffea.optimisation.problem import Problem

ALMOST = 0.5
"""Share of what the constraints ask from which on a category is worth more events."""

RAISE = 0.02
"""Step by which the log weight of a component that lacks events is raised."""

SHIFT = 5e-4
"""Step by which the edges of a bin that lacks events are shifted, in units of the range."""

MOST_RAISES = 40
"""How many such steps are taken; they double as long as no event comes over."""


def signal_likeness(parts: Densities | CategoryYields) -> FloatArray:
    """Signal over background of each part; every signal counts with its share, not its rate.

    Parts without background come last.
    """
    share = (parts.signal / parts.signal.sum(axis=1, keepdims=True)).sum(axis=0)
    positive = parts.background > 0
    return np.where(positive, share / np.where(positive, parts.background, 1.0), np.inf)


def parts_of(problem: Problem, sums: Sums) -> Densities:
    """Sums over components as densities of as many points."""
    s = [sums.processes.index(name) for name in problem.signals]
    b = [sums.processes.index(name) for name in problem.continuum]
    r = [sums.processes.index(name) for name in problem.resonant]
    q = [sums.processes.index(name) for name in problem.process_limits.processes]
    return Densities(
        u=np.zeros((sums.sumw.shape[1], 1)),
        signal=sums.sumw[s],
        background=sums.sumw[b].sum(axis=0),
        variance=sums.sumw2[b].sum(axis=0),
        moment=None if sums.sumw_mass is None else sums.sumw_mass[b].sum(axis=0),
        peak=np.stack([sums.sumw[r].sum(axis=0), sums.sumw2[r].sum(axis=0)]) if r else None,
        watched=np.concatenate([sums.sumw[q], sums.sumw2[q]]) if q else None,
        rows=sums.rows(problem),
    )


def _enlarged(categories: Categories, k: int, size: float) -> Categories | None:
    """The same with a little more in category ``k``; None where that is not known how to do."""
    if isinstance(categories, MixtureCategories):
        weights = categories.log_weights + RAISE * size * (categories.label == k)
        return replace(categories, log_weights=weights)
    if not isinstance(categories, EdgeCategories) or len(categories.edges) > 1:
        return None
    feature, label = categories.features[0], categories.label
    u = feature.stretch(categories.edges[0])
    step = SHIFT * size * float(np.ptp(u))
    u[1:-1] += step * ((label[:-1] == k).astype(float) - (label[1:] == k))
    edges = feature.unstretch(u)
    edges[[0, -1]] = categories.edges[0][[0, -1]]
    return replace(categories, edges=(edges,)) if (np.diff(edges) > 0).all() else None


def enough_events(
    problem: Problem, tally: Tally, categories: Categories, sums: Sums
) -> tuple[Categories, Sums]:
    """Give categories that lack a few events those of their neighbours.

    The points of the training are coarser than the events, so that a category at its limit may
    miss it by little. It is made larger until it satisfies the constraints, and then those of the
    neighbours that lack the events instead. What does not end with fewer categories below the
    constraints is not done.

    Parameters
    ----------
    problem
        Its constraints.
    tally
        The events.
    categories, sums
        Categories, and the sums of the events over them.

    Returns
    -------
    tuple
        The categories, and the sums of the events over them.
    """
    n = categories.n_categories

    def sums_of(trial: Categories) -> Sums:
        return tally.total([trial.assign], n, by_fold=False, varied=False)

    def margins(sums: Sums) -> FloatArray:
        yields = parts_of(problem, sums).yields(np.arange(n), n, problem.objective)
        return problem.satisfied(yields)

    margin = margins(sums)
    trial, reached, step = categories, margin, 0
    for _ in range(MOST_RAISES):
        short = np.flatnonzero((reached >= ALMOST) & (reached < 1))
        if not len(short):
            break
        k = int(short[reached[short].argmin()])
        larger = _enlarged(trial, k, 2.0**step)
        if larger is None:
            break
        trial = larger
        before, reached = reached[k], margins(sums_of(trial))
        step = step + 1 if reached[k] == before else 0  # no event came over: go further
    if (reached < 1).sum() < (margin < 1).sum():
        return trial, tally.total([trial.assign], n, by_fold=False)
    return categories, sums


def _lacking(problem: Problem, yields: CategoryYields, k: int) -> str:
    """The process that a category lacks, in words; nothing where it lacks none."""
    if not len(yields.watched):
        return ""
    margins = problem.process_margins(yields)[:, k]
    q = int(margins.argmin())
    if margins[q] >= 1:
        return ""
    limits = problem.process_limits
    if limits.of_yield[q]:
        reached = limits.words(q, float(margins[q]))[1]
        return f"; yield of {limits.processes[q]}: {reached}"
    return f"; {margins[q] * limits.needed[q]:.3g} effective entries of {limits.processes[q]}"


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
            lacking = _lacking(problem, yields, worst)
            notes.append(
                "a category was merged into a neighbour: it has "
                f"{100 * max(margin[worst], 0.0):.1f} % of what the constraints ask "
                f"({yields.effective[worst] * parts.scale:.4g} effective background entries, "
                f"background yield {yields.background[worst]:.3g}{lacking})"
            )
    order = np.argsort(signal_likeness(parts.yields(label, n, problem.objective)), kind="stable")
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n)
    return rank[label], notes
