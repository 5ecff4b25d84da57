"""A search for categories: a problem with its events, and what is computed once for all counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gato_coffea.categories import Categories
from gato_coffea.config.settings import Kind, Method
from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.optimisation.densities import CategoryYields, shares
from gato_coffea.optimisation.evaluation import PointTally, Tally
from gato_coffea.optimisation.methods import (
    LLOYD_STARTS,
    ArgmaxPartition,
    Atoms,
    ExactPartition,
    lloyd_starts,
)
from gato_coffea.optimisation.partitions import lloyd
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.result import History, Result
from gato_coffea.optimisation.targets import TrainingSet, training_sets
from gato_coffea.optimisation.threads import in_threads

MANY_CATEGORIES = 50
MANY_STARTS = 2
"""Very many categories, and starts of `lloyd` for them: so many are all about as good."""


@dataclass(frozen=True)
class Candidate:
    """Categories from all events, and those of each training set that leaves a fold out."""

    full: Categories
    folds: tuple[Categories, ...]
    history: History | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Search:
    """A problem with its events and settings; ``binned`` where only histograms are known.

    ``notes`` are sentences about the input, for every result.

    ``bins`` are those of each discriminant for ``kind`` edges, ``previous`` holds by number of
    categories the results that training is to continue. ``own_edges`` are yardsticks of the
    user's: edges in the one discriminant, by name. Edges are rounded to multiples of
    ``round_to``.
    ``found`` keeps the partitions that `lloyd` has reached, by number of categories.
    """

    problem: Problem
    tally: Tally
    method: Method
    counts: tuple[int, ...]
    restarts: int
    epochs: int
    seed: int
    progress: bool
    binned: bool = False
    notes: tuple[str, ...] = ()
    kind: Kind = "mixture"
    bins: tuple[int, ...] | None = None
    previous: Mapping[int, Result] = field(default_factory=dict, repr=False)
    own_edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    round_to: float | None = None
    found: dict[int, list[list[IntArray]]] = field(default_factory=dict, repr=False)

    @property
    def starts(self) -> int:
        """How many partitions of each number of categories are needed; training starts there."""
        from_partitions = self.method == "gato" and self.kind == "mixture" and not self.previous
        return self.restarts if from_partitions else 1

    @cached_property
    def sets(self) -> list[TrainingSet]:
        """All events first, then all but each fold."""
        return training_sets(self.problem)

    @cached_property
    def points(self) -> PointTally:
        """The points, to be summed by label."""
        return PointTally(self.problem.points)

    @cached_property
    def weight(self) -> FloatArray:
        """How much each point matters: its share of every signal and of the background."""
        return np.maximum(shares(self.sets[0].target), 0.0)

    def expected(self, labels: Sequence[IntArray], n: int) -> list[CategoryYields]:
        """Yields of each fold's categories of the points by the densities of the training.

        None where those are the events themselves, with all their fluctuations.
        """
        if not self.problem.smooth:
            return []
        target, objective = self.sets[0].target, self.problem.objective
        return [target.yields(label, n, objective) for label in labels]

    @property
    def additive(self) -> bool:
        """Whether dynamic programming applies: the figure is a sum over categories."""
        one_signal = len(self.problem.signals) == 1
        in_a_row = self.problem.u.shape[1] == 1
        return one_signal or (in_a_row and self.problem.objective.rule.sums_squares)

    @cached_property
    def exact(self) -> list[ExactPartition]:
        """The exact partitions of each training set."""
        n_max, u, order = max(*self.counts, MANY_CATEGORIES), self.problem.u, None
        if self.kind == "edges" and u.shape[1] == 1:
            order = np.argsort(u[:, 0], kind="stable")  # bins of the discriminant

        def partition(training: TrainingSet) -> ExactPartition:
            return ExactPartition(self.problem, training, n_max=n_max, order=order)

        first, *others = in_threads(partition, self.sets)
        for other in others:
            other.like = first
        return [first, *others]

    @cached_property
    def argmax(self) -> list[ArgmaxPartition]:
        """The exact bins inside each class of the arg-max, of each training set."""
        n_max = max(self.counts)
        return in_threads(lambda s: ArgmaxPartition(self.problem, s, n_max=n_max), self.sets)

    @cached_property
    def atoms(self) -> list[Atoms]:
        """Groups of points that `lloyd` moves, of each training set."""
        return [Atoms(self.problem, s, seed=self.seed) for s in self.sets]

    def lloyd(self, n: int) -> list[list[IntArray]]:
        """Partitions by `lloyd`, the best first: for each, one for each training set.

        Where there is an exact partition, the best one starts there too.
        """
        if n not in self.found:
            objective = self.problem.objective
            asked = n in self.counts
            labels = lloyd_starts(
                self.atoms[0],
                n,
                objective,
                seed=self.seed,
                count=self.restarts if asked else 1,
                starts=LLOYD_STARTS if asked else MANY_STARTS,
            )
            rows = []
            for label in labels:
                row = [label]
                for atoms in self.atoms[1:]:
                    start = atoms.of_points(label, self.weight)
                    found = lloyd(atoms.target, start, n, objective)[0]
                    row.append(atoms.refined(found, n))
                rows.append(row)
            if self.additive and asked:
                rows[0] = [
                    atoms.better(label, exact.labels(n), n)
                    for atoms, label, exact in zip(self.atoms, rows[0], self.exact, strict=True)
                ]
            self.found[n] = rows
        return self.found[n]

    def partitions(self, n: int, count: int) -> list[list[IntArray]]:
        """The best partitions of the points, like `lloyd`; first the exact one, if there is."""
        found = [[e.labels(n) for e in self.exact]] if self.additive else []
        if len(found) < count:
            found += self.lloyd(n)
        return found[:count]
