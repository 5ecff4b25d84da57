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
from gato_coffea.errors import ConfigError, InputError
from gato_coffea.files import write_text
from gato_coffea.gato.choice import recommendation, recommendation_of

if TYPE_CHECKING:
    from gato_coffea.gato.result import Result
    from gato_coffea.sidebands import CategoryFit, SidebandFit

SUMMARY = "summary.json"
FITS = "fits.json"
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
        "held_out": [r.held_out.combined for r in results],
        "spread": [r.held_out.spread for r in results],
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
    content: dict[str, Any] = _read(folder / SUMMARY)
    return content


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read results ({error})") from None


def read_results(folder: Path) -> dict[int, Result]:
    """Everything that `write_results` has written, by the number of categories asked.

    Raises
    ------
    InputError
        If a file is missing or damaged.
    """
    return {asked: _read_result(folder, asked) for asked in read_summary(folder)["asked"]}


def _read_result(folder: Path, asked: int) -> Result:
    from gato_coffea.gato.result import History, Result, Significance, Yardstick, Yields

    path = folder / f"result_{asked}.json"
    content = _read(path)

    def significance(value: Mapping[str, Any] | None) -> Any:
        return None if value is None else Significance(**value)

    try:
        yields: dict[str, Any] = {
            key: np.asarray(value) if key in NUMBERS else tuple(value)
            for key, value in content["yields"].items()
        }
        history = None
        past = folder / f"history_{asked}.json"
        if past.is_file():
            arrays = _read(past)
            plain = {f.name: np.asarray(arrays[f.name]) for f in fields(History)[:-1]}
            history = History(**plain, boundaries=tuple(map(np.asarray, arrays["boundaries"])))
        parts = folder / f"folds_{asked}.json"
        folds = tuple(map(from_dict, _read(parts))) if parts.is_file() else ()
        return Result(
            asked=content["asked"],
            categories=Categories.load(folder / f"categories_{asked}.json"),
            held_out=significance(content["held_out"]),
            training=significance(content["training"]),
            yields=Yields(**yields),
            yardsticks={
                name: Yardstick(significance(y["held_out"]), significance(y["training"]))
                for name, y in content["yardsticks"].items()
            },
            history=history,
            notes=tuple(content["notes"]),
            folds=folds,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is damaged ({type(error).__name__}: {error})") from None


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
    return recommendation(asked, summary["held_out"], summary["spread"]).asked


def write_fits(folder: Path, fits: Sequence[CategoryFit]) -> Path:
    """Write ``fits.json``: the sideband fit of every category."""
    return _write(folder / FITS, [fit.to_dict() for fit in fits])


def read_fits(folder: Path) -> list[CategoryFit]:
    """What `write_fits` has written.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    from gato_coffea.sidebands import BackgroundEstimate, CategoryFit

    path = folder / FITS
    content = _read(path)
    try:
        return [
            CategoryFit(
                category=entry["category"],
                source=entry["source"],
                estimate=BackgroundEstimate(
                    fit=_sideband_fit(entry["fit"]),
                    alternatives=tuple(map(_sideband_fit, entry["alternatives"])),
                ),
                observed=entry["observed"],
                observed_error=entry["observed_error"],
                signals=entry["signals"],
                resonant={name: (y, error) for name, (y, error) in entry["resonant"].items()},
                notes=tuple(entry["notes"]),
            )
            for entry in content
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is damaged ({type(error).__name__}: {error})") from None


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
