"""Files, cross sections and sums of weights: what coffea reads, and how it is normalised."""

from __future__ import annotations

import glob
import hashlib
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gato_coffea.config import Analysis, Dataset
from gato_coffea.datasets.root_files import opened, reading
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature

DATA_VARIABLE = "GATO_COFFEA_DATA"
PB_INVERSE_PER_FB_INVERSE = 1000.0
"""Inverse picobarns in an inverse femtobarn."""

Fileset = dict[str, dict[str, Any]]

SAMPLED_BYTES = 1 << 16
"""What is compared of files of equal size, at either end: a ROOT file's identifier lies there."""


def data_folder() -> Path:
    """Folder of the real data that tests and analyses read.

    It is ``$GATO_COFFEA_DATA``, else ``../shared/data`` beside the checkout.

    Raises
    ------
    InputError
        If neither exists.
    """
    named = os.environ.get(DATA_VARIABLE)
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
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
        If a pattern matches no file, or a file is a broken link or may not be read.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        text = expand(pattern, place=place)
        if "://" in text:
            found[text] = None
            continue
        path = Path(os.path.normpath(directory.resolve() / text))
        if path.is_symlink() and not path.exists():
            matches = [str(path)]
        elif path.is_dir():
            matches = sorted(str(p) for p in path.glob("*.root"))
        elif path.is_file():
            matches = [str(path)]
        else:
            matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
        if not matches:
            raise InputError(f"{place}: no file matches (got {pattern!r}; looked for {path})")
        for match in matches:
            _check_readable(Path(match), place=place)
        found |= dict.fromkeys(matches)
    return tuple(found)


def _check_readable(path: Path, *, place: str) -> None:
    if not path.exists():
        raise InputError(f"{path}: {place}: is a broken link (it leads to {path.readlink()})")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: {place}: may not be read (permission denied)")


def fileset(analysis: Analysis) -> Fileset:
    """The files of every dataset in the form that coffea's ``Runner`` takes.

    Returns
    -------
    Fileset
        ``{dataset: {"files": {path: tree}, "metadata": {"process", "is_data", "year", "era"
        where there are some}}}``.

    Raises
    ------
    InputError
        If a pattern matches no file, or the same events would be read twice.
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
                **({} if dataset.era is None else {"era": dataset.era}),
            },
        }
    _check_duplicates(analysis, result)
    return result


def _check_duplicates(analysis: Analysis, files: Fileset) -> None:
    """Refuse a tree that is read twice: by another path, through a link, or from a copy."""
    places = [
        (name, path, tree)
        for name, content in files.items()
        for path, tree in content["files"].items()
    ]
    identities = _identities({path for _, path, _ in places})
    seen: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name, path, tree in places:
        for other, first in seen.get((identities[path], tree), ()):
            if other == name or not _derived(analysis, name, other):
                raise InputError(
                    f"{path}: datasets.{name}.files: holds the same events as {first} of "
                    f"datasets.{other}; a file counts once (derived_from: {other}, with a weight "
                    "of its own, reads it again)"
                )
        seen.setdefault((identities[path], tree), []).append((name, path))


def _derived(analysis: Analysis, name: str, other: str) -> bool:
    """Whether two datasets are said to be made of the same events."""
    of = [analysis.datasets[n].derived_from or n for n in (name, other)]
    return of[0] == of[1]


def _identities(paths: Iterable[str]) -> dict[str, str]:
    """What is equal for two paths to the same content: links, hard links and copies.

    A URL is known by its name alone.
    """
    result: dict[str, str] = {}
    by_size: dict[int, dict[tuple[int, int], list[str]]] = {}
    for path in paths:
        if "://" in path:
            result[path] = path
        else:
            status = Path(path).stat()
            of_size = by_size.setdefault(status.st_size, {})
            of_size.setdefault((status.st_dev, status.st_ino), []).append(path)
    for size, files in by_size.items():
        for (device, inode), same in files.items():
            text = f"{device}:{inode}" if len(files) == 1 else _sampled(same[0], size)
            result |= dict.fromkeys(same, text)
    return result


def _sampled(path: str, size: int) -> str:
    with Path(path).open("rb") as stream:
        found = hashlib.sha256(stream.read(SAMPLED_BYTES))
        stream.seek(max(0, size - SAMPLED_BYTES))
        found.update(stream.read())
    return f"{size}:{found.hexdigest()}"


def tree_name(analysis: Analysis, dataset: Dataset) -> str:
    """Path of a dataset's tree inside its files, such as ``ntuples/Events``."""
    return dataset.tree if dataset.tree is not None else analysis.tree


def features(analysis: Analysis) -> tuple[Feature, ...]:
    """The discriminants of an analysis with their ranges and scales."""
    return tuple(Feature.of(d) for d in analysis.discriminants)


def sum_of_tree(path: str, *, tree: str, branch: str) -> float:
    """Sum of a branch of a ``Runs``-like tree.

    Raises
    ------
    InputError
        If the tree or the branch is missing, or holds no numbers.
    """
    place = f"{path}: sum_of_weights"
    with opened(path, place="sum_of_weights") as file, reading(path, place="sum_of_weights"):
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
        luminosity_per_fb = analysis.luminosity_of(name)
        assert luminosity_per_fb is not None
        total = sumw[name]
        if not (math.isfinite(total) and total > 0):
            raise InputError(
                f"datasets.{name}.sum_of_weights: the sum over {n_events[name]} events must be "
                f"above zero (got {total:g})"
            )
        luminosity_per_pb = luminosity_per_fb * PB_INVERSE_PER_FB_INVERSE
        result[name] = dataset.cross_section_pb * luminosity_per_pb / total
    return result
