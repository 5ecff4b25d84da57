"""The likelihood of an analysis: what is expected in every category, and how it moves.

In category ``k``, with signal strengths ``mu``, nuisance parameters ``a`` and one factor
``1 + t`` for the finite simulation of the background,

    nu = sum over signals of mu y(a) + (1 + t) * sum over backgrounds of y(a)
    -2 ln L = 2 sum over k of [nu - n ln nu] + sum of a**2 (not for free ones) + sum of t**2 / r**2

where ``r`` is the background's relative uncertainty from finite simulation. For given ``a`` the
best ``t`` is the root of a quadratic equation (R. Barlow, C. Beeston, Comput. Phys. Commun. 77
(1993) 219, in the form with one factor a bin), so only ``a`` has to be searched for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np

from gato_coffea.events.samples import BoolArray, FloatArray
from gato_coffea.statistics.interpolation import (
    Additive,
    Multiplicative,
    additive,
    multiplicative,
    multiplicative_coefficients,
)
from gato_coffea.statistics.uncertainties import Free, Normalisation, normalisation_factors
from gato_coffea.statistics.yields import BinnedYields


@dataclass(frozen=True, kw_only=True)
class Moved:
    """Yields at given nuisance parameters, and their derivatives.

    Attributes
    ----------
    variations
        Weights of the variations, each of shape ``(..., Jv)``.
    each
        Factor of each normalisation parameter, of shape ``(..., Jn, C, K or 1)``.
    factor
        Product of all normalisation factors, shape ``(..., C, K or 1)``.
    yields
        Of every row, shape ``(..., C, K)``.
    """

    variations: Additive
    each: Multiplicative
    factor: FloatArray
    yields: FloatArray


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The likelihood at given parameters.

    Attributes
    ----------
    value
        ``-2 ln L`` over that of a perfect description, shape ``(...)``.
    nu
        Expected events, shape ``(..., K)``.
    gamma
        Factor ``1 + t`` on the background, shape ``(..., K)``.
    signal, background, variance
        Yields at the parameters, the background without ``gamma``, shape ``(..., K)``.
    strength
        Factor on each row, one for backgrounds, shape ``(..., C)``.
    moved
        The yields of the rows.
    """

    value: FloatArray
    nu: FloatArray
    gamma: FloatArray
    signal: FloatArray
    background: FloatArray
    variance: FloatArray
    strength: FloatArray
    moved: Moved


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """Yields with their uncertainties; everything that does not depend on parameters is here.

    Attributes
    ----------
    yields
        The yields, with variations. A category without background counts nothing, and a negative
        yield of a signal counts as none, as in `counting.category_z2`.
    normalisations
        Log-normal and free normalisations.
    """

    yields: BinnedYields
    normalisations: tuple[Normalisation, ...] = ()
    names: tuple[str, ...] = field(init=False)
    prior: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        names = (*self.yields.variations, *(n.name for n in self.normalisations))
        prior = [1.0] * len(self.yields.variations) + [
            float(n.constrained) for n in self.normalisations
        ]
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "prior", np.array(prior))

    @property
    def n_variations(self) -> int:
        """Number of nuisance parameters that move the contents of categories."""
        return len(self.yields.variations)

    @cached_property
    def is_signal(self) -> BoolArray:
        """Whether each row is a signal."""
        return self.yields.is_signal

    @cached_property
    def known(self) -> BoolArray:
        """Categories that have a background, shape ``(..., K)``."""
        return np.asarray(self.yields.nominal[..., ~self.is_signal, :].sum(axis=-2) > 0)

    @cached_property
    def nominal(self) -> FloatArray:
        """Yields at the nominal parameters, shape ``(..., C, K)``."""
        return self._counted(self.yields.nominal, self.known[..., None, :])

    def _counted(self, values: FloatArray, known: BoolArray) -> FloatArray:
        rows = self.is_signal[:, None]
        return np.where(known & (~rows | (values > 0)), values, 0.0)

    @cached_property
    def gains(self) -> tuple[FloatArray, FloatArray]:
        """Yields up and down less the nominal ones, shape ``(..., Jv, C * K)`` each."""
        known = self.known[..., None, None, :]
        arrays = (self.yields.up, self.yields.down)
        assert arrays[0] is not None
        assert arrays[1] is not None
        up, down = (
            self._counted(a, known) - self.nominal[..., None, :, :]
            for a in arrays
            if a is not None
        )
        flat = (*up.shape[:-2], up.shape[-2] * up.shape[-1])
        return up.reshape(flat), down.reshape(flat)

    @cached_property
    def background(self) -> FloatArray:
        """Total nominal background, shape ``(..., K)``."""
        return np.asarray(self.nominal[..., ~self.is_signal, :].sum(axis=-2))

    @cached_property
    def relative_variance(self) -> FloatArray:
        """Squared relative uncertainty of the background from finite simulation, ``(..., K)``."""
        b = np.where(self.known, self.background, 1.0)
        return np.where(self.known, self.yields.sumw2, 0.0) / b**2

    @cached_property
    def factors(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Normalisation factors up and down, ``(Jn, C, K or 1)``, and `multiplicative`'s."""
        y = self.yields
        up, down = normalisation_factors(
            self.normalisations, processes=y.processes, eras=y.eras, channels=y.channels
        )
        return up, down, multiplicative_coefficients(up, down)

    def moved(self, a: FloatArray) -> Moved:
        """Yields at nuisance parameters of shape ``(..., J)``."""
        n = self.n_variations
        weights = additive(a[..., :n])
        values = self.nominal
        if n:
            gain = weights.up[..., None, :] @ self.gains[0]
            gain = gain + weights.down[..., None, :] @ self.gains[1]
            values = values + gain.reshape(gain.shape[:-2] + values.shape[-2:])
        each = multiplicative(a[..., n:, None, None], *self.factors)
        factor = each.factor.prod(axis=-3)
        return Moved(variations=weights, each=each, factor=factor, yields=values * factor)

    def terms(self, a: FloatArray, *, strength: FloatArray, observed: FloatArray) -> Terms:
        """The likelihood of an observation.

        Parameters
        ----------
        a
            Nuisance parameters, shape ``(..., J)``.
        strength
            Factor on each row, one for backgrounds, shape ``(..., C)``.
        observed
            Events ``n``, shape ``(..., K)``.
        """
        moved, rows = self.moved(a), self.is_signal
        scaled = strength[..., :, None] * moved.yields
        signal = scaled[..., rows, :].sum(axis=-2)
        background = scaled[..., ~rows, :].sum(axis=-2)
        variance = self.relative_variance * background**2
        nu = expected_events(signal, background, variance, observed)
        alone = np.where(background > 0, background, 1.0)
        gamma = np.where(background > 0, (nu - signal) / alone, 1.0)
        value = deviance(nu, observed).sum(axis=-1) + (self.prior * a**2).sum(axis=-1)
        pull = nu - signal - background
        value = value + (pull**2 / np.where(variance > 0, variance, np.inf)).sum(axis=-1)
        return Terms(
            value=value,
            nu=nu,
            gamma=gamma,
            signal=signal,
            background=background,
            variance=variance,
            strength=strength,
            moved=moved,
        )

    def slopes(self, terms: Terms) -> tuple[FloatArray, FloatArray]:
        """Derivatives of the expected signal and background, shape ``(..., J, K)`` each.

        By each nuisance parameter; the background without its factor ``gamma``.
        """
        rows, moved = self.is_signal, terms.moved
        each = self._row_slopes(terms.strength[..., None] * moved.factor, terms)
        return each[..., rows, :].sum(axis=-2), each[..., ~rows, :].sum(axis=-2)

    def _row_slopes(self, scale: FloatArray, terms: Terms) -> FloatArray:
        """Derivative of each row's yield, shape ``(..., J, C, K)``."""
        moved = terms.moved
        shape = moved.yields.shape[-2:]
        up, down = (g.reshape(*g.shape[:-1], *shape) for g in self.gains)
        w = moved.variations
        varied = w.up_slope[..., None, None] * up + w.down_slope[..., None, None] * down
        varied = scale[..., None, :, :] * varied
        scaled = terms.strength[..., None] * moved.yields
        return np.concatenate([varied, moved.each.rate * scaled[..., None, :, :]], axis=-3)

    def bends(self, terms: Terms, weight: FloatArray) -> FloatArray:
        """Second derivatives of the rows' yields, summed with weights, shape ``(..., J, J)``.

        Parameters
        ----------
        terms
            The likelihood at some parameters.
        weight
            Weight of each row in each category, shape ``(..., C, K)``.
        """
        n, moved = self.n_variations, terms.moved
        result = np.zeros((*moved.yields.shape[:-2], len(self.names), len(self.names)))
        inner = weight * terms.strength[..., None]
        outer = inner * moved.factor
        flat = (*outer.shape[:-2], 1, outer.shape[-2] * outer.shape[-1])
        bend = moved.variations.bend * (
            sum(gain for gain in self.gains) * outer.reshape(flat)
        ).sum(axis=-1)
        w, each = moved.variations, moved.each
        weighted = inner * moved.yields
        shape = moved.yields.shape[-2:]
        up, down = (g.reshape(*g.shape[:-1], *shape) for g in self.gains)
        varied = w.up_slope[..., None, None] * up + w.down_slope[..., None, None] * down
        mixed = outer[..., None, :, :] * varied
        rate, whole = each.rate, weighted
        if rate.shape[-1] == 1:
            mixed = mixed.sum(axis=-1, keepdims=True)
            whole = whole.sum(axis=-1, keepdims=True)
        size = rate.shape[-2] * rate.shape[-1]
        rates = rate.reshape(*rate.shape[:-2], size)
        turned = np.swapaxes(rates, -1, -2)
        result[..., :n, n:] = mixed.reshape(*mixed.shape[:-2], size) @ turned
        result[..., n:, :n] = np.swapaxes(result[..., :n, n:], -1, -2)
        result[..., n:, n:] = (rate * whole[..., None, :, :]).reshape(rates.shape) @ turned
        own = ((each.bend - rate**2) * whole[..., None, :, :]).sum(axis=(-2, -1))
        at = np.arange(len(self.names))
        result[..., at, at] += np.concatenate([bend, own], axis=-1)
        return result

    def strengths(self, signals: Sequence[str], value: float) -> FloatArray:
        """One for every row, but ``value`` for some signals; shape ``(C,)``."""
        return np.where(self.yields.rows_of(signals), value, 1.0)

    def with_free(self, processes: Sequence[str]) -> Self:
        """The same likelihood with the normalisation of some processes free."""
        more = tuple(Free(f"strength of {process}", (process,)) for process in processes)
        return type(self)(yields=self.yields, normalisations=(*self.normalisations, *more))


def expected_events(
    signal: FloatArray, background: FloatArray, variance: FloatArray, observed: FloatArray
) -> FloatArray:
    """Expected events where the factor on the background is at its best value.

    The positive root of ``nu**2 + nu (v - s - b) - n v = 0``, which is where the derivative of
    ``2 (nu - n ln nu) + (nu - s - b)**2 / v`` vanishes.
    """
    p = signal + background - variance
    root = np.sqrt(p * p + 4.0 * observed * variance)
    low = np.where(root - p > 0, root - p, 1.0)
    return np.where(p >= 0, 0.5 * (p + root), 2.0 * observed * variance / low)


def deviance(nu: FloatArray, n: FloatArray) -> FloatArray:
    """``2 [nu - n - n ln(nu / n)]``, precise where ``nu`` is near ``n``; infinite below zero."""
    seen = n > 0
    size = np.where(seen, n, 1.0)
    ratio = (nu - n) / size
    with np.errstate(divide="ignore", invalid="ignore"):
        value = 2.0 * np.where(seen, size * (ratio - np.log1p(ratio)), nu)
    return np.where((nu > 0) | (~seen & (nu >= 0)), value, np.inf)
