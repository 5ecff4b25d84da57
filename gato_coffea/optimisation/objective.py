"""What is optimised: a figure of merit of the yields in a set of categories.

An objective gives the figure of yields, and what is needed to climb it: around given yields its
linear form, that is what one unit of each yield adds in each category. It says whether its square
is a sum over categories, so that dynamic programming finds the best partition at once. The twin
in TensorFlow, for the training step, is in ``training.merit``.

Here is the significance of counting experiments; `profiled` holds the figures of merit of the
profile likelihood.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self, final

import numpy as np

from gato_coffea.events.samples import BoolArray, FloatArray
from gato_coffea.optimisation.densities import CategoryYields
from gato_coffea.optimisation.window import Window
from gato_coffea.statistics.counting import (
    RULES,
    SMALLEST_RATIO,
    Combination,
    Rule,
    combine,
    excess_ratio,
    signal_significances,
)

LEAST_Z = 1e-12
"""A smaller significance of a signal counts as this where it is divided by: it is no number."""


@dataclass(frozen=True)
class Expansion(ABC):
    """An objective around some yields: ``value`` is the figure of these."""

    value: float

    @abstractmethod
    def linear(self) -> FloatArray:
        """What one unit of each of `Densities.additive_rows` adds in each category.

        The first derivatives of the objective, shape ``(rows, K)``, up to a factor.
        """


@dataclass(frozen=True)
class Objective(ABC):
    """A figure of merit of a set of categories.

    Attributes
    ----------
    combination
        How the figures of several signals make one.
    mc_uncertainty
        Whether it knows of the background's variance from finite simulation.
    systematic
        Relative uncertainty of the background of each category, of its own in each.
    window
        Mass window, or None.
    """

    combination: Combination = "geometric"
    mc_uncertainty: bool = False
    systematic: float = 0.0
    window: Window | None = None

    @property
    def rule(self) -> Rule:
        """How signals are combined."""
        return RULES[self.combination]

    @property
    @abstractmethod
    def is_additive(self) -> bool:
        """Whether each signal's squared figure is a sum over categories of a convex function."""

    @property
    @abstractmethod
    def extrapolated(self) -> BoolArray:
        """See `densities.Figure`."""

    @property
    def uncertainties(self) -> tuple[str, ...]:
        """Names of the systematic uncertainties that are profiled."""
        return ()

    @property
    def by_process(self) -> bool:
        """Whether it is a function of the yields by process and variation."""
        return len(self.extrapolated) > 0

    @property
    @abstractmethod
    def counting(self) -> Counting:
        """The counting significance with the same settings: cheap, for starts and groups."""

    @abstractmethod
    def per_signal(self, yields: CategoryYields) -> FloatArray:
        """The figure of each signal, shape ``(..., signals)``."""

    @abstractmethod
    def statistics_only(self, yields: CategoryYields) -> FloatArray:
        """The combined figure with everything but the numbers of events known exactly."""

    @abstractmethod
    def around(
        self, yields: CategoryYields, *, near: Expansion | None = None, part: float = 1.0
    ) -> Expansion:
        """The objective around yields ``(signals, K)`` of one set of categories.

        Parameters
        ----------
        yields
            Where.
        near
            An expansion at similar yields.
        part
            How far parameters, where there are such, move from its own to those of these yields.
        """

    def variance(self, background: FloatArray, sumw2: FloatArray) -> FloatArray:
        """Variance of the background that the objective is to know of."""
        mc = sumw2 if self.mc_uncertainty else np.zeros_like(sumw2)
        return mc + (self.systematic * background) ** 2

    def combined(self, yields: CategoryYields) -> FloatArray:
        """The figure that is maximised."""
        return combine(self.per_signal(yields), self.combination)

    def figures(self, yields: CategoryYields) -> FloatArray:
        """The combined figure, that by statistics only, and that of each signal; last axis."""
        z = self.per_signal(yields)
        together = [combine(z, self.combination), self.statistics_only(yields)]
        return np.concatenate([*(each[..., None] for each in together), z], axis=-1)


