"""Gradient descent of Gaussian-mixture categories on the expected significance.

Restarts and training sets (all events, and all but one fold) are one batch, and an epoch is one
fused step over the weighted points. Schedules act inside that step: they are functions of the
epoch, which is an input of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import tensorflow as tf
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gato_coffea.gato import mixture
from gato_coffea.gato.mass import window_fraction
from gato_coffea.gato.objective import combine_z2, signal_z2
from gato_coffea.gato.penalties import high_bkg_uncertainty_penalty, low_bkg_penalty
from gato_coffea.gato.problem import Densities, Mixtures, Problem
from gato_coffea.gato.result import History
from gato_coffea.samples import FloatArray

Tensor = Any

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    TextColumn("epoch {task.completed}/{task.total} {task.fields[figure]}"),
    TimeElapsedColumn(),
)

CHUNK = 10
"""Epochs that run inside one compiled call; the hard categories are looked at after each."""

PATIENCE = 6
"""Chunks without a better hard significance after which training stops."""

PLATEAU = 1e-5
"""Relative gain below which a hard significance is no better."""

DAMPING = 0.3
"""Of the elements of a Cholesky factor below its diagonal."""

MARGIN = 0.25
"""How far beyond the outermost points a mean may lie, in standard deviations."""


@dataclass(frozen=True)
class Schedule:
    """How the learning rate and the temperature go down; both along a half cosine."""

    epochs: int = 250
    learning_rate: tuple[float, float] = (0.05, 0.001)
    temperature: tuple[float, float] = (1.0, 0.05)
    penalty: float = 1.0


@dataclass(frozen=True)
class _Frame:
    """Standardised coordinates: ``z = (u - centre) / width``, and where means may lie in them."""

    centre: FloatArray
    width: FloatArray
    mean_range: FloatArray

    @classmethod
    def of(cls, densities: Densities) -> _Frame:
        u = densities.u
        share = densities.signal / densities.signal.sum(axis=1, keepdims=True)
        weight = np.maximum(
            share.sum(axis=0) + densities.background / densities.background.sum(), 0
        )
        centre = weight @ u / weight.sum()
        width = np.sqrt(weight @ (u - centre) ** 2 / weight.sum())
        width = np.where(width > 0, width, 1.0)
        z = (u - centre) / width
        return cls(centre, width, np.stack([z.min(axis=0) - MARGIN, z.max(axis=0) + MARGIN], -1))

    def to_raw(self, start: Mixtures) -> list[FloatArray]:
        means = (start.means - self.centre) / self.width
        scale = start.scale_tril / self.width[:, None]
        diagonal = np.diagonal(scale, axis1=-2, axis2=-1)
        raw_scale = np.tril(scale, -1) / DAMPING
        index = np.arange(len(self.width))
        raw_scale[..., index, index] = np.log(diagonal)
        raw = mixture.raw_means(means, mean_norm="sigmoid", mean_range=self.mean_range)
        return [raw, raw_scale, start.log_weights]

    def parameters(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Means, Cholesky factors and log weights in standardised coordinates."""
        return (
            mixture.effective_means(raw[0], mean_norm="sigmoid", mean_range=self.mean_range),
            mixture.scale_tril(raw[1], sigma0=1.0, damping=DAMPING),
            raw[2],
        )

    def to_mixtures(self, raw: Sequence[Tensor]) -> Mixtures:
        means, scale, weights = (p.numpy().astype(np.float64) for p in self.parameters(raw))
        return Mixtures(means * self.width + self.centre, scale * self.width[:, None], weights)


