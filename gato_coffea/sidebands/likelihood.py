"""The weighted binned Poisson likelihood, its minimum, covariance and goodness of fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from iminuit import Minuit
from scipy.stats import chi2 as chi2_distribution

from gato_coffea.events.samples import FloatArray
from gato_coffea.sidebands.families import Family, Intervals

MIN_EFFECTIVE_PER_BIN = 10.0
"""Effective entries of a bin of the chi-squared: from ten on its sum is distributed like one."""

FINE_BINS = 100
"""Bins of a sideband that hold, to less than a thousandth, what unbinned events know."""
LIMIT_FRACTION = 1e-2
"""Distance to the end of its range, in units of it, at which a parameter is tried there:
minimisers stop a little before an end."""

MAX_LOSS = 1e-3
"""How much log likelihood, in units of the mean weight, a parameter put at its limit may cost."""


@dataclass(frozen=True, kw_only=True)
class SidebandData:
    """Bins inside the sidebands.

    Attributes
    ----------
    bins
        Their intervals in GeV, shape ``(N, 2)``; they tile the sidebands.
    band
        Sideband of each bin, shape ``(N,)``.
    sumw, sumw2
        Sums of weights and of squared weights, shape ``(N,)``.
    """

    bins: Intervals
    band: npt.NDArray[np.int64]
    sumw: FloatArray
    sumw2: FloatArray

    @property
    def bands(self) -> tuple[tuple[float, float], ...]:
        """The sidebands on the bin edges themselves: bins of a function there sum to its yield."""
        inside = (self.bins[self.band == i] for i in range(int(self.band.max()) + 1))
        return tuple((float(bins[:, 0].min()), float(bins[:, 1].max())) for bins in inside)

    @property
    def scale(self) -> float:
        """Mean weight of an entry, sumw2 over sumw; 1 where there is no positive yield."""
        total, total2 = self.sumw.sum(), self.sumw2.sum()
        return float(total2 / total) if total > 0 and total2 > 0 else 1.0

    @property
    def effective_entries(self) -> float:
        """Square of the yield over the sum of squared weights."""
        total2 = self.sumw2.sum()
        return float(self.sumw.sum() ** 2 / total2) if total2 > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class Minimum:
    """Where the likelihood is largest.

    Attributes
    ----------
    parameters
        Shape ``(P,)``.
    covariance
        Sandwich estimate, shape ``(P, P)``. Where a parameter sits at its limit, as if there were
        no limit, and enlarged by the way to the minimum without it (see `beyond_limits`).
    nll
        ``sum(mu - sumw ln mu)`` there.
    at_limit
        Names of the parameters that sit at a limit.
    valid
        Whether the minimiser converged.
    """

    parameters: FloatArray
    covariance: FloatArray
    nll: float
    at_limit: tuple[str, ...]
    valid: bool


def minimise(family: Family, data: SidebandData) -> Minimum:
    """Fit a family to the sidebands by maximum weighted Poisson likelihood.

    The likelihood ``sum(mu - sumw ln mu)`` runs over all bins, empty ones included; ``mu`` is the
    exact integral of the function over the bin. Negative ``sumw`` is legal.
    """
    scale = data.scale

    def objective(parameters: FloatArray) -> float:
        mu = np.maximum(family.expected(parameters, data.bins)[0], 1e-300)
        return float((mu - data.sumw * np.log(mu)).sum() / scale)

    def gradient(parameters: FloatArray) -> FloatArray:
        mu, slope = family.expected(parameters, data.bins)
        mu = np.maximum(mu, 1e-300)
        return np.asarray((1.0 - data.sumw / mu) @ slope / scale)

    per_band = np.bincount(data.band, data.sumw, len(family.sidebands)).astype(np.float64)
    start = family.start(per_band)
    minuit = Minuit(objective, start, grad=gradient, name=list(family.names))
    minuit.errordef = Minuit.LIKELIHOOD
    minuit.tol = 1e-4
    minuit.print_level = 0
    minuit.limits = family.limits()
    minuit.errors = _steps(family, start, data)
    minuit.migrad()
    _settle_at_limits(minuit, unit=float(np.sqrt(scale * max(data.sumw.sum(), 0.0))))
    parameters = np.array(minuit.values)
    limited = np.array(minuit.fixed)
    mu, slope = family.expected(parameters, data.bins)
    covariance = sandwich(mu, slope, data.sumw2)
    if limited.any():
        step = beyond_limits(mu, slope, data.sumw)
        covariance = covariance + np.outer(step, step)
    return Minimum(
        parameters=parameters,
        covariance=covariance,
        nll=objective(parameters) * scale,
        at_limit=tuple(n for n, at in zip(family.names, limited, strict=True) if at),
        valid=bool(minuit.valid),
    )


def sandwich(mu: FloatArray, slope: FloatArray, sumw2: FloatArray) -> FloatArray:
    """Covariance ``J V J`` of the parameters of a weighted likelihood.

    ``J`` is the inverse of the expected second derivative of the likelihood and ``V`` the variance
    of its first derivative, from the sums of squared weights (Huber 1967).

    Parameters
    ----------
    mu, slope
        Expected yields ``(N,)`` and their gradient ``(N, P)``.
    sumw2
        Sums of squared weights, shape ``(N,)``.
    """
    inverse, score = _inverse_information(mu, slope)
    return np.asarray(inverse @ (score.T @ (score * sumw2[:, None])) @ inverse)


def counting_covariance(family: Family, parameters: FloatArray) -> FloatArray:
    """Covariance of the parameters in a fit of as many events of data as they expect, ``(P, P)``.

    The inverse of the expected information of Poisson counts in fine bins of the sidebands.
    """
    edges = np.linspace(family.sidebands[:, 0], family.sidebands[:, 1], FINE_BINS + 1, axis=1)
    at = np.stack([edges[:, :-1].ravel(), edges[:, 1:].ravel()], axis=1)
    return _inverse_information(*family.expected(parameters, at))[0]


def beyond_limits(mu: FloatArray, slope: FloatArray, sumw: FloatArray) -> FloatArray:
    """Newton's step from the minimum inside the limits to the one without limits, ``(P,)``.

    A parameter at its limit has no error there, and what the function would like to be is a
    measure of what the limit does to it. Taken as an error beside the covariance without limits,
    it covers in 0.67 to 0.95 of toys whose spectrum the function without limits can describe;
    the covariance of the free parameters alone covers in 0 to 0.7 of them.
    """
    inverse, _ = _inverse_information(mu, slope)
    return np.asarray(inverse @ ((sumw / np.maximum(mu, 1e-300) - 1.0) @ slope))


def _inverse_information(mu: FloatArray, slope: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Inverse of the expected second derivative, and the gradient of ``ln mu``, ``(N, P)``."""
    score = slope / np.maximum(mu, 1e-300)[:, None]
    information = score.T @ (score * mu[:, None])
    return np.asarray(np.linalg.pinv(information, hermitian=True), dtype=np.float64), score


