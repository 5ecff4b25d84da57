"""The one estimate of a category's continuum background that tables, plots and exports quote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2 as chi2_distribution

from gato_coffea.events.samples import FloatArray
from gato_coffea.sidebands.families import SEQUENCES
from gato_coffea.sidebands.fits import (
    ACCEPTED_LEVEL,
    FEW_ENTRIES,
    SidebandFit,
    fit_near_window,
    fit_sidebands,
    sideband_data,
)
from gato_coffea.sidebands.likelihood import p_value

F_TEST_LEVEL = 0.05
"""Probability below which an order more is taken: the level that fits of a mass continuum use,
where one order in twenty is taken by chance."""


@dataclass(frozen=True, kw_only=True)
class BackgroundEstimate:
    """What the mass sidebands of one category predict of its continuum background.

    Attributes
    ----------
    fit
        The function that is quoted.
    alternatives
        The other functions that were tried, accepted or not. Where none describes the sidebands,
        also exponentials fitted near the window, which have sidebands of their own.
    simulated
        Whether simulation was fitted in the place of data that do not exist. The statistical
        error then is that of data of this yield and that of the simulation in quadrature: the
        expected model knows no more than a fit of the expected data would.
    """

    fit: SidebandFit
    alternatives: tuple[SidebandFit, ...] = ()
    simulated: bool = False

    def __repr__(self) -> str:
        return f"BackgroundEstimate({self.fit!r}, {len(self.alternatives)} alternatives)"

    @property
    def described(self) -> bool:
        """Whether a function describes the sidebands; the exports refuse a category without."""
        return self.fit.accepted or self.fit.status == "empty"

    @property
    def window_yield(self) -> float:
        """Predicted yield in the signal window."""
        return self.fit.window_yield

    @property
    def scale(self) -> float:
        """Factor of the statistical error: above 1 where the fit is poor, as its chi-squared."""
        if self.described or self.fit.ndf == 0:
            return 1.0
        return max(1.0, float(np.sqrt(self.fit.chi2 / self.fit.ndf)))

    @property
    def statistical(self) -> float:
        """Statistical error of the yield in the window."""
        return self.scaled.window_error

    @property
    def spread(self) -> float | None:
        """Error of the yield in the window from the choice of the function.

        The largest distance of an accepted function; None where no other was accepted. Where no
        function describes the sidebands, the envelope of the error bands of the exponentials near
        the window and of the functions that would be accepted if the errors were scaled until
        the quoted one fits. Of the extrapolations from one side alone, the nearer one counts
        where both lie above or both below the quoted function: a curved spectrum lies on the
        inner side of both its tangents.
        """
        if self.described:
            return max(map(self._distance, self._accepted), default=None)
        tried = [f for f in self.alternatives if f.usable and self._comparable(f)]
        one_sided = [f for f in tried if len(f.sidebands) == 1]
        sides = {f.window_yield > self.window_yield for f in one_sided}
        if len(one_sided) == 2 and len(sides) == 1:
            farther = max(one_sided, key=self._distance)
            tried = [f for f in tried if f is not farther]
        return max((self._distance(f) + f.window_error for f in tried), default=None)

    @property
    def error(self) -> float:
        """Statistical error and spread over the functions in quadrature."""
        return float(np.hypot(self.statistical, self.spread or 0.0))

    @cached_property
    def scaled(self) -> SidebandFit:
        """The quoted fit with the covariance that its error is quoted with."""
        scaled = replace(
            self.fit,
            covariance=self.fit.covariance * self.scale**2,
            window_error=self.fit.window_error * self.scale,
        )
        return scaled.with_counting() if self.simulated and self.fit.usable else scaled

    @property
    def _accepted(self) -> list[SidebandFit]:
        return [fit for fit in self.alternatives if fit.accepted]

    def _comparable(self, fit: SidebandFit) -> bool:
        """Whether a function is about as good as the quoted one, or has sidebands of its own."""
        if fit.sidebands != self.fit.sidebands or fit.ndf == 0:
            return True
        return (p_value(fit.chi2 / self.scale**2, fit.ndf) or 0.0) > ACCEPTED_LEVEL

    def _distance(self, fit: SidebandFit) -> float:
        return abs(fit.window_yield - self.window_yield)

    def expected(self, edges: npt.ArrayLike) -> FloatArray:
        """Expected yield between neighbouring edges in GeV, shape ``(len(edges) - 1,)``."""
        return self.fit.expected(edges)

    def variations(self, edges: npt.ArrayLike) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Expected yields one standard deviation up and down, by independent source.

        ``0``, ``1``, ... are the directions of the fit's parameters; ``function`` leads to the
        farthest accepted function, or scales the yield where no function describes the
        sidebands. In the window they add up to `error` in quadrature.
        """
        found = {str(i): pair for i, pair in enumerate(self.scaled.variations(edges))}
        if not self.spread:
            return found
        values = self.expected(edges)
        if self.described:
            other = max(self._accepted, key=self._distance).expected(edges)
        else:
            other = values * (1.0 + self.spread / self.window_yield)
        return found | {"function": (other, np.maximum(2 * values - other, 0.0))}


