"""Who an event is: fixed hashes, the same in every process and on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gato_coffea.events.arrays import IntArray


def _mix(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64 finaliser: a fixed bijection of 64-bit integers (Steele et al. 2014)."""
    value = value ^ (value >> np.uint64(30))  # a new array, changed in place from here on
    value *= np.uint64(0xBF58476D1CE4E5B9)
    value ^= value >> np.uint64(27)
    value *= np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    return value


def event_fold(identity: Sequence[npt.ArrayLike], *, n_folds: int) -> IntArray:
    """Fold of each event from integers that identify it, the same on every machine.

    Parameters
    ----------
    identity
        Integer arrays of shape ``(N,)``, such as run, lumi and event.
    n_folds
        Number of folds; the result lies in ``0 .. n_folds - 1``.
    """
    total: npt.NDArray[np.uint64] | None = None
    for part in identity:
        value = np.asarray(part).astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        total = _mix(value) if total is None else _mix(total ^ value)
    assert total is not None
    return (total % np.uint64(n_folds)).astype(np.int64)


def text_identity(text: str) -> int:
    """A 63-bit integer that stands for a text, such as a file's name, on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
