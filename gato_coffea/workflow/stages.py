"""The stages of an analysis: each reads results, calls one function, and writes files."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gato_coffea.config import Analysis
from gato_coffea.errors import InputError
from gato_coffea.files import DAMAGED, is_damaged, read_json, write_text
from gato_coffea.optimisation.settings import check_method
from gato_coffea.rendering.drawn import DrawnPlot
from gato_coffea.statistics.declared import declared_normalisations
from gato_coffea.workflow.job import Job as Job
from gato_coffea.workflow.job import load_processed as load_processed
from gato_coffea.workflow.preparation import make_ntuples
from gato_coffea.workflow.provenance import PROVENANCE, digest
from gato_coffea.workflow.results import (
    chosen,
    read_fits,
    read_headline,
    read_results,
    read_summary,
    write_fits,
    write_headline,
    write_results,
)
from gato_coffea.workflow.template_filling import filled_templates, write_templates

log = logging.getLogger(__name__)

STDERR = 2
PLOT_LIST = "plots.json"
"""Files of the plots with their captions, in an order in which they can be read."""

LINKS = {
    "categories": "templates/categories.json",
    "templates (ROOT)": "templates/templates.root",
    "counting card": "exports/counting/datacard.txt",
    "shape card": "exports/shape/datacard.txt",
    "counting workspace": "exports/counting/workspace.json",
    "shape workspace": "exports/shape/workspace.json",
    "sideband fits": "sidebands/fits.json",
    "configuration": "config.json",
}
"""Files that the report links to, where they are."""

DRAWING_WORKERS = 1
"""Processes that draw beside the main one: each takes a second to start, of the eight or
so that all figures of an analysis take, so that more of them gain little."""

if TYPE_CHECKING:
    from gato_coffea.categories import Categories
    from gato_coffea.categories.templates import Templates
    from gato_coffea.exports import Headline
    from gato_coffea.optimisation.result import Result
    from gato_coffea.plots.run import Run
    from gato_coffea.processing.output import Cutflow
    from gato_coffea.sidebands import CategoryFit


def run_ntuples(job: Job) -> bool:
    """Make the ntuples where the analysis has some of its own; whether any were made."""
    return make_ntuples(job.analysis)


def run_process(job: Job) -> None:
    """Read the events: histograms, columns, cut flow and sums of weights."""
    from gato_coffea.processing.executors import process, process_channels

    if not job.analysis.channels:
        process(job.analysis, **job.run_options()).save(job.target("process"))
        return
    found = process_channels(job.analysis, **job.run_options())
    for part in job.parts():
        assert part.channel is not None
        found[part.channel].save(part.target("process"))


def read_cutflow(job: Job) -> dict[str, Cutflow]:
    """Cut flow that the stage ``process`` has written: process, step, events and weighted."""
    path = job.folder("process") / "process.json"
    cutflow: dict[str, Cutflow] = _entry(path, "cutflow", dict)
    return cutflow


def _entry(path: Path, key: str, kind: type) -> Any:
    """Value of a key in a JSON file of the results.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get(key), kind):
        raise InputError(f"{path}: is damaged ({key} is missing, or of another kind)")
    return content[key]


@contextmanager
def _native_silence() -> Iterator[None]:
    """Keep off the terminal what native libraries say while they are loaded."""
    sys.stderr.flush()
    kept = os.dup(STDERR)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), STDERR)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)


def optimiser(method: str) -> Callable[..., Any]:
    """The function `gato_coffea.optimise`, with what the method needs loaded in silence."""
    from gato_coffea.optimisation.optimise import optimise

    check_method(method)
    if method == "gato":
        with _native_silence():  # TensorFlow tells of its devices whatever its log level
            importlib.import_module("gato_coffea.optimisation.training.descent")
    return optimise


def run_optimise(job: Job) -> None:
    """Find the categories of every channel, for every number of them that is asked."""
    others = [name for name, c in job.analysis.channels.items() if c.is_control]
    for part in job.optimised():
        _optimise(part, control_regions=others)


