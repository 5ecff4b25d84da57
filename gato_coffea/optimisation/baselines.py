"""The reference figures that stand beside every result. NumPy and SciPy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.optimisation.bootstrap import freedom
from gato_coffea.optimisation.constraints import merge_offenders, parts_of
from gato_coffea.optimisation.densities import shares
from gato_coffea.optimisation.evaluation import Assign
from gato_coffea.optimisation.methods import (
    argmax_edges,
    argmax_labels,
    equidistant_labels,
    has_class_scores,
    match_categories,
)
from gato_coffea.optimisation.quotes import pooled_significance, significance_of
from gato_coffea.optimisation.rebinning import rule_edges
from gato_coffea.optimisation.result import MANY, Significance, Yardstick
from gato_coffea.optimisation.search import MANY_CATEGORIES, Search


def partition_yardstick(search: Search, labels: Sequence[IntArray]) -> Yardstick:
    """A partition of the points, held out and on the training events."""
    n = int(labels[0].max()) + 1
    points, problem = search.points, search.problem
    training = significance_of(problem, points.by_label(labels[:1], n, by_fold=False))
    if len(labels) == 1:
        return Yardstick(None, training)
    folds = [
        match_categories(label, labels[0], search.weight, n=int(label.max()) + 1)[label]
        for label in labels[1:]
    ]
    held_out = pooled_significance(
        problem,
        points.by_label(folds, n, by_fold=True),
        training=training,
        each=search.expected(folds, n),
        freedom=freedom(problem, points, folds, n),
        seed=search.seed,
    )
    return Yardstick(held_out, training)


def fixed_yardstick(search: Search, assign: Assign, n: int) -> Yardstick:
    """Categories that learn nothing from the events but which of them to merge.

    Those that fail the constraints are merged, as in every result: in each fold by what the
    events of the other folds say.
    """
    problem, n_folds = search.problem, search.tally.n_folds
    whole = search.tally.total([assign], n, by_fold=False)
    parts = parts_of(problem, whole)
    label, _ = merge_offenders(problem, parts)
    n_kept = int(label.max()) + 1
    training = significance_of(problem, whole.relabelled(label, n_kept))
    if n_folds == 1:
        return Yardstick(None, training)
    # Category k of the events of fold f has the number f n + k.
    parted = search.tally.total(
        [_shifted(assign, f * n) for f in range(n_folds)], n_folds * n, by_fold=True
    )
    names = np.tile(label, n_folds)
    for f in range(n_folds):
        seen = np.tile(np.arange(n), n_folds)
        seen[f * n : (f + 1) * n] = n  # left out
        others = parts_of(problem, parted.relabelled(seen, n + 1)).ordered(np.arange(n))
        own, _ = merge_offenders(problem, others.scaled(n_folds / (n_folds - 1)))
        weight = np.maximum(shares(parts), 0.0)
        match = match_categories(own, label, weight, n=int(own.max()) + 1)
        names[f * n : (f + 1) * n] = match[own]
    point = assign(search.problem.points.x)
    held_out = pooled_significance(
        problem,
        parted.relabelled(names, n_kept),
        training=training,
        each=search.expected(
            [np.where(point < 0, -1, own[point]) for own in np.split(names, n_folds)], n_kept
        ),
        seed=search.seed,
    )
    return Yardstick(held_out, training)


def _shifted(assign: Assign, by: int) -> Assign:
    """The same categories with numbers that are higher by so much; -1 stays."""

    def shifted(x: FloatArray) -> IntArray:
        label = assign(x)
        return np.where(label < 0, label, label + by)

    return shifted


def yardsticks(search: Search, n: int) -> dict[str, Yardstick]:
    """The reference figures that apply to the problem."""
    problem = search.problem
    found = {}
    exact = "exact" if search.additive else "lloyd"
    found[exact] = partition_yardstick(search, search.partitions(n, 1)[0])
    if has_class_scores(problem):
        if n > len(problem.signals):
            edges = argmax_edges(problem, n)
            count = 1 + sum(len(e) + 1 for e in edges)
            fixed = partial(argmax_labels, edges=edges)
            found["argmax equidistant"] = fixed_yardstick(search, fixed, count)
            labels = [argmax_labels(problem.points.x, a.edges(n)) for a in search.argmax]
            found["argmax optimal"] = partition_yardstick(search, labels)
    else:
        bins = partial(equidistant_labels, problem, n=n)
        found["equidistant"] = fixed_yardstick(search, bins, n)
        for name, inner in rule_edges(problem, n).items():
            cut = partial(_cut, inner)
            found[name] = fixed_yardstick(search, cut, len(inner) + 1)
    return found


def _cut(edges: FloatArray, x: FloatArray) -> IntArray:
    """Bins between edges of the one discriminant."""
    return np.searchsorted(edges, x[:, 0], side="right").astype(np.int64)


def own_yardsticks(search: Search) -> dict[str, Yardstick]:
    """What edges of the user's own reach, by name; categories that fail constraints are merged."""
    return {
        name: fixed_yardstick(search, partial(_cut, np.array(edges)), len(edges) + 1)
        for name, edges in search.own_edges.items()
    }


def better_yardsticks(held_out: Significance, references: Mapping[str, Yardstick]) -> list[str]:
    """A sentence for each yardstick, `MANY` aside, that is better by more than the spread."""
    spread, found = held_out.spread or 0.0, []
    for name, yardstick in references.items():
        other = yardstick.held_out
        if name == MANY or other is None:
            continue
        if other.combined > held_out.combined + spread:
            found.append(
                f"yardstick {name}: held-out Z {other.combined:.3f} is above the "
                f"{held_out.combined:.3f} of these categories by more than its spread {spread:.3f}"
            )
    return found


def many_categories(search: Search) -> Yardstick:
    """Very many categories: where finer ones lead to. With few events it is no upper limit."""
    return partition_yardstick(search, search.partitions(MANY_CATEGORIES, 1)[0])
