"""Histograms as people hold them: the nominal one of each process, and its bins in parts.

NumPy alone: a histogram is anything with ``axes``, ``values()`` and ``variances()``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from gato_coffea.axes import by_process
from gato_coffea.errors import InputError, OptimisationError
from gato_coffea.samples import FloatArray, Grid, IntArray, text_identity

FOLDS_NOTE = (
    "histograms hold no events: folds are random parts of the entries of each bin, and categories "
    "have their edges on the bins"
)


NOTABLE = 1e-3
"""Part of a process outside the ranges that is worth a warning."""

log = logging.getLogger(__name__)


def is_histogram(value: Any) -> bool:
    """Whether a value is a histogram."""
    return all(hasattr(value, name) for name in ("axes", "values", "variances"))


def nominal_histograms(samples: Any) -> Any:
    """The nominal histogram of each process; what is not made of histograms is left as it is.

    Parameters
    ----------
    samples
        One histogram with a process axis, or a mapping of process to histogram, which may have
        an axis of variations (`gato_coffea.axes.by_process`). A mapping with one entry counts as
        that entry: a coffea output of one histogram, or of one for each dataset.

    Raises
    ------
    InputError
        If there is nothing, the one histogram has no process axis, one of several has, or a
        process has several.
    """
    if is_histogram(samples):
        found = dict(by_process("", samples))
        if list(found) == ["histogram"]:
            raise InputError("histogram: one alone needs an axis called process")
        return found
    if not isinstance(samples, Mapping):
        kind = type(samples).__name__
        raise InputError(f"samples: must be a mapping of process to events (got {kind})")
    if not samples:
        raise InputError("samples: no process is given")
    for name in samples:
        if not isinstance(name, str):
            raise InputError(f"samples: names of processes must be text (got {name!r})")
    held = {name: _only_histogram(name, value) for name, value in samples.items()}
    if not all(is_histogram(value) for value in held.values()):
        return samples
    result = {}
    for name, histogram in held.items():
        split = dict(by_process(name, histogram))
        if list(split) == [name]:
            result[name] = split[name]
        elif len(held) == 1:
            return nominal_histograms(histogram)
        else:
            raise InputError(
                f"histogram {name}: has an axis of processes of its own (got one of "
                f"{len(held)} histograms; give this one alone)"
            )
    return result


def _only_histogram(name: str, value: Any) -> Any:
    """The one histogram that a mapping holds; anything else is left as it is."""
    if not isinstance(value, Mapping):
        return value
    found = [key for key, inner in value.items() if is_histogram(inner)]
    if not found or {"x", "weight"} & set(value):
        return value
    if len(found) > 1:
        raise InputError(
            f"{name}: holds {len(found)} histograms (got {', '.join(map(str, found))}); "
            "give the one to optimise"
        )
    return value[found[0]]


def split_bins(
    name: str, sumw: FloatArray, sumw2: FloatArray, *, n_folds: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Effective entries of each bin, and the random fraction of them in each fold.

    The parts of a Poisson number that is split at random are independent, so that a fold can be
    held out of the training on the others as if events had been split.

    Parameters
    ----------
    name
        Process; each one is split on its own.
    sumw, sumw2
        Contents of the bins, shape ``(P,)``.
    n_folds
        Number of folds.
    seed
        Same seed, same parts.

    Returns
    -------
    tuple
        Entries ``(P,)``, at least one, and fractions ``(P, folds)`` that sum to one.
    """
    entries = np.rint(sumw**2 / np.where(sumw2 > 0, sumw2, np.inf))
    entries = np.clip(entries, 1, 1e15)
    rng = np.random.default_rng([seed, text_identity(name)])
    parts = rng.multinomial(entries.astype(np.int64), np.full(n_folds, 1.0 / n_folds))
    return entries, parts / entries[:, None]


def check_spread(grid: Grid, filled: IntArray) -> None:
    """Refuse a discriminant with one filled bin.

    Raises
    ------
    OptimisationError
        With the bin.
    """
    for feature, edges, index in zip(
        grid.features, grid.edges, np.unravel_index(filled, grid.shape), strict=True
    ):
        if len(filled) and (index == index[0]).all():
            low, high = edges[index[0]], edges[index[0] + 1]
            raise OptimisationError(
                f"histograms: {feature.name} is constant, all yields lie in one bin "
                f"(got bin {index[0]}, {low:.4g} to {high:.4g})"
            )


def tell_flow(name: str, histogram: Any) -> None:
    """Say what a histogram holds beyond its axes, which nothing is made of."""
    try:
        everything = histogram.values(flow=True)
    except TypeError:  # the protocol alone knows no flow
        return
    inside, total = float(np.sum(histogram.values())), float(np.sum(everything))
    if abs(total - inside) > NOTABLE * abs(total):
        log.warning(
            "histogram %s: %.3g of a yield of %.4g is under- or overflow, and in no category",
            *(name, total - inside, total),
        )


def axes_in_words(histogram: Any) -> str:
    """Axes in words, as ``score: 20 bins from 0 to 1``."""
    return ", ".join(
        f"{getattr(axis, 'name', '') or 'x'}: {len(axis)} bins from {axis.edges[0]:g} to "
        f"{axis.edges[-1]:g}"
        for axis in histogram.axes
    )