def _optimise(job: Job, *, control_regions: Sequence[str]) -> None:
    analysis, settings = job.analysis, job.analysis.optimise
    processed = load_processed(job)
    held: Any = processed.samples if processed.samples is not None else processed.cells
    mass = analysis.mass if analysis.uses_window else None
    options = settings.arguments() | {"backgrounds": analysis.backgrounds}
    previous = list(load_results(job).values()) if job.continued else None
    results = optimiser(settings.method)(
        {name: held[name] for name in (*settings.signals, *analysis.backgrounds)},
        features=_features(analysis),
        window_gev=None if mass is None else mass.window_gev,
        mass_range_gev=None if mass is None else mass.range_gev,
        resonant=() if mass is None else analysis.resonant,
        systematics=declared_normalisations(analysis),
        progress=job.progress,
        continue_from=previous,
        **options,
    )
    origin = {
        "analysis_fingerprint": analysis.fingerprint(),
        "input_fingerprint": digest(dict(processed.n_events), dict(processed.sumw)),
    }
    found = [_with_origin(_with_note(r, control_regions), origin) for r in results]
    write_results(job.target("optimise"), found)


def _with_note(result: Result, control_regions: Sequence[str]) -> Result:
    """The result with a note of what control regions measure, and its figures do not know."""
    uncertain = result.categories.training["systematics"]
    if not control_regions or not uncertain:
        return result
    note = (
        f"control regions ({', '.join(control_regions)}): the optimisation of a channel does not "
        f"know what they measure of {', '.join(uncertain)}; the models of the exports do"
    )
    return replace(result, notes=(*result.notes, note))


def _with_origin(result: Result, origin: dict[str, str]) -> Result:
    """The result with the analysis and the events it came from in its categories file."""
    training = {**result.categories.training, **origin}
    return replace(result, categories=replace(result.categories, training=training))


def _features(analysis: Analysis) -> Any:
    from gato_coffea.datasets import features

    return features(analysis)


def load_results(job: Job) -> dict[int, Result]:
    """Results of the optimisation by number of categories asked."""
    return read_results(job.folder("optimise"))


def used_count(job: Job) -> int:
    """Number of categories, as asked, that templates are made with."""
    return chosen(job.analysis, read_summary(job.folder("optimise")))


def load_categories(job: Job) -> Categories:
    """The categories that templates are made with."""
    from gato_coffea.categories import Categories

    path = job.folder("optimise") / f"categories_{used_count(job)}.json"
    return Categories.load(path, features=[d.name for d in job.analysis.discriminants])


def run_categorise(job: Job) -> None:
    """Templates of the chosen categories of all channels, and a copy of the categories."""
    from gato_coffea.categories import EdgeCategories
    from gato_coffea.categories.templates import Templates

    optimised = [part.channel for part in job.optimised()]
    categories: list[Categories] = [
        load_categories(part)
        if part.channel in optimised
        else EdgeCategories.single(_features(part.analysis))
        for part in job.parts()
    ]
    found = filled_templates(job, categories)
    for part, chosen_ones, (_, source) in zip(job.parts(), categories, found, strict=True):
        n = chosen_ones.n_categories
        asked = used_count(part) if part.channel in optimised else n
        chosen_ones.save(part.target("templates") / "categories.json")
        used = {"asked": asked, "kept": n, "templates_from": source}
        write_text(part.target("templates") / "used.json", json.dumps(used) + "\n")
    made = {str(part.channel): t for part, (t, _) in zip(job.parts(), found, strict=True)}
    joined = Templates.joined(made) if job.analysis.channels else found[0][0]
    write_templates(joined, job.target("templates"))
    if job.analysis.channels:
        log.warning(
            "channels: templates and exports are of all of them; mass fits, plots and report are "
            "made of an analysis without channels"
        )


def _stored_categories(job: Job) -> Categories:
    """The categories that the templates of a channel were made with."""
    from gato_coffea.categories import Categories

    return Categories.load(job.folder("templates") / "categories.json")


def read_template_source(job: Job) -> str:
    """What the stage ``categorise`` has made the templates from."""
    source: str = _entry(job.folder("templates") / "used.json", "templates_from", str)
    return source


def load_templates(job: Job) -> Templates:
    """The templates that the stage ``categorise`` has written."""
    from gato_coffea.exports import read_uhi

    return read_uhi(job.folder("templates") / "templates.json")


