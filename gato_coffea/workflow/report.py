"""One self-contained HTML page of a run: figures, tables and where they come from.

The page needs no network and no other file: images are embedded.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from gato_coffea.config import Analysis
from gato_coffea.errors import InputError
from gato_coffea.exports import Headline
from gato_coffea.exports.evaluation import evaluation_table
from gato_coffea.optimisation.result import Result
from gato_coffea.optimisation.result_tables import category_table, headline, significance_table
from gato_coffea.processing.cutflow import CutFlow, cutflow_table
from gato_coffea.rendering.rounding import decimals, rounded, with_error
from gato_coffea.sidebands import CategoryFit
from gato_coffea.sidebands.tables import sideband_table

TEMPLATE = Path(__file__).with_name("report.html.jinja")
IMAGE_TYPES = {".png": "image/png", ".gif": "image/gif"}

CAPTIONS = (
    ("Significance", r"significance", "Significance against the number of categories"),
    ("Categories", r"boundaries_(\d+)", "Boundaries of {0} categories"),
    ("Categories", r"boundaries_(\d+)_log", "Boundaries of {0} categories, logarithmic"),
    ("Categories", r"optimised_bins_(\d+)", "The discriminant in {0} optimised bins"),
    ("Categories", r"regions_(\d+)", "Regions of {0} categories; ellipses at one sigma"),
    ("Categories", r"components_(\d+)", "Mixture components of {0} categories"),
    ("Categories", r"yields_(\d+)", "Yields in {0} categories{1}"),
    ("Categories", r"yields_(\d+)_sidebands", "Yields in {0} categories, outside the window"),
    ("Categories", r"uncertainty_(\d+)", "Background and its uncertainty in {0} categories"),
    ("Discriminants", r"discriminant_(.+)_sidebands", "{0}, outside the signal window"),
    ("Discriminants", r"discriminant_(.+)_log", "{0}, logarithmic"),
    ("Discriminants", r"discriminant_(.+)", "{0}"),
    ("Mass", r"mass", "Mass of all events"),
    ("Mass", r"mass_(\d+)_category_(\d+)", "Mass in category {1} of {0}"),
    ("Training", r"training_(\d+)", "Training of {0} categories"),
)
"""Section and caption of a figure by the name of its file."""


@dataclass(frozen=True)
class Picture:
    """A figure in the page: the section it belongs to, its caption and its content."""

    section: str
    caption: str
    source: str


def render_report(
    *,
    analysis: Analysis,
    results: Mapping[int, Result],
    use: int,
    cutflow: CutFlow | None = None,
    fits: Sequence[CategoryFit] = (),
    fitted: Headline | None = None,
    evaluation: Mapping[str, Any] | None = None,
    plots: Sequence[Path] = (),
    provenance: Mapping[str, Any] | None = None,
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
        Files; PNG and GIF images are embedded, others left out.
    provenance
        Content of ``provenance.json``: versions, seed, inputs, stages.

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
    record, mass = provenance or {}, analysis.mass
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
        counting=rounded(z.statistics_only, digits) if included else None,
        before=None if fitted is None else headline(best),
        training=rounded(quoted.training.combined, digits),
        blinded=blinded_text(analysis),
        notes=[(k, note) for k in sorted(results) for note in results[k].notes],
        significances=significance_table(results, used=use, before_fits=fitted is not None),
        categories=category_table(best),
        cutflow=None if not cutflow else cutflow_table(cutflow),
        fits=None if not fits else sideband_table(fits),
        exported=None if evaluation is None else evaluation_table(evaluation),
        explanations=() if evaluation is None else evaluation["explanations"],
        warnings=() if evaluation is None else evaluation["warnings"],
        fit_notes=[(f.category, note) for f in fits for note in f.fit.notes],
        pictures=pictures(plots, None if mass is None else mass.range_gev),
        versions=record.get("versions", {}),
        seed=record.get("seed", analysis.optimise.seed),
        stages=record.get("stages", {}),
        inputs=record.get("inputs", {}),
        fingerprint=analysis.fingerprint(),
    )


def blinded_text(analysis: Analysis) -> str | None:
    """Where data are hidden, or None."""
    if analysis.mass is not None and analysis.mass.blinded:
        return "in {:g}–{:g} GeV".format(*analysis.mass.window_gev)
    labels = {d.name: d.label or d.name for d in analysis.discriminants}
    return (
        " and ".join(f"at {labels[n]} ≥ {v:g}" for n, v in analysis.blinded_scores.items()) or None
    )


def pictures(
    plots: Sequence[Path], mass_range: tuple[float, float] | None = None
) -> dict[str, list[Picture]]:
    """Embedded images by section, in the order of `CAPTIONS`, then the rest.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    found: dict[str, list[Picture]] = {}
    for section, *_ in CAPTIONS:
        found.setdefault(section, [])
    for path in plots:
        kind = IMAGE_TYPES.get(path.suffix.lower())
        if kind is None:
            continue
        try:
            content = base64.b64encode(path.read_bytes()).decode()
        except OSError as error:
            raise InputError(f"{path}: cannot read plot ({error.strerror})") from None
        section, caption = caption_of(path, mass_range)
        picture = Picture(section, caption, f"data:{kind};base64,{content}")
        found.setdefault(section, []).append(picture)
    return {section: images for section, images in found.items() if images}


def caption_of(path: Path, mass_range: tuple[float, float] | None = None) -> tuple[str, str]:
    """Section and caption of a figure from the name of its file.

    >>> caption_of(Path("mass_5_category_2.png"))
    ('Mass', 'Mass in category 2 of 5')
    """
    whole = ""  # what the tables of yields show is the window
    if mass_range is not None:
        whole = " from {:g} to {:g} GeV, the whole mass range".format(*mass_range)
    for section, pattern, caption in CAPTIONS:
        match = re.fullmatch(pattern, path.stem)
        if match:
            moving = " while they were trained" if path.suffix == ".gif" else ""
            return section, caption.format(*match.groups(), whole) + moving
    return "Other", path.stem.replace("_", " ")
