"""What the exported models of the analyses hold and give, beside the templates and the headline.

Rates and observations are read from the cards themselves, significances from pyhf.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gato_coffea.categories.axes import MASS
from gato_coffea.config import Analysis, read_analysis
from gato_coffea.workflow import stages
from gato_coffea.workflow.pipeline import run_all

ANALYSES = Path(__file__).resolve().parents[2] / "analyses"
NAMES = ("toy_1d", "three_class", "diphoton", "dimuon_2012", "higgsml", "heptutorial")
HEADER = ("analysis", "model", "signal rate / templates", "background rate / estimate")
HEADER += ("total / observed", "Z quoted", "Z of the yields", "Z pyhf", "pyhf / quoted", "why")


def rates_of(card: Path) -> tuple[dict[tuple[str, str], float], dict[str, float]]:
    """Rates by bin and process, and observations by bin, of a combine card."""
    lines = [line.split() for line in card.read_text().splitlines()]
    bins, columns = [line[1:] for line in lines if line[:1] == ["bin"]]
    names = next(line[1:] for line in lines if line[:1] == ["process"])
    rates, observed = (
        [float(v) for line in lines if line[:1] == [key] for v in line[1:]]
        for key in ("rate", "observation")
    )
    by_process = dict(zip(zip(columns, names, strict=True), rates, strict=True))
    return by_process, dict(zip(bins, observed, strict=True))


def expected_of(job: stages.Job) -> tuple[float, float]:
    """Signal and background in the window, from the templates and the sideband fits."""
    analysis, templates, fits = job.analysis, stages.load_templates(job), stages.load_fits(job)
    window = slice(None)
    if analysis.mass is not None and templates.binned_in == MASS:
        first, last = (np.abs(templates.edges - e).argmin() for e in analysis.mass.window_gev)
        window = slice(int(first), int(last))

    def integral(names: Sequence[str]) -> float:
        return sum(
            float(templates.contents(names, k).values[window].sum())
            for k in range(templates.n_categories)
        )

    signal = integral(analysis.optimise.signals)
    if not fits:
        return signal, integral(analysis.backgrounds)
    background = sum(fit.estimate.window_yield for fit in fits)
    if set(analysis.optimise.signals) <= set(analysis.from_data):
        signal = sum(fit.observed or 0.0 for fit in fits) - background
    return signal, background + integral(analysis.resonant)


def rows_of(job: stages.Job) -> tuple[list[list[str]], dict[str, Any]]:
    """Lines of the table, one for each exported model, and their values."""
    content = stages.read_evaluation(job)
    rows, values = [], {"evaluation": content}
    templates = expected_of(job)
    for name, model in content["models"].items():
        rates, observed = rates_of(job.folder("exports") / name / "datacard.txt")
        signals = job.analysis.optimise.signals
        parts = [
            sum(r for (_, p), r in rates.items() if (p in signals) == s) for s in (True, False)
        ]
        compared = [found / wanted for found, wanted in zip(parts, templates, strict=True)]
        data = bool(job.analysis.data_processes) and not job.analysis.is_blinded
        total = f"{sum(parts) / sum(observed.values()):.6f}" if data else "Asimov"
        factors = content["factors"][name].items()
        why = ", ".join(f"{k} {v:.3f}" for k, v in factors if abs(v - 1) > 0.01)
        figures = [content["quoted"], model["statistics"], model["everything"]]
        rows.append(
            [
                *(job.analysis.name, name, *(f"{v:.6f}" for v in compared), total),
                *(f"{f['combined']:.4g}" for f in figures),
                *(f"{content['ratios'][name]:.3f}", why or "-"),
            ]
        )
        values[name] = {"rates": compared, "observed": observed}
    return rows, values


def analysed(name: str, folder: Path, *, method: str | None = None) -> stages.Job:
    """Run an analysis in a copy of its folder up to its exports."""
    for path in (ANALYSES / name).glob("*.*"):
        shutil.copy(path, folder)
    analysis: Analysis = read_analysis(folder)
    if method is not None:
        update = {"optimise": analysis.optimise.model_copy(update={"method": method})}
        analysis = analysis.model_copy(update=update)
    job = stages.Job.of(analysis, progress=False)
    run_all(job)
    return job


def measured(
    names: Sequence[str] = NAMES, *, method: str | None = None
) -> tuple[list[list[str]], dict[str, Any]]:
    """Lines of the table for analyses, which are run for it, and all values."""
    rows, values = [], {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            job = analysed(name, Path(folder), method=method)
            new, values[name] = rows_of(job)
        rows += new
        for row in new:
            print(" | ".join(row), flush=True)
    return rows, values
