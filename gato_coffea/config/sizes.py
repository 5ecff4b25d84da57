"""How large fine histograms may be, so that none is refused by the memory instead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

MAX_BINS = 25_000_000
"""Bins of one histogram with all its processes and variations: 400 MB, at 16 bytes a bin."""


def check_sizes(
    products: Sequence[Sequence[str]],
    bins: Mapping[str, int],
    *,
    processes: int = 1,
    variations: int = 0,
) -> None:
    """Refuse fine histograms that would not fit into memory, before any is made.

    Parameters
    ----------
    products
        Names of the axes of every histogram.
    bins
        Number of bins of each axis.
    processes, variations
        How many of each a histogram holds, the nominal one not counted among the variations.

    Raises
    ------
    ValueError
        With the first histogram of more than `MAX_BINS` bins.

    Examples
    --------
    >>> check_sizes([("a",), ("a", "b")], {"a": 200, "b": 200}, processes=3)
    >>> check_sizes([("a", "b")], {"a": 9000, "b": 9000})
    Traceback (most recent call last):
    ValueError: histograms_2d: the histogram of a and b would have 9000 x 9000 bins for 1 process \
and 0 variations: 81000000 in all (at most 25000000); give fewer bins
    """
    for names in products:
        shape = [bins[name] for name in names]
        total = math.prod(shape) * processes * (1 + variations)
        if total <= MAX_BINS:
            continue
        place = "histograms_2d" if len(names) > 1 else f"discriminants.{names[0]}.bins"
        if names == ("mass",):
            place = "mass.bins"
        raise ValueError(
            f"{place}: the histogram of {' and '.join(names)} would have "
            f"{' x '.join(map(str, shape))} bins for {processes} "
            f"process{'' if processes == 1 else 'es'} and {variations} "
            f"variation{'' if variations == 1 else 's'}: {total} in all (at most {MAX_BINS}); "
            "give fewer bins"
        )
