"""Results of the optimisation and of the sideband fits as files, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gato_coffea.categories import Categories, from_dict
from gato_coffea.config import Analysis
from gato_coffea.errors import ConfigError
from gato_coffea.files import DAMAGED, is_damaged, read_json, write_text
from gato_coffea.optimisation.choice import recommendation, recommendation_of

if TYPE_CHECKING:
    from gato_coffea.exports import Headline
    from gato_coffea.optimisation.result import Breakdown, Result, Significance
    from gato_coffea.sidebands import CategoryFit, SidebandFit

SUMMARY = "summary.json"
FITS = "fits.json"
QUOTED = "quoted.json"
"""The figure with the mass fits, beside them."""

LARGEST = 1e100
"""Yields and significances beyond this have no squares."""
NUMBERS = ("sumw", "sumw2", "count", "factor")


def write_results(folder: Path, results: Sequence[Result]) -> list[Path]:
    """Write categories, figures and training history of every result, and a summary of all.

    ``categories_<asked>.json``, ``result_<asked>.json``, ``history_<asked>.json`` and
    ``folds_<asked>.json`` (where there was training; the latter holds the categories that left
    one fold out each) and ``summary.json``; the last is written last.

    Returns
    -------
    list[Path]
        The files.
    """
    written = []
    for result in results:
        path = folder / f"categories_{result.asked}.json"
        result.categories.save(path)
        written.append(path)
        written.append(_write(folder / f"result_{result.asked}.json", result.to_dict()))
        if result.history is not None:
            history = {name: _as_lists(value) for name, value in vars(result.history).items()}
            written.append(_write(folder / f"history_{result.asked}.json", history))
        if result.folds:
            folds = [categories.to_dict() for categories in result.folds]
            written.append(_write(folder / f"folds_{result.asked}.json", folds))
    return [*written, _write(folder / SUMMARY, _summary(results))]


def _summary(results: Sequence[Result]) -> dict[str, Any]:
    advice = recommendation_of(results)
    return {
        "signals": list(results[0].yields.signals),
        "asked": [r.asked for r in results],
        "kept": [r.n_categories for r in results],
        "held_out": [r.held_out.combined if r.cross_validated else None for r in results],
        "spread": [r.held_out.spread for r in results],
        "difference_spread": [r.difference_spread for r in results],
        "training": [r.training.combined for r in results],
        "recommended": advice.asked,
        "reason": advice.reason,
    }


def _write(path: Path, content: Any) -> Path:
    write_text(path, json.dumps(content, indent=1) + "\n")
    return path


def _as_lists(value: Any) -> Any:
    return [_as_lists(v) for v in value] if isinstance(value, tuple) else value.tolist()


def read_summary(folder: Path) -> dict[str, Any]:
    """Content of ``summary.json``: lists with one entry for each number of categories.

    Raises
    ------
    InputError
        If it is missing or damaged.
    """
    path = folder / SUMMARY
    content: dict[str, Any] = read_json(path)
    try:
        asked = content["asked"]
        for key in ("kept", "held_out", "spread", "training"):
            if len(content[key]) != len(asked):
                raise ValueError(f"{key} does not fit asked")
        if len(content.get("difference_spread", asked)) != len(asked):
            raise ValueError("difference_spread does not fit asked")
        if not asked or not all(isinstance(n, int) for n in asked):
            raise ValueError(f"asked must be whole numbers, got {asked!r}")
    except DAMAGED as error:
        raise is_damaged(path, error) from None
    return content


def read_results(folder: Path) -> dict[int, Result]:
    """Everything that `write_results` has written, by the number of categories asked.

    Raises
    ------
    InputError
        If a file is missing or damaged.
    """
    return {asked: _read_result(folder, asked) for asked in read_summary(folder)["asked"]}


def _significance(content: Mapping[str, Any]) -> Significance:
    """A significance from its JSON."""
    from gato_coffea.optimisation.result import Significance

    values = [content["combined"], *content["per_signal"].values()]
    values += [content[k] for k in ("spread", "statistics_only") if content.get(k) is not None]
    if not all(_is_number(value) for value in values):
        raise ValueError(f"a significance must be made of numbers (got {values})")
    return Significance(**content)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= LARGEST


def _check_yields(yields: Mapping[str, Any]) -> None:
    """Refuse yields whose arrays and names do not fit each other."""
    processes = yields["processes"]
    if not all(isinstance(name, str) for name in processes):
        raise ValueError(f"processes must be names (got {processes})")
    for key in ("signals", "backgrounds"):
        if not yields[key] or not set(yields[key]) <= set(processes):
            raise ValueError(f"{key} must be among the processes (got {yields[key]})")
    resonant = yields.get("resonant", ())
    if not set(resonant) <= set(yields["backgrounds"]):
        raise ValueError(f"resonant must be among the backgrounds (got {resonant})")
    shape = (len(processes), len(yields["factor"]))
    for key in ("sumw", "sumw2", "count"):
        if yields[key].shape != shape:
            raise ValueError(f"{key} must have shape {shape} (got {yields[key].shape})")
    for key in NUMBERS:
        if not (np.abs(yields[key]) <= LARGEST).all():
            raise ValueError(f"{key} must be finite")


def _check_training(training: Mapping[str, Any]) -> None:
    """Refuse circumstances of a training that tables cannot name."""
    from gato_coffea.optimisation.result import FIGURES

    for key, default in (("systematic", 0.0), ("folds", 2)):
        if not _is_number(training.get(key, default)):
            raise ValueError(f"{key} must be a number in the categories file")
    objective = training.get("objective", "significance")
    if objective not in list(FIGURES):
        raise ValueError(f"objective must be {', '.join(FIGURES)} (got {objective!r})")
    if not isinstance(training.get("systematics", []), list):
        raise ValueError("systematics must be a list in the categories file")


def _read_result(folder: Path, asked: int) -> Result:
    from gato_coffea.optimisation.result import History, Result, Yardstick, Yields

    path = folder / f"result_{asked}.json"
    content = read_json(path)
    try:
        yields: dict[str, Any] = {
            key: np.asarray(value, dtype=np.float64) if key in NUMBERS else tuple(value)
            for key, value in content["yields"].items()
        }
        _check_yields(yields)
        history = None
        past = folder / f"history_{asked}.json"
        if past.is_file():
            arrays = read_json(past)
            plain = {f.name: np.asarray(arrays[f.name]) for f in fields(History)[:-1]}
            history = History(**plain, boundaries=tuple(map(np.asarray, arrays["boundaries"])))
        parts = folder / f"folds_{asked}.json"
        folds = tuple(map(from_dict, read_json(parts))) if parts.is_file() else ()
        categories = Categories.load(folder / f"categories_{asked}.json")
        if content["asked"] != asked or categories.n_categories != len(yields["factor"]):
            raise ValueError(f"does not fit {asked} categories, or their file")
        difference = content.get("difference_spread")
        if difference is not None and not _is_number(difference):
            raise ValueError(f"difference_spread must be a number (got {difference!r})")
        if not all(isinstance(note, str) for note in content["notes"]):
            raise ValueError("notes must be text")
        _check_training(categories.training)
        training = _significance(content["training"])
        held_out = content["held_out"]
        return Result(
            asked=asked,
            categories=categories,
            held_out=training if held_out is None else _significance(held_out),
            difference_spread=difference,
            training=training,
            yields=Yields(**yields),
            yardsticks={
                name: Yardstick(
                    None if y["held_out"] is None else _significance(y["held_out"]),
                    _significance(y["training"]),
                )
                for name, y in content["yardsticks"].items()
            },
            history=history,
            notes=tuple(content["notes"]),
            rare=_rare(content["rare"]),
            uncertainties=_uncertainties(content.get("uncertainties")),
            folds=folds,
        )
    except DAMAGED as error:
        raise is_damaged(path, error) from None


def _rare(content: Mapping[str, Any] | None) -> Any:
    from gato_coffea.optimisation.result import RareProcess

    if content is None:
        return None
    low, high = content["z_range"]
    return RareProcess(content["process"], content["category"], (low, high))


def _uncertainties(content: Mapping[str, Any] | None) -> Breakdown | None:
    """A breakdown from its JSON."""
    from gato_coffea.optimisation.result import Breakdown

    if content is None:
        return None
    found = Breakdown(**content)
    numbers = [found.everything, *found.without.values()]
    numbers += [value for pulls in found.pulls.values() for value in pulls.values()]
    optional = (found.bound, found.reached, found.groups)
    numbers += [value for value in optional if value is not None]
    if not all(_is_number(value) for value in numbers):
        raise ValueError("uncertainties must be numbers")
    return found


def chosen(analysis: Analysis, summary: Mapping[str, Any]) -> int:
    """The number of categories, as asked, that templates are made with.

    It is the one that ``optimise.use`` names, else the recommended one (`recommendation`).

    Raises
    ------
    ConfigError
        If ``optimise.use`` names a number that was not asked for.
    """
    asked, use = summary["asked"], analysis.optimise.use
    if use is not None:
        if use not in asked:
            raise ConfigError(
                f"optimise.use: is none of the numbers of categories (got {use}; "
                f"allowed: {', '.join(map(str, asked))})"
            )
        return use
    # Without folds nothing is held out, and the figures of the training decide.
    figures = [
        training if held_out is None else held_out
        for held_out, training in zip(summary["held_out"], summary["training"], strict=True)
    ]
    return recommendation(
        asked, figures, summary["spread"], summary.get("difference_spread")
    ).asked


def write_fits(folder: Path, fits: Sequence[CategoryFit]) -> Path:
    """Write ``fits.json``: the sideband fit of every category."""
    return _write(folder / FITS, [fit.to_dict() for fit in fits])


def write_headline(folder: Path, headline: Headline) -> Path:
    """Write ``quoted.json``: the figure with the mass fits, and what it was before them."""
    return _write(folder / QUOTED, headline.to_dict())


def read_headline(folder: Path) -> Headline | None:
    """What `write_headline` has written; None where there is no model to quote a figure of.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    from gato_coffea.exports import Headline

    path = folder / QUOTED
    if not path.exists():
        return None
    content = read_json(path)
    try:
        return Headline(
            held_out=_significance(content["held_out"]),
            training=_significance(content["training"]),
            before=_significance(content["before"]),
            before_training=_significance(content["before_training"]),
            cross_validated=content["cross_validated"],
            together=content["together"],
        )
    except DAMAGED as error:
        raise is_damaged(path, error) from None


