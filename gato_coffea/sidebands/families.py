"""Falling functions of the mass with exact integrals over intervals, and their gradients.

Every family predicts yields: one or more of its parameters carry the yield in the sidebands, and
the function is normalised there, so that a fit never looks into the signal window.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from scipy.special import betainc

from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray

Intervals = FloatArray
"""Intervals of mass in GeV, shape ``(N, 2)``."""

LAURENT_POWERS = (4, 5, 3, 6)
"""Order in which powers of 1/m are added, around the fourth, as for diphoton spectra."""

MAX_LOG_RANGE = 200.0
"""By how many e-folds a function may change over the mass range, as a limit of its parameters:
beyond, float64 holds no integral of it."""

NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)
"""Gauss-Legendre nodes of an integral over a bin or a sideband: exact to rounding for functions
that fall by ten e-folds within it."""


@dataclass(frozen=True)
class Family(ABC):
    """A function of the mass, normalised on the sidebands.

    Attributes
    ----------
    sidebands
        Fitted intervals in GeV, shape ``(S, 2)``.
    order
        Position in its nested sequence; a larger one contains the smaller.
    """

    sidebands: Intervals
    order: int = 1

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, with units."""

    @abstractmethod
    def start(self, sumw: FloatArray) -> FloatArray:
        """Parameters to start from, given the yield in each sideband, shape ``(S,)``."""

    @abstractmethod
    def limits(self) -> list[tuple[float | None, float | None]]:
        """Allowed range of each parameter."""

    @abstractmethod
    def expected(self, parameters: FloatArray, at: Intervals) -> tuple[FloatArray, FloatArray]:
        """Expected yield in intervals, and its gradient.

        Returns
        -------
        yields, gradient
            Shapes ``(N,)`` and ``(N, P)`` for ``P`` parameters.
        """

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest fitted mass in GeV."""
        return float(self.sidebands.min()), float(self.sidebands.max())


class _Shape(Family):
    """Yield in the sidebands times a shape whose log integral and its gradient are known."""

    @abstractmethod
    def log_integrals(self, shape: FloatArray, at: Intervals) -> tuple[FloatArray, FloatArray]:
        """Log of the integral over each interval, and its gradient in the shape parameters."""

    def expected(self, parameters: FloatArray, at: Intervals) -> tuple[FloatArray, FloatArray]:
        total, shape = parameters[0], parameters[1:]
        log_at, grad_at = self.log_integrals(shape, at)
        log_sb, grad_sb = self.log_integrals(shape, self.sidebands)
        top = log_sb.max()
        part = np.exp(log_sb - top)
        log_norm = top + np.log(part.sum())
        grad_norm = part @ grad_sb / part.sum()
        fraction = np.exp(log_at - log_norm)
        gradient = total * fraction[:, None] * (grad_at - grad_norm)
        return total * fraction, np.concatenate([fraction[:, None], gradient], axis=1)


@final
class Exponential(_Shape):
    """``exp(-slope m)``, slope per GeV."""

    @property
    def names(self) -> tuple[str, ...]:
        """Yield in the sidebands, then the shape."""
        return "sideband_yield", "slope_per_gev"

    def start(self, sumw: FloatArray) -> FloatArray:
        """From the yields of the first and last sideband."""
        return np.array([sumw.sum(), _slope(self.sidebands, sumw)])

    def limits(self) -> list[tuple[float | None, float | None]]:
        """The shape may not change by too many e-folds."""
        steepest = MAX_LOG_RANGE / (self.span[1] - self.span[0])
        return [(None, None), (-steepest, steepest)]

    def log_integrals(self, shape: FloatArray, at: Intervals) -> tuple[FloatArray, FloatArray]:
        """Exact log integrals and their derivative."""
        return _log_exponential(shape[0], at - self.span[0])


@final
class Power(_Shape):
    """``m ** -power``, m in GeV and above zero."""

    @property
    def names(self) -> tuple[str, ...]:
        """Yield in the sidebands, then the shape."""
        return "sideband_yield", "power"

    def start(self, sumw: FloatArray) -> FloatArray:
        """From the yields of the first and last sideband."""
        return np.array([sumw.sum(), 1.0 + _slope(np.log(self.sidebands), sumw)])

    def limits(self) -> list[tuple[float | None, float | None]]:
        """The shape may not change by too many e-folds."""
        steepest = MAX_LOG_RANGE / np.log(self.span[1] / self.span[0])
        return [(None, None), (-steepest, steepest)]

    def log_integrals(self, shape: FloatArray, at: Intervals) -> tuple[FloatArray, FloatArray]:
        """Exact log integrals and their derivative."""
        return _log_exponential(shape[0] - 1.0, np.log(at / self.span[0]))


@final
class ExponentialPolynomial(_Shape):
    """``exp(-(a1 t + a2 t^2 + ...))``, t running from -1 to 1 over the fitted range.

    Integrated by Gauss-Legendre quadrature with 24 points an interval, which is exact to rounding
    for the slopes that occur.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Yield in the sidebands, then the shape."""
        return "sideband_yield", *(f"a{i}" for i in range(1, self.order + 1))

    def start(self, sumw: FloatArray) -> FloatArray:
        """From the yields of the first and last sideband."""
        linear = _slope(self._coordinate(self.sidebands), sumw)
        return np.array([sumw.sum(), linear, *[0.0] * (self.order - 1)])

    def limits(self) -> list[tuple[float | None, float | None]]:
        """The shape may not change by too many e-folds."""
        return [(None, None), *[(-MAX_LOG_RANGE / 4, MAX_LOG_RANGE / 4)] * self.order]

    def log_integrals(self, shape: FloatArray, at: Intervals) -> tuple[FloatArray, FloatArray]:
        """Exact log integrals and their derivative."""
        t = self._coordinate(at)
        half = 0.5 * np.diff(t, axis=1)
        nodes = t.mean(axis=1, keepdims=True) + half * NODES
        powers = nodes[..., None] ** np.arange(1, self.order + 1)
        exponent = -powers @ shape
        top = exponent.max(axis=1, keepdims=True)
        part = WEIGHTS * np.exp(exponent - top)
        total = part.sum(axis=1)
        gradient = -np.einsum("nq,nqp->np", part, powers) / total[:, None]
        return top[:, 0] + np.log(half[:, 0] * total), gradient

    def _coordinate(self, mass: FloatArray) -> FloatArray:
        low, high = self.span
        return (2.0 * mass - low - high) / (high - low)


class _Sum(Family):
    """A sum of fixed functions with coefficients not below zero: each one's sideband yield."""

    @property
    def names(self) -> tuple[str, ...]:
        """Yield of each term in the sidebands."""
        return tuple(f"yield{i}" for i in range(self.order + 1))

    def start(self, sumw: FloatArray) -> FloatArray:
        """Equal parts."""
        return np.full(self.order + 1, sumw.sum() / (self.order + 1))

    def limits(self) -> list[tuple[float | None, float | None]]:
        """Nothing below zero."""
        return [(0.0, None)] * (self.order + 1)

    @abstractmethod
    def integrals(self, at: Intervals) -> FloatArray:
        """Integral of each function over each interval, shape ``(N, order + 1)``."""

    @cached_property
    def _norm(self) -> FloatArray:
        return np.asarray(self.integrals(self.sidebands).sum(axis=0))

    def expected(self, parameters: FloatArray, at: Intervals) -> tuple[FloatArray, FloatArray]:
        gradient = self.integrals(at) / self._norm
        return gradient @ parameters, gradient