def goodness_of_fit(mu: FloatArray, data: SidebandData, *, n_free: int) -> tuple[float, int]:
    """Chi-squared and its degrees of freedom, on merged bins.

    Neighbouring bins of a sideband are merged until the expectation is worth ten effective
    entries; the variance of a merged bin is ``scale * mu``. With no degree of freedom left the
    second value is 0.
    """
    scale = data.scale
    chi2, n_bins = 0.0, 0
    for band in np.unique(data.band):
        inside = data.band == band
        groups = _merged(mu[inside] / scale)
        expected = np.bincount(groups, mu[inside])
        observed = np.bincount(groups, data.sumw[inside])
        chi2 += float(((observed - expected) ** 2 / (scale * expected)).sum())
        n_bins += len(expected)
    return chi2, max(n_bins - n_free, 0)


def p_value(chi2: float, ndf: int) -> float | None:
    """Probability of a larger chi-squared; None without degrees of freedom."""
    return float(chi2_distribution.sf(chi2, ndf)) if ndf > 0 else None


def _merged(entries: FloatArray) -> npt.NDArray[np.int64]:
    """Group of each bin, so that every group holds enough entries; the rest joins the last."""
    group = np.zeros(len(entries), dtype=np.int64)
    current, filled = 0, 0.0
    for i, value in enumerate(entries):
        group[i] = current
        filled += value
        if filled >= MIN_EFFECTIVE_PER_BIN:
            current, filled = current + 1, 0.0
    return np.minimum(group, max(current - 1, 0))


def _steps(family: Family, start: FloatArray, data: SidebandData) -> list[float]:
    mu, slope = family.expected(start, data.bins)
    error = np.sqrt(np.diag(sandwich(mu, slope, data.scale * mu)))
    return [
        float(e) if e > 0 else 1e-3 * max(abs(s), 1.0) for e, s in zip(error, start, strict=True)
    ]


def _settle_at_limits(minuit: Minuit, *, unit: float) -> None:
    """Fix each parameter that ended beside a limit exactly there, and fit the others again.

    Minuit only creeps towards a limit, and a parameter that is free there has no meaningful
    error. ``unit`` is the statistical error of the whole yield, the scale of a coefficient.
    """
    beside = []
    for i, (value, (low, high)) in enumerate(zip(minuit.values, minuit.limits, strict=True)):
        for limit in (low, high):
            near = LIMIT_FRACTION * (unit if limit == 0 else abs(limit))
            if np.isfinite(limit) and abs(value - limit) < near:
                beside.append((i, limit))
    if not beside:
        return
    free = np.array(minuit.values), minuit.fval
    for i, limit in beside:
        minuit.values[i], minuit.fixed[i] = limit, True
    minuit.migrad()
    if minuit.fval > free[1] + MAX_LOSS:
        minuit.values, minuit.fixed = free[0], False
        minuit.migrad()
