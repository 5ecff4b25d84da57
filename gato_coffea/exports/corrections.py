"""Categories as a correctionlib file, and Gaussian categories in one dimension as edges."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gato_coffea.categories import Categories, EdgeCategories, MixtureCategories
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature, FloatArray
from gato_coffea.files import write_text

DESCRIPTION = "Event categories; category 0 is the least signal-like, -1 is none."

N_PROBES = 100_000
"""Points that show how much an approximate table differs: a per cent is known to a thirtieth."""


def write_correctionlib(
    categories: Categories, path: str | Path, *, name: str = "category", n_cells: int | None = None
) -> None:
    """Write categories as a correctionlib file (schema 2), whole or not at all.

    The correction gives, as a float, what `Categories.assign` gives: -1 for NaN and outside the
    range, or where the range is open the category at its end (but -1 for plus infinity). Its
    description says what goes in and comes out, and, of a table that is approximate, how much
    differs.

    Parameters
    ----------
    categories
        Rectangular ones with any number of discriminants, or Gaussian ones with one.
    path
        A file ending in ``.json``.
    name
        Name of the correction.
    n_cells
        Cells along each discriminant of the table that stands for Gaussian categories in more
        than one; events near a boundary then differ. None refuses them.

    Raises
    ------
    InputError
        If the categories are Gaussian with more than one discriminant and no cells are given.
    OutputError
        If the file cannot be written.
    """
    note = DESCRIPTION
    if n_cells is not None and len(categories.features) > 1:
        edges = tuple(f.edges(n_cells) for f in categories.features)
        table = tabulated(categories, edges)
        note += (
            f" Approximate: read off in the middle of {n_cells} cells a discriminant; "
            f"{100 * differing(table, categories):.2g} % of {N_PROBES} points spread evenly over "
            "the range, on the scales of the discriminants, get another category."
        )
        categories = table
    content = correction_set(categories, name=name, description=note)
    write_text(path, json.dumps(content, allow_nan=False) + "\n")


def differing(first: Categories, second: Categories) -> float:
    """Share of points, spread evenly over the range, that get different categories."""
    rng = np.random.default_rng(0)
    ends = [f.stretch(np.array([f.low, f.high])) for f in second.features]
    x = np.stack(
        [
            f.unstretch(rng.uniform(low, high, N_PROBES))
            for f, (low, high) in zip(second.features, ends, strict=True)
        ],
        axis=1,
    )
    return float(np.mean(first.assign(x) != second.assign(x)))


def correction_set(
    categories: Categories, *, name: str = "category", description: str = DESCRIPTION
) -> dict[str, Any]:
    """Content of the correctionlib file; see `write_correctionlib`."""
    table = as_edges(categories)
    label = table.label.reshape(tuple(len(e) - 1 for e in table.edges))
    # A bin of its own on either side of each range holds what belongs to no category, or, where
    # the range is open, what counts as at its end.
    padded = label
    for axis, feature in enumerate(table.features):
        width = [(int(axis == d), int(axis == d)) for d in range(label.ndim)]
        more: dict[str, Any] = {"mode": "edge"} if feature.open else {"constant_values": -1}
        padded = np.pad(padded, width, **more)
    return {
        "schema_version": 2,
        "description": description,
        "corrections": [
            {
                "name": name,
                "version": 1,
                "description": description,
                "inputs": [_input(f) for f in table.features],
                "output": {
                    "name": "category",
                    "type": "real",
                    "description": f"number of the category, 0 to {categories.n_categories - 1}; "
                    "-1 is none",
                },
                "data": {
                    "nodetype": "multibinning",
                    "inputs": [f.name for f in table.features],
                    "edges": [_closed(edges) for edges in table.edges],
                    "content": [float(k) for k in padded.ravel()],
                    "flow": -1.0,  # a NaN lies in no bin
                },
            }
        ],
    }


def _input(feature: Feature) -> dict[str, str]:
    beyond = "counts as at its end" if feature.open else "is in no category"
    text = f"from {feature.low:g} to {feature.high:g}; a value beyond {beyond}"
    return {"name": feature.name, "type": "real", "description": text}


def _closed(edges: FloatArray) -> list[float | str]:
    """Edges with the upper end of the range inside the last bin, and the rest of the axis."""
    top = float(np.nextafter(edges[-1], np.inf))
    return ["-inf", *edges[:-1].tolist(), top, "inf"]


def tabulated(categories: Categories, edges: Sequence[FloatArray]) -> EdgeCategories:
    """Rectangular categories that agree with the given ones in the middle of every cell.

    Parameters
    ----------
    categories
        Any categories.
    edges
        Increasing edges that span the range, one array a discriminant, such as the fine bins of
        the histograms that are to be summed.
    """
    middles = [
        f.unstretch(0.5 * (f.stretch(e[1:]) + f.stretch(e[:-1])))
        for f, e in zip(categories.features, edges, strict=True)
    ]
    mesh = np.meshgrid(*middles, indexing="ij")
    return EdgeCategories(
        features=categories.features,
        label=categories.assign(np.stack([m.ravel() for m in mesh], axis=-1)),
        training=categories.training,
        edges=tuple(np.asarray(e, dtype=np.float64) for e in edges),
    )


def as_edges(categories: Categories) -> EdgeCategories:
    """The same categories as a rectangular table.

    Parameters
    ----------
    categories
        Rectangular ones, which are returned as they are, or Gaussian ones with one discriminant,
        whose boundaries are found to the accuracy of their own rounding.

    Raises
    ------
    InputError
        If the categories are Gaussian with more than one discriminant.
    """
    if isinstance(categories, EdgeCategories):
        return categories
    if not isinstance(categories, MixtureCategories) or len(categories.features) != 1:
        raise InputError(
            f"categories: {categories.kind} in {len(categories.features)} discriminants has no "
            "rectangular form; use kind edges"
        )
    feature = categories.features[0]
    probes = _probes(categories)
    label = categories.assign(probes)
    edges, labels = [feature.low], [label[0]]
    for (left, right), (before, after) in zip(pairwise(probes), pairwise(label), strict=True):
        if before != after:
            edges.append(_first_after(categories, left, right))
            labels.append(after)
    return EdgeCategories(
        features=categories.features,
        label=np.array(labels),
        training=categories.training,
        edges=(np.array([*edges, feature.high]),),
    )


def _probes(categories: MixtureCategories) -> FloatArray:
    """One value inside each interval in which no two components change their order."""
    feature = categories.features[0]
    width = categories.scale_tril[:, 0, 0]
    mean = categories.means[:, 0]
    quadratic = -0.5 / width**2
    linear = mean / width**2
    constant = categories.log_weights - np.log(width) - 0.5 * (mean / width) ** 2
    low, high = feature.stretch(np.array([feature.low, feature.high]))
    crossings = [low, high]
    for i, j in combinations(range(len(mean)), 2):
        coefficients = [c[i] - c[j] for c in (quadratic, linear, constant)]
        roots = np.roots(coefficients)
        crossings += [float(r.real) for r in roots if abs(r.imag) <= 1e-9 * (1 + abs(r.real))]
    inside = np.unique(np.clip(crossings, low, high))
    middles = feature.unstretch(0.5 * (inside[1:] + inside[:-1]))
    return np.unique(np.concatenate([[feature.low], middles, [feature.high]]))


def _first_after(categories: Categories, left: float, right: float) -> float:
    """Smallest number in ``(left, right]`` that is no longer in the category of ``left``."""
    before = categories.assign(np.array([left]))[0]
    while True:
        middle = 0.5 * (left + right)
        if not left < middle < right:
            return float(right)
        if categories.assign(np.array([middle]))[0] == before:
            left = middle
        else:
            right = middle
