"""Yields at points and in categories: what an objective is a function of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, Self

import numpy as np

from gato_coffea.events.samples import BoolArray, FloatArray, IntArray
from gato_coffea.optimisation.result import effective_entries
from gato_coffea.optimisation.window import Window, window_fraction


class Figure(Protocol):
    """What yields of categories depend on besides the points."""

    @property
    def window(self) -> Window | None:
        """The mass window, if one is used."""

    @property
    def extrapolated(self) -> BoolArray:
        """Which of `Densities.rows` are those of the whole mass range, to be extrapolated."""


@dataclass(frozen=True)
class CategoryYields:
    """Sums over categories, which are the last axis.

    ``background`` and ``variance`` are those inside the window, where one is used: ``factor``
    times those of the whole mass range. ``effective`` counts effective background entries.
    ``watched`` holds sums of weights, then of their squares, of the processes that have limits of
    their own (`ProcessLimits`), in the whole mass range; it is empty where they do not matter.
    ``rows`` are yields by process and variation (`statistics.fixed.stacked`), shape
    ``(..., M, K)``, inside the window like the others; empty where the objective needs none.
    """

    signal: FloatArray
    background: FloatArray
    variance: FloatArray
    effective: FloatArray
    factor: FloatArray
    watched: FloatArray = field(default_factory=lambda: np.zeros(0))
    rows: FloatArray = field(default_factory=lambda: np.zeros(0))


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
    rows
        Yields by process and variation, shape ``(M, P)``, or None where the objective needs none.
    """

    u: FloatArray
    signal: FloatArray
    background: FloatArray
    variance: FloatArray
    moment: FloatArray | None = None
    peak: FloatArray | None = None
    scale: float = 1.0
    watched: FloatArray | None = None
    rows: FloatArray | None = None

    @property
    def additive_rows(self) -> FloatArray:
        """What an objective's linear form acts on, shape ``(rows, P)``.

        Yields by process and variation where there are such, else the signals and the background;
        then the variance. Where backgrounds are resonant, theirs follow: yield, unless it is among
        the first, and variance.
        """
        if self.rows is None:
            rows = [*self.signal, self.background, self.variance]
            return np.array(rows if self.peak is None else [*rows, *self.peak])
        rows = [*self.rows, self.variance]
        return np.array(rows if self.peak is None else [*rows, self.peak[1]])

    def mapped(self, function: Callable[[FloatArray], FloatArray]) -> Self:
        """The same with every array of yields replaced by what the function makes of it."""

        def maybe(array: FloatArray | None) -> FloatArray | None:
            return None if array is None else function(array)

        return replace(
            self,
            signal=function(self.signal),
            background=function(self.background),
            variance=function(self.variance),
            moment=maybe(self.moment),
            peak=maybe(self.peak),
            watched=maybe(self.watched),
            rows=maybe(self.rows),
        )

    def yields(self, label: IntArray, n: int, objective: Figure) -> CategoryYields:
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
        return self.mapped(partial(_summed, label=label[keep], n=n, keep=keep)).alone(objective)

    def alone(self, objective: Figure) -> CategoryYields:
        """Yields of categories where every point is one."""
        return window_yields(
            self.signal,
            self.background,
            self.variance,
            self.moment,
            objective,
            self.peak,
            self.watched,
            self.rows,
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
            rows=None if self.rows is None else self.rows * scale,
        )

    def ordered(self, order: IntArray) -> Self:
        """The same points in another order, or a subset of them."""
        return replace(self.mapped(lambda array: array[..., order]), u=self.u[order])

    def padded(self, n: int) -> Self:
        """``n`` points: further ones without yields stand where the last one does."""
        more = n - len(self.background)

        def longer(array: FloatArray) -> FloatArray:
            return np.pad(array, [*[(0, 0)] * (array.ndim - 1), (0, more)])

        return replace(self.mapped(longer), u=np.pad(self.u, ((0, more), (0, 0)), mode="edge"))

    def grouped(self, group: IntArray, n: int) -> Self:
        """Points summed into ``n`` groups, at the mean of their positions."""
        total = partial(_summed, label=group, n=n)
        size = np.maximum(np.bincount(group, minlength=n), 1)
        return replace(self.mapped(total), u=(total(self.u.T) / size).T)


def _summed(
    array: FloatArray, *, label: IntArray, n: int, keep: BoolArray | None = None
) -> FloatArray:
    """Sums over the points of each label; the points are the last axis."""
    kept = array if keep is None else array[..., keep]
    if kept.ndim == 1:
        return np.bincount(label, kept, n).astype(np.float64)
    return np.array([np.bincount(label, row, n) for row in kept]).reshape(len(kept), n)


def shares(densities: Densities) -> FloatArray:
    """Each point's share of every signal and of the background, added up."""
    signal = densities.signal / densities.signal.sum(axis=1, keepdims=True)
    return np.asarray(signal.sum(axis=0) + densities.background / densities.background.sum())


def window_yields(
    signal: FloatArray,
    background: FloatArray,
    variance: FloatArray,
    moment: FloatArray | None,
    objective: Figure,
    peak: FloatArray | None = None,
    watched: FloatArray | None = None,
    rows: FloatArray | None = None,
) -> CategoryYields:
    """Yields with the background extrapolated into the mass window, where there is one.

    ``peak`` holds yield and variance of resonant backgrounds, which are counted in the window.
    """
    effective = effective_entries(background, variance)
    factor, window = np.ones_like(background), objective.window
    if window is not None and moment is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = window_fraction(moment / background, window)
    background, variance = background * factor, variance * factor**2
    if peak is not None:
        background, variance = background + peak[0], variance + peak[1]
        effective = effective_entries(background, variance)
    none = np.zeros(0)
    if rows is None or not len(objective.extrapolated):  # a counting figure asks for none
        rows = none
    elif window is not None:
        rows = np.where(objective.extrapolated[:, None], factor[..., None, :], 1.0) * rows
    known = none if watched is None else watched
    return CategoryYields(signal, background, variance, effective, factor, known, rows)
