"""Discriminants and grids over them: where events lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Scale = Literal["linear", "logit", "log"]

LOGIT_LIMIT = 12.0
"""A score closer to an end of its range than the logistic of this many units counts as there."""


@dataclass(frozen=True)
class Feature:
    """One discriminant: its name, its closed range, and the coordinate in which it is even.

    ``scale`` is ``linear``, ``logit`` (scores that crowd at both ends of the range) or ``log``
    (positive quantities over decades).
    """

    name: str
    low: float
    high: float
    scale: Scale = "linear"

    def inside(self, x: FloatArray) -> BoolArray:
        """Whether each value lies in the closed range; NaN does not."""
        return (x >= self.low) & (x <= self.high)

    def stretch(self, x: FloatArray) -> FloatArray:
        """Coordinate in which cells are of equal width; increases with ``x``."""
        unit = (np.asarray(x, dtype=np.float64) - self.low) / (self.high - self.low)
        if self.scale == "logit":
            unit = np.clip(unit, 0.0, 1.0)
            with np.errstate(divide="ignore"):
                logit: FloatArray = np.log(unit) - np.log1p(-unit)
            return np.clip(logit, -LOGIT_LIMIT, LOGIT_LIMIT)
        if self.scale == "log":
            return np.asarray(np.log(np.clip(x, self.low, self.high)), dtype=np.float64)
        return np.asarray(unit)

    def unstretch(self, u: FloatArray) -> FloatArray:
        """Inverse of `stretch`; the ends of the stretched range give the ends of the range."""
        u = np.asarray(u, dtype=np.float64)
        if self.scale == "log":
            return np.clip(np.exp(u), self.low, self.high)
        if self.scale == "logit":
            unit = 1.0 / (1.0 + np.exp(-u))
            unit = np.where(u <= -LOGIT_LIMIT, 0.0, np.where(u >= LOGIT_LIMIT, 1.0, unit))
        else:
            unit = u
        return np.clip(self.low + unit * (self.high - self.low), self.low, self.high)

    def edges(self, n: int) -> FloatArray:
        """``n + 1`` edges in ``x`` of ``n`` cells that are equally wide when stretched."""
        ends = self.stretch(np.array([self.low, self.high]))
        result = self.unstretch(np.linspace(ends[0], ends[1], n + 1))
        result[0], result[-1] = self.low, self.high
        return result


def bin_index(x: FloatArray, edges: FloatArray) -> IntArray:
    """Bin of each value, the last bin closed at its upper edge; -1 outside and for NaN.

    >>> bin_index(np.array([0.0, 0.5, 1.0, 1.1, np.nan]), np.array([0.0, 0.5, 1.0]))
    array([ 0,  1,  1, -1, -1])
    """
    x = np.asarray(x, dtype=np.float64)
    index = np.searchsorted(edges, x, side="right").astype(np.int64) - 1
    index[x == edges[-1]] = len(edges) - 2
    index[~((x >= edges[0]) & (x <= edges[-1]))] = -1
    return index


@dataclass(frozen=True)
class Grid:
    """A rectangular grid over the features: edges in ``x`` for each of them."""

    features: tuple[Feature, ...]
    edges: tuple[FloatArray, ...]

    @classmethod
    def fine(cls, features: Sequence[Feature], *, n_cells: Sequence[int] | None = None) -> Self:
        """Cells of equal width in the stretched coordinates; by default 2000 in one dimension.

        In more dimensions the default keeps the number of all cells below a quarter million.
        """
        dim = len(features)
        if n_cells is None:
            n_cells = [2000 if dim == 1 else min(150, int(250_000 ** (1 / dim)))] * dim
        return cls(
            tuple(features), tuple(f.edges(n) for f, n in zip(features, n_cells, strict=True))
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of cells along each feature."""
        return tuple(len(e) - 1 for e in self.edges)

    def index(self, x: FloatArray) -> IntArray:
        """Flat cell index of each event, shape ``(N,)``; -1 outside or for NaN."""
        parts = [bin_index(x[:, d], e) for d, e in enumerate(self.edges)]
        outside = np.any([p < 0 for p in parts], axis=0)
        flat = np.ravel_multi_index([np.maximum(p, 0) for p in parts], self.shape)
        return np.where(outside, -1, flat).astype(np.int64)