def run_sidebands(job: Job) -> None:
    """Fit the mass sidebands of every category, and quote the figure with these fits."""
    from gato_coffea.exports import headline
    from gato_coffea.sidebands import fit_categories

    templates, folder = load_templates(job), job.target("sidebands")
    fits = fit_categories(templates, job.analysis)
    write_fits(folder, fits)
    result = load_results(job)[used_count(job)]
    try:
        quoted = headline(templates, job.analysis, result, fits=fits)
    except InputError as error:  # the fits can be looked at; the exports will refuse them
        log.warning("no figure is quoted with the mass fits: %s", error)
        return
    write_headline(folder, quoted)


def load_headline(job: Job) -> Headline | None:
    """The figure with the mass fits; None without a mass, or where there is no model."""
    return None if job.analysis.mass is None else read_headline(job.folder("sidebands"))


def load_fits(job: Job) -> list[CategoryFit]:
    """The fits that the stage ``sidebands`` has written; none without a mass."""
    return [] if job.analysis.mass is None else read_fits(job.folder("sidebands"))


def run_exports(job: Job) -> None:
    """Write everything that other tools read; one model of all channels."""
    from gato_coffea.exports import write_exports

    templates, folder = load_templates(job), job.target("exports")
    if job.analysis.channels:
        parts = {str(part.channel): _stored_categories(part) for part in job.parts()}
        results = {str(p.channel): load_results(p)[used_count(p)] for p in job.optimised()}
        write_exports(templates, parts, job.analysis, folder, result=results)
        return
    fits, categories = load_fits(job) or None, load_categories(job)
    write_exports(
        templates,
        categories,
        job.analysis,
        folder,
        fits=fits,
        result=load_results(job)[used_count(job)],
    )


def read_evaluation(job: Job) -> dict[str, Any] | None:
    """What the stage ``exports`` has found of the models; None where it has compared nothing."""
    from gato_coffea.exports.everything import EVALUATION

    path = job.folder("exports") / EVALUATION
    content: dict[str, Any] | None = read_json(path) if path.is_file() else None
    return content


def run_plots(job: Job) -> None:
    """Draw all figures, as PDF and PNG."""
    from gato_coffea.plots.run import draw_run
    from gato_coffea.processing.pool import worker_pool

    with worker_pool(DRAWING_WORKERS) as pool:
        pool.submit(importlib.import_module, draw_run.__module__)  # while values are read here
        drawn = draw_run(
            job.target("plots"), _values_of_plots(job), animate=job.animate, pool=pool
        )
    content = [
        {"section": plot.section, "caption": plot.caption, "files": [p.name for p in plot.files]}
        for plot in drawn
    ]
    write_text(job.target("plots") / PLOT_LIST, json.dumps(content, indent=1) + "\n")


def _values_of_plots(job: Job) -> Run:
    """What the plots are made from."""
    from gato_coffea.plots.run import Run

    used = used_count(job)
    processed = load_processed(job)
    return Run(
        analysis=job.analysis,
        histograms=processed.histograms,
        samples=processed.samples,
        results=load_results(job),
        templates={used: load_templates(job)},
        fits={used: load_fits(job)},
        use=used,
        headline=load_headline(job),
    )


def read_plots(job: Job) -> list[DrawnPlot]:
    """The figures that the stage ``plots`` has written.

    Raises
    ------
    InputError
        If their list is missing or damaged.
    """
    folder = job.folder("plots")
    content = read_json(folder / PLOT_LIST)
    try:
        return [
            DrawnPlot(p["section"], p["caption"], tuple(folder / name for name in p["files"]))
            for p in content
        ]
    except DAMAGED as error:
        raise is_damaged(folder / PLOT_LIST, error) from None


def run_report(job: Job) -> None:
    """Write ``report.html``: everything on one page."""
    from gato_coffea.workflow.report import render_report

    record = read_json(job.output / PROVENANCE)
    try:
        ended = record["stages"].items()
        stages = {n: {k: v for k, v in r.items() if k != "files"} for n, r in ended}
    except DAMAGED as error:
        raise is_damaged(job.output / PROVENANCE, error) from None
    page = render_report(
        analysis=job.analysis,
        results=load_results(job),
        use=used_count(job),
        cutflow=read_cutflow(job),
        fits=load_fits(job),
        fitted=load_headline(job),
        evaluation=read_evaluation(job),
        plots=read_plots(job),
        provenance=record | {"stages": stages},
        files={title: link for title, link in LINKS.items() if (job.output / link).is_file()},
    )
    write_text(job.target("report.html"), page)
