"""Figures of merit at fixed parameters, where their squares are sums over categories.

The square of each figure of `figures` is the minimum over some parameters (nuisance parameters,
or the response of their fit) of a sum over categories. At *given* parameters it is therefore an
upper limit of the figure, and the figure itself where the parameters are those of its fit. The
term of a category is a convex and homogeneous function of few linear combinations of its yields,
so that whatever finds the best categories of counting experiments finds them here too.

Yields are a column ``rows`` of shape ``(..., M, K)``: the nominal ones of all processes, then
those of each variation up, then down, ``M = C (1 + 2 J)`` (`stacked`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self, final

import numpy as np

from gato_coffea.events.samples import FloatArray
from gato_coffea.statistics.counting import SERIES, SERIES_BELOW
from gato_coffea.statistics.interpolation import additive, multiplicative
from gato_coffea.statistics.likelihood import Likelihood
from gato_coffea.statistics.yields import BinnedYields


def stacked(yields: BinnedYields) -> FloatArray:
    """Nominal yields, all up and all down, shape ``(..., M, K)``."""
    assert yields.up is not None
    assert yields.down is not None
    *batch, n = yields.nominal.shape[:-2] + yields.nominal.shape[-1:]
    flat = [a.reshape(*batch, -1, n) for a in (yields.up, yields.down)]
    return np.concatenate([yields.nominal, *flat], axis=-2)


@dataclass(frozen=True, kw_only=True)
class FixedFigure(ABC):
    """A squared figure at fixed parameters: ``scale * (constant + sum of terms)``.

    Attributes
    ----------
    likelihood
        Says which uncertainties there are.
    columns
        Linear combinations of the rows of yields that a term is a function of, shape
        ``(..., n, M)``; the last is the nominal background.
    constant
        What the priors of the parameters add, shape ``(...)``.
    scale
        Shape ``(...)``.
    """

    likelihood: Likelihood
    columns: FloatArray
    constant: FloatArray
    scale: FloatArray

    @abstractmethod
    def terms(self, columns: FloatArray, variance: FloatArray) -> FloatArray:
        """The term of each category, shape ``(..., K)``.

        Parameters
        ----------
        columns
            Those of the categories, shape ``(..., n, K)``.
        variance
            Variance of the nominal background, shape ``(..., K)``.
        """

    @abstractmethod
    def slopes(self, columns: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Derivatives of the terms by the columns and by the variance, in their shapes."""

    @abstractmethod
    def towards(self, other: Self, part: float) -> Self:
        """The figure at parameters that are so far on the way to those of another one."""

    def square(self, columns: FloatArray, variance: FloatArray) -> FloatArray:
        """The squared figure at these parameters, shape ``(...)``."""
        return self.scale * (self.constant + self.terms(columns, variance).sum(axis=-1))


def excess_term(x: FloatArray) -> FloatArray:
    """``(1 + x) ln(1 + x) - x`` for ``x >= -1``, precise for small ``x``."""
    small = np.abs(x) < SERIES_BELOW
    few = np.where(small, x, 0.0)
    series = np.full_like(few, SERIES[-1])
    for coefficient in SERIES[-2::-1]:
        series = series * few + coefficient
    large = np.where(small, 1.0, np.maximum(x, LEAST_EXCESS))
    return np.where(small, series * few * few, (1.0 + large) * np.log1p(large) - large)


LEAST_EXCESS = -1.0 + 1e-15
"""An observation of nothing where something is expected: the logarithm still is a number."""


