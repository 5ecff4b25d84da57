"""Background prediction in the signal window from a fit to the mass sidebands."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gato_coffea.errors import InputError
from gato_coffea.events.arrays import FloatArray
from gato_coffea.events.features import edge_positions
from gato_coffea.rendering.rounding import uncertainty, with_error
from gato_coffea.sidebands.families import Family, family_named
from gato_coffea.sidebands.likelihood import (
    Minimum,
    SidebandData,
    counting_covariance,
    goodness_of_fit,
    minimise,
    p_value,
)

Range = tuple[float, float]
logger = logging.getLogger(__name__)

FEW_ENTRIES = 30.0
"""Effective entries below which only the simplest function is fitted: three bins of the
chi-squared, and no second parameter is known."""

ACCEPTED_LEVEL = 0.01
"""p-value above which a function describes the sidebands: of ten categories one is refused by
chance in ten analyses."""

NO_ENTRIES_LIMIT = 1.14
"""Poisson upper limit at 68 % where nothing was seen, in entries: -ln(0.32)."""


@dataclass(frozen=True, kw_only=True)
class SidebandFit:
    """A function fitted to the sidebands, and what it predicts.

    Attributes
    ----------
    family, names, parameters, covariance
        The function, and its parameters with their sandwich covariance.
    sidebands, window
        Intervals in GeV.
    sideband_yield, effective_entries
        Sum of weights in the sidebands, and its square over the sum of squared weights.
    window_yield, window_error
        Predicted yield in the window and its statistical error.
    nll, chi2, ndf, p_value
        ``sum(mu - sumw ln mu)`` at the minimum, and goodness of fit on merged bins; the p-value
        is None without degrees of freedom.
    status
        ``ok``, ``at limit`` (a parameter is at the end of its range), ``poor fit`` (p below
        0.01), ``few entries`` (below 30 effective ones), ``empty`` (no positive yield: a flat
        function, not a fit) or ``failed`` (no minimum found).
    notes
        What a reader should know, one sentence each.
    """

    family: str
    names: tuple[str, ...]
    parameters: FloatArray
    covariance: FloatArray
    sidebands: tuple[Range, ...]
    window: Range
    sideband_yield: float
    effective_entries: float
    window_yield: float
    window_error: float
    nll: float
    chi2: float
    ndf: int
    p_value: float | None
    status: str
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        window = with_error(self.window_yield, self.window_error)
        return f"SidebandFit({self.family}: {window} in the window, {self.status})"

    @property
    def accepted(self) -> bool:
        """Whether the function describes the sidebands."""
        return self.usable and (self.p_value is None or self.p_value > ACCEPTED_LEVEL)

    @property
    def usable(self) -> bool:
        """Whether it is a fit that has found its minimum, good or not."""
        return self.status not in ("failed", "empty")

    def expected(self, edges: npt.ArrayLike) -> FloatArray:
        """Expected yield between neighbouring edges in GeV, shape ``(len(edges) - 1,)``."""
        edges = np.asarray(edges, dtype=np.float64)
        at = np.stack([edges[:-1], edges[1:]], axis=1)
        return self._family.expected(self.parameters, at)[0]

    def density(self, edges: npt.ArrayLike) -> FloatArray:
        """Expected yield per GeV in the bins between edges, shape ``(len(edges) - 1,)``."""
        return self.expected(edges) / np.diff(np.asarray(edges, dtype=np.float64))

    def curve(self, mass_gev: npt.ArrayLike) -> FloatArray:
        """Expected yield per GeV at each mass."""
        return self._narrow(mass_gev)[0]

    def curve_error(self, mass_gev: npt.ArrayLike) -> FloatArray:
        """Statistical error of `curve`."""
        gradient = self._narrow(mass_gev)[1]
        variance = np.einsum("np,pq,nq->n", gradient, self.covariance, gradient)
        return np.asarray(np.sqrt(variance))

    def variations(self, edges: npt.ArrayLike) -> list[tuple[FloatArray, FloatArray]]:
        """Expected yields one standard deviation up and down, for each independent direction.

        The covariance of the parameters is the sum of the outer products of the directions, so
        that the directions are uncorrelated; directions without variance are left out.
        """
        edges = np.asarray(edges, dtype=np.float64)
        at = np.stack([edges[:-1], edges[1:]], axis=1)
        value, gradient = self._family.expected(self.parameters, at)
        sigma = np.sqrt(np.diag(self.covariance))
        scale = np.where(sigma > 0, sigma, 1.0)
        size, direction = np.linalg.eigh(self.covariance / np.outer(scale, scale))
        shifts = gradient @ (scale[:, None] * direction * np.sqrt(np.maximum(size, 0.0)))
        return [
            (np.maximum(value + shift, 0.0), np.maximum(value - shift, 0.0))
            for shift, s in zip(shifts.T, size, strict=True)
            if s > 1e-9
        ]

    def with_counting(self) -> SidebandFit:
        """The fit to simulation, with the error of data of the same yield beside its own."""
        covariance = self.covariance + counting_covariance(self._family, self.parameters)
        gradient = self._family.expected(self.parameters, np.array([self.window]))[1][0]
        error = float(np.sqrt(gradient @ covariance @ gradient))
        return replace(self, covariance=covariance, window_error=error)

    def _narrow(self, mass_gev: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        mass = np.atleast_1d(np.asarray(mass_gev, dtype=np.float64))
        half = 1e-4 * (self._family.span[1] - self._family.span[0])
        at = np.stack([mass - half, mass + half], axis=1)
        value, gradient = self._family.expected(self.parameters, at)
        return value / (2 * half), gradient / (2 * half)

    @property
    def _family(self) -> Family:
        return family_named(self.family, sidebands=self.sidebands)

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON values."""
        return {
            "family": self.family,
            "parameters": dict(zip(self.names, self.parameters.tolist(), strict=True)),
            "covariance": self.covariance.tolist(),
            "sidebands_gev": [list(band) for band in self.sidebands],
            "window_gev": list(self.window),
            "sideband_yield": self.sideband_yield,
            "effective_entries": self.effective_entries,
            "window_yield": self.window_yield,
            "window_error": self.window_error,
            "nll": self.nll,
            "chi2": self.chi2,
            "ndf": self.ndf,
            "p_value": self.p_value,
            "status": self.status,
            "notes": list(self.notes),
        }


