"""Whether the background estimated in the mass window is the one that simulation has there.

The estimate is the yield of the whole mass range times the fraction of one exponential in the
window. Where a category's spectrum is no exponential, as at a turn-on or where the score depends
on the mass, it is off; simulated events in the window tell.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gato_coffea.events.samples import FloatArray
from gato_coffea.optimisation.evaluation import Sums
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.result import Significance, Yields
from gato_coffea.rendering.rounding import amount, decimals, rounded, with_error

DEVIATIONS = 3.0
"""Difference in standard deviations above which it is none of chance."""

RELATIVE = 0.05
"""Difference, relative to a category's background, below which no figure is moved noticeably."""

EXPECTED = 10.0
"""Effective entries expected in the window of a process that has none there: it is blinded."""


def window_note(
    problem: Problem, yields: Yields, sums: Sums, counted: Sums | None, quoted: Significance
) -> str | None:
    """What to know of categories whose window background is not what simulation has there.

    Parameters
    ----------
    problem
        Signals, backgrounds and objective.
    yields
        Yields of the categories, the background in the window as estimated.
    sums
        Sums that they are made of.
    counted
        Sums inside the window alone, or None where they are not known.
    quoted
        The figure that is quoted.

    Returns
    -------
    str or None
        Category, both yields, and the figure with these categories' backgrounds as counted; None
        where all differences are small, and where a process has no event in the window because
        it is blinded there.
    """
    if counted is None or problem.objective.window is None:
        return None
    rows = [sums.processes.index(name) for name in problem.continuum]
    seen, variance = counted.sumw[rows], counted.sumw2[rows]
    if _are_hidden(sums.sumw[rows], sums.sumw2[rows], seen, yields.factor):
        return None
    estimate = sums.sumw[rows].sum(axis=0) * yields.factor
    shift, error = seen.sum(axis=0) - estimate, np.sqrt(variance.sum(axis=0))
    off = (error > 0) & (np.abs(shift) > DEVIATIONS * error)
    off &= np.abs(shift) > RELATIVE * np.abs(yields.background)
    if not off.any():
        return None
    parts = [
        f"category {k}: {amount(estimate[k])} estimated, "
        f"{with_error(estimate[k] + shift[k], float(error[k]))} counted"
        for k in np.flatnonzero(off)
    ]
    z = quoted.combined * _ratio(problem, sums, off, shift, error)
    digits = decimals(quoted.spread)
    return (
        "mass window: the continuum, estimated by one exponential in each category, is not what "
        f"simulation has there: {'; '.join(parts)}; Z with these as counted is "
        f"{rounded(z, digits)} instead of {rounded(quoted.combined, digits)}"
    )


def _are_hidden(sumw: FloatArray, sumw2: FloatArray, seen: FloatArray, factor: FloatArray) -> bool:
    """Whether a process has no event in the window, where by chance it would have some."""
    total = sumw.sum(axis=1)
    effective = total**2 / np.where(total != 0, sumw2.sum(axis=1), 1.0)
    inside = (sumw * factor).sum(axis=1) / np.where(total != 0, total, 1.0)
    return bool(((seen == 0).all(axis=1) & (effective * inside > EXPECTED)).any())


def _ratio(
    problem: Problem, sums: Sums, off: FloatArray, shift: FloatArray, error: FloatArray
) -> float:
    """By what the figure is multiplied where some categories have the background as counted."""
    now = sums.category_yields(problem)
    peak = np.zeros_like(error)
    for name in problem.resonant:
        peak += sums.sumw2[sums.processes.index(name)]
    then = replace(
        now,
        background=np.where(off, now.background + shift, now.background),
        variance=np.where(off, error**2 + peak, now.variance),
    )
    before, after = (problem.objective.counting.figures(each)[0] for each in (now, then))
    return float(after / before) if before > 0 else 1.0
