"""The background of every category: the sidebands' fit, and what peaks in the window beside it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gato_coffea.categories.axes import MASS
from gato_coffea.categories.templates import Templates
from gato_coffea.config import Analysis
from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray
from gato_coffea.rendering.rounding import amount, uncertainty, with_error
from gato_coffea.sidebands.estimates import BackgroundEstimate, fit_functions
from gato_coffea.sidebands.fits import SidebandFit, edge_index, sideband_data

logger = logging.getLogger(__name__)

MAX_DEVIATION = 4.0
"""Standard deviations from which a simulated background is told to miss its own prediction: in
forty comparisons of five backgrounds in eight categories, 3 would tell of chance in one analysis
of ten."""

MAX_LEAKAGE = 0.05
"""Share of the sidebands from which a signal or resonant background in them is told: it moves the
prediction by about as much, which is the statistical error of a fit to four hundred events."""


@dataclass(frozen=True, kw_only=True)
class CategoryFit:
    """The background in the window of one category.

    Attributes
    ----------
    category
        Number of the category.
    source
        ``data``, or ``background`` where the sum of the simulated continuum was fitted.
    estimate
        Prediction of the continuum: the one that tables, plots and exports quote.
    observed, observed_error
        Yield found in the window: of data, resonant backgrounds included, only if unblinded; of
        the simulated continuum always; else None.
    signals
        Expected yield of each signal process in the window.
    resonant
        Expected yield in the window of each resonant background, and its error from simulation.
    notes
        What a reader should know beside the notes of the fit, one sentence each.
    """

    category: int
    source: str
    estimate: BackgroundEstimate
    observed: float | None = None
    observed_error: float | None = None
    signals: Mapping[str, float]
    resonant: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        window = with_error(self.estimate.window_yield, self.estimate.statistical, self.spread)
        return f"CategoryFit(category {self.category}: {window} in the window, {self.fit.status})"

    def _repr_html_(self) -> str:
        from gato_coffea.sidebands.tables import sideband_table

        return sideband_table([self]).html()

    @property
    def fit(self) -> SidebandFit:
        """The function that is quoted."""
        return self.estimate.fit

    @property
    def spread(self) -> float | None:
        """Error of the prediction from the choice of the function."""
        return self.estimate.spread

    @property
    def error(self) -> float:
        """Statistical error and spread in quadrature."""
        return self.estimate.error

    @property
    def cautions(self) -> list[str]:
        """What a reader of the prediction must know, one sentence each."""
        found = []
        if not self.estimate.described:
            found.append(
                f"no function describes the sidebands (the best: {self.fit.family}, p = "
                f"{uncertainty(self.fit.p_value or 0.0)}); the error covers what the functions "
                "tried and exponentials near the window say"
            )
        return [*found, *self.notes]

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON values."""
        return {
            "category": self.category,
            "source": self.source,
            "window_yield": self.estimate.window_yield,
            "statistical": self.estimate.statistical,
            "spread": self.spread,
            "error": self.error,
            "observed": self.observed,
            "observed_error": self.observed_error,
            "signals": dict(self.signals),
            "resonant": {name: list(pair) for name, pair in self.resonant.items()},
            "notes": list(self.notes),
            "fit": self.fit.to_dict(),
            "alternatives": [fit.to_dict() for fit in self.estimate.alternatives],
        }


def fit_categories(templates: Templates, analysis: Analysis) -> list[CategoryFit]:
    """Fit the mass sidebands of every category.

    Data are fitted where the analysis has data, less what simulation expects of resonant
    backgrounds in the sidebands; else the sum of its simulated continuum, which is then compared
    with itself in the window, and whose error holds that of data of its yield. Data in the window
    are read only if ``mass.blinded`` is false.

    Parameters
    ----------
    templates
        Templates of one channel, binned in the mass.
    analysis
        Says the sidebands, the window, the functions and the resonant backgrounds.

    Raises
    ------
    InputError
        If the analysis has no mass, or window or sidebands cut a bin.
    """
    mass = analysis.mass
    if mass is None:
        raise InputError("sidebands: the analysis has no mass section")
    if templates.binned_in != MASS:
        raise InputError(
            f"sidebands: templates are not binned in mass (got {templates.binned_in!r})"
        )
    edges = templates.edges
    window = slice(*(edge_index(e, edges, place="mass.window_gev") for e in mass.window_gev))
    return [
        _category(templates, analysis, category, edges=edges, window=window)
        for category in range(templates.n_categories)
    ]