@final
class Bernstein(_Sum):
    """A Bernstein polynomial over the fitted range with positive coefficients."""

    def integrals(self, at: Intervals) -> FloatArray:
        """Exact integrals of each term."""
        low, high = self.span
        t = np.clip((at - low) / (high - low), 0.0, 1.0)[..., None]
        j = np.arange(self.order + 1)
        # The integral of B_j over (0, t) is a regularised incomplete beta function / (order + 1).
        return np.diff(betainc(j + 1.0, self.order - j + 1.0, t), axis=1)[:, 0] / (self.order + 1)


@final
class Laurent(_Sum):
    """A sum of inverse powers of the mass, 4 and 5, then 3 and 6, with positive coefficients."""

    def integrals(self, at: Intervals) -> FloatArray:
        """Exact integrals of each term."""
        y = np.log(at / self.span[0])
        powers = LAURENT_POWERS[: self.order + 1]
        return np.stack([np.exp(_log_exponential(p - 1.0, y)[0]) for p in powers], axis=1)


SEQUENCES: dict[str, tuple[str, ...]] = {
    "exponential": ("exponential", "exponential2"),
    "power": ("power",),
    "bernstein": ("bernstein1", "bernstein2", "bernstein3", "bernstein4"),
    "laurent": ("laurent1", "laurent2", "laurent3"),
}
"""Nested functions by kind, the simplest first."""

