"""Ways to partition the points, and the yardsticks that stand beside every result.

Each takes a problem, the folds to learn from and a number of categories, and gives a category for
every point. They need NumPy and SciPy alone.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import isotonic_regression, linear_sum_assignment

from gato_coffea.categories import EdgeCategories
from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.optimisation.checks import refuse_unmet
from gato_coffea.optimisation.densities import Densities
from gato_coffea.optimisation.objective import LEAST_Z, Objective
from gato_coffea.optimisation.partitions import (
    Partitions,
    allowed_runs,
    best_partitions,
    constrained_lloyd,
    lloyd,
    merge_down,
    merge_unsatisfied,
    run_gains,
    seed_labels,
)
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.profiled import Profiled
from gato_coffea.optimisation.profiled_runs import ROUNDS, ProfiledRuns, best_runs
from gato_coffea.optimisation.targets import TrainingSet

MAX_RUNS = 500
"""Groups of points between which dynamic programming may cut."""

MAX_PROFILED_RUNS = 300
"""The same for a profiled objective, whose terms are summed anew at all parameters that are tried:
at 20 categories each still is made of fifteen groups."""

ROUNDS_LIKE = 10
"""Partitions of a training set that are tried after those of a similar one are known."""

MAX_ARGMAX_RUNS = 200

MAX_ATOMS = 600
"""Groups of points that `lloyd` moves between categories."""

OUT_OF_ORDER = 1e-3
"""Part of the significance that the order of a discriminant may cost against that of S/B.

