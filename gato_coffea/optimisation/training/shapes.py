"""What is trained: categories as Gaussian components or as rectangles, as functions of raw values.

A shape says how soft and hard memberships follow from trainable values without limits. All of
them have the leading axes of training sets and restarts, ``(G, R, ...)``.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, Self, final

import numpy as np
import tensorflow as tf

from gato_coffea.categories.boundaries import mixture_boundaries
from gato_coffea.events.samples import BoolArray, Feature, FloatArray, IntArray
from gato_coffea.optimisation.densities import Densities
from gato_coffea.optimisation.problem import Mixtures, Problem
from gato_coffea.optimisation.rectangles import Shares, alive_bins, alive_cells
from gato_coffea.optimisation.training import mixture
from gato_coffea.optimisation.training.edges import (
    ordered_edges,
    soft_bins,
)
from gato_coffea.optimisation.training.tensors import Tensor

FILLER_LOG_WEIGHT = -1e6
"""Added to the log posterior of a component, or to the log width of a bin, that only fills the
batch: its exponential is zero in float32."""

DAMPING = 0.3
"""Factor of the elements of a Cholesky factor below its diagonal: rotations learn slower than
widths, which keeps ellipses from flipping in the first epochs."""

MARGIN = 0.25
"""How far beyond the outermost points a mean may lie, in standard deviations of the points: a
boundary may pass all of them, and a mean cannot run away."""

OUTSIDE_OF_SHARES = 1e3
"""Position of edges that are not used: shares lie between 0 and 1, so that the sigmoid of these
is constant."""

STEEPNESS = 8.0
"""Of the softest edges, in units of one over the mean width of the bins: with 8 an edge is soft
over half a bin, and bins still differ."""


class Shape(ABC):
    """Categories of a batch of trainings.

    Attributes
    ----------
    alive
        Which categories take part, shape ``(R, K)``: others only fill up the batch.
    spare
        Whether a category that fails the constraints is no fault, but adds nothing: of the cells
        of a grid many are empty whatever its edges.
    numbers
        Names of the attributes that are tensors, or lists of them.
    """

    alive: BoolArray
    spare: bool = False
    numbers: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def rules(self) -> Hashable:
        """All else that memberships depend on."""

    def tensors(self) -> dict[str, Any]:
        """The numbers, by name."""
        return {name: getattr(self, name) for name in self.numbers}

    def holding(self, tensors: Mapping[str, object]) -> Self:
        """The same with other numbers."""
        result = copy.copy(self)
        vars(result).update(tensors)
        return result

    @abstractmethod
    def soft(self, raw: Sequence[Tensor], temperature: Tensor) -> Tensor:
        """Membership of every point in every category, shape ``(G, R, K, P)``."""

    @abstractmethod
    def hard(self, raw: Sequence[Tensor]) -> Tensor:
        """The same as the temperature goes to zero: one for one category, else zero."""

    @abstractmethod
    def boundaries(self, raw: Sequence[FloatArray]) -> list[FloatArray]:
        """Boundaries in the one discriminant for each restart; ``raw`` has no axis of sets."""


def _one_of(index: Tensor, n: int) -> Tensor:
    """One in the row of the index of each point, else zero; shape ``(..., n, P)``."""
    return tf.cast(tf.equal(index[..., None, :], tf.range(n)[:, None]), tf.float32)


@final
class GaussianShape(Shape):
    """Gaussian components in standardised coordinates ``z = (u - centre) / width``."""

    numbers = ("z", "mute", "low", "span")
    rules = "mixture"

    def __init__(self, problem: Problem, densities: Densities, alive: BoolArray) -> None:
        self.alive, self.feature = alive, problem.points.features[0]
        u = densities.u
        share = densities.signal / densities.signal.sum(axis=1, keepdims=True)
        weight = np.maximum(
            share.sum(axis=0) + densities.background / densities.background.sum(), 0
        )
        self.centre = weight @ u / weight.sum()
        width = np.sqrt(weight @ (u - self.centre) ** 2 / weight.sum())
        self.width = np.where(width > 0, width, 1.0)
        z = (u - self.centre) / self.width
        self.mean_range = np.stack([z.min(axis=0) - MARGIN, z.max(axis=0) + MARGIN], -1)
        self.z = tf.constant(z, tf.float32)
        self.low = tf.constant(self.mean_range[:, 0], tf.float32)
        self.span = tf.constant(np.ptp(self.mean_range, axis=1), tf.float32)
        self.mute = tf.constant(np.where(alive, 0.0, FILLER_LOG_WEIGHT), tf.float32)

    def to_raw(self, start: Mixtures) -> list[FloatArray]:
        """Trainable values of mixtures."""
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
            self.low + self.span * mixture.effective_means(raw[0], mean_norm="sigmoid"),
            mixture.scale_tril(raw[1], sigma0=1.0, damping=DAMPING),
            raw[2],
        )

    def to_mixtures(self, raw: Sequence[Tensor]) -> Mixtures:
        """Mixtures of trainable values."""
        parameters = self.parameters([tf.constant(p, tf.float32) for p in raw])
        means, scale, weights = (p.numpy().astype(np.float64) for p in parameters)
        return Mixtures(means * self.width + self.centre, scale * self.width[:, None], weights)

    def joint(self, raw: Sequence[Tensor]) -> Tensor:
        """Log posterior of every component that takes part, ``(G, R, K, P)``."""
        joint = mixture.component_log_joint(self.z, *self.parameters(raw))
        return joint + self.mute[:, :, None]

    def soft(self, raw: Sequence[Tensor], temperature: Tensor) -> Tensor:
        """See `Shape.soft`."""
        joint = self.joint(raw) / temperature
        odds = tf.exp(joint - tf.stop_gradient(tf.reduce_max(joint, axis=-2, keepdims=True)))
        return odds / tf.reduce_sum(odds, axis=-2, keepdims=True)

    def hard(self, raw: Sequence[Tensor]) -> Tensor:
        """See `Shape.hard`."""
        joint = self.joint(raw)
        return _one_of(tf.argmax(joint, axis=-2, output_type=tf.int32), joint.shape[-2])

    def boundaries(self, raw: Sequence[FloatArray]) -> list[FloatArray]:
        """See `Shape.boundaries`."""
        found = self.to_mixtures(raw)
        ends = self.feature.stretch(np.array([self.feature.low, self.feature.high]))
        return [
            self.feature.unstretch(
                mixture_boundaries(
                    means[alive, 0],
                    scale[alive, 0, 0],
                    weights[alive],
                    low=float(ends[0]),
                    high=float(ends[1]),
                )[0]
            )
            for means, scale, weights, alive in zip(
                found.means, found.scale_tril, found.log_weights, self.alive, strict=True
            )
        ]


@final
class RectangleShape(Shape):
    """Cells between ordered edges of every discriminant, softened by sigmoids.

    Parameters
    ----------
    features
        The discriminants.
    shares
        The coordinate of each of them in which edges are trained.
    u
        Stretched coordinates of the points, shape ``(P, D)``.
    bins
        Number of bins in each discriminant, shape ``(R, D)``. In the batch all have as many as
        the largest; those that only fill up have no width.
    """

    numbers = ("unit", "mute", "away", "steepness")

    def __init__(
        self, features: Sequence[Feature], shares: Sequence[Shares], u: FloatArray, bins: IntArray
    ) -> None:
        self.features, self.shares, self.bins = tuple(features), tuple(shares), bins
        self.size = tuple(int(n) for n in bins.max(axis=0))
        self.dims = [d for d, n in enumerate(self.size) if n > 1]
        self.alive, self.spare = alive_cells(bins), len(self.dims) > 1
        self.unit = [tf.constant(shares[d].of(u[:, d]), tf.float32) for d in self.dims]
        self.mute = [
            tf.constant(
                np.where(alive_bins(bins[:, d])[:, :-1], 0.0, FILLER_LOG_WEIGHT), tf.float32
            )
            for d in self.dims
        ]
        # Where there is one bin, the edges that only fill up lie below everything.
        self.away = [
            tf.constant(np.where(bins[:, d, None] == 1, -OUTSIDE_OF_SHARES, 0.0), tf.float32)
            for d in self.dims
        ]
        self.steepness = [
            tf.constant(STEEPNESS * bins[:, d, None, None], tf.float32) for d in self.dims
        ]

    @property
    def rules(self) -> Hashable:
        """See `Shape.rules`."""
        return "edges", self.size

    def edges(self, raw: Sequence[Tensor]) -> list[Tensor]:
        """Inner edges of each discriminant that is cut, as shares, ``(..., R, bins - 1)``."""
        return [
            ordered_edges(r + m) + away
            for r, m, away in zip(raw, self.mute, self.away, strict=True)
        ]

    def soft(self, raw: Sequence[Tensor], temperature: Tensor) -> Tensor:
        """See `Shape.soft`."""
        result: Tensor = None
        for unit, edges, k in zip(self.unit, self.edges(raw), self.steepness, strict=True):
            share = soft_bins(unit, edges, k / temperature)
            if result is None:
                result = share
            else:
                product = result[..., :, None] * share[..., None, :]
                size = result.shape[-1] * share.shape[-1]
                result = tf.reshape(product, (*share.shape[:-1], size))
        return tf.linalg.matrix_transpose(result)

    def hard(self, raw: Sequence[Tensor]) -> Tensor:
        """See `Shape.hard`."""
        index: Tensor = 0
        for d, unit, edges in zip(self.dims, self.unit, self.edges(raw), strict=True):
            above = tf.cast(unit[:, None] >= edges[..., None, :], tf.int32)
            index = index * self.size[d] + tf.reduce_sum(above, axis=-1)
        return _one_of(index, int(np.prod(self.size)))

    def inner_edges(self, raw: Sequence[FloatArray], row: int) -> list[FloatArray]:
        """Inner edges of all discriminants, in their own units, for one restart.

        ``raw`` has the axis of restarts first.
        """
        shares = [e.numpy() for e in self.edges([tf.constant(r, tf.float32) for r in raw])]
        result = [np.array([])] * len(self.size)
        for d, share in zip(self.dims, shares, strict=True):
            alive = share[row, : self.bins[row, d] - 1].astype(np.float64)
            result[d] = self.features[d].unstretch(self.shares[d].at(alive))
        return result

    def boundaries(self, raw: Sequence[FloatArray]) -> list[FloatArray]:
        """See `Shape.boundaries`."""
        return [self.inner_edges(raw, row)[0] for row in range(len(self.bins))]