@final
@dataclass(frozen=True)
class Counting(Objective):
    """The significance of one counting experiment in each category."""

    @property
    def is_additive(self) -> bool:
        """It is."""
        return True

    @property
    def extrapolated(self) -> BoolArray:
        """There are no rows."""
        return np.zeros(0, dtype=np.bool_)

    @property
    def counting(self) -> Self:
        """Itself."""
        return self

    def per_signal(self, yields: CategoryYields) -> FloatArray:
        """Significance of each signal, shape ``(..., signals)``."""
        variance = self.variance(yields.background, yields.variance)
        return signal_significances(yields.signal, yields.background, variance)

    def statistics_only(self, yields: CategoryYields) -> FloatArray:
        """Significance with the background known exactly."""
        return combine(signal_significances(yields.signal, yields.background), self.combination)

    def around(
        self, yields: CategoryYields, *, near: Expansion | None = None, part: float = 1.0
    ) -> CountingExpansion:
        """See `Objective.around`; there are no parameters."""
        z = self.per_signal(yields)
        return CountingExpansion(float(combine(z, self.combination)), self, yields, z)

    def squares(self, signal: FloatArray, background: FloatArray, sumw2: FloatArray) -> FloatArray:
        """Squared significances to compare partitions by: those of `category_z2`, but fast.

        The closed form is used, whose error is that of the yields' last digits: much in units of
        a tiny square, nothing in a sum of squares.

        Parameters
        ----------
        signal
            Yields, shape ``(..., signals, categories)``.
        background, sumw2
            Yields and sums of squared weights, shape ``(..., categories)``.
        """
        s = np.maximum(signal, 0.0)
        known = background[..., None, :] > SMALLEST_RATIO * s
        total = background[..., None, :] + (s.sum(axis=-2, keepdims=True) - s)
        total[~known] = 1.0
        if not (self.mc_uncertainty or self.systematic > 0):
            result = s + total
            result *= np.log1p(s / total)
            result -= s
        else:
            variance = np.maximum(self.variance(background, sumw2), 0.0)[..., None, :]
            excess = excess_ratio(s / total, variance / total)
            # The profiled shift is variance * excess; it costs its square over the variance.
            penalty = variance * excess
            result = (s + total) * np.log1p(excess)
            result -= s - penalty
            penalty *= excess
            penalty *= 0.5
            result += penalty
        result[~known] = 0.0
        result *= 2.0
        return result


@final
@dataclass(frozen=True)
class CountingExpansion(Expansion):
    """The counting significance around yields, with the significance of each signal."""

    objective: Counting
    yields: CategoryYields
    z: FloatArray

    def linear(self) -> FloatArray:
        """See `Expansion.linear`: the tangent plane, which a convex function never falls below.

        The shape is ``(signals + 4, K)``; without resonant backgrounds the last two do not count.
        """
        yields, objective = self.yields, self.objective
        s, b = np.maximum(yields.signal, 0.0), np.maximum(yields.background, 1e-12)
        weight = objective.rule.worth(np.maximum(self.z, LEAST_Z))
        others = b + s.sum(axis=0) - s
        variance = objective.variance(yields.background, yields.variance)
        # At the profiled background only the terms' own derivatives count (envelope theorem).
        excess = excess_ratio(s / others, variance / others)
        by_signal = np.log1p(excess) * weight[:, None]
        by_other = by_signal - excess * weight[:, None]
        by_variance = (-0.5 * excess**2 * weight[:, None]).sum(axis=0)
        by_any = by_other.sum(axis=0)
        by_background = by_any + 2 * objective.systematic**2 * yields.background * by_variance
        if not objective.mc_uncertainty:
            by_variance = np.zeros_like(by_variance)
        rows = [by_background * yields.factor, by_variance * yields.factor**2]
        rows += [by_background, by_variance]
        return np.concatenate([by_signal + by_any - by_other, rows])
