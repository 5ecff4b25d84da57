"""Discriminants and grids over them: where events lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from gato_coffea.events.arrays import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from gato_coffea.config import Discriminant

Scale = Literal["linear", "logit", "log"]

LOGIT_LIMIT = 12.0
"""A score closer to an end of its range than the logistic of this many units counts as there."""

EDGE_TOLERANCE = 1e-6
"""How far a value may lie from a bin edge that it is meant to be, in widths of the bin: edges that
were written to a file and read again differ by rounding."""

STRIPS_PER_EDGE = 32
"""How narrow the strips are in which many values are looked up at once."""


@dataclass(frozen=True)
class Feature:
    """One discriminant: its name, its closed range, and the coordinate in which it is even.

    Where it is ``open``, a value beyond the range counts as at that end of it. ``scale`` is
    ``linear``, ``logit`` (scores that crowd at both ends of the range) or ``log`` (positive
    quantities over decades).
    """

    name: str
    low: float
    high: float
    scale: Scale = "linear"
    open: bool = False

    @classmethod
    def of(cls, discriminant: Discriminant) -> Self:
        """The feature that a discriminant of an analysis is."""
        return cls(discriminant.name, *discriminant.range, discriminant.scale)

    def bounded(self, x: FloatArray) -> FloatArray:
        """The values themselves; of an open range, none beyond it. NaN stays NaN."""
        return np.clip(x, self.low, self.high) if self.open else x

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


def edge_positions(values: FloatArray, edges: FloatArray) -> IntArray:
    """Which edge of an axis each value is; -1 where it lies inside a bin, or outside of all.

    >>> edge_positions(np.array([0.3, 0.25]), np.array([0.0, 0.1 + 0.2, 1.0]))
    array([ 1, -1])
    """
    nearest = np.abs(edges[:, None] - values[None, :]).argmin(axis=0)
    width = np.diff(edges)[np.clip(nearest - 1, 0, len(edges) - 2)]
    off = np.abs(values - edges[nearest]) > EDGE_TOLERANCE * width
    return np.where(off, -1, nearest).astype(np.int64)


def bin_index(x: FloatArray, edges: FloatArray) -> IntArray:
    """Bin of each value, the last bin closed at its upper edge; -1 outside and for NaN.

    >>> bin_index(np.array([0.0, 0.5, 1.0, 1.1, np.nan]), np.array([0.0, 0.5, 1.0]))
    array([ 0,  1,  1, -1, -1])
    """
    x = np.ascontiguousarray(x, dtype=np.float64)
    inside = (x >= edges[0]) & (x <= edges[-1])
    index = _edges_up_to(np.where(inside, x, edges[0]), edges) - 1
    index[x == edges[-1]] = len(edges) - 2
    index[~inside] = -1
    return index


def _edges_up_to(x: FloatArray, edges: FloatArray) -> IntArray:
    """How many edges are not above each value, which lies between the first and the last.

    Narrow strips of equal width say it for almost all values at once; the few in a strip with an
    edge are looked up.
    """
    n = STRIPS_PER_EDGE * len(edges)
    with np.errstate(over="ignore", divide="ignore"):
        scale = n / (edges[-1] - edges[0])
    if len(x) < n or not np.isfinite(scale):
        return np.searchsorted(edges, x, side="right").astype(np.int64)

    def strip(values: FloatArray) -> IntArray:  # never falls as the values rise
        found: IntArray = ((values - edges[0]) * scale).astype(np.int64)
        np.minimum(found, n - 1, out=found)
        return found

    of_edges, of_x = strip(edges), strip(x)
    result = np.searchsorted(of_edges, np.arange(n)).astype(np.int64)[of_x]
    near = np.flatnonzero((np.bincount(of_edges, minlength=n) > 0)[of_x])
    result[near] = np.searchsorted(edges, x[near], side="right")
    return result


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
        flat = np.zeros(len(x), dtype=np.int64)
        outside = np.zeros(len(x), dtype=np.bool_)
        for d, (edges, n) in enumerate(zip(self.edges, self.shape, strict=True)):
            part = bin_index(x[:, d], edges)
            outside |= part < 0
            flat *= n
            flat += part
        flat[outside] = -1
        return flat
