"""Expectations of processes in the bins of a channel, made fit for a likelihood.

A template may be negative or empty where few simulated events are. What is done about it keeps
every yield: bins are merged, and a process without a positive yield becomes part of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.rendering.rounding import amount

MIN_EFFECTIVE_PER_BIN = 10.0
"""Effective background entries that a bin of a shape needs: what combine's ``autoMCStats 10``
asks of a bin whose total is given one Gaussian uncertainty."""

SMALLEST_SIDE = 1e-3
"""What a variation leaves at least of a process, in units of the nominal yield."""

Pair = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, kw_only=True)
class Process:
    """Expectation of one process in one channel.

    Attributes
    ----------
    name
        Process.
    signal
        Whether a signal strength multiplies it.
    values, errors
        Expected yield and its error from finite simulation, shape ``(bins,)``.
    shapes
        Up and down yields by source of variation.
    norms
        Factors up and down on the whole yield, by nuisance parameter with a log-normal prior.
    free
        Names of factors without a prior, which are one in the nominal model.
    """

    name: str
    signal: bool
    values: FloatArray
    errors: FloatArray
    shapes: Mapping[str, Pair]
    norms: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    free: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Yield in all bins."""
        return float(self.values.sum())


def log_normal(error: float) -> tuple[float, float]:
    """Factors up and down of a relative error; a log-normal one is never negative."""
    return 1.0 + error, 1.0 / (1.0 + error)


def with_positive_yields(processes: Sequence[Process]) -> tuple[list[Process], list[str]]:
    """The processes that have a positive yield, and what became of the others, one note each.

    A background whose weights sum to a negative yield is added to the largest background, so that
    the total stays; a signal is left out.
    """
    kept, notes = [p for p in processes if p.values.any()], []
    while bad := [p for p in kept if p.rate <= 0]:
        process = bad[0]
        kept.remove(process)
        hosts = [p for p in kept if not p.signal]
        what = f"{process.name} has no positive yield ({amount(process.rate)})"
        if process.signal or not hosts:
            notes.append(f"{what}: left out")
            continue
        host = max(hosts, key=lambda p: p.rate)
        kept[kept.index(host)] = _sum(host, process)
        notes.append(f"{what}: part of {host.name}")
    return kept, notes


def _sum(first: Process, second: Process) -> Process:
    def varied(process: Process, source: str, side: int) -> FloatArray:
        return process.shapes[source][side] if source in process.shapes else process.values

    sources = dict.fromkeys([*first.shapes, *second.shapes])
    return replace(
        first,
        values=first.values + second.values,
        errors=np.hypot(first.errors, second.errors),
        shapes={
            source: (
                varied(first, source, 0) + varied(second, source, 0),
                varied(first, source, 1) + varied(second, source, 1),
            )
            for source in sources
        },
    )


def merged_bins(processes: Sequence[Process]) -> IntArray:
    """Number of the merged bin that each bin of a channel belongs to, shape ``(bins,)``.

    Neighbours are merged until the total background is positive and worth ten effective entries;
    what is left at the end joins the last. An expectation without an error from simulation, as of
    a fitted function, needs no more than to be positive.
    """
    background = [p for p in processes if not p.signal]
    values = np.sum([p.values for p in background], axis=0)
    variances = np.sum([p.errors**2 for p in background], axis=0)
    group = np.zeros(len(values), dtype=np.int64)
    current, value, variance = 0, 0.0, 0.0
    for i, more in enumerate(zip(values, variances, strict=True)):
        group[i] = current
        value, variance = value + more[0], variance + more[1]
        if value > 0 and value**2 >= MIN_EFFECTIVE_PER_BIN * variance:
            current, value, variance = current + 1, 0.0, 0.0
    return np.minimum(group, max(current - 1, 0))


def merge(process: Process, group: IntArray) -> Process:
    """The process in merged bins."""

    def summed(values: FloatArray) -> FloatArray:
        return np.bincount(group, values).astype(np.float64)

    return replace(
        process,
        values=summed(process.values),
        errors=np.sqrt(summed(process.errors**2)),
        shapes={s: (summed(up), summed(down)) for s, (up, down) in process.shapes.items()},
    )


def without_negative_bins(process: Process) -> tuple[Process, list[str]]:
    """The process with negative bins at zero and the others scaled: its yield stays.

    The same holds for each variation. One whose whole yield is not positive becomes a thousandth
    of the nominal one: no tool has a logarithm of less than nothing, and without the variation the
    model would be too sure. What was done is told, one note each.
    """
    notes = []
    if (process.values < 0).any():
        notes.append(
            f"{process.name}: {int((process.values < 0).sum())} negative bins set to zero, the "
            f"others scaled by {amount(_scale(process.values))} to keep its yield"
        )
    shapes = {}
    for source, pair in process.shapes.items():
        sides = []
        for end, varied in zip(("Up", "Down"), pair, strict=True):
            values = varied
            if varied.sum() <= 0:
                values = SMALLEST_SIDE * process.values
                notes.append(
                    f"{process.name}: variation {source}{end} has no positive yield "
                    f"({amount(varied.sum())} of {amount(process.rate)} events): taken as "
                    f"{SMALLEST_SIDE:g} of the nominal"
                )
            sides.append(_positive(values))
        shapes[source] = (sides[0], sides[1])
    return replace(process, values=_positive(process.values), shapes=shapes), notes


def _scale(values: FloatArray) -> float:
    return float(values.sum() / np.maximum(values, 0.0).sum())


def _positive(values: FloatArray) -> FloatArray:
    return np.maximum(values, 0.0) * _scale(values) if (values < 0).any() else values
