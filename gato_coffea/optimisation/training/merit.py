"""Objectives in TensorFlow: the twins of `objective.Counting` and `profiled.Profiled`.

A twin gives the figure of soft yields with its gradient. The profiled one does so at fixed
parameters, as sums over categories: by the envelope theorem the gradient is that of the whole
figure where the parameters are those of the fit, which `descent` repeats between the compiled
calls, in NumPy.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from functools import singledispatch
from typing import Any, NamedTuple, Self, final

import numpy as np
import tensorflow as tf

from gato_coffea.events.samples import FloatArray
from gato_coffea.optimisation.densities import CategoryYields
from gato_coffea.optimisation.objective import Counting, Objective
from gato_coffea.optimisation.partitions import damped
from gato_coffea.optimisation.profiled import Profiled
from gato_coffea.optimisation.targets import TrainingSet
from gato_coffea.optimisation.training.objective import combine_z2, excess_term, signal_z2
from gato_coffea.statistics.figures import Figure
from gato_coffea.statistics.fixed import FixedFigure, FixedInformation

Tensor = Any


class Yields(NamedTuple):
    """Signal ``(G, R, m, K)``; background, its variance, and both of the raw events.

    ``watched`` ``(G, R, 2 Q, K)`` are sums of weights and of their squares of processes that have
    limits of their own, ``factor`` takes them into the mass window.
    """

    signal: Tensor
    background: Tensor
    variance: Tensor
    raw: Tensor
    sumw2: Tensor
    watched: Tensor
    factor: Tensor


class Merit(ABC):
    """The figure of merit of a training step.

    ``numbers`` names the attributes that are tensors, ``fitted`` says whether it has parameters
    that are fitted between the compiled calls.
    """

    numbers: tuple[str, ...] = ()
    fitted: bool = False

    def tensors(self) -> dict[str, Tensor]:
        """The numbers, by name."""
        return {name: getattr(self, name) for name in self.numbers}

    def holding(self, tensors: Mapping[str, Tensor]) -> Self:
        """The same with other numbers."""
        result = copy.copy(self)
        vars(result).update(tensors)
        return result

    @property
    @abstractmethod
    def rules(self) -> Hashable:
        """All else that the figure depends on."""

    @abstractmethod
    def value(self, yields: Yields, membership: Tensor, counted: Tensor) -> Tensor:
        """The combined figure, shape ``(G, R)``.

        Parameters
        ----------
        yields, membership
            Of the categories.
        counted
            Which part of each category counts, shape ``(G, R, K)``.
        """

    def rows(self, yields: Yields, membership: Tensor) -> Tensor:
        """What the parameters are fitted to, ``(G, R, M + 2, K)``; nothing where there are none.

        Yields by process and variation, the background and its variance.
        """
        return tf.zeros((0,))

    def refitted(self, rows: FloatArray, step: int) -> Self:
        """The same with parameters that are fitted to soft yields."""
        return self

    def judged(self, rows: FloatArray) -> FloatArray | float:
        """The whole figure of hard yields, shape ``(G, R)``, where `value` is not that."""
        return 1.0


@final
class CountingMerit(Merit):
    """The significance of one counting experiment in each category."""

    def __init__(self, objective: Counting) -> None:
        self.objective = objective

    @property
    def rules(self) -> Hashable:
        """See `Merit.rules`."""
        return self.objective

    def value(self, yields: Yields, membership: Tensor, counted: Tensor) -> Tensor:
        """See `Merit.value`."""
        objective = self.objective
        spread: Tensor = 0.0
        if objective.systematic > 0:
            spread = (objective.systematic * yields.background) ** 2
        if objective.mc_uncertainty:
            spread += yields.variance
        z2 = signal_z2(yields.signal * counted[:, :, None], yields.background, spread)
        return combine_z2(z2, objective.combination)


@final
class ProfiledMerit(Merit):
    """A figure of the profile likelihood at fixed parameters.

    Attributes
    ----------
    data
        Yields by process and variation of the points, shape ``(G, M, P)``.
    columns
        Linear combinations of them of all figures, shape ``(G, R, parts, figures * n, P)``; with a
        mass window one part is extrapolated into it and the other is not.
    constant, scale
        As in `statistics.fixed.FixedFigure`, shape ``(G, R, figures)``.
    weights
        What the elements of an information matrix count, shape ``(G, R, S, S)``.
    """

    numbers = ("data", "columns", "constant", "scale", "weights")
    fitted = True

    def __init__(self, objective: Profiled, sets: Sequence[TrainingSet], n_restarts: int) -> None:
        self.objective = objective
        self.points = np.array([s.target.rows for s in sets], dtype=np.float64)
        self.data = tf.constant(self.points, tf.float32)
        self.information = objective.is_information
        batch, m = (len(sets), n_restarts), len(objective.signals)
        self.figures = 1 if objective.simultaneous else m
        self.n = (m // self.figures) + 2 if self.information else 4
        parts = 1 if objective.window is None else 2
        shape = (*batch, parts, self.figures * self.n, self.points.shape[-1])
        self.columns = tf.zeros(shape)
        self.constant = self.scale = tf.zeros((*batch, self.figures))
        size = self.n - 2 if self.information else 1
        self.weights = tf.zeros((*batch, self.figures, size, size))
        self.soft: tuple[Figure, ...] | None = None
        self.hard: tuple[Figure, ...] | None = None
        self.fixed: tuple[FixedFigure, ...] | None = None

    @property
    def rules(self) -> Hashable:
        """See `Merit.rules`."""
        return self.objective

    def value(self, yields: Yields, membership: Tensor, counted: Tensor) -> Tensor:
        """See `Merit.value`."""
        objective = self.objective
        parts = tf.einsum("grtcp,grkp->grtck", self.columns, membership)
        columns = parts[:, :, 0]
        if objective.window is not None:
            columns = columns * yields.factor[:, :, None] + parts[:, :, 1]
        columns = tf.cast(columns, tf.float64)
        shape = (*columns.shape[:2], self.figures, self.n, columns.shape[-1])
        columns = tf.reshape(columns, shape)
        spread = tf.cast(objective.systematic * yields.background, tf.float64) ** 2
        if objective.mc_uncertainty:
            spread += tf.cast(yields.variance, tf.float64)
        if self.information:
            terms = self._information(columns, spread[:, :, None])
        else:
            terms = deviance_terms(columns, spread[:, :, None])
        terms *= tf.cast(counted, tf.float64)[:, :, None]
        total = tf.reduce_sum(terms, axis=-1) + tf.cast(self.constant, tf.float64)
        square = tf.cast(self.scale, tf.float64) * total
        return tf.cast(combine_z2(square, objective.combination), tf.float32)

    def _information(self, columns: Tensor, spread: Tensor) -> Tensor:
        left, total = columns[..., :-2, :], columns[..., -2, :] + spread
        known = (total > 0) & (columns[..., -1, :] > 0)
        size = tf.where(known, total, tf.ones_like(total))
        turned = tf.cast(self.weights, tf.float64) @ left
        return tf.where(known, tf.reduce_sum(left * turned, axis=-2) / size, 0.0)

    def rows(self, yields: Yields, membership: Tensor) -> Tensor:
        """See `Merit.rows`."""
        rows = tf.einsum("gmp,grkp->grmk", self.data, membership)
        if self.objective.window is not None:
            outside = tf.constant(self.objective.extrapolated[:, None])
            rows = tf.where(outside, rows * yields.factor[:, :, None], rows)
        both = tf.stack([yields.background, yields.variance], axis=2)
        return tf.concat([rows, both], axis=2)

    def refitted(self, rows: FloatArray, step: int) -> Self:
        """See `Merit.refitted`; parameters move as far as in a search by partitions."""
        result = copy.copy(self)
        result.soft = self._fits(rows, self.soft)
        found = tuple(f.fixed for f in result.soft)
        if self.fixed is not None:
            pairs = zip(self.fixed, found, strict=True)
            found = tuple(old.towards(new, damped(step)) for old, new in pairs)
        result.fixed = found
        outside = self.objective.extrapolated
        chosen = [outside, ~outside] if self.objective.window is not None else [np.ones(1)]
        each = np.concatenate([f.columns for f in found], axis=-2)
        parts = [(each * part) @ self.points[:, None] for part in chosen]
        result.columns = tf.constant(np.stack(parts, axis=2), tf.float32)
        result.constant = _stacked([f.constant for f in found])
        result.scale = _stacked([f.scale for f in found])
        if self.information:
            weights = [f.weights for f in found if isinstance(f, FixedInformation)]
            result.weights = tf.constant(np.stack(weights, axis=2), tf.float32)
        return result

    def judged(self, rows: FloatArray) -> FloatArray:
        """See `Merit.judged`."""
        self.hard = self._fits(rows, self.hard)
        return self.objective.together(self.hard)

    def _fits(self, rows: FloatArray, near: tuple[Figure, ...] | None) -> tuple[Figure, ...]:
        none = np.zeros(0)
        yields = CategoryYields(
            none, rows[..., -2, :], rows[..., -1, :], none, none, rows=rows[..., :-2, :]
        )
        return self.objective.fits(self.objective.likelihood(yields), near=near)


def _stacked(each: Sequence[FloatArray]) -> Tensor:
    return tf.constant(np.stack(each, axis=-1), tf.float32)


def deviance_terms(columns: Tensor, variance: Tensor) -> Tensor:
    """`statistics.fixed.FixedDeviance.terms`, with a finite gradient everywhere."""
    missing, signal, background, nominal = tf.unstack(columns, axis=-2)
    p = signal + background
    seen = (nominal > 0) & (p > 0)
    one = tf.ones_like(p)
    ratio = tf.where(seen, background, one) / tf.where(seen, nominal, one)
    own = tf.where(seen, variance, tf.zeros_like(p)) * ratio**2
    p, missing = tf.where(seen, p, one), tf.where(seen, missing, tf.zeros_like(p))
    inner = (p + own) ** 2 + 4.0 * missing * own
    positive = inner > 0
    root = tf.where(positive, tf.sqrt(tf.where(positive, inner, one)), tf.zeros_like(p))
    excess = tf.maximum(2.0 * missing / (p + own + root), -1.0)
    nu = tf.nn.relu(p + own * excess)
    return 2.0 * nu * excess_term(excess) + own * excess**2


@singledispatch
def merit_of(objective: Objective, sets: Sequence[TrainingSet], n_restarts: int) -> Merit:
    """The twin of an objective.

    Parameters
    ----------
    objective
        What is optimised.
    sets
        Training sets, ``G`` of them.
    n_restarts
        Trainings of each, ``R`` of them.
    """
    raise NotImplementedError(type(objective).__name__)


@merit_of.register
def _(objective: Counting, sets: Sequence[TrainingSet], n_restarts: int) -> Merit:
    return CountingMerit(objective)


@merit_of.register
def _(objective: Profiled, sets: Sequence[TrainingSet], n_restarts: int) -> Merit:
    return ProfiledMerit(objective, sets, n_restarts)