def _category(
    templates: Templates,
    analysis: Analysis,
    category: int,
    *,
    edges: FloatArray,
    window: slice,
) -> CategoryFit:
    mass = analysis.mass
    assert mass is not None
    has_data = bool(analysis.data_processes)
    found = analysis.data_processes if has_data else analysis.continuum
    sumw, sumw2 = templates.contents(found, category)
    peaking = {name: templates.contents(name, category) for name in analysis.resonant}
    fitted = [sumw, sumw2]
    if has_data:
        for resonant, resonant2 in peaking.values():
            fitted = [fitted[0] - resonant, fitted[1] + resonant2]
    estimate = fit_functions(
        fitted[0],
        fitted[1],
        edges,
        sidebands=mass.sidebands,
        window=mass.window_gev,
        kinds=mass.functions,
        place=f"category {category}",
        simulated=not has_data,
    )
    notes = _incompatible(templates, analysis, category, edges=edges, window=window)
    fitted_yield = estimate.fit.sideband_yield
    notes += _leakage(templates, analysis, category, edges=edges, fitted_yield=fitted_yield)
    for note in notes:
        logger.warning("category %d: %s", category, note)
    show = not has_data or not mass.blinded
    inside = float(sumw[window].sum())
    signals = {
        name: float(templates.contents(name, category)[0][window].sum())
        for name in analysis.optimise.signals
    }
    if has_data and show:
        peaks = sum(float(values[window].sum()) for values, _ in peaking.values())
        left = inside - estimate.window_yield - peaks
        signals = _less_background(signals, left, derived=analysis.from_data)
    return CategoryFit(
        category=category,
        source="data" if has_data else "background",
        estimate=estimate,
        observed=inside if show else None,
        observed_error=float(np.sqrt(sumw2[window].sum())) if show else None,
        signals=signals,
        resonant={
            name: (float(values[window].sum()), float(np.sqrt(variances[window].sum())))
            for name, (values, variances) in peaking.items()
        },
        notes=tuple(notes),
    )


def _less_background(
    signals: dict[str, float], left: float, *, derived: Sequence[str]
) -> dict[str, float]:
    """Yields of the signals, of which those derived from data share what is left of the data.

    In the window such signals are the data themselves, background included.
    """
    own = [name for name in signals if name in derived]
    left -= sum(value for name, value in signals.items() if name not in own)
    share = shares([signals[name] for name in own])
    return signals | {name: float(part * left) for name, part in zip(own, share, strict=True)}


def shares(yields: Sequence[float]) -> FloatArray:
    """Each yield over their sum, negative ones as none; equal parts where nothing is positive."""
    positive = np.maximum(np.asarray(yields, dtype=np.float64), 0.0)
    total = positive.sum()
    return positive / total if total > 0 else np.full(len(positive), 1.0 / max(len(positive), 1))


def _leakage(
    templates: Templates,
    analysis: Analysis,
    category: int,
    *,
    edges: FloatArray,
    fitted_yield: float,
) -> list[str]:
    """What to say of signals and resonant backgrounds that are much of the sidebands."""
    mass = analysis.mass
    assert mass is not None
    has_data = bool(analysis.data_processes)
    notes = []
    for name in (*analysis.optimise.signals, *analysis.resonant):
        if name in analysis.from_data:  # its weights are made for the window or the sidebands
            continue
        contents = templates.contents(name, category)
        inside = float(sideband_data(*contents, edges, sidebands=mass.sidebands).sumw.sum())
        if fitted_yield <= 0 or inside <= MAX_LEAKAGE * fitted_yield:
            continue
        if not has_data:
            done = "the fit to simulation is without it, a fit to data would not be"
        elif name in analysis.resonant:
            done = "as much was subtracted from the data there, without an error of its own"
        else:
            done = "it counts as background there, and makes the prediction too high"
        notes.append(
            f"{name}: {amount(inside)} events are expected in the sidebands, "
            f"{uncertainty(100 * inside / fitted_yield)} % of what is fitted: {done}"
        )
    return notes


def _incompatible(
    templates: Templates,
    analysis: Analysis,
    category: int,
    *,
    edges: FloatArray,
    window: slice,
) -> list[str]:
    """What to say of simulated backgrounds that their own sidebands do not predict."""
    mass = analysis.mass
    assert mass is not None
    notes = []
    for name in analysis.continuum:
        if name in analysis.from_data:  # its weights are made for the window or the sidebands
            continue
        sumw, sumw2 = templates.contents(name, category)
        found, variance = float(sumw[window].sum()), float(sumw2[window].sum())
        if variance == 0:
            continue
        for kinds in (mass.functions[:1], mass.functions):  # all of them only where it matters
            own = fit_functions(
                sumw,
                sumw2,
                edges,
                sidebands=mass.sidebands,
                window=mass.window_gev,
                kinds=kinds,
                place="",
            )
            expected, error = own.window_yield, own.error
            if own.fit.effective_entries == 0:  # an upper limit on entries of the weight seen
                error *= variance / max(abs(found), np.sqrt(variance))
            deviation = (found - expected) / np.hypot(error, np.sqrt(variance))
            if abs(deviation) <= MAX_DEVIATION:
                break
        if abs(deviation) > MAX_DEVIATION:
            advice = f"; if it peaks there, say processes: {{{name}: {{resonant: true}}}}"
            notes.append(
                f"{name}: simulation has {with_error(found, np.sqrt(variance))} in the window, "
                f"where a fit of its own sidebands predicts {with_error(expected, error)} "
                f"({deviation:+.1f} standard deviations){advice if deviation > 0 else ''}"
            )
    return notes
