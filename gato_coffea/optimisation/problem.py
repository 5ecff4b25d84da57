"""What is to be optimised, as arrays: training densities, constraints, objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from gato_coffea.config import Constraints
from gato_coffea.events.samples import BoolArray, FloatArray, IntArray, Points
from gato_coffea.optimisation.densities import CategoryYields, Densities
from gato_coffea.optimisation.objective import Objective
from gato_coffea.optimisation.process_limits import ProcessLimits

CANCELLED = 1e-9
"""What is left of a sum of this relative size is rounding."""

ROUNDING = 1e-9
"""Relative amount by which a limit may be missed: ten events of equal weight w have
``(10 w)**2 / (10 w**2)`` effective entries, which in floating point may be just below ten."""

DIGITS = 36
"""Binary digits that `steady` keeps: a relative precision of 1e-11."""


def steady(values: FloatArray) -> FloatArray:
    """Values without the digits in which sums of the same numbers in another order differ.

    A search that is decided by the last digit would go another way for another order of chunks.
    """
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.rint(np.ldexp(mantissa, DIGITS)), exponent - DIGITS))


@dataclass(frozen=True)
class Mixtures:
    """A batch of Gaussian mixtures in stretched coordinates.

    ``means`` ``(G, R, K, D)``, lower Cholesky factors ``scale_tril`` ``(G, R, K, D, D)`` and
    ``log_weights`` ``(G, R, K)``, for ``G`` training sets and ``R`` restarts.
    """

    means: FloatArray
    scale_tril: FloatArray
    log_weights: FloatArray


@dataclass(frozen=True)
class Problem:
    """Points, what counts as signal, and what every category must satisfy."""

    points: Points
    signals: tuple[str, ...]
    backgrounds: tuple[str, ...]
    objective: Objective
    constraints: Constraints
    smooth: bool = True
    resonant: tuple[str, ...] = ()

    @property
    def continuum(self) -> tuple[str, ...]:
        """Backgrounds that are extrapolated into the mass window, where there is one."""
        return tuple(name for name in self.backgrounds if name not in self.resonant)

    @property
    def row_processes(self) -> tuple[str, ...]:
        """Processes in the order of `sums` and of `Densities.rows`: resonant ones last."""
        return (*self.signals, *self.continuum, *self.resonant)

    @cached_property
    def u(self) -> FloatArray:
        """Stretched coordinates of the points, shape ``(P, D)``."""
        features, x = self.points.features, self.points.x
        return steady(np.stack([f.stretch(x[:, d]) for d, f in enumerate(features)], axis=-1))

    @cached_property
    def point_of_cell(self) -> IntArray:
        """Point that each cell of the grid belongs to; the nearest one where a cell has none."""
        points, grid = self.points, self.points.grid
        assert grid is not None
        assert points.cell is not None
        result = np.full(int(np.prod(grid.shape)), -1, dtype=np.int64)
        result[points.cell] = np.arange(len(points))
        empty = np.flatnonzero(result < 0)
        middle = [
            f.stretch(0.5 * (e[1:] + e[:-1]))
            for f, e in zip(grid.features, grid.edges, strict=True)
        ]
        index = np.unravel_index(empty, grid.shape)
        centre = np.stack([m[i] for m, i in zip(middle, index, strict=True)], axis=-1)
        result[empty] = self.nearest(centre, np.ones(len(points), dtype=np.bool_))
        return result

    def nearest(self, u: FloatArray, known: BoolArray) -> IntArray:
        """Which of the known points is nearest to each position, in units of their spread."""
        width = np.maximum(self.u.std(axis=0), 1e-12)
        rows = np.flatnonzero(known)
        return rows[cKDTree(self.u[rows] / width).query(u / width)[1]]

    def densities(self, folds: Sequence[int]) -> Densities:
        """What the events of some folds say, scaled to the yield of all events."""
        points, chosen = self.points, list(folds)
        s, b = points.of(self.signals), points.of(self.continuum)
        scale = points.n_folds / len(chosen)

        def total(array: FloatArray, rows: IntArray) -> FloatArray:
            return np.asarray(array[rows][:, chosen].sum(axis=1))

        moment = None
        if points.sumw_mass is not None:
            moment = steady(total(points.sumw_mass, b).sum(axis=0) * scale)
        peak = None
        if self.resonant:
            rows = points.of(self.resonant)
            squares = total(points.sumw2, rows).sum(axis=0) * scale**2
            peak = steady(np.stack([total(points.sumw, rows).sum(axis=0) * scale, squares]))
        return Densities(
            u=self.u,
            signal=steady(total(points.sumw, s) * scale),
            background=steady(total(points.sumw, b).sum(axis=0) * scale),
            variance=steady(total(points.sumw2, b).sum(axis=0) * scale**2),
            moment=moment,
            peak=peak,
            scale=scale,
            watched=self._watched(chosen, scale),
            rows=self._rows(chosen, scale) if self.objective.by_process else None,
        )

    def _rows(self, folds: list[int], scale: float) -> FloatArray:
        points, order = self.points, self.points.of(self.row_processes)
        nominal = points.sumw[order][:, folds].sum(axis=1)
        if not points.variations:
            return steady(nominal * scale)
        varied = points.varied[:, order][:, :, folds].sum(axis=2)
        rows = np.concatenate([nominal, varied.reshape(-1, varied.shape[-1])])
        return steady(rows * scale)

    @cached_property
    def process_limits(self) -> ProcessLimits:
        """The backgrounds that every category must hold something of."""
        return ProcessLimits.of(self.points, self.backgrounds, self.constraints)

    def _watched(self, folds: list[int], scale: float) -> FloatArray | None:
        rows = self.points.of(self.process_limits.processes)
        if not len(rows):
            return None
        sumw = self.points.sumw[rows][:, folds].sum(axis=1) * scale
        sumw2 = self.points.sumw2[rows][:, folds].sum(axis=1) * scale**2
        return steady(np.concatenate([sumw, sumw2]))

    def sums(self, folds: Sequence[int]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Sums of weights, of their squares, and events of some folds, each ``(processes, P)``.

        Signals first, resonant backgrounds last; weights scaled to the yield of all events.
        """
        points, chosen = self.points, list(folds)
        rows = points.of(self.row_processes)
        scale = points.n_folds / len(chosen)
        sumw, sumw2, count = (
            np.asarray(array[rows][:, chosen].sum(axis=1))
            for array in (points.sumw, points.sumw2, points.count)
        )
        return steady(sumw * scale), steady(sumw2 * scale**2), count

    def training_folds(self, fold: int | None) -> list[int]:
        """All folds but one; all of them for None."""
        return [f for f in range(self.points.n_folds) if f != fold]

    def satisfied(self, yields: CategoryYields, *, scale: float = 1.0) -> FloatArray:
        """How far each category is from its limits: one or more where it satisfies them."""
        limits = self.constraints
        margin = np.where(yields.background > 0, np.inf, 0.0)
        if limits.min_effective > 0:
            margin = np.minimum(margin, yields.effective * scale / limits.min_effective)
        if limits.min_background > 0:
            margin = np.minimum(margin, yields.background / limits.min_background)
        if limits.max_rel_unc is not None:
            needed = limits.max_rel_unc**-2
            margin = np.minimum(margin, yields.effective * scale / needed)
        if len(yields.watched):
            margin = np.minimum(margin, self.process_margins(yields, scale=scale).min(axis=0))
        return margin * (1.0 + ROUNDING)

    def process_margins(self, yields: CategoryYields, *, scale: float = 1.0) -> FloatArray:
        """How far each category is from the limits of each of `process_limits`."""
        return self.process_limits.margins(
            yields.watched,
            yields.background,
            yields.variance,
            yields.factor,
            min_effective=self.constraints.min_effective,
            scale=scale,
        )