The smooth densities have less: their tails wiggle. A peak costs tens of percent.
"""

LLOYD_STARTS = 16

CLOSURE = 0.05
"""How far from one the probabilities of all classes may add up: a point is the mean of a cell."""

FINE_PER_CATEGORY = 4
MAX_FINE = 80
"""Parts of a fine partition that is merged down: for each category, and at most."""


def rank_order(problem: Problem, target: Densities) -> IntArray:
    """Order of the points in which the best categories are intervals.

    The ratio of signal to background. Where it follows the one discriminant but for fluctuations,
    and where it is not known (several signals, or densities that are the events themselves), that
    is the discriminant.
    """
    in_a_row = np.argsort(problem.u[:, 0], kind="stable")
    if problem.u.shape[1] == 1 and (
        len(problem.signals) > 1
        or not problem.smooth
        or _follows(problem, target.ordered(in_a_row))
    ):
        return in_a_row
    alone = target.yields(np.arange(len(problem.u)), len(problem.u), problem.objective)
    ratio = alone.signal[0] / np.maximum(alone.background, 1e-300)
    return np.argsort(ratio, kind="stable")


def _follows(problem: Problem, row: Densities) -> bool:
    """Whether signal over background rises, or falls, along the row as far as it matters.

    That is when points that break the order can be added up at next to no cost: to the
    significance of counting, since no uncertainty can be fitted to points of their own.
    """
    n, objective = len(row.background), problem.objective.counting
    alone = row.yields(np.arange(n), n, objective)
    s, b = np.maximum(alone.signal[0], 0.0), np.maximum(alone.background, 0.0)
    purity = s / np.maximum(s + b, 1e-300)
    best = 0.0
    for rising in (True, False):
        fit = isotonic_regression(purity, weights=s + b + 1e-300, increasing=rising)
        block = np.repeat(np.arange(len(fit.blocks) - 1), np.diff(fit.blocks))
        together = row.yields(block, len(fit.blocks) - 1, objective)
        best = max(best, float(objective.per_signal(together)[0]))
    return best > (1.0 - OUT_OF_ORDER) * float(objective.per_signal(alone)[0])


def stand_ins(problem: Problem, training: TrainingSet) -> IntArray:
    """The point that speaks for each point: the nearest with a yield, for those without any.

    A point whose events are all held out, or of which negative weights leave nothing, says
    nothing to a training, yet has a category.
    """
    target, result = training.target, np.arange(len(problem.points))
    known = (target.background > 0) | (target.signal > 0).any(axis=0)
    if not known.all():
        result[~known] = problem.nearest(problem.u[~known], known)
    return result


class ExactPartition:
    """Best categories of one training set, for all numbers of them at once.

    They are intervals in the order of `rank_order`: for one signal the ratio of signal to
    background, so that a peak in a discriminant is a category with its both sides. ``order``
    names other rows of points, or some points only; ``weight`` is that of each signal's squared
    significance, and then it is the significance of counting that counts.

    A profiled objective is a sum over categories at fixed parameters only: `profiled_runs` starts
    from what is best for counting, and from the parameters of ``like``, the partition of a
    similar training set.
    """

    like: ExactPartition | None = None

    def __init__(
        self,
        problem: Problem,
        training: TrainingSet,
        *,
        n_max: int,
        weight: FloatArray | None = None,
        order: IntArray | None = None,
        n_runs: int | None = None,
    ) -> None:
        self.spoken_for = None
        if order is None:
            order = rank_order(problem, training.target)
            if problem.u.shape[1] > 1 or (np.diff(problem.u[order, 0]) < 0).any():
                self.spoken_for = stand_ins(problem, training)
        target, raw = training.target.ordered(order), training.raw.ordered(order)
        if n_runs is None:
            n_runs = MAX_RUNS if problem.objective.is_additive else MAX_PROFILED_RUNS
        group = _equal_shares(target, n_runs)
        n_groups = int(group[-1]) + 1
        self.problem, self.raw = problem, raw
        self.order, self.group = order, group
        self.allowed = allowed_runs(problem, raw.grouped(group, n_groups))
        self.profiled = isinstance(problem.objective, Profiled) and weight is None
        if weight is None:
            weight = np.ones(len(problem.signals))
        self.row = target.grouped(group, n_groups)
        gain = run_gains(problem, self.row, weight)
        gain[~self.allowed] = -np.inf
        self.partitions: Partitions = best_partitions(gain, n_max)
        self.found: dict[int, ProfiledRuns] = {}

    def runs(self, n: int) -> ProfiledRuns | None:
        """The runs that are best for a profiled objective, up to ``n`` of them."""
        kept = self.partitions.largest(n)
        objective = self.problem.objective
        if not (kept and self.profiled and isinstance(objective, Profiled)):
            return None
        if kept not in self.found:
            near = None if self.like is None else self.like.runs(n)
            self.found[kept] = best_runs(
                objective,
                self.row,
                self.allowed,
                self.partitions.edges(kept),
                near=None if near is None else near.around,
                rounds=ROUNDS if near is None else ROUNDS_LIKE,
            )
        return self.found[kept]

    def edges(self, n: int) -> IntArray:
        """First group of each category but the lowest, of the best ones up to ``n``."""
        runs = self.runs(n)
        return self.partitions.edges(self.partitions.largest(n)) if runs is None else runs.edges

    def labels(self, n: int) -> IntArray:
        """Category of each point for the best number of categories up to ``n``."""
        kept = self.partitions.largest(n)
        if kept == 0:
            refuse_unmet(self.problem, self.raw)
            raise OptimisationError(
                "constraints: no cuts between these points satisfy them in every category, though "
                "all events in one do; lower constraints.min_effective or constraints.max_rel_unc"
            )
        label = np.empty_like(self.group)
        label[self.order] = np.searchsorted(self.edges(n), self.group, side="right")
        return label if self.spoken_for is None else label[self.spoken_for]

    def first_points(self, n: int) -> IntArray:
        """The first point of each bin but the lowest, in the order of the row."""
        kept = self.partitions.largest(n)
        cuts = self.edges(n) if kept else np.array([], dtype=np.int64)
        return self.order[np.searchsorted(self.group, cuts)]


def _equal_shares(target: Densities, n_runs: int) -> IntArray:
    """Groups of consecutive points that hold about equal parts of what matters."""
    s = np.maximum(target.signal, 0.0)
    b = np.maximum(target.background, 0.0)
    parts = [*s, b, *np.sqrt(s * b)]
    if target.peak is not None:
        parts.append(np.maximum(target.peak[0], 0.0))
    share = sum(p / p.sum() for p in parts if p.sum() > 0)
    position = np.cumsum(share) - 0.5 * share
    group = np.minimum((position / share.sum() * n_runs).astype(np.int64), n_runs - 1)
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


class Atoms:
    """Points of one training set grouped so that every group satisfies the constraints.

    Any union of such groups satisfies them too (those that are on the background's statistics;
    all of them where there is no upper limit). Points are grouped by their signal-to-background
    ratios, in which the best categories are convex, so little is lost, and steps are cheap.
    """

    def __init__(self, problem: Problem, training: TrainingSet, *, seed: int) -> None:
        target, raw, objective = training.target, training.raw, problem.objective
        rng = np.random.default_rng([seed, MAX_ATOMS])
        n = min(MAX_ATOMS, len(target.background))
        part = seed_labels(target, n, objective, rng)[stand_ins(problem, training)]
        part = np.unique(part, return_inverse=True)[1]
        n = int(part.max()) + 1
        self.problem, self.fine = problem, part
        self.points, self.raw = target, raw
        self.fine_target, self.fine_raw = target.grouped(part, n), raw.grouped(part, n)
        # First by the estimate: atoms that end where the events suffice end on upward
        # fluctuations, and leave the downward ones, and negative sums, to the last of them.
        parts = target.grouped(part, n)
        part = merge_unsatisfied(problem, parts, parts)[part]
        n = int(part.max()) + 1
        yields, events = target.grouped(part, n), raw.grouped(part, n)
        self.part = merge_unsatisfied(problem, yields, events)[part]
        self.size = int(self.part.max()) + 1
        self.target = target.grouped(self.part, self.size)

    def refined(self, label: IntArray, n: int) -> IntArray:
        """Category of each point, from that of each atom: boundaries may move inside of atoms."""
        return self._from(label[self.part], n)

    def _from(self, label: IntArray, n: int) -> IntArray:
        """Category of each point where `constrained_lloyd` ends that starts with these."""
        of_fine = np.zeros(len(self.fine_target.background), dtype=np.int64)
        of_fine[self.fine] = label
        return constrained_lloyd(self.problem, self.fine_target, self.fine_raw, of_fine, n)[
            self.fine
        ]

    def better(self, label: IntArray, other: IntArray, n: int) -> IntArray:
        """Categories of the points, or those that are reached from other ones, if better."""
        moved = self._from(other, n)
        return max(label, moved, other, key=lambda found: self.value(found, n))

    def value(self, label: IntArray, n: int) -> float:
        """What categories of the points reach on the estimate; minus infinity if not allowed."""
        objective = self.problem.objective
        raw = self.raw.yields(label, n, objective)
        if not (self.problem.satisfied(raw, scale=self.raw.scale) >= 1).all():
            return -np.inf
        return float(objective.combined(self.points.yields(label, n, objective)))

    def of_points(self, label: IntArray, weight: FloatArray) -> IntArray:
        """Label of each atom: the one that most of its points' weight has."""
        n = int(label.max()) + 1
        votes = np.bincount(self.part * n + label, weight + 1e-300, self.size * n)
        return votes.reshape(self.size, n).argmax(axis=1)