@final
@dataclass(frozen=True, kw_only=True)
class FixedDeviance(FixedFigure):
    """``-2 ln L`` of Asimov data, for `figures.significance` and `figures.limit`.

    The columns are the events less what is expected with the nominal factor on the background,
    the expected signal, the expected background, and the nominal background. The factor on the
    background, for its finite simulation, is at its best value in every category.

    Attributes
    ----------
    a
        Nuisance parameters, shape ``(..., J)``.
    strength
        Factor on each row in the hypothesis, shape ``(..., C)``.
    events_at
        Factor on each row in the Asimov data, shape ``(C,)``.
    offset
        Part of the constant beside the priors, shape ``(...)``.
    """

    a: FloatArray
    strength: FloatArray
    events_at: FloatArray
    offset: FloatArray

    def terms(self, columns: FloatArray, variance: FloatArray) -> FloatArray:
        """See `FixedFigure.terms`."""
        excess, nu, own, _ = _excess(columns, variance)
        return 2.0 * nu * excess_term(excess) + own * excess**2

    def slopes(self, columns: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `FixedFigure.slopes`."""
        excess, _, _, ratio = _excess(columns, variance)
        by_events = 2.0 * np.log1p(np.maximum(excess, LEAST_EXCESS))
        nominal = columns[..., 3, :]
        known = nominal > 0
        size = np.where(known, nominal, 1.0)
        # The factor on the background is 1 + t with t = variance of its own * excess / background.
        factor = 1.0 + np.where(known, variance / size * ratio, 0.0) * excess
        by_variance = np.where(known, -((excess * ratio) ** 2), 0.0)
        each = [
            by_events,
            by_events - 2.0 * excess,
            by_events - 2.0 * excess * factor,
            -2.0 * by_variance * variance / size,
        ]
        seen = known & (columns[..., 1, :] + columns[..., 2, :] > 0)
        by_columns = np.where(seen[..., None, :], np.stack(each, axis=-2), 0.0)
        return by_columns, np.where(seen, by_variance, 0.0)

    def towards(self, other: Self, part: float) -> Self:
        """See `FixedFigure.towards`."""
        a = self.a + part * (other.a - self.a)
        strength = self.strength + part * (other.strength - self.strength)
        found = fixed_deviance(
            self.likelihood,
            a,
            strength=strength,
            events_at=self.events_at,
            scale=other.scale,
            offset=other.offset,
        )
        return replace(self, **vars(found))


def _excess(
    columns: FloatArray, variance: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Events over what is expected, less one; the latter; its variance; background over nominal.

    With the factor on the background at its best value: the expectation ``nu`` solves
    ``(nu - p) / v = n / nu - 1`` for the one with the nominal factor, ``p``.
    """
    missing, signal, background, nominal = (columns[..., i, :] for i in range(4))
    known = nominal > 0
    ratio = np.where(known, background, 0.0) / np.where(known, nominal, 1.0)
    own = np.where(known, variance, 0.0) * ratio**2
    p = signal + background
    seen = known & (p > 0)
    p, missing = np.where(seen, p, 1.0), np.where(seen, missing, 0.0)
    inner = np.sqrt(np.maximum((p + own) ** 2 + 4.0 * missing * own, 0.0))
    excess = 2.0 * missing / (p + own + inner)
    nu = np.maximum(p + own * excess, 0.0)
    return np.maximum(excess, -1.0), nu, own, ratio


def fixed_deviance(
    likelihood: Likelihood,
    a: FloatArray,
    *,
    strength: FloatArray,
    events_at: FloatArray,
    scale: FloatArray | None = None,
    offset: FloatArray | None = None,
) -> FixedDeviance:
    """``-2 ln L`` as a function of yields, at fixed parameters.

    Parameters
    ----------
    likelihood
        The uncertainties.
    a, strength, events_at, scale, offset
        As in `FixedDeviance` and `FixedFigure`; the scale is one and the offset zero by default.
    """
    n = likelihood.n_variations
    weights = additive(a[..., :n])
    still = 1.0 - (weights.up + weights.down).sum(axis=-1, keepdims=True)
    moved = np.concatenate([still, weights.up, weights.down], axis=-1)
    factor = multiplicative(a[..., n:, None, None], *likelihood.factors).factor
    factor = factor.prod(axis=-3)[..., 0]
    rows = likelihood.is_signal
    batch = np.broadcast_shapes(a.shape[:-1], strength.shape[:-1])
    first = np.zeros(moved.shape[-1])
    first[0] = 1.0

    def column(by: FloatArray, of: FloatArray) -> FloatArray:
        both = by[..., :, None] * of[..., None, :]
        return np.broadcast_to(both, (*batch, *both.shape[-2:])).reshape(*batch, -1)

    signal = column(moved, factor * strength * rows)
    background = column(moved, factor * strength * ~rows)
    missing = column(first, events_at) - signal - background
    nominal = column(first, (~rows).astype(np.float64))
    prior = np.broadcast_to((likelihood.prior * a**2).sum(axis=-1), batch)
    return FixedDeviance(
        likelihood=likelihood,
        columns=np.stack([missing, signal, background, nominal], axis=-2),
        constant=prior if offset is None else prior + offset,
        scale=np.ones(batch) if scale is None else scale,
        offset=np.zeros(batch) if offset is None else offset,
        a=a,
        strength=strength,
        events_at=events_at,
    )


@final
@dataclass(frozen=True, kw_only=True)
class FixedInformation(FixedFigure):
    """The information on strengths, for `figures.precision` and `figures.determinant`.

    The columns are what is left of each signal beside the response of the nuisance parameters,
    the total and the nominal background.

    Attributes
    ----------
    beta
        Response of each nuisance parameter to each strength, shape ``(..., J, S)``.
    weights
        What the elements of the information matrix count, shape ``(..., S, S)``.
    signals
        Those whose strengths are measured, ``S`` of them.
    """

    beta: FloatArray
    weights: FloatArray
    signals: tuple[str, ...]

    def terms(self, columns: FloatArray, variance: FloatArray) -> FloatArray:
        """See `FixedFigure.terms`."""
        left, inverse = self._parts(columns, variance)
        return (left * (self.weights @ left)).sum(axis=-2) * inverse

    def slopes(self, columns: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `FixedFigure.slopes`."""
        left, inverse = self._parts(columns, variance)
        turned = self.weights @ left
        by_total = -(left * turned).sum(axis=-2) * inverse**2
        by_left = 2.0 * turned * inverse[..., None, :]
        none = np.zeros_like(by_total)[..., None, :]
        return np.concatenate([by_left, by_total[..., None, :], none], axis=-2), by_total

    def _parts(self, columns: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
        total = columns[..., -2, :] + variance
        known = (total > 0) & (columns[..., -1, :] > 0)
        return columns[..., :-2, :], np.where(known, 1.0, 0.0) / np.where(known, total, 1.0)

    def towards(self, other: Self, part: float) -> Self:
        """See `FixedFigure.towards`."""
        beta = self.beta + part * (other.beta - self.beta)
        found = fixed_information(self.likelihood, other.signals, beta, weights=other.weights)
        return replace(self, **vars(found))


def fixed_information(
    likelihood: Likelihood, signals: tuple[str, ...], beta: FloatArray, *, weights: FloatArray
) -> FixedInformation:
    """The information as a function of yields, at a fixed response of the nuisance parameters.

    Parameters
    ----------
    likelihood
        The uncertainties.
    signals, beta, weights
        As in `FixedInformation`.
    """
    n = likelihood.n_variations
    y, batch = likelihood.yields, beta.shape[:-2]
    own = np.array([y.rows_of([s]) for s in signals], dtype=np.float64)
    response = np.swapaxes(beta, -1, -2)
    zero = np.zeros((len(likelihood.normalisations), 1, 1))
    rate = multiplicative(zero, *likelihood.factors).rate[..., 0]
    nominal = own - response[..., n:] @ rate
    one = np.ones((*batch, len(signals), n, len(y.processes)))
    up = (-0.5 * response[..., :n, None] * one).reshape(*batch, len(signals), -1)
    left = np.concatenate([nominal, up, -up], axis=-1)
    first = np.zeros((2, left.shape[-1]))
    first[0, : len(y.processes)] = 1.0
    first[1, : len(y.processes)] = ~likelihood.is_signal
    total = np.broadcast_to(first, (*batch, *first.shape))
    prior = response @ (likelihood.prior[:, None] * beta)
    return FixedInformation(
        likelihood=likelihood,
        columns=np.concatenate([left, total], axis=-2),
        constant=(weights * prior).sum(axis=(-2, -1)),
        scale=np.ones(batch),
        beta=beta,
        weights=weights,
        signals=signals,
    )
