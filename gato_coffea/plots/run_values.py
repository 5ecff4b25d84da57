"""What the plots of a run show, computed from its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import hist
import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_closing, binary_fill_holes

from gato_coffea.categories import Categories
from gato_coffea.categories.axes import MASS, of_eras
from gato_coffea.categories.templates import Contents, Templates
from gato_coffea.config import Analysis
from gato_coffea.events.samples import Feature, FloatArray
from gato_coffea.optimisation.result import Yields
from gato_coffea.plots.contents import Interval, Stack, stack_of
from gato_coffea.plots.spectra import Curve, Spectrum
from gato_coffea.plots.varied import with_variations
from gato_coffea.rendering.rounding import uncertainty, with_error
from gato_coffea.sidebands import CategoryFit
from gato_coffea.statistics.declared import declared_normalisations

N_BINS = 40
"""Bins of a discriminant or a mass, about: so many can be told apart with their errors."""

OCCUPANCY_CELLS = 50
"""Cells along an axis in which events are looked for: finer ones show single events, not where
events are."""

Histograms = Mapping[str, "hist.Hist[Any]"]


def shown_data(analysis: Analysis) -> tuple[str, ...]:
    """Data that may be compared with simulation inclusively: none where some are blinded."""
    return () if analysis.is_blinded else analysis.data_processes


def axis_label(analysis: Analysis, name: str) -> str:
    """Title of the axis of a discriminant."""
    labels = {d.name: d.label for d in analysis.discriminants}
    return labels.get(name) or name


def stretched(feature: Feature) -> Feature | None:
    """The feature whose stretched coordinate an axis shows; None if that is the plain one."""
    return None if feature.scale == "linear" else feature


def mass_unit(analysis: Analysis) -> tuple[str, float]:
    """Unit that the analysis has its mass in, and what a GeV is in it."""
    assert analysis.mass is not None
    unit = analysis.mass.unit
    return unit, {"MeV": 1e3, "GeV": 1.0, "TeV": 1e-3}[unit]


def discriminant_stack(histograms: Histograms, analysis: Analysis, name: str) -> Stack:
    """The stack of one discriminant in about 40 bins, equidistant on the scale of its feature.

    Where it alone is blinded, data are shown below the value from which on they are hidden.
    """
    alone = list(analysis.blinded_scores) == [name]
    cut = analysis.blinded_scores.get(name)
    stack = stack_of(
        histograms[name],
        axis=name,
        backgrounds=analysis.backgrounds,
        signals=analysis.optimise.signals,
        data=analysis.data_processes if alone else shown_data(analysis),
        n_bins=N_BINS,
        label=axis_label(analysis, name),
        feature=_feature(analysis, name),
        fixed=() if cut is None else (cut,),
    )
    stack = _varied(stack, histograms[name], analysis, axis=name)
    return stack.blinded((analysis.blinded_scores[name], np.inf)) if alone else stack


def _varied(
    stack: Stack,
    histogram: hist.Hist[Any],
    analysis: Analysis,
    *,
    axis: str,
    outside: tuple[float, float] | None = None,
) -> Stack:
    """The stack with the uncertainties of the analysis."""
    normalisations = declared_normalisations(analysis)
    return with_variations(
        stack, histogram, axis=axis, normalisations=normalisations, outside=outside
    )


def outside_stack(histograms: Histograms, analysis: Analysis, name: str) -> Stack:
    """Backgrounds and data of one discriminant outside the signal window."""
    assert analysis.mass is not None
    histogram, window = histograms[f"{name}_{MASS}"], analysis.mass.window_gev
    stack = stack_of(
        histogram,
        axis=name,
        backgrounds=analysis.backgrounds,
        data=analysis.data_processes,
        n_bins=N_BINS,
        label=axis_label(analysis, name),
        feature=_feature(analysis, name),
        outside=window,
    )
    return _varied(stack, histogram, analysis, axis=name, outside=window)


def _feature(analysis: Analysis, name: str) -> Feature | None:
    """The discriminant, if its scale is not the plain one."""
    d = next(d for d in analysis.discriminants if d.name == name)
    return stretched(Feature.of(d))


def optimised_stack(
    yields: Yields,
    intervals: Sequence[Interval],
    *,
    label: str,
    feature: Feature,
    limits: tuple[float, float] | None = None,
) -> Stack | None:
    """The yields of the categories as bins of the discriminant, shown between ``limits``.

    Where the analysis has a mass window, they are those in it, as the table of yields has them.
    None where a category is not one interval of it, so that its yield belongs to no single bin.
    """
    order = [interval.category for interval in intervals]
    if len(set(order)) != len(order) or len(order) != yields.sumw.shape[1] or min(order) < 0:
        return None
    edges = np.array([intervals[0].low, *(interval.high for interval in intervals)])

    def contents(process: str) -> Contents:
        row = yields.processes.index(process)
        continuum = process in yields.backgrounds and process not in yields.resonant
        inside = yields.factor[order] if continuum else 1.0
        return Contents(yields.sumw[row, order] * inside, yields.sumw2[row, order] * inside**2)

    return Stack(
        edges=edges,
        backgrounds={p: contents(p) for p in yields.backgrounds},
        signals={p: contents(p) for p in yields.signals},
        label=label,
        feature=stretched(feature),
        limits=limits,
    )


def category_stack(
    templates: Templates,
    analysis: Analysis,
    *,
    data: Sequence[str] = (),
    signals: Sequence[str] | None = None,
    outside: tuple[float, float] | None = None,
) -> Stack:
    """Yields by category, in unit bins around the category's number."""
    stack = stack_of(
        templates.histogram,
        axis="category",
        backgrounds=analysis.backgrounds,
        signals=analysis.optimise.signals if signals is None else signals,
        data=data,
        label="Category",
        outside=outside,
    )
    stack = _varied(stack, templates.histogram, analysis, axis="category", outside=outside)
    return replace(stack, edges=np.arange(len(stack.edges), dtype=np.float64) - 0.5)


