"""Which background process decides a figure by a single event."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gato_coffea.events.samples import FloatArray
from gato_coffea.optimisation.bootstrap import weights_without_sign
from gato_coffea.optimisation.evaluation import Sums
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.result import RareProcess, Significance


def nearby_weight(size: FloatArray, sumw2: FloatArray) -> FloatArray:
    """Mean weight of a process's events in each category, or in the next one that has any.

    Parameters
    ----------
    size, sumw2
        Sums of weights without their sign and of their squares in each category, shape ``(K,)``.

    Returns
    -------
    FloatArray
        Shape ``(K,)``; zero where the process has no yield at all.
    """
    known = np.flatnonzero((size > 0) & (sumw2 > 0))
    if not len(known):
        return np.zeros_like(size)
    place = np.arange(len(size))
    nearest = known[np.abs(place[:, None] - known).argmin(axis=1)]
    return np.asarray(sumw2[nearest] / size[nearest])


def deciding_process(problem: Problem, sums: Sums, quoted: Significance) -> RareProcess | None:
    """The process of which one event more would change the figure by more than its spread.

    Where no event of a process has fallen into a category by chance, it adds neither yield nor
    variance there, and nothing in the sums tells of it. So each background is given one event
    more in each category, of the mean weight that its events have near there.

    Parameters
    ----------
    problem
        Signals, backgrounds and objective.
    sums
        Sums of all events over the categories, which are in order.
    quoted
        The figure that is quoted.

    Returns
    -------
    RareProcess or None
        The process and the category in which the event costs most, and from where to where the
        figure reaches; None where that is less than the spread.
    """
    n = sums.sumw.shape[1]
    rows = [sums.processes.index(name) for name in problem.backgrounds]
    shape = (len(rows), n, *sums.sumw.shape)
    size = weights_without_sign(problem, sums)
    extra = np.zeros(shape)
    mass = np.zeros(shape)
    for b, row in enumerate(rows):
        weight = nearby_weight(size[row], sums.sumw2[row])
        extra[b, np.arange(n), row, np.arange(n)] = weight
        if sums.sumw_mass is not None and sums.sumw[row].sum() > 0:
            mean = sums.sumw_mass[row].sum() / sums.sumw[row].sum()
            mass[b, np.arange(n), row, np.arange(n)] = weight * mean
    more = replace(
        sums,
        sumw=sums.sumw + extra,
        sumw2=sums.sumw2 + extra**2,
        sumw_mass=None if sums.sumw_mass is None else sums.sumw_mass + mass,
        # The event is there in all variations.
        varied=None if sums.varied is None else sums.varied + extra[..., None, :, :],
    )
    now, then = (
        problem.objective.figures(each.category_yields(problem))[..., 0] for each in (sums, more)
    )
    if not now > 0:
        return None
    worst, k = divmod(int(then.argmin()), n)
    low = quoted.combined * float(then[worst, k] / now)
    if quoted.combined - low <= (quoted.spread or 0.0):
        return None
    return RareProcess(
        process=problem.backgrounds[worst], category=k, z_range=(low, quoted.combined)
    )
