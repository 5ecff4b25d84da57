"""Figures of merit of an analysis: significance, precision and limit of each signal.

Each is computed with all nuisance parameters profiled, on Asimov data (G. Cowan, K. Cranmer,
E. Gross, O. Vitells, EPJC 71 (2011) 1554), and knows its derivative by every yield. By the
envelope theorem that is the partial derivative at the fitted parameters: nothing is
differentiated through the fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import norm

from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import BoolArray, FloatArray
from gato_coffea.statistics.counting import category_z2
from gato_coffea.statistics.fixed import FixedFigure, fixed_deviance, fixed_information
from gato_coffea.statistics.likelihood import Likelihood, Terms
from gato_coffea.statistics.profile import fit

Others = Literal["fixed", "profiled"]

LIMIT_Q = float(norm.isf(0.025) ** 2)
"""``q_mu`` of the median expected limit at 95 %: ``CLs = 2 [1 - Phi(sqrt(q_mu))] = 0.05`` on
background-only Asimov data, for which ``CLb`` is one half."""

LIMIT_PRECISION = 1e-9
"""Relative precision of the limit."""

UNMEASURED = 1e-6
"""Ratio to the figure without nuisance parameters below which nothing is measured: the rounding of
a fit leaves 1e-8 of it, and no uncertainty that analyses have costs as much."""


@dataclass(frozen=True, kw_only=True)
class Gradient:
    """Derivatives of a figure by the yields, in the shapes of `BinnedYields`."""

    nominal: FloatArray
    up: FloatArray
    down: FloatArray
    sumw2: FloatArray


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of merit.

    Attributes
    ----------
    value
        The figure, shape ``(...)``: larger is better.
    square
        Its square.
    a
        Nuisance parameters that it was taken at, shape ``(..., J)``, by name in ``names``.
    gradient
        Derivatives of ``square``.
    fixed
        The figure at the fitted parameters, as a sum over categories.
    """

    value: FloatArray
    square: FloatArray
    names: tuple[str, ...]
    a: FloatArray
    gradient: Gradient
    fixed: FixedFigure

    @property
    def pulls(self) -> Mapping[str, FloatArray]:
        """Nuisance parameters by name, in standard deviations; free ones as log of the factor."""
        return {name: self.a[..., j] for j, name in enumerate(self.names)}


def significance(
    likelihood: Likelihood,
    signal: str,
    *,
    others: Others = "fixed",
    start: FloatArray | None = None,
) -> Figure:
    """Median discovery significance of a signal, ``sqrt(q0)`` on the Asimov data of its presence.

    Parameters
    ----------
    likelihood
        Yields and uncertainties.
    signal
        One of the signals.
    others
        Whether the strengths of the other signals are ``fixed`` at one or ``profiled``.
    start
        Nuisance parameters to begin the fit at.

    Raises
    ------
    OptimisationError
        If the fit finds no minimum.
    """
    full = _with_others(likelihood, signal, others)
    observed = full.nominal.sum(axis=-2)
    strength = full.strengths([signal], 0.0)
    done = fit(full, strength=strength, observed=observed, start=start)
    gradient = _gradient(full, done.terms, observed, strength, events_at=np.ones(len(strength)))
    square = done.terms.value
    if not full.names and not full.relative_variance.any():
        square = _counting(full, signal)
    square = np.maximum(square, 0.0)
    return Figure(
        value=np.sqrt(square),
        square=square,
        names=full.names,
        a=done.a,
        gradient=gradient,
        fixed=fixed_deviance(full, done.a, strength=strength, events_at=np.ones(len(strength))),
    )


def _with_others(likelihood: Likelihood, signal: str, others: Others) -> Likelihood:
    signals = likelihood.yields.signals
    if signal not in signals:
        raise OptimisationError(
            f"signal: is not there (got {signal!r}; allowed: {', '.join(signals)})"
        )
    if others == "fixed":
        return likelihood
    return likelihood.with_free([s for s in signals if s != signal])


def _counting(likelihood: Likelihood, signal: str) -> FloatArray:
    """Without any uncertainty: the sum over categories, precise for every size of the signal."""
    y, rows = likelihood.yields, likelihood.is_signal
    signals = np.stack([y.nominal[..., y.rows_of([s]), :].sum(axis=-2) for s in y.signals], -2)
    each = category_z2(signals, y.nominal[..., ~rows, :].sum(axis=-2)).sum(axis=-1)
    return np.asarray(each[..., y.signals.index(signal)])


