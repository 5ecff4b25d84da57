"""The best partitions of weighted points: dynamic programming and Bregman-Lloyd iteration.

Both work on arrays alone and need no TensorFlow. The squared significance of one signal is a sum
over categories of a convex, homogeneous function of the yields. Therefore the best categories
are intervals of the signal-to-background ratio (Burshtein et al., IEEE Trans. Inf. Theory 38
(1992) 1); of a single discriminant, the best contiguous bins follow from dynamic programming.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.optimisation.densities import CategoryYields, Densities, window_yields
from gato_coffea.optimisation.objective import Counting, Objective
from gato_coffea.optimisation.problem import Problem

CONSTRAINED_STEPS = 30
"""Steps of `constrained_lloyd`; its start is near the end."""

PATIENCE = 10
"""Steps in a row without a better value after which `lloyd` ends, where it may go up and down."""

SMALLEST_PART = 0.1
"""Smallest step of parameters: with a tenth the average forgets in as many steps as a search
takes."""


@dataclass(frozen=True)
class Partitions:
    """Best contiguous partitions for every number of categories up to some ``K``.

    ``value[k]`` is the largest sum of gains with ``k + 1`` categories (``-inf`` where the
    constraints allow none) and ``choice`` leads back to the edges.
    """

    value: FloatArray
    choice: IntArray

    def edges(self, n: int) -> IntArray:
        """Indices of the inner edges of the best ``n`` bins, increasing, shape ``(n - 1,)``."""
        edges, end = [], self.choice.shape[1] - 1
        for k in range(n - 1, 0, -1):
            end = int(self.choice[k, end])
            edges.append(end)
        return np.array(edges[::-1], dtype=np.int64)

    def largest(self, n: int) -> int:
        """The best number of categories up to ``n`` that the constraints allow; 0 if none."""
        allowed = self.value[:n]
        return int(np.argmax(allowed)) + 1 if np.isfinite(allowed).any() else 0


def best_partitions(gain: FloatArray, n_max: int) -> Partitions:
    """Cut a row of cells into bins so that the sum of the bins' gains is largest.

    Parameters
    ----------
    gain
        ``gain[i, j]`` is what a bin of cells ``i .. j - 1`` adds, shape ``(P + 1, P + 1)``;
        ``-inf`` for a bin that is not allowed or not a bin.
    n_max
        Largest number of bins; the answer for every smaller number comes with it.

    Notes
    -----
    ``O(n_max P**2)``.
    """
    size = len(gain)
    value = np.full((n_max, size), -np.inf)
    choice = np.zeros((n_max, size), dtype=np.int64)
    value[0] = gain[0]
    for k in range(1, n_max):
        total = value[k - 1][:, None] + gain
        choice[k] = total.argmax(axis=0)
        value[k] = np.take_along_axis(total, choice[k][None], axis=0)[0]
    return Partitions(value[:, -1], choice)


def interval_yields(densities: Densities, objective: Objective) -> CategoryYields:
    """Yields of every run of consecutive points: entry ``[i, j]`` sums ``i .. j - 1``."""

    def runs(array: FloatArray) -> FloatArray:
        c = np.concatenate([np.zeros((*array.shape[:-1], 1)), np.cumsum(array, axis=-1)], axis=-1)
        return c[..., None, :] - c[..., :, None]

    moment = None if densities.moment is None else runs(densities.moment)
    peak = None if densities.peak is None else np.stack([runs(row) for row in densities.peak])
    watched = densities.watched
    return window_yields(
        runs(densities.signal),
        runs(densities.background),
        runs(densities.variance),
        moment,
        objective,
        peak,
        None if watched is None else runs(watched),
    )


def allowed_runs(problem: Problem, raw: Densities) -> npt.NDArray[np.bool_]:
    """Which runs of consecutive points satisfy the constraints, shape ``(P + 1, P + 1)``."""
    margin = problem.satisfied(interval_yields(raw, problem.objective), scale=raw.scale)
    return np.triu(margin >= 1, k=1)


def run_gains(problem: Problem, target: Densities, weight: FloatArray) -> FloatArray:
    """What each run of consecutive points adds to a weighted sum of squared significances."""
    objective = problem.objective.counting
    yields = interval_yields(target, objective)
    z2 = objective.squares(np.moveaxis(yields.signal, 0, 1), yields.background, yields.variance)
    return np.einsum("imj,m->ij", z2, weight)


def lloyd(
    densities: Densities, label: IntArray, n: int, objective: Objective, *, steps: int = 300
) -> tuple[IntArray, float]:
    """Move points to the category where they add most, until none moves.

    Bregman clustering (Banerjee et al., JMLR 6 (2005) 1705) with the divergence of the squared
    significance; for several signals each term is weighted so that the steps climb the
    combination.

    Parameters
    ----------
    densities
        The points, ``P`` of them.
    label
        Category of each point to start from, shape ``(P,)``.
    n
        Number of categories.
    objective
        What to climb.
    steps
        Upper limit on the number of steps.

    Returns
    -------
    tuple
        The best labels met, and their objective.
    """
    around = objective.around(densities.yields(label, n, objective))
    best, best_value, stale = label, around.value, 0
    stack = densities.additive_rows.T
    for step in range(steps):
        new = (stack @ around.linear()[: stack.shape[1]]).argmax(axis=1)
        if np.array_equal(new, label):
            break
        label = new
        around = objective.around(
            densities.yields(label, n, objective), near=around, part=damped(step)
        )
        stale += 1
        if around.value > best_value:
            best, best_value, stale = label, around.value, 0
        if stale > PATIENCE and not objective.is_additive:
            break
    return best, best_value


def damped(step: int) -> float:
    """How far parameters move in a step towards those of the new categories.

    Categories that are best at some parameters are those which move the parameters away: the full
    step oscillates. As in fictitious play the parameters are averages over the steps, of the more
    recent ones only since the first are far off.
    """
    return max(2.0 / (step + 2.0), SMALLEST_PART)


def seed_labels(
    densities: Densities, n: int, objective: Objective, rng: np.random.Generator
) -> IntArray:
    """A start for `lloyd`: categories around ``n`` points drawn by the information they hold."""
    counting = objective.counting
    densities = replace(densities, rows=None)
    s, b = densities.signal, np.maximum(densities.background, 1e-300)
    # A negative sum of a signal holds none; with as much background it would divide by zero.
    known = np.maximum(s, 0.0)
    information = (known**2 / (b + known) / s.sum(axis=1, keepdims=True) ** 2).sum(axis=0)
    information += 1e-12 * information.max() if information.any() else 1.0
    chosen = rng.choice(len(b), size=n, replace=False, p=information / information.sum())
    seeds = densities.ordered(chosen)
    whole = densities.yields(np.zeros(len(b), dtype=np.int64), 1, counting)
    factor = np.broadcast_to(whole.factor, (n,))
    peak = np.zeros((2, n)) if seeds.peak is None else seeds.peak
    around = CategoryYields(
        seeds.signal,
        seeds.background * factor + peak[0],
        seeds.variance * factor**2 + peak[1],
        np.zeros(n),
        factor,
    )
    stack = densities.additive_rows.T
    score = counting.around(around).linear()[: stack.shape[1]]
    return (stack @ score).argmax(axis=1).astype(np.int64)


def merge_down(parts: Densities, n: int, objective: Objective) -> IntArray:
    """Merge parts pair by pair, each time the pair that costs least, until ``n`` are left.

    Parameters
    ----------
    parts
        A fine partition: yields of each part.
    n
        Number of categories.
    objective
        What is to be kept as high as can be.

    Returns
    -------
    IntArray
        Category of each part.
    """
    rows, m, objective = _rows(parts), len(parts.signal), objective.counting
    size = rows.shape[1]
    label = np.arange(size)
    alone = _squares(rows, m, objective)
    pairs = (rows[:, :, None] + rows[:, None, :]).reshape(len(rows), -1)
    together = _squares(pairs, m, objective).reshape(m, size, size)
    allowed = np.triu(np.ones((size, size), dtype=np.bool_), k=1)
    for _ in range(size - n):
        value = _after(alone, alone[:, :, None] + alone[:, None, :], together, objective)
        one, other = np.unravel_index(np.where(allowed, value, -np.inf).argmax(), value.shape)
        rows[:, one] += rows[:, other]
        alone[:, one], alone[:, other] = together[:, one, other], 0.0
        label[label == other] = one
        allowed[other], allowed[:, other] = False, False
        update = _squares(rows + rows[:, one, None], m, objective)
        together[:, one, :] = together[:, :, one] = update
    return np.unique(label, return_inverse=True)[1]


def merge_unsatisfied(problem: Problem, parts: Densities, events: Densities) -> IntArray:
    """Merge every part that fails the constraints with the one that is most like it.

    Likeness is that of the ratios of signals to background. What a merger costs would favour
    small parts of any kind, each of which costs next to nothing, and it takes very many of them.

    Parameters
    ----------
    problem
        Holds constraints and objective.
    parts
        Yields of each part that the cost is taken from.
    events
        Yields of each part that have to satisfy the constraints.

    Returns
    -------
    IntArray
        New label of each part.
    """
    rows, seen, m = _rows(parts), _seen(events), len(parts.signal)
    objective = problem.objective.counting
    label = np.arange(rows.shape[1])
    alone = _squares(rows, m, objective)
    margin = problem.satisfied(_yields_seen(seen, events, objective), scale=events.scale)
    whole = np.sqrt(np.maximum(alone.sum(axis=1), 1e-12))
    weight = objective.rule.worth(whole)
    left = np.ones(len(label), dtype=np.bool_)
    for _ in range(len(label) - 1):
        worst = int(margin.argmin())
        if margin[worst] >= 1:
            break
        left[worst] = False
        unlike = weight @ _unlikeness(rows, worst, m, objective)
        other = int(np.where(left, unlike, np.inf).argmin())
        left[worst], left[other] = True, False
        rows[:, worst] += rows[:, other]
        seen[:, worst] += seen[:, other]
        label[label == other] = worst
        merged = _yields_seen(seen[:, worst, None], events, objective)
        margin[worst] = problem.satisfied(merged, scale=events.scale)[0]
        margin[other] = np.inf
    return np.unique(label, return_inverse=True)[1]


def constrained_lloyd(
    problem: Problem,
    parts: Densities,
    events: Densities,
    label: IntArray,
    n: int,
    *,
    steps: int = CONSTRAINED_STEPS,
) -> IntArray:
    """`lloyd` of parts that are too small to satisfy the constraints each.

    After every step a category that fails takes over the parts that are cheapest for the
    background they bring, until it does not.

    Parameters
    ----------
    problem
        Holds constraints and objective.
    parts, events
        Yields of each part that are optimised, and those that have to satisfy the constraints.
    label
        Category of each part to start from, shape ``(P,)``.
    n
        Number of categories.
    steps
        How many steps are taken at most.

    Returns
    -------
    IntArray
        The best labels met that satisfy the constraints; those of the start if there are none.
    """
    objective, seen = problem.objective, _seen(events)
    stack, around = parts.additive_rows.T, None
    best, best_value = label, -np.inf
    for step in range(steps + 1):
        yields = parts.yields(label, n, objective)
        around = objective.around(yields, near=around, part=damped(step))
        margin = problem.satisfied(events.yields(label, n, objective), scale=events.scale)
        if around.value > best_value and ((margin >= 1).all() or step == 0):
            best, best_value = label, around.value
        score = stack @ around.linear()[: stack.shape[1]]
        new = _filled_up(problem, events, seen, score, parts.background)
        if np.array_equal(new, label):
            break
        label = new
    return best


def _filled_up(
    problem: Problem, events: Densities, seen: FloatArray, score: FloatArray, size: FloatArray
) -> IntArray:
    """The category with the best score for each part, if need be less so that all have enough."""
    n, objective = score.shape[1], problem.objective
    label = score.argmax(axis=1)
    cost = score.max(axis=1, keepdims=True) - score
    price = cost / np.maximum(size, 1e-300)[:, None]
    full = np.zeros(n, dtype=np.bool_)
    for _ in range(n):
        yields = events.yields(label, n, objective)
        margin = problem.satisfied(yields, scale=events.scale)
        short = int(np.where(full, np.inf, margin).argmin())
        if full[short] or margin[short] >= 1:
            break
        full[short] = True
        others = np.flatnonzero(~np.isin(label, np.flatnonzero(full)))
        others = others[np.argsort(price[others, short], kind="stable")]
        own = seen[:, label == short].sum(axis=1, keepdims=True)
        grown = _yields_seen(own + np.cumsum(seen[:, others], axis=1), events, objective)
        enough = problem.satisfied(grown, scale=events.scale) >= 1
        if not enough.any():
            break
        label[others[: int(enough.argmax()) + 1]] = short
    return label


def _unlikeness(rows: FloatArray, one: int, m: int, objective: Counting) -> FloatArray:
    """What merging a part with each other one costs each signal, both with unit background."""
    plain = Counting(window=objective.window)
    unit = rows / np.maximum(rows[m], 1e-300)
    alone = _squares(unit, m, plain)
    together = _squares(unit + unit[:, one, None], m, plain)
    return alone + alone[:, one, None] - together


def _rows(parts: Densities) -> FloatArray:
    """Signals, background, its variance and, where there are such, its moment and resonant ones.

    The shape is ``(rows, parts)``.
    """
    rows = [*parts.signal, parts.background, parts.variance]
    if parts.moment is not None:
        rows.append(parts.moment)
    return np.array(rows if parts.peak is None else [*rows, *parts.peak])


def _seen(events: Densities) -> FloatArray:
    """`_rows`, and then those of the processes that have limits of their own."""
    rows = _rows(events)
    return rows if events.watched is None else np.concatenate([rows, events.watched])


def _yields_seen(rows: FloatArray, events: Densities, objective: Objective) -> CategoryYields:
    """Yields of parts of the events that are given by `_seen`."""
    n_watched = 0 if events.watched is None else len(events.watched)
    plain = len(rows) - n_watched
    found = _yields(rows[:plain], len(events.signal), objective)
    return replace(found, watched=rows[plain:]) if n_watched else found


def _yields(rows: FloatArray, m: int, objective: Objective) -> CategoryYields:
    """Yields of parts with ``m`` signals that are given by `_rows`."""
    moment = rows[m + 2] if len(rows) > m + 2 else None
    peak = rows[m + 3 :] if len(rows) > m + 3 else None
    return window_yields(rows[:m], rows[m], rows[m + 1], moment, objective, peak)


def _squares(rows: FloatArray, m: int, objective: Counting) -> FloatArray:
    """Squared significance of each signal in each part, shape ``(signals, parts)``."""
    if objective.window is None:
        return objective.squares(rows[:m], rows[m], rows[m + 1])
    yields = _yields(rows, m, objective)
    return objective.squares(yields.signal, yields.background, yields.variance)


def _after(
    alone: FloatArray, apart: FloatArray, together: FloatArray, objective: Counting
) -> FloatArray:
    """What rises with the objective when pairs with the squares ``apart`` have ``together``."""
    whole = alone.sum(axis=1).reshape(-1, *(1,) * (apart.ndim - 1))
    return objective.rule.order(np.maximum(whole - apart + together, 0.0))
