"""What files hold, and whether an analysis file fits them; no event is processed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uproot

from gato_coffea.config import Analysis, Dataset, function_name
from gato_coffea.datasets import Fileset
from gato_coffea.errors import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A tree of a file: its path, its entries, and the type of each branch."""

    path: str
    entries: int
    branches: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class DatasetRow:
    """What was found of a dataset.

    Attributes
    ----------
    dataset, process, kind
        Names, and ``data`` or ``simulation``.
    files, entries, tree
        Number of files, entries in all of them, path of the tree in them.
    sumw
        Sum of generator weights; None for data and for weights that are normalised already.
    missing
        Branches that the analysis names and a file lacks, with the key and the file.
    """

    dataset: str
    process: str
    kind: str
    files: int
    entries: int
    tree: str
    sumw: float | None
    missing: tuple[str, ...]


@contextmanager
def opened(path: str, *, place: str) -> Iterator[Any]:
    """A ROOT file, or one clear line.

    Raises
    ------
    InputError
        If it is missing, not a ROOT file, or truncated.
    """
    if "://" not in path and not Path(path).is_file():
        raise InputError(f"{path}: {place}: no such file")
    try:
        file = uproot.open({path: None})
    except Exception as error:  # uproot raises many kinds for a file that is not whole
        text = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: {place}: is not a whole ROOT file ({type(error).__name__}: {text})"
        ) from error
    with file:
        yield file


def inspect_file(path: str | Path) -> tuple[Tree, ...]:
    """Trees of a ROOT file, in folders too.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    with opened(str(path), place="inspect") as file:
        found = []
        for name, kind in file.classnames(cycle=False, recursive=True).items():
            if "TTree" in kind or "RNTuple" in kind or "TNtuple" in kind:
                tree = file[name]
                found.append(
                    Tree(path=name, entries=int(tree.num_entries), branches=tree.typenames())
                )
    return tuple(found)


def open_tree(file: Any, path: str, tree: str, *, place: str) -> Any:
    """A tree of an open file.

    Raises
    ------
    InputError
        If it is missing, or is no tree.
    """
    if tree not in file:
        names = [n for n, kind in file.classnames(cycle=False).items() if "TDir" not in kind]
        raise InputError(
            f"{path}: {place}: tree {tree!r} is missing (got {', '.join(names) or 'nothing'})"
        )
    found = file[tree]
    if not hasattr(found, "num_entries"):
        raise InputError(f"{path}: {place}: {tree!r} is no tree (got {found.classname})")
    return found


def wanted_branches(analysis: Analysis, name: str) -> dict[str, str]:
    """Branches that a dataset needs, each with the first key of the analysis that names it."""
    dataset = analysis.datasets[name]
    own = f"datasets.{name}."
    result: dict[str, str] = {}
    for key, source in analysis.sources().items():
        if function_name(source) is not None:
            continue
        if key.startswith("datasets.") and not key.startswith(own):
            continue
        if key.startswith("weight.") and not _is_weighted(dataset, key):
            continue
        result.setdefault(source, key)
    if dataset.sum_of_weights is not None and dataset.sum_of_weights.branch is not None:
        result.setdefault(dataset.sum_of_weights.branch, f"{own}sum_of_weights.branch")
    for branch in analysis.event_id or ():
        result.setdefault(branch, "event_id")
    return result


def _is_weighted(dataset: Dataset, key: str) -> bool:
    nominal = key.startswith("weight.nominal")
    return not dataset.data and not (nominal and dataset.weight is not None)


def _missing(tree: Any, wanted: Mapping[str, str], *, base: bool) -> dict[str, str]:
    """Branches that a tree lacks; schemas other than the flat one rename branches."""
    names = set(tree.keys(recursive=False)) if base else set()
    return {b: key for b, key in wanted.items() if base and b.split(".")[0] not in names}


def check_first_files(analysis: Analysis, files: Fileset) -> None:
    """Look into the first file of every dataset before any event is read.

    Raises
    ------
    InputError
        If the file, its tree or a branch that the analysis names is missing.
    """
    for name, content in files.items():
        path, tree_name = next(iter(content["files"].items()))
        _check_file(analysis, name, path, tree_name)


def _check_file(analysis: Analysis, name: str, path: str, tree_name: str) -> None:
    place = f"datasets.{name}"
    with opened(path, place=place) as file:
        tree = open_tree(file, path, tree_name, place=place)
        missing = _missing(tree, wanted_branches(analysis, name), base=analysis.schema_ == "base")
        for branch, key in missing.items():
            names = tree.keys(recursive=False)
            raise InputError(
                f"{path}: {place}: {key}: branch {branch!r} is missing in tree {tree_name!r}"
                f"{nearest(branch, names)}"
            )


def nearest(name: str, names: Any) -> str:
    """A hint at the name that was perhaps meant, or the names there are."""
    import difflib

    close = difflib.get_close_matches(name, list(names), n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f" (got {', '.join(sorted(names)[:20])})"


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
