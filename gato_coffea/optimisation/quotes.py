"""Significances with their spread, and without what small numbers do to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.optimisation.bootstrap import N_BOOTSTRAP, bootstrap, chosen
from gato_coffea.optimisation.densities import CategoryYields
from gato_coffea.optimisation.evaluation import PointTally, Sums, figures_of_sums
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.profiled import Profiled
from gato_coffea.optimisation.result import Significance
from gato_coffea.statistics.figures import UNMEASURED, unmeasured
from gato_coffea.statistics.uncertainties import Free


def _significance(problem: Problem, figures: FloatArray, spread: float | None) -> Significance:
    combined, counting, *each = figures.tolist()
    signals = dict(zip(problem.signals, each, strict=True))
    return Significance(combined, signals, spread, counting)


def significance_of(problem: Problem, sums: Sums, *, seed: int | None = None) -> Significance:
    """Significance of the sums, with its spread by bootstrap where a seed is given.

    Yields are drawn by `bootstrap`; the spread is half the width of the central 68 % of the
    significances.
    """
    spread = None
    if seed is not None:
        spread = _spread(figures_of_sums(problem, bootstrap(problem, sums, seed)))
    return _significance(problem, figures_of_sums(problem, sums), spread)


def pooled_significance(
    problem: Problem,
    held_out: Sums,
    *,
    training: Significance,
    each: Sequence[CategoryYields] = (),
    freedom: FloatArray | None = None,
    seed: int,
) -> Significance:
    """Significance of pooled held-out yields, free of what pooling and small numbers do to it.

    Parameters
    ----------
    problem
        Signals, backgrounds and objective.
    held_out
        Sums over the folds, each assigned by the model that did not see it.
    training
        Significance of the events that the categories were trained on, which none held out is
        above.
    each
        Expected yields in the categories of each fold's model. The significances of these and of
        their mean differ by the cost of adding up categories that are not quite the same. They
        are those of the densities that the training has estimated: between sums of few events
        there would be a difference by their fluctuations alone. Empty where nothing is known.
    freedom
        How much of its Poisson variance each category's background count has
        (`bootstrap.freedom`); by default all of it.
    seed
        Of the bootstrap, which gives the spread, and the bias.
    """
    figures = figures_of_sums(problem, held_out)
    drawn = bootstrap(problem, held_out, seed)
    rng = np.random.default_rng([seed, N_BOOTSTRAP])  # other numbers than those of the draws
    share = np.ones(held_out.sumw.shape[1]) if freedom is None else freedom
    factor = _bias_factor(problem, held_out, drawn, share, rng)
    counting = np.inf if training.statistics_only is None else training.statistics_only
    limit = [training.combined, counting, *training.per_signal.values()]
    found = np.minimum(figures * factor + _cost(problem, each), limit)
    return _significance(problem, found, _spread(figures_of_sums(problem, drawn)))


def _bias_factor(
    problem: Problem,
    sums: Sums,
    drawn: Sums,
    freedom: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """What the figures are to be multiplied with to be right on average.

    A figure is convex in the yields, so that one whose counts fluctuate about the truth is high
    on average, by as much as its bootstrap is above it. Where a constraint fixes the count it is
    the truth behind it that fluctuates (inverse sampling: Haldane, Biometrika 33 (1945) 222), and
    the figure is as much too low. So in each draw every category fluctuates on one of the sides:
    on that of the counts as often as its count is free. The ratio of the means is taken, and not
    their difference: both scale with the figure, which a large bias must not make negative.
    """
    shape = (len(drawn.sumw), 1, sums.sumw.shape[1])
    counted = np.broadcast_to(rng.random(shape) < freedom, drawn.sumw.shape).copy()
    counted[:, [sums.processes.index(name) for name in problem.signals]] = True
    of_counts, of_truth = (
        figures_of_sums(problem, chosen(sums, drawn, redrawn)).mean(axis=0)
        for redrawn in (counted, ~counted)
    )
    return np.where(of_counts > 0, of_truth / np.where(of_counts > 0, of_counts, 1.0), 1.0)


def zero_note(held_out: Significance) -> list[str]:
    """Why a held-out significance is zero, in a sentence; nothing where none is."""
    names = [name for name, z in held_out.per_signal.items() if z == 0]
    if not names:
        return []
    return [
        f"held-out Z of {', '.join(names)} is 0: in no category do the events held out leave "
        "both signal and background above zero; there are too few events for so many categories"
    ]


def unmeasured_notes(problem: Problem, sums: Sums, found: Significance) -> list[str]:
    """Which signals' figures are but rounding, as free parameters can imitate them; a line each.

    Their figures are compared with those of counting in the same categories.
    """
    objective = problem.objective
    if not isinstance(objective, Profiled):
        return []
    counting = objective.counting.per_signal(sums.category_yields(problem))
    free = [one.name for one in objective.normalisations if isinstance(one, Free)]
    if objective.others == "profiled":
        free += [f"strength of {name}" for name in problem.signals]
    return [
        unmeasured(name, [one for one in free if one != f"strength of {name}"])
        for name, known in zip(problem.signals, counting.tolist(), strict=True)
        if found.per_signal[name] < UNMEASURED * known
    ]


def _cost(problem: Problem, each: Sequence[CategoryYields]) -> FloatArray | float:
    """By how much the figures of the mean yields fall below the mean of the figures."""
    if len(each) < 2:
        return 0.0
    values = {key: np.mean([getattr(y, key) for y in each], axis=0) for key in vars(each[0])}
    alone = np.mean([problem.objective.figures(y) for y in each], axis=0)
    return np.maximum(alone - problem.objective.figures(CategoryYields(**values)), 0.0)


def _spread(drawn: FloatArray) -> float:
    low, high = np.quantile(drawn[:, 0], [0.159, 0.841])
    return float(0.5 * (high - low))


def difference_spread(
    problem: Problem,
    tally: PointTally,
    one: Sequence[IntArray],
    other: Sequence[IntArray],
    *,
    seed: int,
) -> float:
    """Spread of the difference of two held-out significances, drawn on the same events.

    Parameters
    ----------
    problem, tally
        Objective, and the points.
    one, other
        Category of each point, -1 for none, by the model of each fold.
    seed
        Of the bootstrap: of yields in the categories of both at once.
    """
    sizes = [int(max(label.max() for label in labels)) + 1 for labels in (one, other)]
    joint = [
        np.where((a < 0) | (b < 0), -1, a * sizes[1] + b) for a, b in zip(one, other, strict=True)
    ]
    sums = tally.by_label(joint, sizes[0] * sizes[1], by_fold=True)
    filled = np.flatnonzero((sums.sumw2 > 0).any(axis=0))
    drawn = bootstrap(problem, sums.at(filled), seed)
    found = [
        figures_of_sums(problem, drawn.relabelled(label[filled], size))[:, 0]
        for label, size in zip(
            np.divmod(np.arange(sizes[0] * sizes[1]), sizes[1]), sizes, strict=True
        )
    ]
    return _spread((found[0] - found[1])[:, None])