def sideband_data(
    sumw: npt.ArrayLike,
    sumw2: npt.ArrayLike,
    edges: npt.ArrayLike,
    *,
    sidebands: Sequence[Range],
    place: str = "sidebands",
) -> SidebandData:
    """The bins of a mass histogram that lie inside the sidebands.

    Parameters
    ----------
    sumw, sumw2
        Contents of the whole histogram, shape ``(N,)``.
    edges
        Bin edges in GeV, shape ``(N + 1,)``.
    sidebands
        Intervals in GeV that begin and end on bin edges.
    place
        What an error message speaks of.

    Raises
    ------
    InputError
        If a sideband cuts a bin, lies outside the histogram, or contents are not finite.
    """
    edges = np.asarray(edges, dtype=np.float64)
    contents = [np.asarray(a, dtype=np.float64) for a in (sumw, sumw2)]
    for name, array in zip(("sumw", "sumw2"), contents, strict=True):
        if array.shape != (len(edges) - 1,) or not np.isfinite(array).all():
            raise InputError(
                f"{place}: {name} must be finite, of shape ({len(edges) - 1},) "
                f"(got shape {array.shape})"
            )
    positions, band = [], []
    for i, interval in enumerate(sidebands):
        first, last = (edge_index(edge, edges, place=place) for edge in interval)
        positions.append(np.arange(first, last))
        band.append(np.full(last - first, i))
    at = np.concatenate(positions)
    return SidebandData(
        bins=np.stack([edges[:-1], edges[1:]], axis=1)[at],
        band=np.concatenate(band).astype(np.int64),
        sumw=contents[0][at],
        sumw2=contents[1][at],
    )


def edge_index(value: float, edges: FloatArray, *, place: str) -> int:
    """Position of a bin edge, or an error that says how the bins do not fit.

    Raises
    ------
    InputError
        If the value lies inside a bin or outside the histogram.
    """
    position = int(edge_positions(np.array([value]), edges)[0])
    if position < 0:
        nearest = int(np.abs(edges - value).argmin())
        raise InputError(
            f"{place}: {value:g} GeV is no bin edge of the mass histogram (nearest "
            f"{edges[nearest]:g}, {len(edges) - 1} bins from {edges[0]:g} to {edges[-1]:g}); "
            "choose mass.bins so that window and sidebands begin and end on bin edges"
        )
    return position


def fit_sidebands(
    sumw: npt.ArrayLike,
    sumw2: npt.ArrayLike,
    edges: npt.ArrayLike,
    *,
    sidebands: Sequence[Range],
    window: Range,
    family: str = "exponential",
    place: str = "sidebands",
) -> SidebandFit:
    """Fit one function to the sidebands and predict the yield in the window.

    The estimator is a binned weighted Poisson likelihood with exact bin integrals, fitted and
    normalised on the sidebands only; the covariance is the sandwich of `sandwich`. Contents
    outside the sidebands are never looked at. Weights may be negative.

    Parameters
    ----------
    sumw, sumw2
        Sums of weights and of squared weights, shape ``(N,)``.
    edges
        Bin edges in GeV, shape ``(N + 1,)``.
    sidebands, window
        Intervals in GeV; sidebands begin and end on bin edges.
    family
        One of `FAMILIES`.
    place
        What messages speak of, such as ``category 2``; empty for no warnings in the log.

    Raises
    ------
    InputError
        If the function is unknown, a sideband cuts a bin, the window does not lie between
        sidebands, or contents are not finite.
    """
    data = sideband_data(sumw, sumw2, edges, sidebands=sidebands, place=place)
    window = (float(window[0]), float(window[1]))
    _check_between(window, data.bands, place=place)
    return _fitted(data, window, family=family, place=place)


