"""All plots of a run, from its values to files."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hist
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from gato_coffea.axes import MASS
from gato_coffea.categories import Categories, MixtureCategories
from gato_coffea.config import Analysis
from gato_coffea.gato.result import Result, Yields
from gato_coffea.plots.animation import animate_boundaries
from gato_coffea.plots.categories import (
    components_of,
    draw_components,
    draw_regions,
    intervals_of,
    regions_of,
)
from gato_coffea.plots.contents import Contents, Interval, Stack, process_contents, stack_of
from gato_coffea.plots.significance import draw_significance, draw_yield_and_uncertainty, scan_of
from gato_coffea.plots.spectra import Curve, Spectrum, draw_spectrum
from gato_coffea.plots.stacks import draw_stack
from gato_coffea.plots.style import Style, save
from gato_coffea.plots.training import draw_training
from gato_coffea.sidebands import CategoryFit

logger = logging.getLogger(__name__)

N_BINS = 40
OCCUPANCY_CELLS = 50
Histograms = Mapping[str, "hist.Hist[Any]"]
Named = Iterator[tuple[str, Figure]]


def draw_run(
    folder: str | Path,
    *,
    analysis: Analysis,
    histograms: Histograms,
    results: Mapping[int, Result],
    templates: Mapping[int, hist.Hist[Any]],
    fits: Mapping[int, Sequence[CategoryFit]],
    use: int,
) -> list[Path]:
    """Draw and write every plot of a run, as PDF and PNG.

    Parameters
    ----------
    folder
        Where the plots go; made if missing.
    analysis
        Gives the style, the names and what is blinded.
    histograms
        Fine histograms of the discriminants and of the mass.
    results
        What the optimiser found, by number of categories asked for.
    templates, fits
        Category templates and sideband fits, by number of categories; not all need to be there.
    use
        The number of categories that is used; only its spectra and animation are drawn.

    Returns
    -------
    list of Path
        The files, in an order in which they can be read.

    Raises
    ------
    OutputError
        If the folder cannot be written to.
    """
    folder = Path(folder)
    written: list[Path] = []
    for name, figure in run_figures(
        analysis=analysis,
        histograms=histograms,
        results=results,
        templates=templates,
        fits=fits,
        use=use,
    ):
        written += save(figure, folder / name)
        logger.debug("drew %s", folder / name)
    history = results[use].history if use in results else None
    if history is not None and history.boundaries and len(analysis.discriminants) == 1:
        stack = discriminant_stack(histograms, analysis, analysis.discriminants[0].name)
        written.append(
            animate_boundaries(
                folder / f"boundaries_{use}.gif",
                stack,
                Style.of(analysis),
                epochs=history.epoch,
                boundaries=history.boundaries,
                significance=history.hard,
            )
        )
    return written


def run_figures(
    *,
    analysis: Analysis,
    histograms: Histograms,
    results: Mapping[int, Result],
    templates: Mapping[int, hist.Hist[Any]],
    fits: Mapping[int, Sequence[CategoryFit]],
    use: int,
) -> Named:
    """Names and figures of a run, one after the other; parameters as in `draw_run`."""
    style = Style.of(analysis)
    if results:
        yield "significance", draw_significance(scan_of(results), style)
    yield from _discriminants(histograms, analysis, style)
    for asked in sorted(results):
        yield from _result(asked, results[asked], histograms, analysis, style)
        if asked in templates:
            yield from _yields(asked, templates[asked], analysis, style)
    if analysis.mass is not None and MASS in histograms:
        yield "mass", _inclusive_mass(histograms[MASS], analysis, style)
    for fit in fits.get(use, ()):
        if use in templates:
            spectrum = spectrum_of(templates[use], fit, analysis)
            figure = draw_spectrum(spectrum, style, signal_scale=analysis.plots.signal_scale)
            yield f"mass_{use}_category_{fit.category}", figure


def is_blinded(analysis: Analysis) -> bool:
    """Whether data are missing inside the signal window."""
    return analysis.mass is not None and analysis.mass.blinded


def shown_data(analysis: Analysis) -> tuple[str, ...]:
    """Data that may be compared with simulation inclusively: none where some are blinded."""
    return () if is_blinded(analysis) else analysis.data_processes


def discriminant_stack(histograms: Histograms, analysis: Analysis, name: str) -> Stack:
    """The stack of one discriminant in about 40 equidistant bins."""
    return stack_of(
        histograms[name],
        axis=name,
        backgrounds=analysis.backgrounds,
        signals=analysis.optimise.signals,
        data=shown_data(analysis),
        n_bins=N_BINS,
    )


def _discriminants(histograms: Histograms, analysis: Analysis, style: Style) -> Named:
    scale = analysis.plots.signal_scale
    for discriminant in analysis.discriminants:
        name = discriminant.name
        if name not in histograms:
            continue
        stack = discriminant_stack(histograms, analysis, name)
        yield f"discriminant_{name}", draw_stack(stack, style, signal_scale=scale)
        yield f"discriminant_{name}_log", draw_stack(stack, style, signal_scale=scale, log=True)
        plane = histograms.get(f"{name}_{MASS}")
        if is_blinded(analysis) and analysis.data_processes and plane is not None:
            assert analysis.mass is not None
            outside = stack_of(
                plane,
                axis=name,
                backgrounds=analysis.backgrounds,
                data=analysis.data_processes,
                n_bins=N_BINS,
                outside=analysis.mass.window_gev,
            )
            yield (
                f"discriminant_{name}_sidebands",
                draw_stack(outside, style, data_label="Data (outside window)"),
            )


def _result(
    asked: int, result: Result, histograms: Histograms, analysis: Analysis, style: Style
) -> Named:
    categories = result.categories
    if len(categories.features) == 1:
        name = categories.features[0].name
        intervals = intervals_of(categories)
        if name in histograms:
            stack = discriminant_stack(histograms, analysis, name)
            for end, log in (("", False), ("_log", True)):
                yield (
                    f"boundaries_{asked}{end}",
                    draw_stack(
                        stack,
                        style,
                        signal_scale=analysis.plots.signal_scale,
                        log=log,
                        intervals=intervals,
                    ),
                )
        label = _axis_label(analysis, name)
        optimised = optimised_stack(result.yields, intervals, label=label)
        if optimised is not None:
            yield f"optimised_bins_{asked}", draw_stack(optimised, style, log=True)
        if isinstance(categories, MixtureCategories):
            yield f"components_{asked}", draw_components(components_of(categories), style)
    if len(categories.features) == 2:
        occupied = occupancy(histograms, categories)
        yield f"regions_{asked}", draw_regions(regions_of(categories, occupied=occupied), style)
    if result.history is not None:
        yield f"training_{asked}", draw_training(result.history, style)
    background = result.yields.background
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.sqrt(result.yields.background_sumw2) / background
    yield (
        f"uncertainty_{asked}",
        draw_yield_and_uncertainty(
            background,
            np.where(background > 0, relative, np.nan),
            style,
            log=True,
            limit=analysis.optimise.constraints.max_rel_unc,
        ),
    )


def _axis_label(analysis: Analysis, name: str) -> str:
    labels = {d.name: d.label for d in analysis.discriminants}
    return labels.get(name) or name


def optimised_stack(yields: Yields, intervals: Sequence[Interval], *, label: str) -> Stack | None:
    """The yields of the categories as bins of the discriminant.

    None where a category is not one interval of it, so that its yield belongs to no single bin.
    """
    order = [interval.category for interval in intervals]
    if len(set(order)) != len(order) or len(order) != yields.sumw.shape[1] or min(order) < 0:
        return None
    edges = np.array([intervals[0].low, *(interval.high for interval in intervals)])

    def contents(process: str) -> Contents:
        row = yields.processes.index(process)
        return Contents(yields.sumw[row, order], yields.sumw2[row, order])

    return Stack(
        edges=edges,
        backgrounds={p: contents(p) for p in yields.backgrounds},
        signals={p: contents(p) for p in yields.signals},
        label=label,
    )


def _yields(asked: int, templates: hist.Hist[Any], analysis: Analysis, style: Style) -> Named:
    stack = category_stack(templates, analysis, data=shown_data(analysis))
    yield (
        f"yields_{asked}",
        draw_stack(
            stack, style, log=True, categories=True, signal_scale=analysis.plots.signal_scale
        ),
    )
    if analysis.mass is not None and is_blinded(analysis) and analysis.data_processes:
        outside = category_stack(
            templates,
            analysis,
            data=analysis.data_processes,
            signals=(),
            outside=analysis.mass.window_gev,
        )
        figure = draw_stack(
            outside, style, log=True, categories=True, data_label="Data (outside window)"
        )
        yield f"yields_{asked}_sidebands", figure


def category_stack(
    templates: hist.Hist[Any],
    analysis: Analysis,
    *,
    data: Sequence[str] = (),
    signals: Sequence[str] | None = None,
    outside: tuple[float, float] | None = None,
) -> Stack:
    """Yields by category, in unit bins around the category's number."""
    stack = stack_of(
        templates,
        axis="category",
        backgrounds=analysis.backgrounds,
        signals=analysis.optimise.signals if signals is None else signals,
        data=data,
        label="Category",
        outside=outside,
    )
    n = len(stack.edges) - 1
    return Stack(
        edges=np.arange(n + 1, dtype=np.float64) - 0.5,
        backgrounds=stack.backgrounds,
        signals=stack.signals,
        data=stack.data,
        label="Category",
    )