def fit_functions(
    sumw: FloatArray,
    sumw2: FloatArray,
    edges: FloatArray,
    *,
    sidebands: Sequence[tuple[float, float]],
    window: tuple[float, float],
    kinds: Sequence[str] = tuple(SEQUENCES),
    place: str = "sidebands",
    simulated: bool = False,
) -> BackgroundEstimate:
    """Fit several kinds of functions, quote one and keep the others for its error.

    Quoted is the first kind that is accepted without a parameter at its limit, or the first
    accepted, or the one with the largest p-value if none is. With fewer than 30 effective entries
    only the first kind is fitted, in its lowest order.

    Parameters
    ----------
    sumw, sumw2, edges, sidebands, window, place
        As in `fit_sidebands`.
    kinds
        Some of `SEQUENCES`, in order of preference.
    simulated
        Whether simulation stands in for data; see `BackgroundEstimate`.
    """
    fits: list[SidebandFit] = []
    for kind in kinds:
        fit = choose_order(
            sumw, sumw2, edges, sidebands=sidebands, window=window, kind=kind, place=place
        )
        fits.append(fit)
        if fit.effective_entries < FEW_ENTRIES or fit.status == "empty":
            break
    accepted = [fit for fit in fits if fit.accepted]
    inside = [fit for fit in accepted if fit.status != "at limit"]
    quoted = (inside or accepted or [max(fits, key=_quality)])[0]
    others = tuple(fit for fit in fits if fit is not quoted)
    if not accepted and quoted.status != "empty":
        others += fit_near_window(sumw, sumw2, edges, sidebands=sidebands, window=window)
    return BackgroundEstimate(fit=quoted, alternatives=others, simulated=simulated)


def choose_order(
    sumw: npt.ArrayLike,
    sumw2: npt.ArrayLike,
    edges: npt.ArrayLike,
    *,
    sidebands: Sequence[tuple[float, float]],
    window: tuple[float, float],
    kind: str,
    place: str = "sidebands",
) -> SidebandFit:
    """Fit a nested sequence of functions and go up in order while the data ask for it.

    The next order is taken while twice the gain in log likelihood over the mean weight
    ``sumw2 / sumw`` has a probability below 0.05, as chi-squared of the added parameters. Where
    the best so far does not describe the sidebands, the orders beyond are tried too.

    Parameters
    ----------
    sumw, sumw2, edges, sidebands, window, place
        As in `fit_sidebands`.
    kind
        One of `SEQUENCES`.
    """
    scale = sideband_data(sumw, sumw2, edges, sidebands=sidebands, place=place).scale
    best: SidebandFit | None = None
    for name in SEQUENCES[kind]:
        fit = fit_sidebands(
            sumw, sumw2, edges, sidebands=sidebands, window=window, family=name, place=place
        )
        if best is not None:
            gain = max(0.0, 2.0 * (best.nll - fit.nll) / scale)
            added = len(fit.parameters) - len(best.parameters)
            better = chi2_distribution.sf(gain, added) < F_TEST_LEVEL
            if fit.status == "failed" or not better:
                if best.accepted:
                    break
                continue
        best = fit
        if fit.status in ("empty", "few entries"):
            break
    assert best is not None
    return best


def _quality(fit: SidebandFit) -> tuple[bool, float]:
    return fit.usable, fit.p_value or 0.0