def fit_near_window(
    sumw: npt.ArrayLike,
    sumw2: npt.ArrayLike,
    edges: npt.ArrayLike,
    *,
    sidebands: Sequence[Range],
    window: Range,
) -> tuple[SidebandFit, ...]:
    """Exponentials through the halves of the sidebands that lie next to the window.

    The first uses both halves, the others one alone. They show how far functions of the whole
    range may be wrong where none of them describes it.

    Parameters
    ----------
    sumw, sumw2, edges, sidebands, window
        As in `fit_sidebands`.
    """
    edges = np.asarray(edges, dtype=np.float64)
    window = (float(window[0]), float(window[1]))
    below = max(band for band in sidebands if band[1] <= window[0])
    above = min(band for band in sidebands if band[0] >= window[1])
    first, last = (float(edges[np.abs(edges - np.mean(b)).argmin()]) for b in (below, above))
    below = (first, below[1]) if first < below[1] else below
    above = (above[0], last) if last > above[0] else above
    return tuple(
        _fitted(
            sideband_data(sumw, sumw2, edges, sidebands=bands),
            window,
            family="exponential",
            place="",
        )
        for bands in ((below, above), (below,), (above,))
    )


def _fitted(data: SidebandData, window: Range, *, family: str, place: str) -> SidebandFit:
    function = family_named(family, sidebands=data.bands)
    if data.sumw.sum() <= 0:
        return _flat(data, window, place=place)
    minimum = minimise(function, data)
    mu = function.expected(minimum.parameters, data.bins)[0]
    n_free = len(minimum.parameters) - len(minimum.at_limit)
    chi2, ndf = goodness_of_fit(mu, data, n_free=n_free)
    value, gradient = function.expected(minimum.parameters, np.array([window]))
    fit = SidebandFit(
        family=family,
        names=function.names,
        parameters=minimum.parameters,
        covariance=minimum.covariance,
        sidebands=data.bands,
        window=window,
        sideband_yield=float(data.sumw.sum()),
        effective_entries=data.effective_entries,
        window_yield=float(value[0]),
        window_error=float(np.sqrt(gradient[0] @ minimum.covariance @ gradient[0])),
        nll=minimum.nll,
        chi2=chi2,
        ndf=ndf,
        p_value=p_value(chi2, ndf),
        status="ok",
    )
    return _judged(fit, minimum, place=place)


def _check_between(window: Range, bands: Sequence[Range], *, place: str) -> None:
    """Refuse to extrapolate, and to fit what is to be predicted."""
    below = any(band[1] <= window[0] for band in bands)
    above = any(band[0] >= window[1] for band in bands)
    overlap = any(band[0] < window[1] and band[1] > window[0] for band in bands)
    if not (below and above) or overlap:
        raise InputError(
            f"{place}: the window must lie between sidebands without overlap (got window "
            f"{list(window)}, sidebands {[list(band) for band in bands]} GeV)"
        )


def _judged(fit: SidebandFit, minimum: Minimum, *, place: str) -> SidebandFit:
    """The fit with its status and notes; what is wrong is also logged."""
    status, notes = "ok", []
    if minimum.at_limit:
        status = "at limit"
        notes.append(f"{', '.join(minimum.at_limit)} at the limit of its range")
    if fit.p_value is not None and fit.p_value <= ACCEPTED_LEVEL:
        status = "poor fit"
        notes.append(f"goodness of fit p = {uncertainty(fit.p_value)}")
    if fit.effective_entries < FEW_ENTRIES:
        status = "few entries"
        notes.append(f"only {fit.effective_entries:.1f} effective entries in the sidebands")
    if not minimum.valid or not np.isfinite([fit.window_yield, fit.window_error]).all():
        status = "failed"
        notes.append("the minimiser did not converge")
    if place and status in ("few entries", "failed"):
        logger.warning("%s: %s: %s (%s)", place, fit.family, status, "; ".join(notes))
    return replace(fit, status=status, notes=tuple(notes))


def _flat(data: SidebandData, window: Range, *, place: str) -> SidebandFit:
    """No fit: a flat density where the sidebands hold no positive yield."""
    width = float(np.diff(data.bins, axis=1).sum())
    ratio = (window[1] - window[0]) / width
    total = float(data.sumw.sum())
    error = float(np.sqrt(data.sumw2.sum())) or NO_ENTRIES_LIMIT
    note = f"no positive yield in the sidebands (sum of weights {total:g}); a flat density is used"
    if place:
        logger.warning("%s: %s", place, note)
    return SidebandFit(
        family="exponential",
        names=("sideband_yield", "slope_per_gev"),
        parameters=np.array([total, 0.0]),
        covariance=np.diag([error**2, 0.0]),
        sidebands=data.bands,
        window=window,
        sideband_yield=total,
        effective_entries=data.effective_entries,
        window_yield=total * ratio,
        window_error=error * ratio,
        nll=0.0,
        chi2=0.0,
        ndf=0,
        p_value=None,
        status="empty",
        notes=(note,),
    )