def _gradient(
    likelihood: Likelihood,
    terms: Terms,
    observed: FloatArray,
    strength: FloatArray,
    *,
    events_at: FloatArray,
) -> Gradient:
    """Derivatives of ``-2 ln L`` by the yields, those in the Asimov data included.

    Parameters
    ----------
    events_at
        Strength of each row in the Asimov data, shape ``(C,)``.
    """
    moved, nu, rows = terms.moved, terms.nu, likelihood.is_signal
    seen = (nu > 0) & (observed > 0)
    safe = np.where(seen, nu, 1.0)
    pull = np.where(seen, 1.0 - observed / safe, np.where(observed > 0, 0.0, 1.0))
    weight = np.where(rows[:, None], 1.0, terms.gamma[..., None, :]) * strength[..., None]
    by_nu = 2.0 * pull[..., None, :] * weight * moved.factor
    by_n = 2.0 * np.where(seen, np.log(np.where(seen, observed, 1.0) / safe), 0.0)
    up, down = moved.variations.up, moved.variations.down
    still = 1.0 - (up + down).sum(axis=-1)
    nominal = still[..., None, None] * by_nu + events_at[:, None] * by_n[..., None, :]
    # The prior of the factor on the background, t**2 / r**2 with r**2 = sumw2 / B**2.
    b = np.where(likelihood.known, likelihood.background, 1.0)
    by_relative = -((terms.background * pull) ** 2)
    sumw2 = np.where(likelihood.known, by_relative / b**2, 0.0)
    by_total = -2.0 * by_relative * likelihood.relative_variance / b
    nominal = nominal + np.where(rows[:, None], 0.0, by_total[..., None, :])
    by_nu = by_nu[..., None, :, :]
    return _kept(
        likelihood,
        Gradient(
            nominal=nominal,
            up=up[..., None, None] * by_nu,
            down=down[..., None, None] * by_nu,
            sumw2=sumw2,
        ),
    )


def _kept(likelihood: Likelihood, gradient: Gradient) -> Gradient:
    """The gradient where yields count: a clipped one has no effect."""
    known, rows = likelihood.known, likelihood.is_signal[:, None]
    y = likelihood.yields
    assert y.up is not None
    assert y.down is not None

    def kept(derivative: FloatArray, values: FloatArray, known: BoolArray) -> FloatArray:
        return np.where(known & (~rows | (values > 0)), derivative, 0.0)

    return Gradient(
        nominal=kept(gradient.nominal, y.nominal, known[..., None, :]),
        up=kept(gradient.up, y.up, known[..., None, None, :]),
        down=kept(gradient.down, y.down, known[..., None, None, :]),
        sumw2=gradient.sumw2,
    )


def precision(
    likelihood: Likelihood,
    signal: str,
    *,
    others: Others = "fixed",
    start: FloatArray | None = None,
) -> Figure:
    """Inverse of the uncertainty of a signal's strength, from the information at the Asimov point.

    Parameters
    ----------
    likelihood, signal, others, start
        As in `significance`; nothing is fitted here, so that the start does not matter.
    """
    return _information(_with_others(likelihood, signal, others), (signal,))


def determinant(likelihood: Likelihood) -> Figure:
    """Geometric mean of the precisions along the axes of the ellipse of all signals' strengths.

    ``det(information)**(1 / 2S)`` of the strengths of ``S`` signals, nuisance parameters
    profiled; for one signal it is `precision`.
    """
    return _information(likelihood, likelihood.yields.signals)


def _information(likelihood: Likelihood, signals: tuple[str, ...]) -> Figure:
    y, rows = likelihood.yields, likelihood.is_signal
    n_j, n_s = len(likelihood.names), len(signals)
    a = np.zeros((*y.nominal.shape[:-2], n_j))
    observed = likelihood.nominal.sum(axis=-2)
    strength = np.ones(len(y.processes))
    terms = likelihood.terms(a, strength=strength, observed=observed)
    picked = np.array([y.rows_of([s]) for s in signals], dtype=np.float64)
    slope = sum(likelihood.slopes(terms))
    own = picked @ likelihood.nominal
    variance = likelihood.relative_variance * likelihood.background**2
    total = observed + variance
    c = np.where(total > 0, 1.0 / np.where(total > 0, total, 1.0), 0.0)
    inner = (slope * c[..., None, :]) @ np.swapaxes(slope, -1, -2) + np.diag(likelihood.prior)
    cross = (slope * c[..., None, :]) @ np.swapaxes(own, -1, -2)
    beta = np.zeros((*a.shape[:-1], 0, n_s))
    if n_j:
        # A parameter without effect and without prior would have no curvature at all.
        ridge = 1e-12 * np.maximum(np.diagonal(inner, 0, -2, -1).max(axis=-1), 1e-300)
        beta = np.linalg.solve(inner + ridge[..., None, None] * np.eye(n_j), cross)
    left = own - np.swapaxes(beta, -1, -2) @ slope
    matrix = (left * c[..., None, :]) @ np.swapaxes(left, -1, -2)
    matrix = matrix + np.swapaxes(beta, -1, -2) @ (likelihood.prior[:, None] * beta)
    sign, log_det = np.linalg.slogdet(matrix)
    square = np.where(sign > 0, np.exp(log_det / n_s), 0.0)
    # d square = square / S * trace(matrix^-1 d matrix), at fixed beta.
    ridge_m = 1e-15 * np.maximum(np.trace(matrix, axis1=-2, axis2=-1), 1e-300)
    inverse = np.linalg.inv(matrix + ridge_m[..., None, None] * np.eye(n_s))
    scale = (square / n_s)[..., None, None] * inverse
    by_left = 2.0 * (scale @ left) * c[..., None, :]
    by_c = ((scale @ left) * left).sum(axis=-2)
    by_total = -by_c * c**2
    by_slope = -beta @ by_left
    n_v = likelihood.n_variations
    nominal = np.swapaxes(picked, 0, 1) @ by_left + by_total[..., None, :]
    up = 0.5 * by_slope[..., :n_v, None, :] * np.ones((len(rows), 1))
    if likelihood.normalisations:
        nominal = nominal + (terms.moved.each.rate * by_slope[..., n_v:, None, :]).sum(axis=-3)
    gradient = Gradient(nominal=nominal, up=up, down=-up, sumw2=by_total)
    return Figure(
        value=np.sqrt(square),
        square=square,
        names=likelihood.names,
        a=a,
        gradient=_kept(likelihood, gradient),
        fixed=fixed_information(likelihood, signals, beta, weights=scale),
    )


