"""One self-contained HTML page of a run: figures, tables and where they come from.

The page needs no network and no other file: images are embedded.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from gato_coffea.config import Analysis
from gato_coffea.errors import InputError
from gato_coffea.exports import Headline
from gato_coffea.exports.evaluation import evaluation_table
from gato_coffea.optimisation.result import Result
from gato_coffea.optimisation.result_tables import (
    category_table,
    headline,
    significance_table,
    uncertainty_table,
)
from gato_coffea.processing.cutflow import cutflow_table, hidden_processes
from gato_coffea.processing.output import Cutflow
from gato_coffea.rendering.drawn import DrawnPlot
from gato_coffea.rendering.rounding import decimals, rounded, with_error
from gato_coffea.sidebands import CategoryFit
from gato_coffea.sidebands.tables import sideband_table

TEMPLATE = Path(__file__).with_name("report.html.jinja")
SCRIPT = Path(__file__).with_name("report.js")
IMAGE_TYPES = {".png": "image/png", ".gif": "image/gif"}

SECTIONS = ("Significance", "Categories", "Discriminants", "Mass", "Training")
"""Sections of figures in the order of the page; others follow."""


@dataclass(frozen=True)
class Picture:
    """A figure in the page: its caption, its content, and links to its other files by kind."""

    caption: str
    source: str
    links: Mapping[str, str]


def render_report(
    *,
    analysis: Analysis,
    results: Mapping[int, Result],
    use: int,
    cutflow: Mapping[str, Cutflow] | None = None,
    fits: Sequence[CategoryFit] = (),
    fitted: Headline | None = None,
    evaluation: Mapping[str, object] | None = None,
    plots: Sequence[DrawnPlot] = (),
    provenance: Mapping[str, object] | None = None,
    files: Mapping[str, str] | None = None,
) -> str:
    """The page as HTML.

    Parameters
    ----------
    analysis
        What was run.
    results
        By number of categories asked for.
    use
        The number that is used.
    cutflow
        By process and step, ``events`` and ``weighted``.
    fits
        Sideband fits of the categories that are used.
    fitted
        The figure to quote with the sideband fits, where there is one.
    evaluation
        Content of ``exports/evaluation.json``: what pyhf makes of the exported models.
    plots
        Figures; PNG and GIF images are embedded, their other files linked.
    provenance
        Content of ``provenance.json``: versions, seed, inputs, stages.
    files
        Links to files beside the page, by what they are called in it.

    Raises
    ------
    InputError
        If there is no result for ``use``, or a plot cannot be read.
    """
    if use not in results:
        raise InputError(f"report: no result for {use} categories (got {sorted(results)})")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    record = provenance or {}
    best = results[use]
    quoted = fitted or best
    digits = decimals(quoted.held_out.spread)
    included = best.included if fitted is None else " with the mass fits and their errors"
    z = quoted.held_out
    return environment.from_string(TEMPLATE.read_text()).render(
        title=analysis.title or analysis.name,
        analysis=analysis,
        use=use,
        kept=best.n_categories,
        headline=headline(best) if fitted is None else with_error(z.combined, z.spread),
        included=included,
        figure=best.figure,
        basis=best.basis,
        counting=rounded(z.statistics_only, digits) if included else None,
        before=None if fitted is None else headline(best),
        training=rounded(quoted.training.combined, digits),
        blinded=blinded_text(analysis),
        notes=[(k, note) for k in sorted(results) for note in results[k].notes],
        significances=significance_table(results, used=use, before_fits=fitted is not None),
        uncertainties=None if best.uncertainties is None else uncertainty_table(best),
        categories=category_table(best),
        cutflow=None if not cutflow else cutflow_table(cutflow, hidden=hidden_processes(analysis)),
        fits=None if not fits else sideband_table(fits),
        exported=None if evaluation is None else evaluation_table(evaluation),
        explanations=() if evaluation is None else evaluation["explanations"],
        warnings=() if evaluation is None else evaluation["warnings"],
        fit_notes=[(f.category, note) for f in fits for note in f.fit.notes],
        pictures=pictures(plots),
        versions=record.get("versions", {}),
        seed=record.get("seed", analysis.optimise.seed),
        stages=record.get("stages", {}),
        inputs=record.get("inputs", {}),
        fingerprint=analysis.fingerprint(),
        files=files or {},
        script=SCRIPT.read_text(),
    )


def blinded_text(analysis: Analysis) -> str | None:
    """Where data are hidden, or None."""
    if analysis.mass is not None and analysis.mass.blinded:
        return "in {:g}–{:g} GeV".format(*analysis.mass.window_gev)
    labels = {d.name: d.label or d.name for d in analysis.discriminants}
    return (
        " and ".join(f"at {labels[n]} ≥ {v:g}" for n, v in analysis.blinded_scores.items()) or None
    )


def pictures(plots: Sequence[DrawnPlot]) -> dict[str, list[Picture]]:
    """Embedded images by section, in the order of `SECTIONS`, with links to their other files.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    found: dict[str, list[Picture]] = {section: [] for section in SECTIONS}
    for plot in plots:
        image = next((path for path in plot.files if path.suffix.lower() in IMAGE_TYPES), None)
        if image is None:
            continue
        try:
            content = base64.b64encode(image.read_bytes()).decode()
        except OSError as error:
            raise InputError(f"{image}: cannot read plot ({error.strerror})") from None
        source = f"data:{IMAGE_TYPES[image.suffix.lower()]};base64,{content}"
        links = {
            path.suffix[1:].upper(): f"{path.parent.name}/{path.name}"
            for path in plot.files
            if path != image
        }
        found.setdefault(plot.section, []).append(Picture(plot.caption, source, links))
    return {section: images for section, images in found.items() if images}
