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

import numpy as np
from jinja2 import Environment, StrictUndefined

from gato_coffea.config import Analysis
from gato_coffea.errors import InputError
from gato_coffea.exports.evaluation import COLUMNS, rows_of
from gato_coffea.optimisation.result import Result, Significance, background_note, meanings
from gato_coffea.sidebands import CategoryFit

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


@dataclass(frozen=True)
class TableView:
    """A table in the page: header and rows of text, ``marked`` the row to be emphasised."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: int | None = None


def render_report(
    *,
    analysis: Analysis,
    results: Mapping[int, Result],
    use: int,
    cutflow: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
    fits: Sequence[CategoryFit] = (),
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
    return environment.from_string(TEMPLATE.read_text()).render(
        title=analysis.title or analysis.name,
        analysis=analysis,
        use=use,
        kept=best.n_categories,
        headline=with_spread(best.held_out) + best.reach(3),
        included=best.included,
        counting=number(best.held_out.statistics_only or np.nan) if best.included else None,
        meanings=meanings(best.yardsticks, extrapolated=best.yields.extrapolated),
        background_note=background_note(best.yields),
        training=f"{best.training.combined:.3f}",
        blinded=blinded_text(analysis),
        notes=[(k, note) for k in sorted(results) for note in results[k].notes],
        significances=significance_rows(results, use),
        categories=category_rows(best),
        cutflow=None if not cutflow else cutflow_rows(cutflow),
        fits=None if not fits else fit_rows(fits),
        exported=None if evaluation is None else TableView(COLUMNS, tuple(rows_of(evaluation))),
        explanations=() if evaluation is None else evaluation["explanations"],
        warnings=() if evaluation is None else evaluation["warnings"],
        simulated=any(fit.estimate.simulated for fit in fits),
        fit_notes=[(f.category, note) for f in fits for note in (*f.fit.notes, *f.cautions)],
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


def with_spread(value: Significance) -> str:
    """A significance with its spread, where it has one."""
    spread = "" if value.spread is None else f" ± {value.spread:.3f}"
    return f"{value.combined:.3f}{spread}"


def number(value: float) -> str:
    """A yield with four significant digits, thousands separated; a dash where undefined.

    >>> number(12345.678), number(0.123456), number(float("nan"))
    ('12,346', '0.1235', '–')
    """
    if not np.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def with_error(value: float, error: float) -> str:
    """A value and its error, to two digits of the error.

    >>> with_error(1348.2, 22.48), with_error(0.12345, 0.0041)
    ('1,348 ± 22', '0.1235 ± 0.0041')
    """
    if not (np.isfinite(value) and np.isfinite(error) and error > 0):
        return number(value)
    digits = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{value:,.{digits}f} ± {error:,.{digits}f}"


def significance_rows(results: Mapping[int, Result], use: int) -> TableView:
    """Held-out first, then each signal's, training, and the yardsticks held out."""
    asked = sorted(results)
    signals = list(results[asked[0]].held_out.per_signal)
    names = list(dict.fromkeys(n for k in asked for n in results[k].yardsticks))
    several = signals if len(signals) > 1 else []
    counting = any(result.included for result in results.values())
    only = ("Statistics only",) if counting else ()
    signal_names = (f"Z {s}" for s in several)
    header = ("Asked", "Kept", "Z held-out", *only, *signal_names, "Z training", *names)
    rows = []
    for k in asked:
        result = results[k]
        yardsticks = []
        for name in names:
            found = result.yardsticks.get(name)
            if found is None:
                yardsticks.append("–")
            elif found.held_out is None:
                yardsticks.append(f"{found.training.combined:.3f} (training)")
            else:
                yardsticks.append(f"{found.held_out.combined:.3f}")
        per_signal = [f"{result.held_out.per_signal[s]:.3f}" for s in several]
        rows.append(
            (
                str(k),
                str(result.n_categories),
                with_spread(result.held_out) + result.reach(3),
                *([f"{result.held_out.statistics_only or np.nan:.3f}"] if counting else []),
                *per_signal,
                f"{result.training.combined:.3f}",
                *yardsticks,
            )
        )
    return TableView(header, tuple(rows), marked=asked.index(use))


def category_rows(result: Result) -> TableView:
    """Yields, S/B and effective background entries of every category, and the sums."""
    yields = result.yields
    s, b = yields.signal_stack, yields.background
    error = np.sqrt(yields.background_sumw2)
    rows = []
    for k in range(len(b)):
        total = float(s[:, k].sum())
        ratio = f"{total / b[k]:.3g}" if b[k] > 0 else "–"
        signals = [number(float(value)) for value in s[:, k]]
        background = with_error(float(b[k]), float(error[k]))
        entries = number(float(yields.effective_background[k]))
        rows.append((str(k), *signals, background, ratio, entries))
    sums = [number(float(value)) for value in s.sum(axis=1)]
    total_error = float(np.sqrt(np.square(error).sum()))
    total_background = float(b.sum())
    last = with_error(total_background, total_error)
    ratio = f"{float(s.sum()) / total_background:.3g}" if total_background > 0 else "–"
    rows.append(("all", *sums, last, ratio, ""))
    header = ("Category", *yields.signals, "Background", "S/B", "Effective entries")
    return TableView(header, tuple(rows), marked=len(rows) - 1)


def cutflow_rows(cutflow: Mapping[str, Mapping[str, Mapping[str, float]]]) -> TableView:
    """Events, and weighted yields, of each process after each step."""
    steps = list(dict.fromkeys(step for counts in cutflow.values() for step in counts))
    rows = []
    for process, counts in cutflow.items():
        cells = []
        for step in steps:
            found = counts.get(step)
            if found is None:
                cells.append("–")
            else:
                weighted = number(float(found["weighted"]))
                cells.append(f"{int(found['events']):,} ({weighted})")
        rows.append((process, *cells))
    return TableView(("Process", *steps), tuple(rows))


def fit_rows(fits: Sequence[CategoryFit]) -> TableView:
    """Function, prediction in the window with its errors, goodness of fit and status."""
    header = (
        *("Category", "Function", "Prediction in the window", "Function spread"),
        *(("Resonant backgrounds",) if any(fit.resonant for fit in fits) else ()),
        *("Observed", "Signal expected", "χ²/ndf", "p-value", "Effective entries", "Status"),
    )
    rows = []
    for entry in fits:
        fit = entry.fit
        peaking = ", ".join(f"{name} {with_error(*pair)}" for name, pair in entry.resonant.items())
        signal = ", ".join(f"{name} {number(value)}" for name, value in entry.signals.items())
        rows.append(
            (
                str(entry.category),
                f"{fit.family} to {entry.source}",
                with_error(fit.window_yield, entry.estimate.statistical),
                "–" if entry.spread is None else f"{entry.spread:.2g}",
                *((peaking,) if peaking else ()),
                "–" if entry.observed is None else number(entry.observed),
                signal or "–",
                f"{fit.chi2:.1f}/{fit.ndf}",
                "–" if fit.p_value is None else f"{fit.p_value:.2g}",
                number(fit.effective_entries),
                fit.status,
            )
        )
    return TableView(header, tuple(rows))


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