def mass_stack(histogram: hist.Hist[Any], analysis: Analysis) -> Stack:
    """The stack of the mass of all events, without blinded data."""
    assert analysis.mass is not None
    stack = stack_of(
        histogram,
        axis=MASS,
        backgrounds=analysis.backgrounds,
        signals=analysis.optimise.signals,
        data=analysis.data_processes,
        n_bins=N_BINS,
        label=analysis.mass.label,
        fixed=analysis.mass.window_gev,
    )
    stack = _varied(stack, histogram, analysis, axis=MASS)
    if analysis.mass.blinded:
        stack = stack.blinded(analysis.mass.window_gev)
    return stack.in_unit(*mass_unit(analysis))


def occupancy(histograms: Histograms, categories: Categories) -> npt.NDArray[np.bool_] | None:
    """Where events are in the plane of two discriminants, or None where that is not known."""
    names = [f.name for f in categories.features]
    histogram = histograms.get("_".join(names))
    if histogram is None:
        return None
    picked: Any = of_eras(histogram)[{"variation": 0}]
    view = picked.view()
    filled = np.any(view.variance > 0, axis=0)
    for axis in (0, 1):
        step = max(1, filled.shape[axis] // OCCUPANCY_CELLS)
        starts = np.arange(0, filled.shape[axis], step)
        filled = np.logical_or.reduceat(filled, starts, axis=axis)
    # Holes between sparse events are not borders.
    closed = binary_closing(np.pad(filled, 4), iterations=4)[4:-4, 4:-4]
    return np.asarray(binary_fill_holes(closed))


def spectrum_of(templates: Templates, fit: CategoryFit, analysis: Analysis) -> Spectrum:
    """The mass spectrum of one category with its sideband fit."""
    mass = analysis.mass
    assert mass is not None
    edges = templates.edges
    from_data = fit.source == "data"
    processes = analysis.data_processes if from_data else analysis.backgrounds
    points = templates.contents(processes, fit.category)
    width = float(np.diff(edges).mean())
    x = np.linspace(edges[0], edges[-1], 241)
    curve = None
    if fit.fit.status not in ("failed", "empty"):
        curve = Curve(
            x=x,
            y=fit.fit.curve(x) * width,
            error=_band(fit, x, mass.window_gev) * width,
            error_label="68% band" if not fit.spread else "68% band; window: with function",
            per_bin=fit.estimate.expected(edges),
            label=function_label(fit.fit.family),
        )
    return Spectrum(
        edges=edges,
        points=points,
        points_label="Data" if from_data else "Background simulation",
        window=mass.window_gev,
        fitted=mass.sidebands,
        blinded=from_data and mass.blinded,
        counted=from_data,
        curve=curve,
        resonant={p: templates.contents(p, fit.category) for p in analysis.resonant},
        signals={p: templates.contents(p, fit.category) for p in analysis.optimise.signals},
        label=mass.label,
        text=fit_text(fit),
    ).in_unit(*mass_unit(analysis))


def _band(fit: CategoryFit, x: FloatArray, window: tuple[float, float]) -> FloatArray:
    """Error of a curve: statistical, and in the window with what other functions say there.

    How far the functions are apart is known of the yield in the window, so relative to it.
    """
    statistical = fit.estimate.scaled.curve_error(x)
    total = fit.fit.window_yield
    if not fit.spread or not total > 0:
        return statistical
    inside = (x >= window[0]) & (x <= window[1])
    function = np.where(inside, fit.fit.curve(x) * fit.spread / total, 0.0)
    return np.asarray(np.hypot(statistical, function))


def function_label(family: str) -> str:
    """Name of a fitted function in a legend.

    >>> function_label("bernstein2"), function_label("power")
    ('Bernstein, order 2', 'Power law')
    """
    name = family.rstrip("0123456789")
    order = family[len(name) :]
    shown = {"power": "Power law"}.get(name, name.replace("_", " ").capitalize())
    return f"{shown}, order {order}" if order not in ("", "1") else shown


def fitted_background(
    fits: Sequence[CategoryFit], *, systematic: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Background in the window by category, and its error, as the exported models have them.

    The fitted continuum and what peaks beside it. ``systematic`` is the relative error
    ``optimise.systematic``, which all backgrounds of a category share.
    """
    peaking = [np.array(list(fit.resonant.values())).reshape(-1, 2) for fit in fits]
    value = np.array(
        [fit.estimate.window_yield + p[:, 0].sum() for fit, p in zip(fits, peaking, strict=True)]
    )
    error = np.array(
        [
            np.hypot(fit.estimate.error, np.linalg.norm(p[:, 1]))
            for fit, p in zip(fits, peaking, strict=True)
        ]
    )
    return value, np.hypot(error, systematic * value)


def fit_text(fit: CategoryFit) -> tuple[str, ...]:
    """What stands beside a spectrum: category, prediction in the window, goodness of fit."""
    found = fit.fit
    error = fit.estimate.statistical
    window = with_error(found.window_yield, error, fit.spread, names=("stat", "function"))
    quality = (
        "no goodness of fit" if found.p_value is None else f"p = {uncertainty(found.p_value)}"
    )
    peaking = [f"{name}: {with_error(*pair)}" for name, pair in fit.resonant.items()]
    return f"Category {fit.category}", f"Window: {window}", *peaking, f"{quality}, {found.status}"
