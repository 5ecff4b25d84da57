"""All plots of a run, from its values to files."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from gato_coffea.categories import MixtureCategories
from gato_coffea.categories.axes import MASS
from gato_coffea.categories.templates import Templates
from gato_coffea.config import Analysis
from gato_coffea.optimisation.result import Result
from gato_coffea.plots.animation import animate_boundaries
from gato_coffea.plots.categories import (
    components_of,
    draw_components,
    draw_regions,
    intervals_of,
    regions_of,
)
from gato_coffea.plots.contents import stack_of
from gato_coffea.plots.run_values import (
    N_BINS,
    Histograms,
    axis_label,
    category_stack,
    discriminant_stack,
    mass_stack,
    occupancy,
    optimised_stack,
    shown_data,
    spectrum_of,
    stretched,
)
from gato_coffea.plots.significance import draw_significance, draw_yield_and_uncertainty, scan_of
from gato_coffea.plots.spectra import draw_spectrum
from gato_coffea.plots.stacks import draw_stack
from gato_coffea.plots.style import Style, save
from gato_coffea.plots.training import draw_training
from gato_coffea.sidebands import CategoryFit

if TYPE_CHECKING:
    from gato_coffea.exports import Headline

logger = logging.getLogger(__name__)

Named = Iterator[tuple[str, Figure]]


def draw_run(
    folder: str | Path,
    *,
    analysis: Analysis,
    histograms: Histograms,
    results: Mapping[int, Result],
    templates: Mapping[int, Templates],
    fits: Mapping[int, Sequence[CategoryFit]],
    use: int,
    headline: Headline | None = None,
    animate: bool = True,
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
    headline
        The figure to quote of it with the mass fits, where there is one.
    animate
        Whether the boundaries of one discriminant are shown moving while they were trained.

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
        headline=headline,
    ):
        written += save(figure, folder / name)
        logger.debug("drew %s", folder / name)
    history = results[use].history if animate and use in results else None
    if history is not None and history.boundaries and len(analysis.discriminants) == 1:
        feature = results[use].categories.features[0]
        stack = discriminant_stack(histograms, analysis, feature.name, feature=stretched(feature))
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
    templates: Mapping[int, Templates],
    fits: Mapping[int, Sequence[CategoryFit]],
    use: int,
    headline: Headline | None = None,
) -> Named:
    """Names and figures of a run, one after the other; parameters as in `draw_run`."""
    style = Style.of(analysis)
    if results:
        quoted = None if headline is None else {use: headline.held_out}
        yield "significance", draw_significance(scan_of(results, with_fits=quoted), style)
    yield from _discriminants(histograms, analysis, style)
    for asked in sorted(results):
        used = asked == use
        yield from _result(asked, results[asked], histograms, analysis, style, used=used)
        if asked in templates:
            yield from _yields(asked, templates[asked], analysis, style)
    if analysis.mass is not None and MASS in histograms:
        scale, window = analysis.plots.signal_scale, analysis.mass.window_gev
        stack = mass_stack(histograms[MASS], analysis)
        yield "mass", draw_stack(stack, style, signal_scale=scale, window=window)
    for fit in fits.get(use, ()):
        if use in templates:
            spectrum = spectrum_of(templates[use], fit, analysis)
            figure = draw_spectrum(spectrum, style, signal_scale=analysis.plots.signal_scale)
            yield f"mass_{use}_category_{fit.category}", figure


def _has_sidebands(analysis: Analysis) -> bool:
    """Whether data are shown outside the signal window only."""
    mass = analysis.mass
    return mass is not None and mass.blinded and bool(analysis.data_processes)


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
        if plane is not None and _has_sidebands(analysis):
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
    asked: int,
    result: Result,
    histograms: Histograms,
    analysis: Analysis,
    style: Style,
    *,
    used: bool,
) -> Named:
    categories = result.categories
    if len(categories.features) == 1:
        yield from _one_dimensional(asked, result, histograms, analysis, style, used=used)
    if len(categories.features) == 2:
        occupied = occupancy(histograms, categories)
        first, second = (axis_label(analysis, f.name) for f in categories.features)
        regions = replace(regions_of(categories, occupied=occupied), labels=(first, second))
        yield f"regions_{asked}", draw_regions(regions, style)
    if result.history is not None:
        yield f"training_{asked}", draw_training(result.history, style)
    if not used:
        return
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


def _one_dimensional(
    asked: int,
    result: Result,
    histograms: Histograms,
    analysis: Analysis,
    style: Style,
    *,
    used: bool,
) -> Named:
    categories = result.categories
    feature = categories.features[0]
    intervals = intervals_of(categories)
    limits = None
    if feature.name in histograms:
        stack = discriminant_stack(histograms, analysis, feature.name, feature=stretched(feature))
        limits = stack.populated
        scale = analysis.plots.signal_scale
        for end, log in (("", False), ("_log", True)) if used else (("_log", True),):
            figure = draw_stack(stack, style, signal_scale=scale, log=log, intervals=intervals)
            yield f"boundaries_{asked}{end}", figure
    label = axis_label(analysis, feature.name)
    optimised = optimised_stack(
        result.yields, intervals, label=label, feature=feature, limits=limits
    )
    if optimised is not None:
        yield f"optimised_bins_{asked}", draw_stack(optimised, style, log=True)
    if isinstance(categories, MixtureCategories) and used:
        components = replace(components_of(categories), label=label)
        yield f"components_{asked}", draw_components(components, style)


def _yields(asked: int, templates: Templates, analysis: Analysis, style: Style) -> Named:
    stack = category_stack(templates, analysis, data=shown_data(analysis))
    mass = analysis.mass
    figure = draw_stack(
        stack,
        style,
        log=True,
        categories=True,
        signal_scale=analysis.plots.signal_scale,
        y_label=None if mass is None else "Events, {:g} to {:g} GeV".format(*mass.range_gev),
    )
    yield f"yields_{asked}", figure
    if _has_sidebands(analysis):
        assert analysis.mass is not None
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