def _inclusive_mass(histogram: hist.Hist[Any], analysis: Analysis, style: Style) -> Figure:
    assert analysis.mass is not None
    stack = stack_of(
        histogram,
        axis=MASS,
        backgrounds=analysis.backgrounds,
        signals=analysis.optimise.signals,
        data=analysis.data_processes,
        n_bins=N_BINS,
        label=analysis.mass.label,
        unit="GeV",
    )
    if analysis.mass.blinded:
        stack = stack.blinded(analysis.mass.window_gev)
    return draw_stack(stack, style, signal_scale=analysis.plots.signal_scale)


def occupancy(histograms: Histograms, categories: Categories) -> npt.NDArray[np.bool_] | None:
    """Where events are in the plane of two discriminants, or None where that is not known."""
    names = [f.name for f in categories.features]
    histogram = histograms.get("_".join(names))
    if histogram is None:
        return None
    picked: Any = histogram[{"variation": 0}]
    view = picked.view()
    filled = np.any(view.variance > 0, axis=0)
    for axis in (0, 1):
        step = max(1, filled.shape[axis] // OCCUPANCY_CELLS)
        starts = np.arange(0, filled.shape[axis], step)
        filled = np.logical_or.reduceat(filled, starts, axis=axis)
    return np.asarray(filled)


def spectrum_of(templates: hist.Hist[Any], fit: CategoryFit, analysis: Analysis) -> Spectrum:
    """The mass spectrum of one category with its sideband fit."""
    mass = analysis.mass
    assert mass is not None
    one: Any = templates[{"category": fit.category}]
    edges = np.asarray(templates.axes[MASS].edges, dtype=np.float64)
    from_data = fit.source == "data"
    processes = analysis.data_processes if from_data else analysis.backgrounds
    parts = [process_contents(one, p, axis=MASS) for p in processes]
    width = float(np.diff(edges).mean())
    x = np.linspace(edges[0], edges[-1], 241)
    curve = None
    if fit.fit.status not in ("failed", "empty"):
        curve = Curve(
            x=x,
            y=fit.fit.curve(x) * width,
            error=fit.fit.curve_error(x) * width,
            per_bin=fit.fit.expected(edges),
            label=fit.fit.family.replace("_", " ").capitalize(),
        )
    return Spectrum(
        edges=edges,
        points=Contents(*(sum(part) for part in zip(*parts, strict=True))),
        points_label="Data" if from_data else "Background simulation",
        window=mass.window_gev,
        fitted=mass.sidebands,
        blinded=from_data and mass.blinded,
        curve=curve,
        signals={p: process_contents(one, p, axis=MASS) for p in analysis.optimise.signals},
        label=mass.label,
        text=fit_text(fit),
    )


def fit_text(fit: CategoryFit) -> tuple[str, ...]:
    """What stands beside a spectrum: category, prediction in the window, goodness of fit."""
    found = fit.fit
    error = found.window_error
    digits = max(0, min(4, 1 - int(np.floor(np.log10(error))))) if error > 0 else 1
    line = f"Window: {found.window_yield:.{digits}f} ± {error:.{digits}f} (stat)"
    if fit.spread is not None:
        line += f" ± {fit.spread:.{digits}f} (function)"
    quality = f"p = {found.p_value:.2g}" if found.p_value is not None else "no goodness of fit"
    return f"Category {fit.category}", line, f"{quality}, {found.status}"