class _Step:
    """The compiled training step for one problem; holds constants only."""

    def __init__(
        self, problem: Problem, targets: Sequence[Densities], schedule: Schedule, frame: _Frame
    ) -> None:
        self.problem, self.schedule, self.frame = problem, schedule, frame
        rows = [
            np.concatenate(
                [t.signal, t.background[None], t.variance[None]]
                + ([] if t.moment is None else [t.moment[None]])
            )
            for t in targets
        ]
        self.n_signals = len(problem.signals)
        self.data = tf.constant(np.stack(rows), tf.float32)
        self.z = tf.constant((problem.u - frame.centre) / frame.width, tf.float32)
        self.scale = tf.constant([t.scale for t in targets], tf.float32)[:, None, None]

    def yields(self, membership: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Signal ``(G, R, m, K)``, background and its variance ``(G, R, K)``, in the window."""
        total = tf.einsum("gcp,grpk->grck", self.data, membership)
        m, window = self.n_signals, self.problem.objective.window
        signal, background, variance = total[:, :, :m], total[:, :, m], total[:, :, m + 1]
        if window is not None and total.shape[2] > m + 2:
            mean = tf.math.divide_no_nan(total[:, :, m + 2], background)
            factor = window_fraction(
                mean, window.low, window.high, window.window_low, window.window_high
            )
            return signal, background * factor, variance * factor**2
        return signal, background, variance

    def significance(self, signal: Tensor, background: Tensor, variance: Tensor) -> Tensor:
        """Combined significance, shape ``(G, R)``."""
        objective = self.problem.objective
        spread = (objective.systematic * background) ** 2
        if objective.mc_uncertainty:
            spread += variance
        return combine_z2(signal_z2(signal, background, spread), objective.combination)

    def penalties(self, background: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Penalty for too little background and for too uncertain background, ``(G, R)``."""
        limits = self.problem.constraints
        low = tf.zeros(background.shape[:2])
        if limits.min_background > 0:
            low = low_bkg_penalty(background / limits.min_background, threshold=1.0)
        uncertain = max(limits.min_effective, (limits.max_rel_unc or np.inf) ** -2)
        if uncertain == 0:
            return low, tf.zeros_like(low)
        full = variance / self.scale
        return low, high_bkg_uncertainty_penalty(full, background, uncertain**-0.5)

    def loss(self, raw: Sequence[Tensor], temperature: Tensor) -> tuple[Tensor, Tensor]:
        """Loss to differentiate, and a record ``(4, G, R)`` of its parts."""
        membership = mixture.memberships(
            self.z, *self.frame.parameters(raw), temperature=temperature
        )
        signal, background, variance = self.yields(membership)
        value = self.significance(signal, background, variance)
        low, uncertain = self.penalties(background, variance)
        each = -value + self.schedule.penalty * (low + uncertain)
        return tf.reduce_sum(each), tf.stack([each, value, low, uncertain])

    def judge(self, raw: Sequence[Tensor], temperature: Tensor) -> tuple[Tensor, Tensor]:
        """Hard significance less the penalties, and the bias of the soft yields, ``(G, R)``."""
        joint = mixture.log_joint(self.z, *self.frame.parameters(raw))
        hard = tf.one_hot(tf.argmax(joint, axis=-1), joint.shape[-1])
        signal, background, variance = self.yields(hard)
        low, uncertain = self.penalties(background, variance)
        value = self.significance(signal, background, variance)
        soft = self.yields(tf.nn.softmax(joint / temperature, axis=-1))
        total = tf.reduce_sum(signal, axis=2) + background
        other = tf.reduce_sum(soft[0], axis=2) + soft[1]
        bias = tf.reduce_mean(tf.abs(tf.math.divide_no_nan(total - other, total)), axis=-1)
        return value - self.schedule.penalty * (low + uncertain), bias

    def at(self, epoch: Tensor) -> tuple[Tensor, Tensor]:
        """Learning rate and temperature of an epoch; the last epoch has the last values."""
        last = max(self.schedule.epochs - 1, 1)
        cosine = 0.5 * (1.0 + tf.cos(np.pi * tf.minimum(epoch / last, 1.0)))
        (r0, r1), (t0, t1) = self.schedule.learning_rate, self.schedule.temperature
        return r1 + (r0 - r1) * cosine, t1 + (t0 - t1) * cosine

    @tf.function(jit_compile=True)
    def chunk(self, raw: Any, first: Any, second: Any, epoch: Tensor, n: Tensor) -> Any:
        """Run ``n`` epochs of Adam (Kingma and Ba 2015) from ``epoch`` on."""

        def body(e: Tensor, raw: Any, first: Any, second: Any, record: Tensor) -> Any:
            rate, temperature = self.at(e)
            with tf.GradientTape() as tape:
                tape.watch(raw)
                loss, record = self.loss(raw, temperature)
            gradient = [tf.clip_by_norm(g, 10.0) for g in tape.gradient(loss, raw)]
            first = [0.9 * m + 0.1 * g for m, g in zip(first, gradient, strict=True)]
            second = [0.99 * v + 0.01 * g * g for v, g in zip(second, gradient, strict=True)]
            one, two = 1.0 - tf.pow(0.9, e + 1.0), 1.0 - tf.pow(0.99, e + 1.0)
            raw = [
                p - rate * (m / one) / (tf.sqrt(v / two) + 1e-8)
                for p, m, v in zip(raw, first, second, strict=True)
            ]
            return e + 1.0, raw, first, second, record

        empty = tf.zeros((4, *raw[2].shape[:2]))
        _, raw, first, second, record = tf.while_loop(
            lambda e, *_: e < epoch + n, body, (epoch, raw, first, second, empty)
        )
        return raw, first, second, record, self.judge(raw, self.at(epoch + n - 1.0)[1])


def train(
    problem: Problem,
    targets: Sequence[Densities],
    start: Mixtures,
    schedule: Schedule,
    *,
    progress: bool = False,
) -> tuple[Mixtures, list[History]]:
    """Train a batch of mixtures.

    Parameters
    ----------
    problem
        Objective and constraints.
    targets
        Densities of each training set, ``G`` of them, all on the same points.
    start
        Where to start from, ``(G, R, ...)``.
    schedule
        Epochs, learning rate, temperature and weight of the penalties.
    progress
        Whether to show a progress bar.

    Returns
    -------
    tuple
        The best state of every element of the batch, and the history of each restart on the first
        training set.
    """
    frame = _Frame.of(targets[0])
    step = _Step(problem, targets, schedule, frame)
    raw = [tf.constant(a, tf.float32) for a in frame.to_raw(start)]
    first, second = [tf.zeros_like(p) for p in raw], [tf.zeros_like(p) for p in raw]
    best = [p.numpy() for p in raw]
    best_value = np.full(start.log_weights.shape[:2], -np.inf)
    rows, stale = [], 0
    with Progress(*COLUMNS, disable=not progress, transient=True) as bar:
        name = f"training {start.log_weights.shape[2]} categories"
        task = bar.add_task(name, total=schedule.epochs, figure="")
        for epoch in range(0, schedule.epochs, CHUNK):
            n = min(CHUNK, schedule.epochs - epoch)
            raw, first, second, record, (judged, bias) = step.chunk(
                raw, first, second, tf.constant(float(epoch)), tf.constant(float(n))
            )
            value = judged.numpy().astype(np.float64)
            better = value > best_value + PLATEAU * np.abs(value)
            for kept, new in zip(best, raw, strict=True):
                kept[better] = new.numpy()[better]
            best_value = np.where(better, value, best_value)
            stale = 0 if better.any() else stale + 1
            rate, temperature = (float(v) for v in step.at(tf.constant(float(epoch + n - 1))))
            constant = np.ones_like(value[0])
            schedules = [temperature * constant, rate * constant]
            parts = [*record.numpy()[:, 0], value[0], *schedules, bias.numpy()[0]]
            rows.append([(epoch + n) * constant, *parts])
            bar.update(task, completed=epoch + n, figure=f"Z {best_value[0].max():.4f}")
            if stale >= PATIENCE:
                break
    histories = [
        _history(np.array(rows, dtype=np.float64)[:, :, r]) for r in range(len(best_value[0]))
    ]
    return frame.to_mixtures([tf.constant(b) for b in best]), histories


def _history(rows: FloatArray) -> History:
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
    )
