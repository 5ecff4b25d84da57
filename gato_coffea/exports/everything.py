"""All exports of an analysis in one folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gato_coffea.categories import Categories, EdgeCategories
from gato_coffea.categories.formats import write_root, write_uhi
from gato_coffea.categories.templates import Templates
from gato_coffea.config import Analysis
from gato_coffea.exports.checks import disagreements
from gato_coffea.exports.comments import model_comments
from gato_coffea.exports.corrections import write_correctionlib
from gato_coffea.exports.datacards import write_combine
from gato_coffea.exports.evaluation import evaluate, largest_z
from gato_coffea.exports.headline import headline_of
from gato_coffea.exports.models import category_names, channels, refuse_poor_fits
from gato_coffea.exports.workspaces import write_pyhf
from gato_coffea.files import write_text
from gato_coffea.sidebands.categories import CategoryFit
from gato_coffea.statistics.uncertainties import Normalisation

if TYPE_CHECKING:
    from gato_coffea.optimisation.result import Result

logger = logging.getLogger(__name__)

EVALUATION = "evaluation.json"
"""What pyhf makes of the models, beside what is quoted."""

N_CELLS = 200
"""Cells a discriminant of the table that stands for Gaussian categories in two."""


def write_exports(
    templates: Templates,
    categories: Categories | Mapping[str, Categories],
    analysis: Analysis,
    folder: str | Path,
    *,
    fits: Sequence[CategoryFit] | None = None,
    systematics: Sequence[Normalisation] | None = None,
    result: Result | Mapping[str, Result] | None = None,
) -> list[Path]:
    """Write everything that other tools read.

    ``templates.root`` and ``templates.json`` (UHI); ``categories.correctionlib.json``, exact
    where the categories have a rectangular form and a table of 200 x 200 cells for Gaussian ones
    in two discriminants (none in more); and the statistical model as ``counting/workspace.json``
    (pyhf), ``counting/datacard.txt`` and ``counting/shapes.root`` (combine): one bin a category,
    which holds the signal window where there is a mass. With a mass, ``shape/`` has the same
    three with the bins of the templates, in the signal window where there are fits. What does
    not agree in a model stands at the head of its card. ``evaluation.json`` says what pyhf makes
    of the models, and how that compares with the significance of the result.

    Parameters
    ----------
    templates
        Of one or several channels, which all are in one model.
    categories
        What the templates were made with, by channel where there are several.
    analysis
        Says the processes, and what is uncertain.
    folder
        Made where it is missing.
    fits
        Sideband fits, of data or of simulation: they replace the backgrounds that are not
        resonant.
    systematics
        Uncertainties of normalisations; see `channels`.
    result
        The optimisation that the categories are from, by channel where there are several;
        without it nothing is compared with it.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        If no category has a signal, the signal window cuts a bin, or no function describes the
        sidebands of a category that ``exports.accept_poor_fits`` does not name.
    OutputError
        If a file cannot be written.
    """
    if fits is not None:
        refuse_poor_fits(fits, accepted=analysis.exports.accept_poor_fits)
    folder = Path(folder)
    written = [folder / "templates.root", folder / "templates.json"]
    write_root(templates, written[0])
    write_uhi(templates, written[1])
    by_channel = {"": categories} if isinstance(categories, Categories) else categories
    for name, own in by_channel.items():
        written += _write_table(own, folder / name / "categories.correctionlib.json")
    shapes = {"counting": False} | ({} if analysis.mass is None else {"shape": True})
    models = {
        name: channels(templates, analysis, shape=shape, fits=fits, systematics=systematics)
        for name, shape in shapes.items()
    }
    names = category_names(templates, analysis)
    warnings = {name: disagreements(m, names=names) for name, m in models.items()}
    pull = 0.0
    if result is not None and _gives_significance(analysis):
        combination = analysis.optimise.combination
        quoted = headline_of(models["counting"], result, combination=combination)
        known = quoted if fits is not None or isinstance(result, Mapping) else result
        pull = largest_z(quoted.training)
        evaluation = evaluate(models, known, combination=combination)
        warnings["counting"] += evaluation.warnings()
        told = dict.fromkeys(line for found in warnings.values() for line in found)
        content = evaluation.to_dict() | {"warnings": list(told)}
        written.append(folder / EVALUATION)
        write_text(written[-1], json.dumps(content, indent=1) + "\n")
    for name, model in models.items():
        written.append(folder / name / "workspace.json")
        write_pyhf(model, written[-1], largest_pull=pull)
        written += write_combine(
            model,
            folder / name,
            warnings=warnings[name],
            comments=model_comments(model, analysis, fits=fits, largest_pull=pull),
        )
    return written


def _write_table(categories: Categories, path: Path) -> list[Path]:
    """Write categories for correctionlib, where they have a table."""
    exact = isinstance(categories, EdgeCategories) or len(categories.features) == 1
    if exact or len(categories.features) == 2:
        write_correctionlib(categories, path, n_cells=None if exact else N_CELLS)
        return [path]
    logger.warning(
        "exports: no %s is written: Gaussian categories in %d discriminants have no table (1 and "
        "2 have); use categories.json",
        path.name,
        len(categories.features),
    )
    return []


def _gives_significance(analysis: Analysis) -> bool:
    """Whether what is quoted is the significance that pyhf gives of a model."""
    settings = analysis.optimise
    found = settings.objective == "significance" and settings.combination != "determinant"
    if not found:
        logger.warning(
            "exports: the models are not compared with what is quoted: pyhf gives a significance, "
            "and this is none (optimise.objective %s, combination %s)",
            settings.objective,
            settings.combination,
        )
    return found
