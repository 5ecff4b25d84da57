"""Histograms as people hold them: the nominal one of each process, and its bins in parts.

NumPy alone: a histogram is anything with ``axes``, ``values()`` and ``variances()``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gato_coffea.axes import by_process
from gato_coffea.errors import InputError
from gato_coffea.samples import FloatArray, text_identity

FOLDS_NOTE = (
    "histograms hold no events: folds are random parts of the entries of each bin, and categories "
    "have their edges on the bins"
)


def is_histogram(value: Any) -> bool:
    """Whether a value is a histogram."""
    return all(hasattr(value, name) for name in ("axes", "values", "variances"))


def nominal_histograms(samples: Any) -> Any:
    """The nominal histogram of each process; what is not made of histograms is left as it is.

    Parameters
    ----------
    samples
        One histogram with a process axis, or a mapping of process to histogram, which may have
        an axis of variations (`gato_coffea.axes.by_process`).

    Raises
    ------
    InputError
        If the one histogram has no process axis, or one of a mapping has.
    """
    if is_histogram(samples):
        found = dict(by_process("", samples))
        if list(found) == ["histogram"]:
            raise InputError("histogram: one alone needs an axis called process")
        return found
    if not isinstance(samples, Mapping):
        kind = type(samples).__name__
        raise InputError(f"samples: must be a mapping of process to events (got {kind})")
    if not samples or not all(is_histogram(value) for value in samples.values()):
        return samples
    result = {}
    for name, histogram in samples.items():
        split = dict(by_process(name, histogram))
        if list(split) != [name]:
            raise InputError(f"histogram {name}: has an axis of processes of its own")
        result[name] = split[name]
    return result


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
