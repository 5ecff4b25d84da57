"""A first analysis file, guessed from the branches of one ROOT file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from gato_coffea.datasets.root_files import Tree, inspect_file, is_number, opened
from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray

MAX_ENTRIES = 10_000
"""Entries that ranges are guessed from: a median is known to a percent, and they are read in a
moment."""

MAX_MASS_GEV = 3000.0
"""A median mass above this is taken to be in MeV: 3 GeV in MeV, or a search beyond 3 TeV, which
is rarer."""

SCORES = re.compile(r"score|bdt|dnn|mva|classif|^p\d|^p[A-Z]$|prob|^nn", re.IGNORECASE)
MASSES = re.compile(r"mass|^m$|^m_|_m$|^m[a-z]{2}$|inv_?m", re.IGNORECASE)
WEIGHTS = ("genWeight", "mcWeight", "EventWeight", "weight", "Weight", "eventWeight", "mc_weight")

TEMPLATE = """\
# Analysis file of gato-coffea. Lines that end in <-- are guesses: look at each of them.
name: {name}
tree: {tree}
luminosity_per_fb: 100.0  # <--

datasets:
  signal:  # <-- one block for each sample
    files: [{file}]
    process: signal
    cross_section_pb: 1.0  # <--
    sum_of_weights: {{{sum_of_weights}}}
  background:  # <--
    files: [FILL IN.root]  # <-- its files, which are not those of the signal
    process: background
    cross_section_pb: 100.0  # <--
    sum_of_weights: {{{sum_of_weights}}}
{weight}
discriminants:
{discriminants}
{mass}
optimise:
  signals: [signal]  # <--
  n_categories: [3, 5, 10]
"""


def starting_yaml(
    path: str | Path, trees: Sequence[Tree] | None = None, *, tree: str | None = None
) -> str:
    """An analysis file to start from, which reads but has to be completed.

    Parameters
    ----------
    path
        A ROOT file with flat branches.
    trees
        What `gato_coffea.datasets.check.inspect_file` found in it, where that is known.
    tree
        Path of the tree in it; by default the one with the most entries.

    Raises
    ------
    InputError
        If the file holds no such tree, or the tree no branch with one number an event.
    """
    found = choose_tree(inspect_file(path) if trees is None else trees, path=str(path), tree=tree)
    flat = [name for name, kind in found.branches.items() if is_number(kind)]
    if not flat:
        raise InputError(f"{path}: tree {found.path!r} has no branch with one number an event")
    weight = next((w for w in WEIGHTS if w in flat), None)
    rest = [b for b in flat if b != weight]
    scores = [b for b in rest if SCORES.search(b)] or rest[:1] or flat[:1]
    mass = next((b for b in rest if MASSES.search(b) and b not in scores), None)
    return TEMPLATE.format(
        name=_identifier(Path(path).stem),
        tree=found.path,
        file=f'"{path if "://" in str(path) else Path(path).resolve()}"',
        sum_of_weights="count_events: true" if weight is None else f"branch: {weight}",
        weight="" if weight is None else f"\nweight:\n  nominal: [{weight}]\n",
        discriminants="\n".join(
            _discriminant(b, _values(path, found.path, b)) for b in scores[:4]
        ),
        mass="" if mass is None else _mass(mass, _values(path, found.path, mass)),
    )


def choose_tree(trees: Iterable[Tree], *, path: str, tree: str | None) -> Tree:
    """The named tree, or the one with the most entries."""
    by_path: Mapping[str, Tree] = {t.path: t for t in trees}
    if not by_path:
        raise InputError(f"{path}: holds no tree")
    if tree is None:
        return max(by_path.values(), key=lambda t: t.entries)
    if tree not in by_path:
        raise InputError(f"{path}: tree {tree!r} is missing (got {', '.join(by_path)})")
    return by_path[tree]


def _identifier(text: str) -> str:
    return re.sub(r"\W|^(?=\d)", "_", text)


def _discriminant(branch: str, values: FloatArray) -> str:
    low, high = _range(values)
    return (
        f"  - {{name: {_identifier(branch)}, source: {branch}, range: [{low:g}, {high:g}]}}  # <--"
    )


def _range(values: FloatArray) -> tuple[float, float]:
    """A closed range of round numbers that holds the values.

    >>> _range(np.array([0.1, 0.9])), _range(np.array([-0.3, 0.4])), _range(np.array([7.0, 823.0]))
    ((0.0, 1.0), (-1.0, 1.0), (0.0, 1000.0))
    """
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    ends = [
        0.0 if x == 0 else math.copysign(10 ** math.ceil(math.log10(abs(x))), x)
        for x in (min(low, 0.0), max(high, 0.0))
    ]
    if abs(low) <= 1 and abs(high) <= 1:
        return (-1.0 if low < 0 else 0.0), 1.0
    return ends[0], ends[1] if ends[1] > ends[0] else 1.0


def _mass(branch: str, values: FloatArray) -> str:
    finite = values[np.isfinite(values)]
    median = float(np.median(finite)) if len(finite) else 0.0
    unit, scale = ("MeV", 1e-3) if median > MAX_MASS_GEV else ("GeV", 1.0)
    centre = max(round(median * scale), 1)
    low, high, half = centre * 0.8, centre * 1.2, centre * 0.04
    return (
        f"\nmass:\n  source: {branch}\n  unit: {unit}  # <--\n"
        f"  range_gev: [{low:g}, {high:g}]  # <--\n  bins: 20  # <--\n"
        f"  window_gev: [{centre - half:g}, {centre + half:g}]  # <--\n"
    )


def _values(path: str | Path, tree: str, branch: str) -> FloatArray:
    with opened(str(path), place="inspect") as file:
        array = file[tree].arrays([branch], entry_stop=MAX_ENTRIES)[branch]
        return np.asarray(array, dtype=np.float64)
