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
from itertools import chain
from typing import final

import numpy as np

from gato_coffea.gato.problem import CategoryYields, Problem, window_yields
from gato_coffea.gato.result import Significance, Yields
from gato_coffea.gato.significance import combine
from gato_coffea.gato.threads import in_threads
from gato_coffea.gato.window import Window
from gato_coffea.samples import FloatArray, IntArray, Points, Sample

Assign = Callable[[FloatArray], IntArray]
"""Category of each event from its discriminants ``(N, D)``; -1 for none."""

N_BOOTSTRAP = 400


@dataclass(frozen=True)
class Sums:
    """Sums over categories for each process, shape ``(C, K)``; see `Points` for their meaning."""

    processes: tuple[str, ...]
    sumw: FloatArray
    sumw2: FloatArray
    count: FloatArray
    sumw_mass: FloatArray | None

    def relabelled(self, label: IntArray, n: int) -> Sums:
        """The sums over ``n`` categories when category ``k`` becomes ``label[k]``."""

        def total(array: FloatArray) -> FloatArray:
            return np.array([np.bincount(label, row, n) for row in array], dtype=np.float64)

        moment = None if self.sumw_mass is None else total(self.sumw_mass)
        return Sums(self.processes, total(self.sumw), total(self.sumw2), total(self.count), moment)

    def category_yields(
        self, signals: Sequence[str], backgrounds: Sequence[str], window: Window | None
    ) -> CategoryYields:
        """Yields of the signals and of the total background."""
        s = [self.processes.index(name) for name in signals]
        b = [self.processes.index(name) for name in backgrounds]
        moment = None if self.sumw_mass is None else self.sumw_mass[..., b, :].sum(axis=-2)
        return window_yields(
            self.sumw[..., s, :],
            self.sumw[..., b, :].sum(axis=-2),
            self.sumw2[..., b, :].sum(axis=-2),
            moment,
            window,
        )


class Tally(ABC):
    """Something that can be summed into categories, as a whole or fold by fold."""

    n_folds: int

    @abstractmethod
    def total(self, assign: Sequence[Assign], n: int, *, by_fold: bool) -> Sums:
        """Sum into ``n`` categories.

        With ``by_fold``, the events of fold ``f`` are assigned by ``assign[f]``, else all of them
        by ``assign[0]``.
        """


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
        self.n_folds, self.with_mass = n_folds, window is not None

        def parts_of(name: str) -> list[tuple[int, Sample]]:
            sample = samples[name]
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

        self.parts = dict(zip(samples, in_threads(parts_of, samples), strict=True))

    def total(self, assign: Sequence[Assign], n: int, *, by_fold: bool) -> Sums:
        """Sum the events; see `Tally.total`."""

        def of_part(part: tuple[int, Sample]) -> FloatArray:
            fold, block = part
            label = (assign[fold] if by_fold else assign[0])(block.x)
            keep = label >= 0
            label, w = label[keep], block.weight[keep]
            columns = [None, w, w * w, w if block.mass is None else w * block.mass[keep]]
            return np.array([np.bincount(label, column, n) for column in columns])

        sums = in_threads(of_part, chain.from_iterable(self.parts.values()))
        total = np.zeros((len(self.parts), 4, n))
        np.add.at(total, np.repeat(range(len(total)), [len(p) for p in self.parts.values()]), sums)
        count, sumw, sumw2, moment = np.moveaxis(total, 1, 0)
        return Sums(tuple(self.parts), sumw, sumw2, count, moment if self.with_mass else None)


@final
class PointTally(Tally):
    """Weighted points, each of which goes into a category as a whole."""

    def __init__(self, points: Points) -> None:
        self.points, self.n_folds = points, points.n_folds

    def total(self, assign: Sequence[Assign], n: int, *, by_fold: bool) -> Sums:
        """Sum the points; see `Tally.total`."""
        labels = [a(self.points.x) for a in assign[: self.n_folds if by_fold else 1]]
        return self.by_label(labels, n, by_fold=by_fold)

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
        return Sums(
            points.processes,
            total(points.sumw),
            total(points.sumw2),
            total(points.count),
            moment,
        )


