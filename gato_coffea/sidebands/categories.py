"""Sideband fits of every category, with the spread over functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hist
import numpy as np

from gato_coffea.axes import MASS, NOMINAL
from gato_coffea.config import Analysis
from gato_coffea.errors import InputError
from gato_coffea.samples import FloatArray
from gato_coffea.sidebands.families import SEQUENCES
from gato_coffea.sidebands.fits import FEW_ENTRIES, SidebandFit, choose_order, edge_index


@dataclass(frozen=True, kw_only=True)
class CategoryFit:
    """Prediction of the background in the window of one category.

    Attributes
    ----------
    category
        Number of the category.
    source
        ``data``, or ``background`` where the sum of simulated backgrounds was fitted.
    fit
        The function that is quoted.
    alternatives
        The other functions that were tried, accepted or not.
    spread
        Largest distance of an accepted function's prediction from the quoted one; None where no
        other function was accepted.
    observed, observed_error
        Yield found in the window: of data only if unblinded, of simulation always; else None.
    signals
        Expected yield of each signal process in the window.
    """

    category: int
    source: str
    fit: SidebandFit
    alternatives: tuple[SidebandFit, ...] = ()
    spread: float | None = None
    observed: float | None = None
    observed_error: float | None = None
    signals: dict[str, float]

    @property
    def error(self) -> float:
        """Statistical error and spread in quadrature."""
        return float(np.hypot(self.fit.window_error, self.spread or 0.0))

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON values."""
        return {
            "category": self.category,
            "source": self.source,
            "fit": self.fit.to_dict(),
            "alternatives": [fit.to_dict() for fit in self.alternatives],
            "spread": self.spread,
            "observed": self.observed,
            "observed_error": self.observed_error,
            "signals": dict(self.signals),
        }


def fit_functions(
    sumw: FloatArray,
    sumw2: FloatArray,
    edges: FloatArray,
    *,
    sidebands: Sequence[tuple[float, float]],
    window: tuple[float, float],
    kinds: Sequence[str] = tuple(SEQUENCES),
    place: str = "sidebands",
) -> tuple[SidebandFit, tuple[SidebandFit, ...], float | None]:
    """Fit several kinds of functions, quote one and measure the spread of the others.

    Quoted is the first kind that is accepted, or the one with the largest p-value if none is.
    With fewer than 30 effective entries only the first kind is fitted, in its lowest order.

    Parameters
    ----------
    sumw, sumw2, edges, sidebands, window, place
        As in `fit_sidebands`.
    kinds
        Some of `SEQUENCES`, in order of preference.

    Returns
    -------
    fit, alternatives, spread
        The quoted fit, the others, and the largest distance of an accepted one.
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
    quoted = accepted[0] if accepted else max(fits, key=_quality)
    others = [fit for fit in accepted if fit is not quoted]
    spread = max((abs(f.window_yield - quoted.window_yield) for f in others), default=None)
    return quoted, tuple(fit for fit in fits if fit is not quoted), spread


def _quality(fit: SidebandFit) -> tuple[bool, float]:
    return fit.status not in ("failed", "empty"), fit.p_value or 0.0


def fit_categories(templates: hist.Hist[Any], analysis: Analysis) -> list[CategoryFit]:
    """Fit the mass sidebands of every category.

    Data are fitted where the analysis has data, else the sum of its backgrounds, which is then
    compared with itself in the window. Data in the window are read only if ``mass.blinded`` is
    false.

    Parameters
    ----------
    templates
        Axes process, variation, category, mass.
    analysis
        Says the sidebands, the window and the functions.

    Raises
    ------
    InputError
        If the analysis has no mass, or window or sidebands cut a bin.
    """
    mass = analysis.mass
    if mass is None:
        raise InputError("sidebands: the analysis has no mass section")
    axis = templates.axes[3]
    if axis.name != MASS:
        raise InputError(f"sidebands: templates are not binned in mass (got {axis.name!r})")
    edges = np.asarray(axis.edges, dtype=np.float64)
    window = slice(*(edge_index(e, edges, place="mass.window_gev") for e in mass.window_gev))
    has_data = bool(analysis.data_processes)
    fitted = analysis.data_processes if has_data else analysis.backgrounds
    result = []
    for category in range(len(templates.axes[2])):
        sumw, sumw2 = _contents(templates, fitted, category)
        quoted, others, spread = fit_functions(
            sumw,
            sumw2,
            edges,
            sidebands=mass.sidebands,
            window=mass.window_gev,
            kinds=mass.functions,
            place=f"category {category}",
        )
        show = not has_data or not mass.blinded
        result.append(
            CategoryFit(
                category=category,
                source="data" if has_data else "background",
                fit=quoted,
                alternatives=others,
                spread=spread,
                observed=float(sumw[window].sum()) if show else None,
                observed_error=float(np.sqrt(sumw2[window].sum())) if show else None,
                signals={
                    name: float(_contents(templates, [name], category)[0][window].sum())
                    for name in analysis.optimise.signals
                },
            )
        )
    return result


def _contents(
    templates: hist.Hist[Any], processes: Sequence[str], category: int
) -> tuple[FloatArray, FloatArray]:
    """Sums of weights and of squared weights in the mass bins of a category."""
    known = list(templates.axes[0])
    nominal = list(templates.axes[1]).index(NOMINAL)
    view: Any = templates.view(flow=False)[:, nominal, category]
    at = [known.index(name) for name in processes if name in known]
    return view["value"][at].sum(axis=0), view["variance"][at].sum(axis=0)
