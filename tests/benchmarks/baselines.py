"""What people do without an optimiser: equidistant bins, and bins inside classes of an arg-max."""

from __future__ import annotations

from functools import partial

import numpy as np
from evaluation import (
    MIN_BACKGROUND_EVENTS,
    even_cells,
    run_sums,
    significance_in_plane,
    significance_of_edges,
    yields_of_counts,
)
from samples import LargeSample

from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.optimisation.partitions import Partitions, best_partitions
from gato_coffea.statistics.counting import asimov_z2, signal_significances

FINE_CELLS = 20_000
CELLS_IN_CLASS = 400
LOWEST = 1 / 3
"""No smaller score wins an arg-max of three."""


def equidistant(test: LargeSample, n: int) -> float:
    """Significance of ``n`` equal bins of one score."""
    return significance_of_edges(test, np.linspace(0, 1, n + 1)[1:-1])


def winner(x: FloatArray) -> IntArray:
    """Index of the largest of three class scores, of which the last is not stored."""
    return np.column_stack([x, 1 - x.sum(axis=1)]).argmax(axis=1)


def argmax_labels(x: FloatArray, edges: list[FloatArray]) -> IntArray:
    """Category by class, and in a signal's class by its score; the background is category 0."""
    won = winner(x)
    label = np.zeros(len(x), dtype=np.int64)
    first = 1
    for i, inner in enumerate(edges):
        rows = won == i
        label[rows] = first + np.searchsorted(inner, x[rows, i], side="right")
        first += len(inner) + 1
    return label


def argmax_significance(sample: LargeSample, edges: list[FloatArray]) -> float:
    """Combined significance of bins inside the classes of the arg-max."""
    n = 1 + sum(len(inner) + 1 for inner in edges)
    return significance_in_plane(sample, partial(argmax_labels, edges=edges), n)


def argmax_equidistant(test: LargeSample, n: int) -> float:
    """Equal bins in each class; the first signal has one more where they do not divide."""
    bins = [(n - 1) // 2 + (n - 1) % 2, (n - 1) // 2]
    edges = [np.linspace(LOWEST, 1, k + 1)[1:-1] for k in bins]
    return argmax_significance(test, edges)


def argmax_optimal_edges(sample: LargeSample, n: int) -> list[FloatArray]:
    """The best bins inside each class, and the best way to deal ``n - 1`` bins to two classes.

    Dynamic programming on the sample in each class, every bin with some background events.
    """

    def count(x: FloatArray) -> FloatArray:
        return np.bincount(winner(x), minlength=3).astype(np.float64)

    z = signal_significances(*yields_of_counts(sample, count))
    classes = [_class_bins(sample, i, n, scale=1 / z**2) for i in range(2)]
    found = []
    for k in range(1, n - 1):
        split = (k, n - 1 - k)
        if all(np.isfinite(p.value[m - 1]) for (p, _), m in zip(classes, split, strict=True)):
            edges = [e[p.edges(m) - 1] for (p, e), m in zip(classes, split, strict=True)]
            found.append((argmax_significance(sample, edges), k, edges))
    return max(found)[2]


def _class_bins(
    sample: LargeSample, i: int, n: int, *, scale: FloatArray
) -> tuple[Partitions, FloatArray]:
    """Best bins of the score of class ``i`` among its own events, and the edges they are at."""
    score = {name: np.sort(x[winner(x) == i, i]) for name, x in sample.x.items()}
    fine = np.linspace(LOWEST, 1, FINE_CELLS)[1:-1]

    def count(x: FloatArray) -> FloatArray:
        edges = np.concatenate([[0], np.searchsorted(x, fine), [len(x)]])
        return np.diff(edges).astype(np.float64)

    signal, background = yields_of_counts(LargeSample(sample.signals, score, sample.weight), count)
    cut = even_cells(signal[i], background, CELLS_IN_CLASS)
    at = np.concatenate([[0], cut])
    s = np.stack([run_sums(row) for row in np.add.reduceat(signal, at, axis=1)])
    b = run_sums(np.add.reduceat(background, at))
    z2 = asimov_z2(s, b + s.sum(axis=0) - s)
    weight = min(sample.weight[name] for name in sample.backgrounds)
    allowed = b >= MIN_BACKGROUND_EVENTS * weight * (1 - 1e-9)
    gain = np.where(allowed, np.einsum("i,ijk->jk", scale, z2), -np.inf)
    return best_partitions(gain, n), fine[cut - 1]