def _figures(problem: Problem, sums: Sums) -> FloatArray:
    """The combined significance and that of each signal, along the last axis."""
    yields = sums.category_yields(problem.signals, problem.backgrounds, problem.objective.window)
    z = problem.objective.per_signal(yields)
    combined = combine(z, problem.objective.combination)
    return np.concatenate([combined[..., None], z], axis=-1)


def _significance(problem: Problem, figures: FloatArray, spread: float | None) -> Significance:
    signals = zip(problem.signals, figures[1:].tolist(), strict=True)
    return Significance(float(figures[0]), dict(signals), spread)


def significance_of(problem: Problem, sums: Sums, *, seed: int | None = None) -> Significance:
    """Significance of the sums, with its spread by bootstrap where a seed is given.

    Yields of each process and category are drawn as Poisson numbers of their effective entries,
    with the mean weight; the spread is half the width of the central 68 % of the significances.
    """
    spread = None
    if seed is not None:
        spread = _spread(_figures(problem, _bootstrap(sums, np.random.default_rng(seed))))
    return _significance(problem, _figures(problem, sums), spread)


def pooled_significance(
    problem: Problem, held_out: Sums, each: Sequence[Sums], *, seed: int
) -> Significance:
    """Significance of pooled held-out yields, free of what pooling and small numbers do to it.

    Parameters
    ----------
    problem
        Signals, backgrounds and objective.
    held_out
        Sums over the folds, each assigned by the model that did not see it.
    each
        Sums of all events as each fold's model assigns them. The significances of these and of
        their mean differ by the cost of adding up categories that are not quite the same.
    seed
        Of the bootstrap, which gives the spread, and the bias: a convex function of yields that
        fluctuate is high on average by as much as its bootstrap is above it.
    """
    mean = replace(
        each[0],
        sumw=np.mean([s.sumw for s in each], axis=0),
        sumw2=np.mean([s.sumw2 for s in each], axis=0),
        sumw_mass=None
        if each[0].sumw_mass is None
        else np.mean([s.sumw_mass for s in each if s.sumw_mass is not None], axis=0),
    )
    alone = np.mean([_figures(problem, sums) for sums in each], axis=0)
    cost = alone - _figures(problem, mean)
    figures = _figures(problem, held_out)
    drawn = _figures(problem, _bootstrap(held_out, np.random.default_rng(seed)))
    bias = drawn.mean(axis=0) - figures
    return _significance(problem, figures + cost - bias, _spread(drawn))


def _spread(drawn: FloatArray) -> float:
    low, high = np.quantile(drawn[:, 0], [0.159, 0.841])
    return float(0.5 * (high - low))


def _bootstrap(sums: Sums, rng: np.random.Generator) -> Sums:
    """Redrawn sums, shape ``(draws, C, K)``."""
    filled = sums.sumw2 > 0
    size = np.where(filled, sums.sumw2, 1.0)
    effective = np.where(filled, sums.sumw**2 / size, 0.0)
    shape = (N_BOOTSTRAP, *sums.sumw.shape)
    factor = rng.poisson(effective, shape) / np.where(effective > 0, effective, 1.0)
    # A sum that negative weights bring near zero has no Poisson number: draw it as a Gaussian.
    noise = rng.normal(size=shape) * np.sqrt(sums.sumw2)
    few = (effective < 1) & filled
    sumw = np.where(few, sums.sumw + noise, sums.sumw * factor)
    moment = None
    if sums.sumw_mass is not None:
        moment = sums.sumw_mass * np.where(few, 1.0, factor)
    return Sums(sums.processes, sumw, sums.sumw2 * np.ones(shape), sums.count, moment)


def yields_of(problem: Problem, sums: Sums) -> Yields:
    """The yields of all processes, with the background's factor into the mass window."""
    found = sums.category_yields(problem.signals, problem.backgrounds, problem.objective.window)
    return Yields(
        processes=sums.processes,
        signals=problem.signals,
        backgrounds=problem.backgrounds,
        sumw=sums.sumw,
        sumw2=sums.sumw2,
        count=sums.count,
        factor=found.factor,
    )
