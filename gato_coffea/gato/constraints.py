"""Constraints that hold exactly in the result, and the order of the categories."""

from __future__ import annotations

import numpy as np

from gato_coffea.gato.problem import Densities, Problem
from gato_coffea.samples import FloatArray, IntArray


def signal_likeness(parts: Densities) -> FloatArray:
    """Signal over background of each part; every signal counts with its share, not its rate.

    Parts without background come last.
    """
    share = (parts.signal / parts.signal.sum(axis=1, keepdims=True)).sum(axis=0)
    positive = parts.background > 0
    return np.where(positive, share / np.where(positive, parts.background, 1.0), np.inf)


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
                "a category was merged into a neighbour: it reached "
                f"{max(margin[worst], 0.0):.2g} of what the constraints ask "
                f"({yields.effective[worst] * parts.scale:.3g} effective background entries, "
                f"background yield {yields.background[worst]:.3g})"
            )
    order = np.argsort(signal_likeness(parts.grouped(label, n)), kind="stable")
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n)
    return rank[label], notes
