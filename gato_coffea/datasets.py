"""Files, cross sections and sums of weights: what coffea reads, and how it is normalised."""

from __future__ import annotations

import glob
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uproot

from gato_coffea.config import Analysis, Dataset
from gato_coffea.errors import InputError
from gato_coffea.samples import Feature

DATA_VARIABLE = "GATO_COFFEA_DATA"
PB_INVERSE_PER_FB_INVERSE = 1000.0
"""Inverse picobarns in an inverse femtobarn."""

Fileset = dict[str, dict[str, Any]]


def data_folder() -> Path:
    """Folder of the real data that tests and analyses read.

    It is ``$GATO_COFFEA_DATA``, else ``../shared/data`` beside the checkout.

    Raises
    ------
    InputError
        If neither exists.
    """
    named = os.environ.get(DATA_VARIABLE)
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(named) if named else beside
    if not folder.is_dir():
        raise InputError(
            f"{DATA_VARIABLE}: names no folder of real data (got {named or 'no value'}; "
            f"looked for {folder})"
        )
    return folder


def expand(text: str, *, place: str) -> str:
    """A path with its ``$NAME`` and ``${NAME}`` replaced by environment variables.

    Raises
    ------
    InputError
        If a variable has no value.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        if name == DATA_VARIABLE:
            return str(data_folder())
        if name not in os.environ:
            raise InputError(f"{place}: environment variable {name} has no value (got {text!r})")
        return os.environ[name]

    return (
        str(Path.home()) + text[1:]
        if text.startswith("~/")
        else re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, text)
    )


def resolve_files(patterns: Sequence[str], *, directory: Path, place: str) -> tuple[str, ...]:
    """Paths and URLs of the files that patterns name, each once, in order.

    Parameters
    ----------
    patterns
        Paths, globs (``**`` included), folders (their ``*.root``), or URLs, which pass through.
    directory
        What relative paths are relative to.
    place
        What an error message calls the patterns, such as ``datasets.ggH.files``.

    Raises
    ------
    InputError
        If a pattern matches no file.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        text = expand(pattern, place=place)
        if "://" in text:
            found[text] = None
            continue
        path = Path(os.path.normpath(directory.resolve() / text))
        if path.is_dir():
            matches = sorted(str(p) for p in path.glob("*.root"))
        elif path.is_file():
            matches = [str(path)]
        else:
            matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
        if not matches:
            raise InputError(f"{place}: no file matches (got {pattern!r}; looked for {path})")
        found |= dict.fromkeys(matches)
    return tuple(found)


def fileset(analysis: Analysis) -> Fileset:
    """The files of every dataset in the form that coffea's ``Runner`` takes.

    Returns
    -------
    Fileset
        ``{dataset: {"files": {path: tree}, "metadata": {"process", "is_data", "year"}}}``.

    Raises
    ------
    InputError
        If a pattern matches no file.
    """
    result: Fileset = {}
    for name, dataset in analysis.datasets.items():
        files = resolve_files(
            dataset.files, directory=analysis.directory, place=f"datasets.{name}.files"
        )
        tree = tree_name(analysis, dataset)
        result[name] = {
            "files": dict.fromkeys(files, tree),
            "metadata": {
                "process": dataset.process,
                "is_data": dataset.data,
                "year": dataset.year,
            },
        }
    return result


def tree_name(analysis: Analysis, dataset: Dataset) -> str:
    """Path of a dataset's tree inside its files, such as ``ntuples/Events``."""
    return dataset.tree if dataset.tree is not None else analysis.tree


def features(analysis: Analysis) -> tuple[Feature, ...]:
    """The discriminants of an analysis with their ranges and scales."""
    return tuple(Feature(d.name, *d.range, d.scale) for d in analysis.discriminants)


def sum_of_tree(path: str, *, tree: str, branch: str) -> float:
    """Sum of a branch of a ``Runs``-like tree.

    Raises
    ------
    InputError
        If the tree or the branch is missing, or holds no numbers.
    """
    place = f"{path}: sum_of_weights"
    with uproot.open({path: None}) as file:
        if tree not in file:
            raise InputError(f"{place}: tree {tree!r} is missing (got {', '.join(file)})")
        if branch not in file[tree]:
            raise InputError(
                f"{place}: branch {branch!r} is missing in tree {tree!r} "
                f"(got {', '.join(file[tree].keys())})"
            )
        values = file[tree][branch].array(library="np")
    if values.dtype.kind not in "buif" or values.ndim != 1:
        raise InputError(f"{place}: {tree}/{branch} must hold numbers (got type {values.dtype})")
    return float(values.sum(dtype=np.float64))


def normalisation(
    analysis: Analysis, sumw: Mapping[str, float], n_events: Mapping[str, int]
) -> dict[str, float]:
    """Factor that every event weight of a dataset is multiplied with, once, after the merge.

    Cross section times luminosity over the sum of generator weights of all processed events;
    one for data and for weights that are normalised already.

    Parameters
    ----------
    analysis
        The analysis.
    sumw
        Sum of generator weights of each dataset.
    n_events
        Number of events read of each dataset, for error messages.

    Raises
    ------
    InputError
        If a sum of weights is not above zero.
    """
    result = {}
    for name, dataset in analysis.datasets.items():
        if dataset.cross_section_pb is None:
            result[name] = 1.0
            continue
        assert analysis.luminosity_per_fb is not None
        total = sumw[name]
        if not (math.isfinite(total) and total > 0):
            raise InputError(
                f"datasets.{name}.sum_of_weights: the sum over {n_events[name]} events must be "
                f"above zero (got {total:g})"
            )
        luminosity_per_pb = analysis.luminosity_per_fb * PB_INVERSE_PER_FB_INVERSE
        result[name] = dataset.cross_section_pb * luminosity_per_pb / total
    return result
