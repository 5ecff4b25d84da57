"""What is to be optimised, as arrays: training densities, constraints, objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
from scipy.spatial import cKDTree

from gato_coffea.config import Constraints
from gato_coffea.events.samples import BoolArray, FloatArray, IntArray, Points
from gato_coffea.optimisation.process_limits import ProcessLimits
from gato_coffea.optimisation.result import effective_entries
from gato_coffea.optimisation.window import Window, window_fraction
from gato_coffea.statistics.counting import Combination, combine, signal_significances

CANCELLED = 1e-9
"""What is left of a sum of this relative size is rounding."""

ROUNDING = 1e-9
"""Relative amount by which a limit may be missed: ten events of equal weight w have
``(10 w)**2 / (10 w**2)`` effective entries, which in floating point may be just below ten."""

DIGITS = 36
"""Binary digits that `steady` keeps: a relative precision of 1e-11."""


@dataclass(frozen=True)
class CategoryYields:
    """Sums over categories, which are the last axis.

    ``background`` and ``variance`` are those inside the window, where one is used: ``factor``
    times those of the whole mass range. ``effective`` counts effective background entries.
    ``watched`` holds sums of weights, then of their squares, of the processes that have limits of
    their own (`ProcessLimits`), in the whole mass range; it is empty where they do not matter.
    """

    signal: FloatArray
    background: FloatArray
    variance: FloatArray
    effective: FloatArray
    factor: FloatArray
    watched: FloatArray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class Objective:
    """The figure of merit of a set of categories."""

    combination: Combination = "geometric"
    mc_uncertainty: bool = False
    systematic: float = 0.0
    window: Window | None = None

    def variance(self, background: FloatArray, sumw2: FloatArray) -> FloatArray:
        """Variance of the background that the significance is to know of."""
        mc = sumw2 if self.mc_uncertainty else np.zeros_like(sumw2)
        return mc + (self.systematic * background) ** 2

    def per_signal(self, yields: CategoryYields) -> FloatArray:
        """Significance of each signal, shape ``(..., signals)``."""
        variance = self.variance(yields.background, yields.variance)
        return signal_significances(yields.signal, yields.background, variance)

    def combined(self, yields: CategoryYields) -> FloatArray:
        """The figure that is maximised."""
        return combine(self.per_signal(yields), self.combination)


@dataclass(frozen=True)
class Densities:
    """Yields at each point: of the signals, and of all backgrounds together.

    Where backgrounds are resonant, those of the continuum stand alone and these beside them.

    Attributes
    ----------
    u
        Stretched coordinates, shape ``(P, D)``.
    signal
        Shape ``(signals, P)``.
    background, variance
        Sum of weights and of squared weights, shape ``(P,)``.
    moment
        Background's sum of weight times mass, shape ``(P,)``, or None without a window.
    peak
        Sums of weights and of squared weights of resonant backgrounds inside the window, shape
        ``(2, P)``, or None.
    scale
        Full sample over this one: a fold's training set holds less than all events, its yields
        are scaled up by this and its effective entries are not.
    watched
        As in `CategoryYields`, shape ``(2 Q, P)``, or None.
    """

    u: FloatArray
    signal: FloatArray
    background: FloatArray
    variance: FloatArray
    moment: FloatArray | None = None
    peak: FloatArray | None = None
    scale: float = 1.0
    watched: FloatArray | None = None

    def yields(self, label: IntArray, n: int, objective: Objective) -> CategoryYields:
        """Yields of categories; points of category -1 are left out.

        Parameters
        ----------
        label
            Category of each point, shape ``(P,)``.
        n
            Number of categories.
        objective
            Holds the mass window, if there is one.
        """
        keep = label >= 0

        def total(array: FloatArray) -> FloatArray:
            return np.bincount(label[keep], array[keep], n).astype(np.float64)

        background, variance = total(self.background), total(self.variance)
        moment = None if self.moment is None else total(self.moment)
        return window_yields(
            np.stack([total(s) for s in self.signal]),
            background,
            variance,
            moment,
            objective.window,
            None if self.peak is None else np.stack([total(row) for row in self.peak]),
            None if self.watched is None else np.stack([total(row) for row in self.watched]),
        )

    def scaled(self, scale: float) -> Self:
        """What the events of some folds stand for: ``scale`` times as many."""
        return replace(
            self,
            signal=self.signal * scale,
            background=self.background * scale,
            variance=self.variance * scale**2,
            moment=None if self.moment is None else self.moment * scale,
            peak=None if self.peak is None else self.peak * np.array([[scale], [scale**2]]),
            scale=self.scale * scale,
            watched=None
            if self.watched is None
            else self.watched * np.repeat([scale, scale**2], len(self.watched) // 2)[:, None],
        )

    def ordered(self, order: IntArray) -> Self:
        """The same points in another order, or a subset of them."""
        return replace(
            self,
            u=self.u[order],
            signal=self.signal[:, order],
            background=self.background[order],
            variance=self.variance[order],
            moment=None if self.moment is None else self.moment[order],
            peak=None if self.peak is None else self.peak[:, order],
            watched=None if self.watched is None else self.watched[:, order],
        )

    def padded(self, n: int) -> Self:
        """``n`` points: further ones without yields stand where the last one does."""
        more = n - len(self.background)

        def longer(array: FloatArray) -> FloatArray:
            return np.pad(array, [*[(0, 0)] * (array.ndim - 1), (0, more)])

        return replace(
            self,
            u=np.pad(self.u, ((0, more), (0, 0)), mode="edge"),
            signal=longer(self.signal),
            background=longer(self.background),
            variance=longer(self.variance),
            moment=None if self.moment is None else longer(self.moment),
            peak=None if self.peak is None else longer(self.peak),
            watched=None if self.watched is None else longer(self.watched),
        )

    def grouped(self, group: IntArray, n: int) -> Self:
        """Points summed into ``n`` groups, at the mean of their positions."""

        def total(array: FloatArray) -> FloatArray:
            return np.bincount(group, array, n).astype(np.float64)

        size = np.maximum(np.bincount(group, minlength=n), 1)
        return replace(
            self,
            u=np.stack([total(c) / size for c in self.u.T], axis=1),
            signal=np.stack([total(s) for s in self.signal]),
            background=total(self.background),
            variance=total(self.variance),
            moment=None if self.moment is None else total(self.moment),
            peak=None if self.peak is None else np.stack([total(row) for row in self.peak]),
            watched=None
            if self.watched is None
            else np.stack([total(row) for row in self.watched]),
        )


def shares(densities: Densities) -> FloatArray:
    """Each point's share of every signal and of the background, added up."""
    signal = densities.signal / densities.signal.sum(axis=1, keepdims=True)
    return np.asarray(signal.sum(axis=0) + densities.background / densities.background.sum())


def window_yields(
    signal: FloatArray,
    background: FloatArray,
    variance: FloatArray,
    moment: FloatArray | None,
    window: Window | None,
    peak: FloatArray | None = None,
    watched: FloatArray | None = None,
) -> CategoryYields:
    """Yields with the background extrapolated into the mass window, where there is one.

    ``peak`` holds yield and variance of resonant backgrounds, which are counted in the window.
    """
    effective = effective_entries(background, variance)
    factor = np.ones_like(background)
    if window is not None and moment is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = window_fraction(moment / background, window)
    background, variance = background * factor, variance * factor**2
    if peak is not None:
        background, variance = background + peak[0], variance + peak[1]
        effective = effective_entries(background, variance)
    known = np.zeros(0) if watched is None else watched
    return CategoryYields(signal, background, variance, effective, factor, known)


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
        )

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
        rows = points.of([*self.signals, *self.continuum, *self.resonant])
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