def lloyd_starts(
    atoms: Atoms,
    n: int,
    objective: Objective,
    *,
    seed: int,
    count: int,
    starts: int = LLOYD_STARTS,
) -> list[IntArray]:
    """The best ``count`` partitions that `lloyd` reaches from many starts, best first.

    Every other start is a fine partition that is merged down; the rest are drawn.

    Returns
    -------
    list of IntArray
        Category of each point.
    """
    rng = np.random.default_rng([seed, n])
    target, n = atoms.target, min(n, atoms.size)
    fine = min(FINE_PER_CATEGORY * n, MAX_FINE, atoms.size)
    found = []
    for i in range(max(starts, count)):
        if i % 2 == 0 and fine > n:
            parts = seed_labels(target, fine, objective, rng)
            start = merge_down(target.grouped(parts, fine), n, objective)[parts]
        else:
            start = seed_labels(target, n, objective, rng)
        label, value = lloyd(target, start, n, objective)
        found.append((value, label))
    found.sort(key=lambda pair: -pair[0])
    refined = [atoms.refined(label, n) for _, label in found[:count]]
    return sorted(refined, key=lambda label: -atoms.value(label, n))


def match_categories(
    label: IntArray, reference: IntArray, weight: FloatArray, *, n: int
) -> IntArray:
    """Which category of ``reference`` each of the ``n`` categories of ``label`` stands for.

    One-to-one where the weights of the points in common allow it; what is left over goes where
    it overlaps most.

    Returns
    -------
    IntArray
        Shape ``(n,)``.
    """
    rows, columns = n, int(reference.max()) + 1
    overlap = np.bincount(label * columns + reference, weight, rows * columns)
    overlap = overlap.reshape(rows, columns)
    size = np.sqrt(np.outer(overlap.sum(axis=1), overlap.sum(axis=0)))
    likeness = overlap / np.where(size > 0, size, 1.0)
    result = likeness.argmax(axis=1)
    picked, partner = linear_sum_assignment(-likeness)
    result[picked] = partner
    return result


