"""What files hold, and whether an analysis file fits them; no event is processed."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gato_coffea.config import Analysis, SumOfWeights, function_name, load_functions
from gato_coffea.datasets import Fileset, fileset, sum_of_tree
from gato_coffea.datasets.draft import starting_yaml
from gato_coffea.datasets.root_files import (
    Tree,
    inspect_file,
    is_number,
    nearest,
    open_tree,
    opened,
    reading,
)
from gato_coffea.errors import InputError

__all__ = [
    "DatasetRow",
    "Tree",
    "check_analysis",
    "check_first_files",
    "diagnose",
    "inspect_file",
    "starting_yaml",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DatasetRow:
    """What was found of a dataset.

    Attributes
    ----------
    dataset, process, kind
        Names, and ``data``, ``from data`` (weighted) or ``simulation``.
    files, entries, tree
        Number of files, entries in all of them (None for blinded data), path of the tree in them.
    sumw
        Sum of generator weights; None for data and for weights that are normalised already.
    missing
        What does not fit, one line each: missing branches, branches that are not one number an
        event, a sum of weights that is not above zero, no entries. Empty where all is well.
    """

    dataset: str
    process: str
    kind: str
    files: int
    entries: int | None
    tree: str
    sumw: float | None
    missing: tuple[str, ...]


VARIED = ("weight.", "systematics.")
"""Sections whose sources are those of some datasets only."""


def wanted_branches(analysis: Analysis, name: str) -> dict[str, str]:
    """Branches that a dataset needs, each with the first key of the analysis that names it."""
    dataset = analysis.datasets[name]
    own = f"datasets.{name}."
    sources = {k: s for k, s in analysis.sources().items() if not k.startswith(VARIED)}
    if not analysis.is_from_data(name):
        sources |= weight_sources(analysis, name)
        for varied in analysis.variations_of(name).values():
            change = analysis.event_variations[varied]
            sources |= {f"{change.key}.{k}": s for k, s in change.values.items()}
    result: dict[str, str] = {}
    for key, source in sources.items():
        if key.startswith("datasets.") and not key.startswith(own):
            continue
        if function_name(source) is None:
            result.setdefault(source, key)
    if dataset.sum_of_weights is not None and dataset.sum_of_weights.branch is not None:
        result.setdefault(dataset.sum_of_weights.branch, f"{own}sum_of_weights.branch")
    for branch in analysis.event_id or ():
        result.setdefault(branch, "event_id")
    return result


def weight_sources(analysis: Analysis, name: str) -> dict[str, str]:
    """Sources of the weights of a simulated dataset by key, but for those of its own weight."""
    weight, own = analysis.weight, analysis.datasets[name].weight
    nominal = {f"weight.nominal[{i}]": s for i, s in enumerate(weight.nominal)}
    result = nominal if own is None else {}
    for varied in analysis.variations_of(name).values():
        change = analysis.event_variations[varied]
        if change.weight is None:
            continue
        used = [s for part in weight.varied(change.weight, own) for s in part]
        named = {f"{change.key}[{i}]": s for i, s in enumerate(change.weight.sources)}
        result |= {k: s for k, s in (named | nominal).items() if s in used}
    return result


def branch_problems(analysis: Analysis, name: str, tree: Any, *, path: str) -> Iterator[str]:
    """What is wrong with the branches of one file, a line each.

    Only flat ntuples are looked at: other schemas name branches in their own way.
    """
    if analysis.schema_ != "base":
        return
    types = tree.typenames(recursive=False)
    for branch, key in wanted_branches(analysis, name).items():
        place = f"{path}: datasets.{name}: {key}: branch {branch!r}"
        if branch.split(".")[0] not in types and branch not in types:
            yield f"{place} is missing in tree {tree.name!r}{nearest(branch, types)}"
        elif branch in types and not is_number(types[branch]):
            yield f"{place} must be one number an event (got type {types[branch]})"


def check_first_files(analysis: Analysis, files: Fileset) -> None:
    """Look into the first file of every dataset before any event is read.

    Raises
    ------
    InputError
        If the file, its tree or a branch that the analysis names is missing.
    """
    for name, content in files.items():
        path, tree_name = next(iter(content["files"].items()))
        with opened(path, place=f"datasets.{name}") as file:
            tree = open_tree(file, path, tree_name, place=f"datasets.{name}")
            for problem in branch_problems(analysis, name, tree, path=path):
                raise InputError(problem)


def check_analysis(analysis: Analysis) -> tuple[DatasetRow, ...]:
    """Hold an analysis file against all its files; no event is processed.

    Every file is opened. Of the events, only generator weights are read, for their sum.

    Returns
    -------
    tuple[DatasetRow, ...]
        One row a dataset, in the order of the file, with all problems of its branches.

    Raises
    ------
    ConfigError
        If ``analysis.py`` lacks a function.
    InputError
        If a file or a tree is missing or cannot be read.
    """
    load_functions(analysis)
    return tuple(_row(analysis, name, c["files"]) for name, c in fileset(analysis).items())


def _row(analysis: Analysis, name: str, files: Mapping[str, str]) -> DatasetRow:
    dataset, from_data = analysis.datasets[name], analysis.is_from_data(name)
    problems: list[str] = []
    entries, sumw, invalid = 0, 0.0, 0
    for path, tree_name in files.items():
        with opened(path, place=f"datasets.{name}") as file:
            tree = open_tree(file, path, tree_name, place=f"datasets.{name}")
            found = list(branch_problems(analysis, name, tree, path=path))
            entries += int(tree.num_entries)
            if not tree.num_entries:
                logger.warning("%s: datasets.%s: tree %r is empty", path, name, tree_name)
            if dataset.sum_of_weights is not None and not found:
                with reading(path, place=f"datasets.{name}.sum_of_weights"):
                    total, bad = _file_sumw(dataset.sum_of_weights, tree, path)
                sumw, invalid = sumw + total, invalid + bad
            problems += found
    if not entries:
        problems.append(f"datasets.{name}: the tree has no entries in any of its files")
    elif invalid > analysis.max_invalid_fraction * entries:
        problems.append(
            f"datasets.{name}: sum_of_weights: {invalid} of {entries} events are NaN or infinite "
            f"(allowed: max_invalid_fraction {analysis.max_invalid_fraction:g})"
        )
    elif dataset.sum_of_weights is not None and not problems and not 0 < sumw < math.inf:
        problems.append(
            f"datasets.{name}.sum_of_weights: the sum over {entries} events must be above zero "
            f"(got {sumw:g})"
        )
    return DatasetRow(
        dataset=name,
        process=dataset.process,
        kind="data" if dataset.data else "from data" if from_data else "simulation",
        files=len(files),
        entries=None if analysis.is_blinded and from_data else entries,
        tree=next(iter(files.values())),
        sumw=None if dataset.sum_of_weights is None else sumw,
        missing=tuple(problems),
    )


def _file_sumw(way: SumOfWeights, tree: Any, path: str) -> tuple[float, int]:
    """Sum of the generator weights of a file that are finite, and how many are not."""
    if way.count_events:
        return float(tree.num_entries), 0
    if way.branch is not None:
        total, invalid = 0.0, 0
        for chunk in tree.iterate([way.branch], library="np"):
            weight = np.asarray(chunk[way.branch], dtype=np.float64)
            finite = np.isfinite(weight)
            total += float(np.sum(weight, where=finite))
            invalid += int(np.count_nonzero(~finite))
        return total, invalid
    assert way.tree is not None
    assert way.entry is not None
    return sum_of_tree(path, tree=way.tree, branch=way.entry), 0


def diagnose(files: Fileset) -> InputError | None:
    """The first file of a fileset that cannot be opened or lacks its tree, if there is one."""
    for name, content in files.items():
        for path, tree in content["files"].items():
            try:
                with opened(path, place=f"datasets.{name}") as file:
                    open_tree(file, path, tree, place=f"datasets.{name}")
            except InputError as error:
                return error
    return None
