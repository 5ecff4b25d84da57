"""All plots of a run, from its values to files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gato_coffea.categories import MixtureCategories
from gato_coffea.categories.axes import MASS
from gato_coffea.categories.templates import Templates
from gato_coffea.config import Analysis
from gato_coffea.events.samples import Sample
from gato_coffea.optimisation.result import Result
from gato_coffea.plots.animation import animate_boundaries
from gato_coffea.plots.categories import (
    components_of,
    draw_components,
    draw_regions,
    intervals_of,
    regions_of,
)
from gato_coffea.plots.migration import draw_migration, migration_numbers, migrations
from gato_coffea.plots.numbers import (
    component_numbers,
    history_numbers,
    region_numbers,
    scan_numbers,
    spectrum_numbers,
    stack_numbers,
)
from gato_coffea.plots.plot import Plot, write_plots
from gato_coffea.plots.run_values import (
    Histograms,
    axis_label,
    category_stack,
    discriminant_stack,
    fitted_background,
    mass_stack,
    mass_unit,
    occupancy,
    optimised_stack,
    outside_stack,
    shown_data,
    spectrum_of,
    stretched,
)
from gato_coffea.plots.significance import draw_significance, draw_yield_and_uncertainty, scan_of
from gato_coffea.plots.spectra import draw_spectrum
from gato_coffea.plots.stacks import draw_stack
from gato_coffea.plots.style import Style
from gato_coffea.plots.training import draw_training
from gato_coffea.plots.uncertainties import draw_uncertainties, uncertainty_numbers
from gato_coffea.rendering.drawn import DrawnPlot
from gato_coffea.sidebands import CategoryFit

if TYPE_CHECKING:
    from gato_coffea.exports import Headline

OUTSIDE = "Data (outside window)"
"""Name of data of which only those outside the signal window are shown."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the plots of a run are made from.

    Attributes
    ----------
    analysis
        Gives the style, the names and what is blinded.
    histograms
        Fine histograms of the discriminants and of the mass.
    results
        What the optimiser gave, by number of categories requested.
    templates, fits
        Category templates and sideband fits, by number of categories; not all need to be there.
    use
        The number of categories that is used; only its spectra and animation are drawn.
    headline
        The figure to quote of it with the mass fits, where there is one.
    samples
        Events of each process, where they were kept.
    """

    analysis: Analysis
    histograms: Histograms
    results: Mapping[int, Result]
    templates: Mapping[int, Templates]
    fits: Mapping[int, Sequence[CategoryFit]]
    use: int
    headline: Headline | None = None
    samples: Mapping[str, Sample] | None = None

    @property
    def style(self) -> Style:
        """The style that the analysis file asks for."""
        return Style.of(self.analysis)

    @property
    def signal_scale(self) -> float | None:
        """Factor of the signals that the analysis file asks for."""
        return self.analysis.plots.signal_scale

    @property
    def shows_sidebands(self) -> bool:
        """Whether data are shown outside the signal window only."""
        mass = self.analysis.mass
        return mass is not None and mass.blinded and bool(self.analysis.data_processes)


def draw_run(
    folder: str | Path, run: Run, *, animate: bool = True, pool: Executor | None = None
) -> list[DrawnPlot]:
    """Draw every plot of a run, and write it as PDF and PNG and its numbers as CSV.

    Parameters
    ----------
    folder
        Where the plots go; made if missing.
    run
        What they are made from.
    animate
        Whether the boundaries of one discriminant are shown moving while they were trained.
    pool
        Processes that draw beside this one.

    Returns
    -------
    list of DrawnPlot
        In an order in which they can be read.

    Raises
    ------
    OutputError
        If the folder cannot be written to.
    """
    folder = Path(folder)
    written = write_plots(list(run_plots(run)), folder, pool=pool)
    result = run.results.get(run.use)
    history = None if result is None or not animate else result.history
    if history is not None and history.boundaries and len(run.analysis.discriminants) == 1:
        assert result is not None
        feature = result.categories.features[0]
        gif = animate_boundaries(
            folder / f"boundaries_{run.use}.gif",
            discriminant_stack(run.histograms, run.analysis, feature.name),
            run.style,
            epochs=history.epoch,
            boundaries=history.boundaries,
            significance=history.hard,
        )
        caption = f"Boundaries of {run.use} categories while they were trained"
        written.append(DrawnPlot("Categories", caption, (gif,)))
    return written


def run_plots(run: Run) -> Iterator[Plot]:
    """Every plot of a run, in an order in which they can be read."""
    if run.results:
        quoted = None if run.headline is None else {run.use: run.headline.held_out}
        scan = scan_of(run.results, with_fits=quoted)
        yield Plot(
            name="significance",
            section="Significance",
            caption=f"Significance against the number of categories{_fits_told(run)}",
            draw=partial(draw_significance, scan, run.style),
            numbers=scan_numbers(scan),
        )
    yield from _discriminants(run)
    for asked in sorted(run.results):
        yield from _result(run, asked)
        if asked in run.templates:
            yield from _yields(run, asked)
    yield from _migrations(run)
    yield from _masses(run)


def _fits_told(run: Run) -> str:
    """Which figures of the significance are before the mass fits, and which after."""
    if run.analysis.mass is None:
        return ""
    if run.headline is None:
        return "; all before the mass fits"
    return "; curves and yardsticks: before the mass fits; star: with them"


def _discriminants(run: Run) -> Iterator[Plot]:
    for name in (d.name for d in run.analysis.discriminants):
        if name not in run.histograms:
            continue
        stack = discriminant_stack(run.histograms, run.analysis, name)
        for end, told, log in (("", "", False), ("_log", ", logarithmic", True)):
            yield Plot(
                name=f"discriminant_{name}{end}",
                section="Discriminants",
                caption=f"{name}{told}",
                draw=partial(draw_stack, stack, run.style, signal_scale=run.signal_scale, log=log),
                numbers=stack_numbers(stack),
            )
        if f"{name}_{MASS}" in run.histograms and run.shows_sidebands:
            outside = outside_stack(run.histograms, run.analysis, name)
            yield Plot(
                name=f"discriminant_{name}_sidebands",
                section="Discriminants",
                caption=f"{name}, outside the signal window, where data are blinded",
                draw=partial(draw_stack, outside, run.style, data_label=OUTSIDE),
                numbers=stack_numbers(outside),
            )


def _result(run: Run, asked: int) -> Iterator[Plot]:
    result, used = run.results[asked], asked == run.use
    categories = result.categories
    if len(categories.features) == 1:
        yield from _one_dimensional(run, asked)
    if len(categories.features) == 2:
        occupied = occupancy(run.histograms, categories)
        first, second = (axis_label(run.analysis, f.name) for f in categories.features)
        regions = replace(regions_of(categories, occupied=occupied), labels=(first, second))
        ellipses = "; dashed: components at one sigma" if regions.ellipses else ""
        yield Plot(
            name=f"regions_{asked}",
            section="Categories",
            caption=f"Regions of {asked} categories{ellipses}; white: no events",
            draw=partial(draw_regions, regions, run.style),
            numbers=region_numbers(regions),
        )
    if result.history is not None:
        yield Plot(
            name=f"training_{asked}",
            section="Training",
            caption=f"Training of {asked} categories",
            draw=partial(draw_training, result.history, run.style),
            numbers=history_numbers(result.history),
        )
    if used:
        yield _uncertainty(run, asked)
    if used and result.uncertainties is not None:
        found = result.uncertainties
        yield Plot(
            name=f"uncertainties_{asked}",
            section="Significance",
            caption=f"What the uncertainties cost with {asked} categories, and their pulls",
            draw=partial(draw_uncertainties, found, run.style, figure_name=result.figure),
            numbers=uncertainty_numbers(found),
        )


def _uncertainty(run: Run, asked: int) -> Plot:
    yields, optimise = run.results[asked].yields, run.analysis.optimise
    fits = run.fits.get(asked, ())
    if fits:
        background, error = fitted_background(fits, systematic=optimise.systematic)
        told, label = "from the mass fits with their errors", "Error with mass fits"
    else:
        background, error = yields.background, np.sqrt(yields.background_sumw2)
        told, label = "finite simulation only", "Finite simulation only"
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = error / background
    relative = np.where(background > 0, relative, np.nan)
    return Plot(
        name=f"uncertainty_{asked}",
        section="Categories",
        caption=f"Background and its uncertainty in {asked} categories: {told}",
        draw=partial(
            draw_yield_and_uncertainty,
            background,
            relative,
            run.style,
            log=True,
            # the constraint is on the finite simulation, not on the error of a fit
            limit=None if fits else optimise.constraints.max_rel_unc,
            uncertainty_label=label,
        ),
        numbers={
            "category": np.arange(len(background)),
            "background": background,
            "relative_uncertainty": relative,
        },
    )


def _one_dimensional(run: Run, asked: int) -> Iterator[Plot]:
    result, used = run.results[asked], asked == run.use
    categories = result.categories
    feature = categories.features[0]
    intervals = intervals_of(categories)
    limits = None
    if feature.name in run.histograms:
        stack = discriminant_stack(run.histograms, run.analysis, feature.name)
        limits = stack.populated if stretched(feature) else None
        scale = run.signal_scale
        for end, told, log in (("", "", False), ("_log", ", logarithmic", True)):
            if used or log:
                yield Plot(
                    name=f"boundaries_{asked}{end}",
                    section="Categories",
                    caption=f"Boundaries of {asked} categories{told}",
                    draw=partial(
                        draw_stack,
                        stack,
                        run.style,
                        signal_scale=scale,
                        log=log,
                        intervals=intervals,
                    ),
                    numbers=stack_numbers(stack),
                )
    label = axis_label(run.analysis, feature.name)
    optimised = optimised_stack(
        result.yields, intervals, label=label, feature=feature, limits=limits
    )
    inside = ", in the mass window" if result.yields.extrapolated else ""
    if optimised is not None:
        yield Plot(
            name=f"optimised_bins_{asked}",
            section="Categories",
            caption=f"The discriminant in {asked} optimised bins{inside}",
            draw=partial(draw_stack, optimised, run.style, log=True),
            numbers=stack_numbers(optimised),
        )
    if isinstance(categories, MixtureCategories) and used:
        components = replace(components_of(categories), label=label)
        yield Plot(
            name=f"components_{asked}",
            section="Categories",
            caption=f"Mixture components of {asked} categories",
            draw=partial(draw_components, components, run.style),
            numbers=component_numbers(components),
        )


def _yields(run: Run, asked: int) -> Iterator[Plot]:
    analysis, templates = run.analysis, run.templates[asked]
    stack = category_stack(templates, analysis, data=shown_data(analysis))
    mass, whole, y_label = analysis.mass, "", None
    if mass is not None:
        unit, factor = mass_unit(analysis)
        low, high = (factor * end for end in mass.range_gev)
        whole = f" from {low:g} to {high:g} {unit}, the whole mass range"
        y_label = f"Events, {low:g} to {high:g} {unit}"
    yield Plot(
        name=f"yields_{asked}",
        section="Categories",
        caption=f"Yields in {asked} categories{whole}",
        draw=partial(
            draw_stack,
            stack,
            run.style,
            log=True,
            categories=True,
            signal_scale=run.signal_scale,
            y_label=y_label,
            note="Data blinded" if analysis.is_blinded and analysis.data_processes else "",
        ),
        numbers=stack_numbers(stack),
    )
    if run.shows_sidebands:
        assert mass is not None
        outside = category_stack(
            templates,
            analysis,
            data=analysis.data_processes,
            signals=(),
            outside=mass.window_gev,
        )
        yield Plot(
            name=f"yields_{asked}_sidebands",
            section="Categories",
            caption=f"Yields in {asked} categories, outside the window, where data are blinded",
            draw=partial(
                draw_stack, outside, run.style, log=True, categories=True, data_label=OUTSIDE
            ),
            numbers=stack_numbers(outside),
        )


def _migrations(run: Run) -> Iterator[Plot]:
    if run.samples is None or run.use not in run.results:
        return
    categories, processes = run.results[run.use].categories, run.analysis.processes
    summed = ", ".join(name for name in processes if name in run.samples)
    for source, pair in migrations(run.samples, categories, processes).items():
        yield Plot(
            name=f"migration_{run.use}_{source}",
            section="Categories",
            caption=f"Where {source} moves the events of {run.use} categories: sum of {summed}",
            draw=partial(draw_migration, pair, run.style),
            numbers=migration_numbers(pair),
        )


def _masses(run: Run) -> Iterator[Plot]:
    analysis = run.analysis
    if analysis.mass is not None and MASS in run.histograms:
        stack = mass_stack(run.histograms[MASS], analysis)
        _, factor = mass_unit(analysis)
        low, high = analysis.mass.window_gev
        yield Plot(
            name="mass",
            section="Mass",
            caption="Mass of all events",
            draw=partial(
                draw_stack,
                stack,
                run.style,
                signal_scale=run.signal_scale,
                window=(low * factor, high * factor),
            ),
            numbers=stack_numbers(stack),
        )
    if run.use not in run.templates:
        return
    for fit in run.fits.get(run.use, ()):
        spectrum = spectrum_of(run.templates[run.use], fit, analysis)
        yield Plot(
            name=f"mass_{run.use}_category_{fit.category}",
            section="Mass",
            caption=f"Mass in category {fit.category} of {run.use}",
            draw=partial(draw_spectrum, spectrum, run.style, signal_scale=run.signal_scale),
            numbers=spectrum_numbers(spectrum),
        )
