"""Rectangular categories: how many bins, in which coordinate, and where to start. NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from gato_coffea.categories import EdgeCategories
from gato_coffea.events.samples import BoolArray, Feature, FloatArray, IntArray
from gato_coffea.optimisation.methods import ExactPartition
from gato_coffea.optimisation.problem import Problem

LENGTH_FRACTION = 0.1
"""Part of a share that counts length instead of weight, so that a bin has a width also where
there are no events."""

MIN_SHARE = 1e-4
"""Smallest share of a bin where training starts: its logarithm is trained, and would not move
from far below."""


@dataclass(frozen=True)
class Shares:
    """The share of what matters that lies below a value of one stretched discriminant.

    In this coordinate, from 0 to 1, bins of equal width are about equally important.
    """

    u: FloatArray
    share: FloatArray

    @classmethod
    def from_points(cls, u: FloatArray, weight: FloatArray, *, low: float, high: float) -> Shares:
        """Shares of weighted points between two ends, all of shape ``(P,)``."""
        order = np.argsort(u, kind="stable")
        total = np.cumsum(weight[order])
        middle = (total - 0.5 * weight[order]) / total[-1]
        knots, first = np.unique(u[order], return_index=True)
        inside = (knots > low) & (knots < high)
        knots, middle = knots[inside], middle[first][inside]
        knots, middle = np.r_[low, knots, high], np.r_[0.0, middle, 1.0]
        return cls(
            knots,
            (1.0 - LENGTH_FRACTION) * middle + LENGTH_FRACTION * (knots - low) / (high - low),
        )

    def of(self, u: FloatArray) -> FloatArray:
        """Shares of values."""
        return np.interp(u, self.u, self.share)

    def at(self, share: FloatArray) -> FloatArray:
        """Values of shares."""
        return np.interp(share, self.share, self.u)

    def widths(self, edges: FloatArray, n: int) -> FloatArray:
        """Shares of ``n`` bins from the edges of as many, both ends included, or of others."""
        share = np.interp(np.linspace(0, len(edges) - 1, n + 1), np.arange(len(edges)), edges)
        return _widths(self.of(share[1:-1]))


def shares_of(problem: Problem, weight: FloatArray) -> list[Shares]:
    """The `Shares` of every discriminant."""
    result = []
    for d, feature in enumerate(problem.points.features):
        low, high = feature.stretch(np.array([feature.low, feature.high]))
        result.append(
            Shares.from_points(problem.u[:, d], weight, low=float(low), high=float(high))
        )
    return result


def even_bins(n: int, dim: int) -> tuple[int, ...]:
    """Numbers of bins, as equal as can be, that make up to ``n`` cells.

    >>> even_bins(10, 1), even_bins(10, 2), even_bins(8, 2)
    ((10,), (3, 3), (4, 2))
    """
    bins = [1] * dim
    while True:
        for d in sorted(range(dim), key=lambda d: bins[d]):
            if int(np.prod(bins)) // bins[d] * (bins[d] + 1) <= n:
                bins[d] += 1
                break
        else:
            return tuple(sorted(bins, reverse=True))


def alive_bins(bins: IntArray) -> BoolArray:
    """Which bins of the largest number take part, shape ``(R, bins)``: the first ones, the last.

    >>> alive_bins(np.array([2, 4])).astype(int)
    array([[1, 0, 0, 1],
           [1, 1, 1, 1]])
    """
    index, size = np.arange(int(bins.max())), int(bins.max())
    return np.asarray((index < bins[:, None] - 1) | (index == size - 1))


def alive_cells(bins: IntArray) -> BoolArray:
    """Which cells of the largest grid take part, shape ``(R, cells)``, from bins ``(R, D)``."""
    parts = [alive_bins(column) for column in bins.T]
    return reduce(lambda a, b: (a[:, :, None] & b[:, None, :]).reshape(len(a), -1), parts)


def bin_widths(exact: ExactPartition, share: FloatArray, n: int) -> FloatArray:
    """Widths of ``n`` bins: the exact ones where the constraints allow as many, else equal ones.

    Parameters
    ----------
    exact
        Bins of one discriminant.
    share
        The points' shares in it, shape ``(P,)``.
    n
        Number of bins.
    """
    first = exact.first_points(n)
    if len(first) != n - 1:
        return np.full(n, 1.0 / n)
    place = np.empty(len(share), dtype=np.int64)
    place[exact.order] = np.arange(len(share))
    before = exact.order[place[first] - 1]
    return _widths(0.5 * (share[first] + share[before]))


def _widths(inner: FloatArray) -> FloatArray:
    width = np.maximum(np.diff(np.concatenate([[0.0], inner, [1.0]])), MIN_SHARE)
    return np.asarray(width / width.sum())


def raw_widths(width: FloatArray, size: int) -> FloatArray:
    """Trainable values of ``sigmoid.ordered_edges`` for bins, filled up to ``size`` of them.

    Parameters
    ----------
    width
        Shape ``(..., bins)``, all positive.
    size
        Number of bins of the largest.

    Returns
    -------
    FloatArray
        Shape ``(..., size - 1)``.
    """
    raw = np.zeros((*width.shape[:-1], size - 1))
    raw[..., : width.shape[-1] - 1] = np.log(width[..., :-1]) - np.log(width[..., -1:])
    return raw


def edge_categories(features: Sequence[Feature], inner: Sequence[FloatArray]) -> EdgeCategories:
    """One category for every cell between inner edges; edges that coincide are one."""
    edges = [
        np.unique(np.concatenate([[f.low], np.clip(e, f.low, f.high), [f.high]]))
        for f, e in zip(features, inner, strict=True)
    ]
    cells = int(np.prod([len(e) - 1 for e in edges]))
    return EdgeCategories(features=tuple(features), edges=tuple(edges), label=np.arange(cells))
