"""Rules by which analyses merge the fine bins of a discriminant today.

TransfoD and TransfoF are those of TRExFitter, as its users' analyses quote them; quantiles of the
signal are the simplest rule of all. Each gives the first fine bin of every category but the
lowest. Bins are in increasing order of the discriminant; signal is expected at its upper end.
"""

from __future__ import annotations

import numpy as np

from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.optimisation.problem import Problem

MAX_RELATIVE_ERROR_F = 0.10
"""TransfoF closes no bin whose background is known worse than this from simulation."""

LOWERED_F = 0.95 ** np.arange(200)
"""Factors by which its numbers are lowered until so few bins come out as are asked for: in steps
of 5 %, which hardly any bin notices, down to 1e-4, where one bin holds everything."""


def transfo_d(
    signal: FloatArray, background: FloatArray, *, z_signal: float, z_background: float
) -> IntArray:
    """TransfoD: every bin holds about the same sum of shares of signal and background.

    From the upper end, fine bins are added until ``Z = z_b b / N_b + z_s s / N_s`` is above one;
    the last of them is left out again where ``|1 / Z - 1|`` was smaller without it.

    Parameters
    ----------
    signal, background
        Yields of the fine bins, shape ``(P,)``.
    z_signal, z_background
        Numbers of bins that would hold signal and background alone in equal shares; their sum is
        the largest number of bins.

    Returns
    -------
    IntArray
        First fine bin of each category but the lowest, increasing.

    Raises
    ------
    OptimisationError
        If signal or background has no positive yield, or a number is not positive.
    """
    s, b = _shares(signal, "signal"), _shares(background, "background")
    _check(z_signal=z_signal, z_background=z_background)
    part = z_background * b + z_signal * s
    edges: list[int] = []
    stop = len(part)  # the bin that is being filled ends below this fine bin
    while stop > 0:
        first, inside, before = stop, 0.0, 0.0
        while first > 0 and inside <= 1.0:
            first -= 1
            before, inside = inside, inside + part[first]
        if inside <= 1.0:
            break
        if before > 0 and abs(1 / before - 1) < abs(1 / inside - 1):
            first += 1
        edges.append(first)
        stop = first
    edges = [edge for edge in edges if edge > 0]
    if len(edges) + 1 > z_signal + z_background:
        edges = edges[:-1]
    return np.array(edges[::-1], dtype=np.int64)


def transfo_f(
    signal: FloatArray,
    background: FloatArray,
    sumw2: FloatArray,
    *,
    z_signal: float,
    z_background: float,
) -> IntArray:
    """TransfoF: bins of equal shares of background and of the signal's significance.

    From the upper end, a bin is closed when ``sqrt(z_b b / N_b) + sqrt(z_s L)`` is above one,
    with ``L = sum of s ln(1 + s / b)`` over its fine bins, and the background is known to 10 %.
    The lowest bin is always merged with the next.

    Parameters
    ----------
    signal, background, z_signal, z_background
        As in `transfo_d`.
    sumw2
        Variance of the background from finite simulation, shape ``(P,)``.

    Returns
    -------
    IntArray
        First fine bin of each category but the lowest, increasing.

    Raises
    ------
    OptimisationError
        If signal or background has no positive yield, or a number is not positive.
    """
    _shares(signal, "signal")
    share = _shares(background, "background")
    _check(z_signal=z_signal, z_background=z_background)
    filled = background > 0
    ratio = np.where(filled, signal, 0.0) / np.where(filled, background, 1.0)
    worth = np.where(signal > 0, signal, 0.0) * np.log1p(np.maximum(ratio, 0.0))
    edges: list[int] = []
    b = part = variance = total = 0.0
    for i in range(len(share) - 1, -1, -1):
        b, part = b + background[i], part + share[i]
        variance, total = variance + sumw2[i], total + worth[i]
        size = np.sqrt(max(z_background * part, 0.0)) + np.sqrt(z_signal * total)
        if size > 1.0 and b > 0 and np.sqrt(variance) < MAX_RELATIVE_ERROR_F * b:
            edges.append(i)
            b = part = variance = total = 0.0
    edges = [edge for edge in edges if edge > 0][:-1]
    return np.array(edges[::-1], dtype=np.int64)


def signal_quantiles(signal: FloatArray, n: int) -> IntArray:
    """Categories that hold equal parts of the signal.

    Parameters
    ----------
    signal
        Yields of the fine bins, shape ``(P,)``.
    n
        Number of categories; fewer come out where one fine bin holds several parts.

    Returns
    -------
    IntArray
        First fine bin of each category but the lowest, increasing.
    """
    below = np.concatenate([[0.0], np.cumsum(_shares(signal, "signal"))])
    wanted = np.arange(1, n) / n
    edges = np.abs(below[:, None] - wanted).argmin(axis=0)
    return np.unique(edges[(edges > 0) & (edges < len(signal))])


def rule_edges(problem: Problem, n: int) -> dict[str, FloatArray]:
    """Inner edges that each of these rules draws in the one discriminant, by its name.

    Parameters
    ----------
    problem
        Points on a grid, of which all events are taken; all signals together.
    n
        Number of categories. Both numbers of TransfoD are half of it; those of TransfoF are as
        large as `n` categories allow, for the rule by itself would make more of them.
    """
    points = problem.points
    if n < 2 or points.grid is None or points.cell is None or len(points.features) > 1:
        return {}
    raw = problem.densities(problem.training_folds(None))
    row = raw.ordered(np.argsort(points.cell, kind="stable"))
    alone = row.alone(problem.objective.counting)
    signal, background = alone.signal.sum(axis=0), np.maximum(alone.background, 0.0)
    lower = points.grid.edges[0][np.sort(points.cell)]
    first = {
        "TransfoD": transfo_d(signal, background, z_signal=0.5 * n, z_background=0.5 * n),
        "TransfoF": _transfo_f_of(n, signal, background, alone.variance),
        "signal quantiles": signal_quantiles(signal, n),
    }
    return {name: lower[bins] for name, bins in first.items()}


def _transfo_f_of(
    n: int, signal: FloatArray, background: FloatArray, sumw2: FloatArray
) -> IntArray:
    """The finest bins of TransfoF that are no more than ``n``."""
    for z in 0.5 * n * LOWERED_F:
        edges = transfo_f(signal, background, sumw2, z_signal=z, z_background=z)
        if len(edges) < n:
            return edges
    return np.zeros(0, dtype=np.int64)


def _shares(yields: FloatArray, name: str) -> FloatArray:
    total = float(yields.sum())
    if not total > 0:
        raise OptimisationError(f"rebinning: {name} must have a positive yield (got {total:g})")
    return yields / total


def _check(**numbers: float) -> None:
    for key, value in numbers.items():
        if not value > 0:
            raise OptimisationError(f"rebinning: {key} must be positive (got {value})")