def read_fits(folder: Path) -> list[CategoryFit]:
    """What `write_fits` has written.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    from gato_coffea.sidebands import BackgroundEstimate, CategoryFit

    path = folder / FITS
    content = read_json(path)
    try:
        return [
            CategoryFit(
                category=entry["category"],
                source=entry["source"],
                estimate=BackgroundEstimate(
                    fit=_sideband_fit(entry["fit"]),
                    alternatives=tuple(map(_sideband_fit, entry["alternatives"])),
                    simulated=entry["source"] != "data",
                ),
                observed=entry["observed"],
                observed_error=entry["observed_error"],
                signals=entry["signals"],
                resonant={name: (y, error) for name, (y, error) in entry["resonant"].items()},
                notes=tuple(entry["notes"]),
            )
            for entry in content
        ]
    except DAMAGED as error:
        raise is_damaged(path, error) from None


def _sideband_fit(content: Mapping[str, Any]) -> SidebandFit:
    from gato_coffea.sidebands import SidebandFit

    values = dict(content)
    parameters = values.pop("parameters")
    return SidebandFit(
        names=tuple(parameters),
        parameters=np.array(list(parameters.values())),
        covariance=np.array(values.pop("covariance")),
        sidebands=tuple((band[0], band[1]) for band in values.pop("sidebands_gev")),
        window=tuple(values.pop("window_gev")),
        notes=tuple(values.pop("notes")),
        **values,
    )
