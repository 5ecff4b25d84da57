"""A first analysis file, guessed from the branches of one ROOT file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gato_coffea.errors import InputError
from gato_coffea.rootfiles import Tree, inspect_file, is_number

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
    files: [{file}]
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
        What `gato_coffea.inspect.inspect_file` found in it, where that is known.
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
        file=f'"{path}"',
        sum_of_weights="count_events: true" if weight is None else f"branch: {weight}",
        weight="" if weight is None else f"\nweight:\n  nominal: [{weight}]\n",
        discriminants="\n".join(_discriminant(b) for b in scores[:4]),
        mass="" if mass is None else _mass(mass),
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


def _discriminant(branch: str) -> str:
    return f"  - {{name: {_identifier(branch)}, source: {branch}, range: [0, 1]}}  # <--"


def _mass(branch: str) -> str:
    return (
        f"\nmass:\n  source: {branch}\n  unit: GeV  # <-- or MeV\n"
        "  range_gev: [100, 180]  # <--\n  window_gev: [120, 130]  # <--\n"
    )
