"""Yields and significances of categories on events, those of the training and those held out.

Held out means: each event is put into a category by a model that did not see it. The yields of
all folds are then added, category by category, and the significance is taken once. (The mean of
the folds' own significances is biased: a fold has few background events, and the mean of 1/B is
above 1 over the mean of B.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import final

import numpy as np

from gato_coffea.events.samples import FloatArray, IntArray, Points, Sample, concatenate
from gato_coffea.events.variations import DOWN, UP, uncertainties
from gato_coffea.optimisation.densities import CategoryYields, window_yields
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.result import Yields
from gato_coffea.optimisation.threads import in_threads
from gato_coffea.optimisation.window import Window

Assign = Callable[[FloatArray], IntArray]
"""Category of each event from its discriminants ``(N, D)``; -1 for none."""


@dataclass(frozen=True)
class Sums:
    """Sums over categories for each process, shape ``(C, K)``; see `Points` for their meaning.

    ``varied`` are those of the variations, ``(2 J, C, K)``, or None.
    """

    processes: tuple[str, ...]
    sumw: FloatArray
    sumw2: FloatArray
    count: FloatArray
    sumw_mass: FloatArray | None
    varied: FloatArray | None = None

    def relabelled(self, label: IntArray, n: int) -> Sums:
        """The sums over ``n`` categories when category ``k`` becomes ``label[k]``."""

        def total(array: FloatArray) -> FloatArray:
            if array.ndim > 2:  # as of a bootstrap
                return np.asarray(array @ np.equal.outer(label, np.arange(n)))
            return np.array([np.bincount(label, row, n) for row in array], dtype=np.float64)

        return self.mapped(total)

    def at(self, categories: IntArray) -> Sums:
        """The sums over some categories."""
        return self.mapped(lambda array: array[..., categories])

    def mapped(self, function: Callable[[FloatArray], FloatArray]) -> Sums:
        """The same with every array replaced by what the function makes of it."""
        return Sums(
            self.processes,
            function(self.sumw),
            function(self.sumw2),
            function(self.count),
            None if self.sumw_mass is None else function(self.sumw_mass),
            None if self.varied is None else function(self.varied),
        )

    def rows(self, problem: Problem) -> FloatArray | None:
        """Yields by process and variation as `Densities.rows`, shape ``(..., M, K)``.

        None where the objective needs none, or the variations were left out.
        """
        if not problem.objective.by_process or (self.varied is None and problem.points.variations):
            return None
        order = [self.processes.index(name) for name in problem.row_processes]
        nominal = self.sumw[..., order, :]
        if self.varied is None:
            return nominal
        varied = self.varied[..., order, :]
        flat = (*varied.shape[:-3], varied.shape[-3] * len(order), varied.shape[-1])
        return np.concatenate([nominal, varied.reshape(flat)], axis=-2)

    def category_yields(self, problem: Problem) -> CategoryYields:
        """Yields of the signals and of the total background, of which some may be resonant."""
        s, b, r = (
            [self.processes.index(name) for name in names]
            for names in (problem.signals, problem.continuum, problem.resonant)
        )
        peak = np.stack([array[..., r, :].sum(axis=-2) for array in (self.sumw, self.sumw2)])
        moment = None if self.sumw_mass is None else self.sumw_mass[..., b, :].sum(axis=-2)
        return window_yields(
            self.sumw[..., s, :],
            self.sumw[..., b, :].sum(axis=-2),
            self.sumw2[..., b, :].sum(axis=-2),
            moment,
            problem.objective,
            peak if r else None,
            rows=self.rows(problem),
        )


class Tally(ABC):
    """Something that can be summed into categories, as a whole or fold by fold."""

    n_folds: int
    whole_range: bool = False
    """Whether events have masses of which all count, inside the signal window and outside."""

    @abstractmethod
    def total(
        self, assign: Sequence[Assign], n: int, *, by_fold: bool, varied: bool = True
    ) -> Sums:
        """Sum into ``n`` categories.

        With ``by_fold``, the events of fold ``f`` are assigned by ``assign[f]``, else all of them
        by ``assign[0]``. Without ``varied`` the sums of the variations are left out.
        """

    def in_window(self, assign: Assign, n: int) -> Sums | None:
        """Sums of all processes inside the mass window alone; None where they are not known."""
        return None


@final
class EventTally(Tally):
    """Events of each process, in blocks of one fold each."""

    def __init__(
        self,
        samples: Mapping[str, Sample],
        *,
        signals: Sequence[str],
        n_folds: int,
        window: Window | None,
    ) -> None:
        self.n_folds, self.window = n_folds, window
        masses = all(sample.mass is not None for sample in samples.values())
        self.whole_range = masses and window is None

        def selected(name: str, sample: Sample) -> list[tuple[int, Sample]]:
            if window is not None:
                assert sample.mass is not None
                low, high = (
                    (window.window_low, window.window_high)
                    if name in signals
                    else (window.low, window.high)
                )
                sample = sample.where((sample.mass >= low) & (sample.mass <= high))
            if n_folds == 1 or sample.fold is None:
                return [(0, block) for block in sample.blocks()]
            each = [sample.where(np.flatnonzero(sample.fold == f)) for f in range(n_folds)]
            return [(f, block) for f, part in enumerate(each) for block in part.blocks()]

        def parts_of(name: str) -> list[tuple[int, Sample]]:
            weights = {k: v for k, v in samples[name].variations.items() if not v.is_shape}
            return selected(name, replace(samples[name], variations=weights))

        self.parts = dict(zip(samples, in_threads(parts_of, samples), strict=True))
        self.moved = {
            (name, variation): selected(name, _present(sample.varied(variation)))
            for name, sample in samples.items()
            for variation, own in sample.variations.items()
            if own.is_shape
        }
        self.variations = uncertainties(v for s in samples.values() for v in s.variations)

    def total(
        self, assign: Sequence[Assign], n: int, *, by_fold: bool, varied: bool = True
    ) -> Sums:
        """Sum the events; see `Tally.total`."""
        names = [source + side for side in (UP, DOWN) for source in self.variations]
        names = names if varied else []

        def of_part(part: tuple[int, Sample]) -> FloatArray:
            fold, block = part
            label = (assign[fold] if by_fold else assign[0])(block.x)
            keep = label >= 0
            label, w = label[keep], block.weight[keep]
            columns = [None, w, w * w, w if block.mass is None else w * block.mass[keep]]
            for name in names:
                own = block.variations.get(name)
                columns.append(None if own is None else block.varied(name).weight[keep])
            return np.array(
                [
                    np.zeros(n) if c is None and i else np.bincount(label, c, n)
                    for i, c in enumerate(columns)
                ]
            )

        sums = in_threads(of_part, chain.from_iterable(self.parts.values()))
        total = np.zeros((len(self.parts), 4 + len(names), n))
        np.add.at(total, np.repeat(range(len(total)), [len(p) for p in self.parts.values()]), sums)
        count, sumw, sumw2, moment, *weighted = np.moveaxis(total, 1, 0)
        result = Sums(
            tuple(self.parts), sumw, sumw2, count, moment if self.window is not None else None
        )
        if not names:
            return result
        for c, process in enumerate(self.parts):
            for name, own in zip(names, weighted, strict=True):
                if (process, name) in self.moved:
                    parts = in_threads(of_part, self.moved[process, name])
                    own[c] = np.sum([part[1] for part in parts], axis=0)
                elif not any(name in block.variations for _, block in self.parts[process]):
                    own[c] = sumw[c]
        return replace(result, varied=np.stack(weighted))

    def in_window(self, assign: Assign, n: int) -> Sums | None:
        """Sum the events inside the window; see `Tally.in_window`."""
        return None if self._inside is None else self._inside.total([assign], n, by_fold=False)

    @cached_property
    def _inside(self) -> EventTally | None:
        if self.window is None:
            return None
        samples = {}
        for name, parts in self.parts.items():
            masses = [part.mass for _, part in parts]
            kept = [
                part.where((mass >= self.window.window_low) & (mass <= self.window.window_high))
                for (_, part), mass in zip(parts, masses, strict=True)
                if mass is not None
            ]
            samples[name] = replace(concatenate(kept), variations={})
        return EventTally(samples, signals=(), n_folds=1, window=None)


def _present(sample: Sample) -> Sample:
    """Without the events that a variation takes away: cuts of a yardstick count every number."""
    kept = np.flatnonzero(~sample.incomplete(with_mass=False))
    return sample if len(kept) == len(sample) else sample.where(kept)


@final
class PointTally(Tally):
    """Weighted points, each of which goes into a category as a whole.

    ``inside`` are the same points with what lies in the mass window alone, where that is known.
    """

    def __init__(self, points: Points, *, inside: Points | None = None) -> None:
        self.points, self.n_folds = points, points.n_folds
        self.inside = inside

    def total(
        self, assign: Sequence[Assign], n: int, *, by_fold: bool, varied: bool = True
    ) -> Sums:
        """Sum the points; see `Tally.total`."""
        labels = [a(self.points.x) for a in assign[: self.n_folds if by_fold else 1]]
        return self.by_label(labels, n, by_fold=by_fold)

    def in_window(self, assign: Assign, n: int) -> Sums | None:
        """Sum the points inside the window; see `Tally.in_window`."""
        inside = self.inside
        return None if inside is None else PointTally(inside).total([assign], n, by_fold=False)

    def without(self, fold: int) -> PointTally:
        """The points with the events of all folds but one, without their variations."""
        points, kept = self.points, np.arange(self.n_folds) != fold
        mass = None if points.sumw_mass is None else points.sumw_mass[:, kept]
        sumw, sumw2, count = (a[:, kept] for a in (points.sumw, points.sumw2, points.count))
        kept_points = replace(points, sumw=sumw, sumw2=sumw2, count=count, sumw_mass=mass)
        return PointTally(replace(kept_points, variations=(), varied=np.zeros(0)))

    def by_label(self, labels: Sequence[IntArray], n: int, *, by_fold: bool) -> Sums:
        """Sum with the category of each point given: once, or once for each fold."""
        points = self.points
        # Category n collects the points of none.
        each = np.array(labels[: points.n_folds if by_fold else 1])
        each = np.where(each < 0, n, each)
        folds, shape = len(each), (len(points.processes), n + 1)
        bins = np.arange(shape[0])[:, None, None] * shape[1] + each

        def total(array: FloatArray) -> FloatArray:
            parts = array if folds > 1 else array.sum(axis=1, keepdims=True)
            sums = np.bincount(bins.ravel(), parts.ravel(), shape[0] * shape[1])
            return np.asarray(sums.reshape(shape)[:, :n], dtype=np.float64)

        moment = None if points.sumw_mass is None else total(points.sumw_mass)
        varied = np.array([total(each) for each in points.varied]) if points.variations else None
        return Sums(
            points.processes,
            total(points.sumw),
            total(points.sumw2),
            total(points.count),
            moment,
            varied,
        )


def figures_of_sums(problem: Problem, sums: Sums) -> FloatArray:
    """The combined significance, that by statistics only, and that of each signal; last axis."""
    return problem.objective.figures(sums.category_yields(problem))


def yields_of(problem: Problem, sums: Sums) -> Yields:
    """The yields of all processes, with the background's factor into the mass window."""
    return Yields(
        processes=sums.processes,
        signals=problem.signals,
        backgrounds=problem.backgrounds,
        sumw=sums.sumw,
        sumw2=sums.sumw2,
        count=sums.count,
        factor=sums.category_yields(problem).factor,
        resonant=problem.resonant,
    )
