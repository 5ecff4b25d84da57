"""Gradient descent of categories on the expected significance.

Restarts and training sets (all events, and all but one fold) are one batch, and an epoch is one
fused step over the weighted points. Schedules act inside that step: they are functions of the
epoch, which is an input of it. So are all numbers: a step is compiled once for its sizes.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Self

import numpy as np
import tensorflow as tf
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import BoolArray, FloatArray
from gato_coffea.optimisation.problem import Mixtures, Problem
from gato_coffea.optimisation.result import History
from gato_coffea.optimisation.targets import TrainingSet
from gato_coffea.optimisation.training.merit import Yields, merit_of
from gato_coffea.optimisation.training.penalties import low_bkg_penalty
from gato_coffea.optimisation.training.shapes import GaussianShape, Shape
from gato_coffea.optimisation.training.tensors import Tensor
from gato_coffea.optimisation.training.window import (
    window_fraction,
)

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    TextColumn("epoch {task.completed}/{task.total} {task.fields[figure]}"),
    TimeElapsedColumn(),
)

CHUNK = 10
"""Epochs in one compiled call, after which the hard categories are looked at: with fewer the
calls themselves take time, with more the best state is missed."""

PATIENCE = 4
"""Chunks without a better hard significance after which training stops: a gain comes in steps of
a few chunks while the temperature falls."""

PLATEAU = 1e-4
"""Relative gain of a chunk, averaged over the batch, that counts as none: well below the spread
of a significance from finite simulation."""

KEPT_MARGIN = 1.01
"""How much more than the constraints ask a state must have to be kept: the densities that are
trained on agree with the events to about a percent."""

AIMED_MARGIN = 1.1
"""How much more than the constraints ask is aimed at, so that categories still satisfy them when
events replace the coarser points."""

MAX_COMPILED_STEPS = 16
"""Compiled steps that a process keeps: enough for the sizes of one scan, while memory stays
bounded."""


@dataclass(frozen=True)
class Schedule:
    """How the learning rate and the temperature go down; both along a half cosine."""

    epochs: int = 250
    learning_rate: tuple[float, float] = (0.05, 0.001)
    temperature: tuple[float, float] = (1.0, 0.05)
    penalty: float = 1.0


class _Step:
    """The training step of one problem; steps of the same rules and sizes are compiled once."""

    def __init__(
        self,
        problem: Problem,
        sets: Sequence[TrainingSet],
        schedule: Schedule,
        shape: Shape,
    ) -> None:
        self.objective, self.constraints = problem.objective, problem.constraints
        self.schedule, self.shape = schedule, shape
        self.alive = tf.constant(shape.alive, tf.float32)
        rows = []
        for target, raw in ((s.target, s.raw) for s in sets):
            parts = [*target.signal, target.background, target.variance]
            parts += [raw.background, raw.variance / raw.scale]
            if target.moment is not None:
                parts.append(target.moment)
            if target.peak is not None and raw.peak is not None:
                parts += [*target.peak, raw.peak[0], raw.peak[1] / raw.scale]
            if raw.watched is not None:
                half = len(raw.watched) // 2
                parts += [*raw.watched[:half], *(raw.watched[half:] / raw.scale)]
            rows.append(parts)
        limits = problem.process_limits
        self.n_watched = len(limits.processes)
        own = np.array(
            [limits.needed, limits.weight, limits.asked, limits.of_yield], dtype=np.float32
        )
        self.limits = tf.constant(own)
        self.n_signals = len(problem.signals)
        self.data = tf.constant(np.array(rows), tf.float32)
        self.merit = merit_of(problem.objective, sets, len(shape.alive))

    def numbers(self) -> dict[str, Any]:
        """All tensors, by name."""
        own = {"data": self.data, "alive": self.alive, "limits": self.limits}
        return {**own, "shape": self.shape.tensors(), "merit": self.merit.tensors()}

    def holding(self, numbers: Mapping[str, Any]) -> Self:
        """The same step with other numbers."""
        result = copy.copy(self)
        result.data, result.alive = numbers["data"], numbers["alive"]
        result.limits = numbers["limits"]
        result.shape = self.shape.holding(numbers["shape"])
        result.merit = self.merit.holding(numbers["merit"])
        return result

    def refitted(self, rows: FloatArray, step: int) -> Self:
        """The same step with the parameters of the figure fitted to soft yields."""
        result = copy.copy(self)
        result.merit = self.merit.refitted(rows, step)
        return result

    @cached_property
    def rules(self) -> Hashable:
        """What the step is compiled for."""
        sizes = [tuple(t.shape) for t in tf.nest.flatten(self.numbers())]
        own = (self.n_signals, self.n_watched, self.merit.rules, self.schedule, self.shape.rules)
        return (*own, self.constraints.model_dump_json(), *sizes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Step) and self.rules == other.rules

    def __hash__(self) -> int:
        return hash(self.rules)

    def yields(self, membership: Tensor) -> Yields:
        """Yields of the categories, the background extrapolated into the mass window."""
        total = tf.einsum("gcp,grkp->grck", self.data, membership)
        rows = total.shape[2] - 2 * self.n_watched
        total, watched = total[:, :, :rows], total[:, :, rows:]
        m, window = self.n_signals, self.objective.window
        background, variance, raw, sumw2 = (total[:, :, m + i] for i in range(4))
        factor = tf.ones_like(background)
        if window is not None and total.shape[2] > m + 4:
            factor = window_fraction(
                tf.math.divide_no_nan(total[:, :, m + 4], background),
                window.low,
                window.high,
                window.window_low,
                window.window_high,
            )
        found = [background * factor, variance * factor**2, raw * factor, sumw2 * factor**2]
        if total.shape[2] > m + 5:  # resonant backgrounds, which are counted in the window
            found = [each + total[:, :, m + 5 + i] for i, each in enumerate(found)]
        background, variance, raw, sumw2 = found
        return Yields(total[:, :, :m], background, variance, raw, sumw2, watched, factor)

    def figure(self, yields: Yields, membership: Tensor) -> Tensor:
        """Combined figure, shape ``(G, R)``."""
        counted = tf.ones_like(yields.background)
        if self.shape.spare:
            for margin in self.margins(yields):
                counted *= tf.clip_by_value(margin, 0.0, 1.0)
        return self.merit.value(yields, membership, counted)

    def margins(self, yields: Yields) -> tuple[Tensor, Tensor]:
        """What each category has of the background yield and effective entries it needs."""
        limits = self.constraints
        low = uncertain = tf.ones_like(yields.background)
        if limits.min_background > 0:
            low = yields.raw / (limits.min_background * AIMED_MARGIN)
        needed = max(limits.min_effective, (limits.max_rel_unc or np.inf) ** -2) * AIMED_MARGIN
        if needed > 0:
            effective = tf.math.divide_no_nan(tf.nn.relu(yields.raw) ** 2, yields.sumw2)
            uncertain = effective / needed
        if self.n_watched:
            uncertain = tf.minimum(uncertain, self.process_margin(yields))
        return low, uncertain

    def process_margin(self, yields: Yields) -> Tensor:
        """What each category has of the process that it lacks most; see `ProcessLimits`."""
        q = self.n_watched
        needed, weight, asked, of_yield = (row[:, None] for row in tf.unstack(self.limits))
        sumw, sumw2 = yields.watched[:, :, :q], yields.watched[:, :, q:]
        # A yield that must not be negative is no limit where it is not.
        events = tf.math.divide_no_nan(sumw, weight)
        least = tf.where(
            needed > 0,
            tf.math.divide_no_nan(tf.nn.relu(sumw), needed * AIMED_MARGIN),
            tf.where(sumw < 0, tf.nn.relu(1.0 + events), tf.ones_like(sumw) * AIMED_MARGIN),
        )
        weight *= yields.factor[:, :, None]
        background, variance = yields.raw[:, :, None], yields.sumw2[:, :, None]
        margin = tf.math.divide_no_nan(tf.nn.relu(sumw) ** 2, sumw2)
        margin = tf.math.divide_no_nan(margin, needed * AIMED_MARGIN)
        margin = tf.where(of_yield > 0, least, margin)
        # A category that a smaller number does not have is empty, and nothing of it in the window.
        after = tf.math.divide_no_nan(tf.nn.relu(background + weight) ** 2, variance + weight**2)
        enough = max(self.constraints.min_effective, 1e-6) * AIMED_MARGIN
        margin = tf.maximum(margin, (1.0 - asked) * after / enough)
        return tf.reduce_min(margin, axis=2)

    def penalties(self, yields: Yields, *, aim: float = 1.0) -> tuple[Tensor, Tensor]:
        """Penalty for too little and for too uncertain background, each ``(G, R)``.

        A category is short of background where a margin of it is below ``aim``.
        """
        if self.shape.spare:
            none = tf.zeros(yields.background.shape[:2])
            return none, none
        low, uncertain = (
            low_bkg_penalty(tf.where(self.alive > 0, margin / aim, 1.0), threshold=1.0)
            for margin in self.margins(yields)
        )
        return low, uncertain

    def loss(self, raw: Sequence[Tensor], temperature: Tensor) -> tuple[Tensor, Tensor]:
        """Loss to differentiate, and a record ``(4, G, R)`` of its parts."""
        membership = self.shape.soft(raw, temperature)
        yields = self.yields(membership)
        value = self.figure(yields, membership)
        low, uncertain = self.penalties(yields)
        each = -value + self.schedule.penalty * (low + uncertain)
        return tf.reduce_sum(each), tf.stack([each, value, low, uncertain])

    def judge(self, raw: Sequence[Tensor], temperature: Tensor) -> tuple[Tensor, ...]:
        """Hard figure, less where constraints fail, the bias of the soft yields, and `Merit.rows`.

        The latter of the soft and of the hard categories. Where the figure has parameters that
        are to be fitted to these, it counts as one here (`Merit.judged`).
        """
        assigned, membership = self.shape.hard(raw), self.shape.soft(raw, temperature)
        hard = self.yields(assigned)
        value = self.figure(hard, assigned)
        if self.merit.fitted:
            value = tf.ones_like(value)
        low, uncertain = self.penalties(hard, aim=KEPT_MARGIN / AIMED_MARGIN)
        soft = self.yields(membership)
        total = tf.reduce_sum(hard.signal, axis=2) + hard.background
        other = tf.reduce_sum(soft.signal, axis=2) + soft.background
        bias = tf.abs(tf.math.divide_no_nan(total - other, total))
        bias = tf.reduce_sum(bias, axis=-1) / tf.reduce_sum(self.alive, axis=-1)
        rows = tf.stack(
            [self.merit.rows(soft, membership), self.merit.rows(hard, assigned)], axis=0
        )
        return value * (1.0 - tf.minimum(tf.sqrt(low + uncertain), 1.0)), bias, rows

    def at(self, epoch: Tensor) -> tuple[Tensor, Tensor]:
        """Learning rate and temperature of an epoch; the last epoch has the last values."""
        last = max(self.schedule.epochs - 1, 1)
        cosine = 0.5 * (1.0 + tf.cos(np.pi * tf.minimum(epoch / last, 1.0)))
        (r0, r1), (t0, t1) = self.schedule.learning_rate, self.schedule.temperature
        return r1 + (r0 - r1) * cosine, t1 + (t0 - t1) * cosine

    def chunk(self, raw: Any, first: Any, second: Any, epoch: float, n: int) -> Any:
        """`advance`, compiled."""
        compiled = _compiled(self, tuple(tuple(p.shape) for p in raw))
        return compiled(self.numbers(), raw, first, second, tf.constant([epoch, float(n)]))

    def advance(self, raw: Any, first: Any, second: Any, epoch: Tensor, n: Tensor) -> Any:
        """Run ``n`` epochs of Adam (Kingma and Ba 2015) from ``epoch`` on."""

        def body(e: Tensor, raw: Any, first: Any, second: Any, record: Tensor) -> Any:
            rate, temperature = self.at(e)
            with tf.GradientTape() as tape:
                tape.watch(raw)
                loss, record = self.loss(raw, temperature)
            gradient = tape.gradient(loss, raw)
            first = [0.9 * m + 0.1 * g for m, g in zip(first, gradient, strict=True)]
            second = [0.99 * v + 0.01 * g * g for v, g in zip(second, gradient, strict=True)]
            one, two = 1.0 - tf.pow(0.9, e + 1.0), 1.0 - tf.pow(0.99, e + 1.0)
            raw = [
                p - rate * (m / one) / (tf.sqrt(v / two) + 1e-8)
                for p, m, v in zip(raw, first, second, strict=True)
            ]
            return e + 1.0, raw, first, second, record

        empty = tf.zeros((4, *raw[0].shape[:2]))
        _, raw, first, second, record = tf.while_loop(
            lambda e, *_: e < epoch + n, body, (epoch, raw, first, second, empty)
        )
        schedules = self.at(epoch + n - 1.0)
        hard, bias, rows = self.judge(raw, schedules[1])
        record = tf.concat([record, [hard, bias]], axis=0)
        return raw, first, second, record, tf.stack(schedules), rows


@lru_cache(maxsize=MAX_COMPILED_STEPS)
def _compiled(step: _Step, shapes: tuple[tuple[int, ...], ...]) -> Any:
    """`_Step.advance` for steps that are equal, with their numbers as the first argument."""

    def advance(numbers: Any, raw: Any, first: Any, second: Any, when: Tensor) -> Any:
        return step.holding(numbers).advance(raw, first, second, when[0], when[1])

    raw = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    numbers = tf.nest.map_structure(tf.TensorSpec.from_tensor, step.numbers())
    compiled = tf.function(advance, jit_compile=True, autograph=False)
    return compiled.get_concrete_function(numbers, raw, raw, raw, tf.TensorSpec(2, tf.float32))


def train(
    problem: Problem,
    sets: Sequence[TrainingSet],
    start: Mixtures,
    schedule: Schedule,
    *,
    alive: BoolArray | None = None,
    progress: bool = False,
) -> tuple[Mixtures, list[History]]:
    """Train a batch of mixtures.

    Parameters
    ----------
    problem
        Objective and constraints.
    sets
        The training sets, ``G`` of them, all on the same points.
    start
        Where to start from, ``(G, R, ...)``.
    schedule
        Epochs, learning rate, temperature and weight of the penalties.
    alive
        Which components take part, shape ``(R, K)``; all of them by default. So mixtures of
        different size train in one batch.
    progress
        Whether to show a progress bar.

    Returns
    -------
    tuple
        The best state of every element of the batch, and the history of each restart on the first
        training set.
    """
    if alive is None:
        alive = np.ones(start.log_weights.shape[1:], dtype=np.bool_)
    shape = GaussianShape(problem, sets[0].target, alive)
    raw, histories = descend(
        problem, sets, shape, shape.to_raw(start), schedule, progress=progress
    )
    return shape.to_mixtures(raw), histories


def descend(
    problem: Problem,
    sets: Sequence[TrainingSet],
    shape: Shape,
    start: Sequence[FloatArray],
    schedule: Schedule,
    *,
    progress: bool = False,
) -> tuple[list[FloatArray], list[History]]:
    """Train a batch of categories of any shape.

    Parameters
    ----------
    problem, sets, schedule, progress
        As in `train`.
    shape
        How memberships follow from the trainable values.
    start
        Those to start from, arrays of shape ``(G, R, ...)``.

    Returns
    -------
    tuple
        The trainable values of the best state of every element of the batch, and the history of
        each restart on the first training set.
    """
    step = _Step(problem, sets, schedule, shape)
    raw = [tf.constant(a, tf.float32) for a in start]
    if not _finite(raw).all():
        raise OptimisationError("training: its start has parameters that are no numbers")
    first, second = [tf.zeros_like(p) for p in raw], [tf.zeros_like(p) for p in raw]
    best = [p.numpy() for p in raw]
    *_, record, _, found = step.chunk(raw, first, second, 0.0, 0)
    best_value, step = _judged(step, record[-2], found, 0)  # of the start: no result is below it
    best_value[np.isnan(best_value)] = 0.0
    reached = np.full_like(best_value, -np.inf)  # by training, which leaves a good start at first
    rows: list[list[FloatArray]] = []
    moving: list[list[FloatArray]] = []
    stale = 0
    with Progress(*COLUMNS, disable=not progress, transient=True) as bar:
        sizes = sorted({int(n) for n in shape.alive.sum(axis=1)})
        name = f"training {', '.join(map(str, sizes))} categories"
        task = bar.add_task(name, total=schedule.epochs, figure="")
        for epoch in range(0, schedule.epochs, CHUNK):
            n = min(CHUNK, schedule.epochs - epoch)
            *state, record, schedules, found = step.chunk(raw, first, second, float(epoch), n)
            raw, first, second = state
            *parts, hard, bias = record.numpy()
            value, step = _judged(step, hard, found, 1 + epoch // CHUNK)
            value = np.nan_to_num(value, nan=0.0)
            # A step may end where the figure has no slope, with parameters that are no numbers.
            value[~_finite(raw)] = 0.0
            better = value > best_value
            gain = np.mean(np.maximum(value - reached, 0.0)) if rows else np.inf
            stale = 0 if gain > PLATEAU * np.mean(np.abs(value)) else stale + 1
            for kept, new in zip(best, raw, strict=True):
                kept[better] = new.numpy()[better]
            best_value, reached = np.maximum(value, best_value), np.maximum(value, reached)
            constant = np.ones_like(value[0])
            rate, temperature = (float(v) * constant for v in schedules.numpy())
            each = [*(p[0] for p in parts), value[0], temperature, rate, bias[0]]
            rows.append([(epoch + n) * constant, *each])
            if problem.u.shape[1] == 1:
                moving.append(shape.boundaries([p.numpy()[0] for p in raw]))
            bar.update(task, completed=epoch + n, figure=f"objective {best_value[0].max():.4f}")
            if stale >= PATIENCE:
                break
    histories = [
        _history(np.array(rows, dtype=np.float64)[:, :, r], tuple(m[r] for m in moving))
        for r in range(len(best_value[0]))
    ]
    return best, histories


def _judged(step: _Step, hard: Any, rows: Tensor, n: int) -> tuple[FloatArray, _Step]:
    """The figure of the hard categories, and the step with its parameters fitted anew."""
    value = np.asarray(hard, dtype=np.float64)
    if not step.merit.fitted:
        return value, step
    soft, assigned = rows.numpy().astype(np.float64)
    return value * step.merit.judged(assigned), step.refitted(soft, n)


def _finite(raw: Sequence[Tensor]) -> BoolArray:
    """Whether all parameters of each element of the batch are numbers, shape ``(G, R)``."""
    each = [np.isfinite(p.numpy()).reshape(*p.shape[:2], -1).all(axis=-1) for p in raw]
    return np.logical_and.reduce(each)


def _history(rows: FloatArray, boundaries: tuple[FloatArray, ...]) -> History:
    epoch, loss, value, low, uncertain, hard, temperature, rate, bias = rows.T
    return History(
        epoch=epoch,
        loss=loss,
        significance=value,
        hard=hard,
        penalty_yield=low,
        penalty_uncertainty=uncertain,
        temperature=temperature,
        learning_rate=rate,
        bias=bias,
        boundaries=boundaries,
    )
