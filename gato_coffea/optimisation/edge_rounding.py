"""Edges of categories rounded to values that can be written into a paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gato_coffea.categories import Categories, EdgeCategories
from gato_coffea.errors import OptimisationError

DECIMALS = 12
"""Digits that are kept of a multiple of the step, so that 3 x 0.1 is written 0.3."""


def rounded_edges(categories: Categories, step: float, *, may_vanish: bool = False) -> Categories:
    """The same categories with the inner edges on multiples of a step.

    Parameters
    ----------
    categories
        Intervals of one discriminant.
    step
        In the unit of the discriminant.
    may_vanish
        Whether categories may vanish whose edges fall together, as those of a single fold may.

    Raises
    ------
    OptimisationError
        If the categories have no edges in one discriminant, or one of them would vanish.
    """
    if not isinstance(categories, EdgeCategories) or len(categories.edges) > 1:
        raise OptimisationError(
            "round_to: needs categories that are intervals of one discriminant "
            f"(got {', '.join(f.name for f in categories.features)}, {categories.kind})"
        )
    edges, label = categories.edges[0], categories.label
    last = np.append(np.flatnonzero(np.diff(label)), len(label) - 1)
    inner = edges[last[:-1] + 1]
    at = np.round(np.round(inner / step) * step, DECIMALS)
    ends = np.concatenate([edges[:1], np.clip(at, edges[0], edges[-1]), edges[-1:]])
    wide = np.diff(ends) > 0
    left = label[last][wide]
    gone = np.setdiff1d(label, left)
    if len(gone) and not may_vanish:
        raise OptimisationError(
            f"round_to: is too coarse for the edges {', '.join(f'{e:.6g}' for e in inner)}, of "
            f"which some would fall together or on an end of the range (got {step:g})"
        )
    names = np.unique(left, return_inverse=True)[1] if len(gone) else left
    return replace(
        categories, edges=(np.append(ends[:-1][wide], ends[-1]),), label=names.astype(np.int64)
    )
