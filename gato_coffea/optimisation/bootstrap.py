"""Sums over categories drawn once more, and how much of them a constraint has fixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gato_coffea.events.samples import BoolArray, FloatArray, IntArray
from gato_coffea.optimisation.evaluation import PointTally, Sums
from gato_coffea.optimisation.problem import ROUNDING, Problem
from gato_coffea.optimisation.result import effective_entries

N_BOOTSTRAP = 400
"""Draws: they know the half width of the central 68 % to about 5 %."""


def weights_without_sign(problem: Problem, sums: Sums) -> FloatArray:
    """Sum of the sizes of the weights of each process in each category, shape ``(C, K)``.

    The sum of weights, but for a process that has negative ones, as a sum of weights shows that
    is not positive at a point or in a category: there events times root mean square weight,
    which is right where all weights are of one size.
    """
    points = problem.points
    rows = points.of(sums.processes)
    signed = np.any((points.sumw[rows] <= 0) & (points.count[rows] > 0), axis=(1, 2))
    filled = sums.sumw2 > 0
    # Positive weights have at least one effective entry.
    cancel = filled & (sums.sumw**2 < sums.sumw2 * (1 - ROUNDING)) | (sums.sumw < 0)
    sizes = np.sqrt(np.maximum(sums.count * sums.sumw2, sums.sumw**2))
    return np.where((signed | cancel.any(axis=1))[:, None], sizes, sums.sumw)


def bootstrap(problem: Problem, sums: Sums, seed: int) -> Sums:
    """Redrawn sums, shape ``(draws, C, K)``: of weights, their squares and masses alike.

    The numbers of events with positive and with negative weights are drawn as Poisson numbers,
    all weights of a process in a category being of one size. So the sum of weights has the
    variance ``sumw2``, and the sum of squares that of the number of events: negative weights
    cancel in the yield, and not in its variance. Whatever comes or goes takes its mass along: the
    mean mass decides how much of the background lies in the window.
    """
    rng = np.random.default_rng(seed)
    size = weights_without_sign(problem, sums)
    unit = np.divide(sums.sumw2, size, out=np.zeros_like(size), where=size > 0)
    half = np.where(unit > 0, 0.5 / np.where(unit > 0, unit, 1.0), 0.0)
    shape = (N_BOOTSTRAP, *sums.sumw.shape)
    plus = rng.poisson(np.maximum(half * (size + sums.sumw), 0.0), shape)
    minus = rng.poisson(np.maximum(half * (size - sums.sumw), 0.0), shape)
    sumw, sumw2 = unit * (plus - minus), unit**2 * (plus + minus)
    # Where weights cancel, neither mean mass nor ratio of a variation is one of any event.
    few = sums.sumw**2 <= sums.sumw2
    more, yields = sumw - sums.sumw, np.where(few, 1.0, sums.sumw)
    moment, varied = None, None
    if sums.sumw_mass is not None:
        overall = _mean_mass(problem, sums)[:, None]
        moment = sums.sumw_mass + more * np.where(few, overall, sums.sumw_mass / yields)
    if sums.varied is not None:
        # A variation holds the same events.
        ratio = np.where(few, 1.0, sums.varied / yields)
        varied = sums.varied + more[:, None] * ratio
    return Sums(sums.processes, sumw, sumw2, sums.count, moment, varied)


def _mean_mass(problem: Problem, sums: Sums) -> FloatArray:
    """Mean mass of each process in all categories; of all backgrounds where its weights cancel."""
    window = problem.objective.window
    assert window is not None
    assert sums.sumw_mass is not None
    total, moment = sums.sumw.sum(axis=1), sums.sumw_mass.sum(axis=1)
    rows = [sums.processes.index(name) for name in problem.continuum]
    overall = moment[rows].sum() / total[rows].sum() if total[rows].sum() > 0 else 0.0
    known = total**2 > sums.sumw2.sum(axis=1)
    mean = np.where(known, moment / np.where(known, total, 1.0), overall)
    return np.clip(mean, window.low, window.high)


def chosen(sums: Sums, drawn: Sums, redrawn: BoolArray) -> Sums:
    """Drawn sums where ``redrawn``, of shape ``(draws, C, K)``, else the others."""
    moment, varied = sums.sumw_mass, sums.varied
    if moment is not None and drawn.sumw_mass is not None:
        moment = np.where(redrawn, drawn.sumw_mass, moment)
    if varied is not None and drawn.varied is not None:
        varied = np.where(redrawn[:, None], drawn.varied, varied)
    return replace(
        sums,
        sumw=np.where(redrawn, drawn.sumw, sums.sumw),
        sumw2=np.where(redrawn, drawn.sumw2, sums.sumw2),
        sumw_mass=moment,
        varied=varied,
    )


def freedom(
    problem: Problem, points: PointTally, labels: Sequence[IntArray], n: int
) -> FloatArray:
    """How much of their Poisson variance the categories' background counts have, from 0 to 1.

    A category that would be smaller if the constraints let it ends where it has the events that
    they ask for: in every sample as many, none of the variance. The count of one that ends for
    another reason has all of it. Which it is the trainings without a fold tell: the jackknife
    variance of the effective entries that each has in its own training events, over the variance
    of entries drawn at a fixed place.

    Parameters
    ----------
    problem, points
        Backgrounds, and the points with their folds.
    labels
        Category of each point, -1 for none, by the training without each fold.
    n
        Number of categories.

    Returns
    -------
    FloatArray
        Shape ``(n,)``; ones where there are fewer than two folds.
    """
    n_folds = len(labels)
    if n_folds < 2:
        return np.ones(n)
    found, expected = np.zeros((n_folds, n)), np.zeros((n_folds, n))
    for f, label in enumerate(labels):
        seen = points.without(f).by_label([label], n, by_fold=False)
        rows = [seen.processes.index(name) for name in problem.backgrounds]
        size = weights_without_sign(problem, seen)[rows]
        sumw, sumw2 = seen.sumw[rows], seen.sumw2[rows]
        unit = np.divide(sumw2, size, out=np.zeros_like(size), where=size > 0)
        w, w2 = sumw.sum(axis=0), sumw2.sum(axis=0)
        w3, w4 = (unit**2 * sumw).sum(axis=0), (unit**2 * sumw2).sum(axis=0)
        entries = effective_entries(w, w2)
        found[f] = entries
        known = entries > 0
        w, w2 = np.where(known, w, 1.0), np.where(known, w2, 1.0)
        # Of w**2 / w2, by the variances and the covariance of both (delta method).
        expected[f] = entries**2 * (4 * w2 / w**2 + w4 / w2**2 - 4 * w3 / (w * w2))
    scale = n_folds / (n_folds - 1)
    variance = scale * ((found - found.mean(axis=0)) ** 2).sum(axis=0)
    poisson = scale * expected.mean(axis=0)
    return np.clip(variance / np.where(poisson > 0, poisson, 1.0), 0.0, 1.0)