def table_categories(problem: Problem, label: IntArray) -> EdgeCategories:
    """The categories of the points as a table over their grid; empty cells go by the nearest."""
    grid = problem.points.grid
    if grid is None:
        raise OptimisationError("method: a table of categories needs points on a grid")
    table = label[problem.point_of_cell]
    edges = grid.edges
    if len(edges) == 1:
        change = np.flatnonzero(np.diff(table)) + 1
        edges = (edges[0][np.concatenate([[0], change, [len(table)]])],)
        table = table[np.concatenate([[0], change])]
    return EdgeCategories(features=grid.features, label=table, edges=edges)


def equidistant_labels(problem: Problem, x: FloatArray, n: int) -> IntArray:
    """``n`` bins of equal width in the first discriminant."""
    feature = problem.points.features[0]
    unit = (x[:, 0] - feature.low) / (feature.high - feature.low)
    return np.clip((unit * n).astype(np.int64), 0, n - 1)


def has_class_scores(problem: Problem) -> bool:
    """Whether the discriminants are the probabilities of the signals, in their order."""
    features, m = problem.points.features, len(problem.signals)
    inside = all(f.low >= 0 and f.high <= 1 for f in features)
    if m < 2 or not inside or len(features) not in (m, m + 1):
        return False
    excess = problem.points.x.sum(axis=1) - 1.0
    return bool((excess if len(features) == m else np.abs(excess)).max() < CLOSURE)


def argmax_bins(n: int, n_signals: int) -> list[int]:
    """How ``n`` categories go to the signal classes; the background class has one."""
    return [(n - 1) // n_signals + (i < (n - 1) % n_signals) for i in range(n_signals)]


def argmax_edges(problem: Problem, n: int) -> list[FloatArray]:
    """Inner edges of equidistant bins in each signal's own class."""
    m = len(problem.signals)
    lowest = 1.0 / (m + 1)  # no smaller score wins an arg-max
    return [np.linspace(lowest, 1.0, k + 1)[1:-1] for k in argmax_bins(n, m)]


class ArgmaxPartition:
    """Exact bins of the score inside each class of the arg-max, for all numbers of them."""

    def __init__(self, problem: Problem, training: TrainingSet, *, n_max: int) -> None:
        m, x = len(problem.signals), problem.points.x
        winner = _winner(x, m)
        yields = training.target.yields(winner, m + 1, problem.objective)
        objective = problem.objective.counting
        weight = objective.rule.worth(np.maximum(objective.per_signal(yields), LEAST_Z))
        self.x, self.classes = x, []
        for i in range(m):
            rows = np.flatnonzero(winner == i)
            rows = rows[np.argsort(x[rows, i], kind="stable")]
            self.classes.append(
                ExactPartition(
                    problem,
                    training,
                    n_max=n_max,
                    weight=weight,
                    order=rows,
                    n_runs=MAX_ARGMAX_RUNS,
                )
                if len(rows)
                else None
            )

    def edges(self, n: int) -> list[FloatArray]:
        """Inner edges in each signal's class for ``n`` categories in all."""
        bins = argmax_bins(n, len(self.classes))
        return [
            np.array([]) if exact is None else self.x[exact.first_points(k), i]
            for i, (exact, k) in enumerate(zip(self.classes, bins, strict=True))
        ]


def _winner(x: FloatArray, n_signals: int) -> IntArray:
    """Index of the largest class score; ``n_signals`` is the background."""
    scores = x[:, :n_signals]
    background = 1.0 - scores.sum(axis=1, keepdims=True)
    return np.concatenate([scores, background], axis=1).argmax(axis=1)


def argmax_labels(x: FloatArray, edges: list[FloatArray]) -> IntArray:
    """Category by winning class, and in a signal's class by its score."""
    winner = _winner(x, len(edges))
    label = np.zeros(len(x), dtype=np.int64)
    first = 1
    for i, inner in enumerate(edges):
        rows = winner == i
        label[rows] = first + np.searchsorted(inner, x[rows, i], side="right")
        first += len(inner) + 1
    return label