FAMILIES = tuple(name for names in SEQUENCES.values() for name in names)


def family_named(name: str, *, sidebands: Sequence[tuple[float, float]]) -> Family:
    """The family of a name in `FAMILIES`, normalised on sidebands in GeV.

    Raises
    ------
    InputError
        If there is no such family, or it needs masses above zero and these are not.
    """
    if name not in FAMILIES:
        raise InputError(
            f"sidebands: unknown function (got {name!r}; allowed: {', '.join(FAMILIES)})"
        )
    intervals = np.asarray(sidebands, dtype=np.float64)
    kind = name.rstrip("0123456789")
    order = int(name[len(kind) :] or 1)
    if kind in ("power", "laurent") and intervals.min() <= 0:
        raise InputError(
            f"sidebands: function {name!r} needs masses above zero (got {intervals.min():g} GeV)"
        )
    if kind == "exponential" and order == 1:
        return Exponential(intervals)
    others: dict[str, type[Family]] = {
        "exponential": ExponentialPolynomial,
        "power": Power,
        "bernstein": Bernstein,
        "laurent": Laurent,
    }
    return others[kind](intervals, order)


def _slope(intervals: Intervals, sumw: FloatArray) -> float:
    """Slope of the exponential through the densities of the first and last interval."""
    if len(sumw) < 2 or sumw[0] <= 0 or sumw[-1] <= 0:
        return 0.0
    density = sumw / np.diff(intervals, axis=1)[:, 0]
    middle = intervals.mean(axis=1)
    return float(np.log(density[0] / density[-1]) / (middle[-1] - middle[0]))


def _log_exponential(slope: float, at: Intervals) -> tuple[FloatArray, FloatArray]:
    """Log of the integral of ``exp(-slope y)`` over intervals in y, and its derivative."""
    low, width = at[:, 0], at[:, 1] - at[:, 0]
    z = slope * width
    small = np.abs(z) < 1e-2
    safe = np.where(small, 1.0, z)
    # ln((1 - exp(-z)) / z) and its derivative; the series are exact to rounding below 0.01.
    log_mean = np.where(
        small,
        -z / 2 + z**2 / 24 - z**4 / 2880 + z**6 / 181440,
        np.where(
            safe > 0,
            np.log(-np.expm1(-np.abs(safe)) / np.abs(safe)),
            np.log(-np.expm1(-np.abs(safe)) / np.abs(safe)) - safe,
        ),
    )
    with np.errstate(over="ignore"):
        slope_mean = np.where(
            small,
            -0.5 + z / 12 - z**3 / 720 + z**5 / 30240,
            1.0 / np.expm1(safe) - 1.0 / safe,
        )
    log_integral = -slope * low + np.log(width) + log_mean
    return log_integral, (-low + width * slope_mean)[:, None]