def limit(
    likelihood: Likelihood,
    signal: str,
    *,
    others: Others = "fixed",
    start: FloatArray | None = None,
) -> Figure:
    """Inverse of the median expected upper limit on a signal's strength, CLs at 95 %.

    Asymptotic, with the test statistic ``q_mu`` tilde, on the Asimov data of background only
    (other signals present at strength one).

    Parameters
    ----------
    likelihood, signal, others, start
        As in `significance`.

    Raises
    ------
    OptimisationError
        If a fit finds no minimum, no strength is excluded, or free parameters can imitate the
        signal.
    """
    full = _with_others(likelihood, signal, others)
    absent = full.strengths([signal], 0.0)
    row = full.yields.rows_of([signal]).astype(np.float64)
    observed = (absent[:, None] * full.nominal).sum(axis=-2)
    has_signal = (row[:, None] * full.nominal).sum(axis=(-2, -1)) > 0
    if not has_signal.all():
        raise OptimisationError(f"limit: {signal} has no positive yield beside a background")
    measured = _information(full, (signal,)).value
    s, total = (row[:, None] * full.nominal).sum(axis=-2), full.nominal.sum(axis=-2)
    known = np.sqrt((s**2 / np.where(total > 0, total, 1.0)).sum(axis=-1))
    if (measured < UNMEASURED * known).any():
        free = [name for name, prior in zip(full.names, full.prior, strict=True) if prior == 0]
        raise OptimisationError(f"limit: {unmeasured(signal, free)}")
    mu = np.sqrt(LIMIT_Q) / measured
    a = start
    for _ in range(60):
        strength = absent + mu[..., None] * row
        done = fit(full, strength=strength, observed=observed, start=a)
        a = done.a
        by_strength = _by_strength(full, done.terms, observed, row)
        # sqrt(q) is nearly linear in the strength.
        change = (LIMIT_Q - np.sqrt(LIMIT_Q * done.terms.value)) * 2.0 / by_strength
        change = np.clip(change, -0.6 * mu, 4.0 * mu)
        if (np.abs(change) < LIMIT_PRECISION * mu).all():
            break
        mu = mu + change
    else:
        raise OptimisationError(f"limit: no strength of {signal} up to {mu.max():.3g} is excluded")
    strength = absent + mu[..., None] * row
    by_q = _gradient(full, done.terms, observed, strength, events_at=absent)
    # The figure is 1 / mu; its square changes by -2 / mu**3 d mu, d mu = -dq / (dq / d mu).
    factor = 2.0 / mu**3 / by_strength
    return Figure(
        value=1.0 / mu,
        square=1.0 / mu**2,
        names=full.names,
        a=done.a,
        gradient=Gradient(
            nominal=factor[..., None, None] * by_q.nominal,
            up=factor[..., None, None, None] * by_q.up,
            down=factor[..., None, None, None] * by_q.down,
            sumw2=factor[..., None] * by_q.sumw2,
        ),
        # To first order, where q is no minimum over the strength but fixed.
        fixed=fixed_deviance(
            full,
            done.a,
            strength=strength,
            events_at=absent,
            scale=factor,
            offset=1.0 / (mu**2 * factor) - LIMIT_Q,
        ),
    )


def unmeasured(signal: str, free: Sequence[str]) -> str:
    """Why there is no figure of a signal, in words."""
    return (
        f"the strength of {signal} is not measured: free parameters ({', '.join(free)}) can "
        "imitate the signal in these categories"
    )


def _by_strength(
    likelihood: Likelihood, terms: Terms, observed: FloatArray, row: FloatArray
) -> FloatArray:
    """Derivative of ``-2 ln L`` by a signal's strength, shape ``(...)``."""
    nu = np.where(terms.nu > 0, terms.nu, 1.0)
    pull = np.where(terms.nu > 0, 2.0 * (1.0 - observed / nu), 2.0)
    per_category = (row[:, None] * terms.moved.yields).sum(axis=-2)
    return np.asarray((pull * per_category).sum(axis=-1))
