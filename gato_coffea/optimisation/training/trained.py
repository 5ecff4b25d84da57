"""Categories by gradient descent: where it starts, and which of its restarts is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gato_coffea.categories import Categories, EdgeCategories, MixtureCategories
from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.optimisation.constraints import merge_offenders
from gato_coffea.optimisation.methods import ExactPartition
from gato_coffea.optimisation.problem import Mixtures
from gato_coffea.optimisation.rectangles import (
    Shares,
    bin_widths,
    edge_categories,
    even_bins,
    raw_widths,
    shares_of,
)
from gato_coffea.optimisation.result import History, Result
from gato_coffea.optimisation.search import Candidate, Search
from gato_coffea.optimisation.start import (
    FAR,
    STEEPNESS,
    Components,
    mixture_along,
    mixtures_from_labels,
    quadratic_ratio,
)
from gato_coffea.optimisation.targets import TrainingSet
from gato_coffea.optimisation.threads import in_threads

if TYPE_CHECKING:
    from gato_coffea.optimisation.training.descent import Schedule

DIGITS = 4
"""Binary digits of the number of points that is trained on."""

JITTER = 0.5
"""Spread of the logarithms of the widths of bins that are drawn at random."""

REPRODUCED = 0.98
"""Part of a partition's figure that a mixture must have to stand for it.

What it lacks then is within the spread of any figure; where few heavy points decide, it has less
than half.
"""

FURTHER = 0.5
"""Part of the epochs that a training which continues another one has."""

COLDER = 0.2
"""Its first learning rate and temperature, in units of those of a training from the start."""


@dataclass(frozen=True)
class _Batch:
    """What came out of independent trainings.

    ``owner`` is the index of the number of categories that each restart belongs to, and
    ``categories`` gives those of a training set and a restart.
    """

    owner: IntArray
    categories: Callable[[int, int], Categories]
    histories: list[History]


def trained_candidates(search: Search, counts: Sequence[int]) -> list[Candidate]:
    """Train categories of all sizes, from all starts, on all training sets, as one batch."""
    batch = (_train_edges if search.kind == "edges" else _train_mixtures)(search, counts)
    n_sets = len(search.sets)
    result = []
    for c, n in enumerate(counts):
        found = [
            Candidate(
                batch.categories(0, r),
                tuple(batch.categories(g, r) for g in range(1, n_sets)),
                batch.histories[r],
            )
            for r in np.flatnonzero(batch.owner == c).tolist()
        ]
        best = max(found, key=lambda candidate: _figure(search, candidate))
        result.append(_gained(search, n, best) if search.previous else best)
    return result


def _figure(search: Search, candidate: Candidate) -> float:
    """What restarts are compared by: the objective on the training sets, constraints imposed.

    Not by the held-out figure: one that has chosen is no longer held out.
    """
    each = zip(search.sets, (candidate.full, *candidate.folds), strict=True)
    return float(np.mean([_figure_of(search, *one) for one in each]))


def _figure_of(search: Search, training: TrainingSet, categories: Categories) -> float:
    """The same for one training set."""
    label = categories.assign(search.problem.points.x)
    return _figure_of_labels(search, training, label, categories.n_categories)


def _figure_of_labels(
    search: Search, training: TrainingSet, label: IntArray, n: int, *, of_events: bool = False
) -> float:
    """The figure on the densities that are trained on, or on the events of the training."""
    problem = search.problem
    merged, _ = merge_offenders(problem, training.raw.grouped(label, n))
    densities = training.raw if of_events else training.target
    return float(problem.objective.combined(densities.yields(merged[label], n, problem.objective)))


def _figure_of_events(search: Search, mixtures: Mixtures, r: int, n: int) -> float:
    """What a restart reaches on the events of the training sets, on average."""
    x = search.problem.points.x
    each = [
        (training, _categories(search, mixtures, g, r, n).assign(x))
        for g, training in enumerate(search.sets)
    ]
    return float(np.mean([_figure_of_labels(search, *one, n, of_events=True) for one in each]))


def _gained(search: Search, n: int, candidate: Candidate) -> Candidate:
    """The better of a candidate and the categories that it continues, and what was gained."""
    full, folds = _previous(search, n)
    old, new = _figure(search, Candidate(full, folds)), _figure(search, candidate)
    if new > old:
        note = f"continued: the objective of the training went from {old:.4f} to {new:.4f}"
        return Candidate(candidate.full, candidate.folds, candidate.history, (note,))
    note = f"continued: nothing was gained, the objective of the training stays at {old:.4f}"
    return Candidate(full, folds, search.previous[n].history, (note,))


def _previous(search: Search, n: int) -> tuple[Categories, tuple[Categories, ...]]:
    """Categories to continue; where they are not of whole bins, before constraints merged some.

    Raises
    ------
    OptimisationError
        If there are none that were trained the same way.
    """
    if n not in search.previous:
        known = ", ".join(map(str, sorted(search.previous)))
        raise OptimisationError(f"continue: no result with {n} categories (got {known})")
    if search.binned and search.kind == "edges" and search.problem.u.shape[1] > 1:
        raise OptimisationError("continue: edges of histograms need one discriminant")
    result: Result = search.previous[n]
    place = f"continue: result with {n} categories"
    wanted = EdgeCategories if search.kind == "edges" or search.binned else MixtureCategories
    found = (result.categories, *result.folds)
    n_folds = search.problem.points.n_folds
    if result.history is None or not all(isinstance(c, wanted) for c in found):
        raise OptimisationError(f"{place} was not trained as {search.kind}")
    if result.categories.features != search.problem.points.features:
        raise OptimisationError(f"{place} has other discriminants or ranges")
    if len(result.folds) != (n_folds if n_folds > 1 else 0):
        raise OptimisationError(f"{place} has {len(result.folds)} folds, not {n_folds}")
    each = found
    if not search.binned:
        each = tuple(replace(c, label=np.arange(len(c.label))) for c in found)
    return each[0], tuple(each[1:])


def _mixture_starts(search: Search, n: int) -> tuple[Mixtures, list[int]]:
    """Mixtures to start from, on every training set: the previous ones, or from partitions.

    Beside them the restarts that `_along_ratio` has changed.
    """
    if not search.previous:
        rows = search.partitions(n, search.restarts)
        size = max(int(labels[0].max()) + 1 for labels in rows)
        found = mixtures_from_labels(search.problem.u, rows, search.weight, size)
        problem = search.problem
        one_ratio = len(problem.signals) == 1 and problem.objective.is_additive
        return _along_ratio(search, rows, found) if one_ratio else (found, [])
    full, folds = _previous(search, n)
    if search.binned:
        labels = [c.assign(search.problem.points.x) for c in (full, *folds)]
        size = max(int(label.max()) + 1 for label in labels)
        return mixtures_from_labels(search.problem.u, [labels], search.weight, size), []
    own = [c for c in (full, *folds) if isinstance(c, MixtureCategories)]
    parts = (
        np.stack([getattr(c, name) for c in own])[:, None]
        for name in ("means", "scale_tril", "log_weights")
    )
    return Mixtures(*parts), []


def _along_ratio(
    search: Search, rows: Sequence[Sequence[IntArray]], start: Mixtures
) -> tuple[Mixtures, list[int]]:
    """The same; where a mixture does not stand for its partition, one that has a better figure.

    That is one of intervals of a quadratic ratio of signal to background: the best intervals, so
    that constraints and figure are those of the points. Each further one is steeper.
    """
    problem, size = search.problem, start.log_weights.shape[-1]

    def figure(mixtures: Mixtures, r: int) -> float:
        each = [_categories(search, mixtures, g, r, size) for g in range(len(search.sets))]
        return _figure(search, Candidate(each[0], tuple(each[1:])))

    before = [figure(start, r) for r in range(len(rows))]
    asked = [
        np.mean(
            [_figure_of_labels(search, s, c, size) for s, c in zip(search.sets, row, strict=True)]
        )
        for row in rows
    ]
    short = [r for r in range(len(rows)) if before[r] < REPRODUCED * asked[r]]
    if not short:
        return start, []

    def along(training: TrainingSet) -> list[Components]:
        target = training.target
        score = quadratic_ratio(problem.u, target.signal[0], target.background, search.weight)
        order = np.argsort(score.of(problem.u), kind="stable")
        label = ExactPartition(problem, training, n_max=size, order=order).labels(size)
        return [
            mixture_along(score, problem.u, label, search.weight, size, steepness=STEEPNESS * i)
            for i in range(1, len(short) + 1)
        ]

    found = in_threads(along, search.sets)
    other = Mixtures(*(np.array([[m[i] for m in row] for row in found]) for i in range(3)))
    own = (start.means, start.scale_tril, start.log_weights)
    new = (other.means, other.scale_tril, other.log_weights)
    better = [(i, r) for i, r in enumerate(short) if figure(other, i) > before[r]]
    for i, r in better:
        for array, taken in zip(own, new, strict=True):
            array[:, r] = taken[:, i]
    return Mixtures(*own), [r for _, r in better]


def _confirmed(search: Search, begin: Mixtures, mixtures: Mixtures, r: int, n: int) -> None:
    """Put a restart back to where it began if the events do not show what training gained.

    Where few heavy events decide, the densities between them are a guess, and free components
    find the places where it is too good. The start has the shape of the ratio alone.
    """
    if _figure_of_events(search, mixtures, r, n) >= _figure_of_events(search, begin, r, n):
        return
    for name in ("means", "scale_tril", "log_weights"):
        getattr(mixtures, name)[:, r] = getattr(begin, name)[:, r]


def _filled(start: Mixtures, size: int) -> Mixtures:
    """The same with components that take no part up to ``size`` of them."""
    more = size - start.log_weights.shape[-1]

    def longer(array: FloatArray) -> FloatArray:
        return np.concatenate([array, np.repeat(array[:, :, :1], more, axis=2)], axis=2)

    weights = longer(start.log_weights)
    weights[:, :, size - more :] = FAR
    return Mixtures(longer(start.means), longer(start.scale_tril), weights)


def _padded(search: Search) -> list[TrainingSet]:
    """The training sets on a rounded number of points: a step is compiled for each number."""
    n = len(search.problem.points)
    step = 2 ** max(n.bit_length() - DIGITS, 0)
    return [training.padded(-(-n // step) * step) for training in search.sets]


def _train_mixtures(search: Search, counts: Sequence[int]) -> _Batch:
    from gato_coffea.optimisation.training.descent import train

    starts, along = zip(*(_mixture_starts(search, n) for n in counts), strict=True)
    sizes = np.array([s.log_weights.shape[-1] for s in starts])
    owner = np.repeat(np.arange(len(counts)), [s.log_weights.shape[1] for s in starts])
    filled = [_filled(s, int(sizes.max())) for s in starts]
    begin = Mixtures(
        np.concatenate([s.means for s in filled], axis=1),
        np.concatenate([s.scale_tril for s in filled], axis=1),
        np.concatenate([s.log_weights for s in filled], axis=1),
    )
    mixtures, histories = train(
        search.problem,
        _padded(search),
        begin,
        _schedule(search),
        alive=np.arange(sizes.max()) < sizes[owner][:, None],
        progress=search.progress,
    )
    for c, changed in enumerate(along):
        for r in np.flatnonzero(owner == c)[changed].tolist():
            _confirmed(search, begin, mixtures, r, int(sizes[c]))

    def categories(g: int, r: int) -> Categories:
        return _categories(search, mixtures, g, r, int(sizes[owner[r]]))

    return _Batch(owner, categories, histories)


def _categories(search: Search, mixtures: Mixtures, g: int, r: int, n: int) -> Categories:
    """The first ``n`` components for a training set and a restart."""
    u = search.problem.u
    return MixtureCategories(
        features=search.problem.points.features,
        label=np.arange(n),
        means=mixtures.means[g, r, :n],
        scale_tril=mixtures.scale_tril[g, r, :n],
        log_weights=mixtures.log_weights[g, r, :n],
        support=np.stack([u.min(axis=0), u.max(axis=0)], axis=-1),
    )


def _edge_widths(search: Search, n: int, shares: Sequence[Shares]) -> list[FloatArray]:
    """Widths of the bins of each discriminant to start from, each ``(G, R, bins)``, as shares."""
    if search.previous:
        full, folds = _previous(search, n)
        own = [c for c in (full, *folds) if isinstance(c, EdgeCategories)]
        return [
            np.stack([shares[d].widths(feature.stretch(c.edges[d]), size) for c in own])[:, None]
            for d, (feature, size) in enumerate(
                zip(full.features, (len(e) - 1 for e in own[0].edges), strict=True)
            )
        ]
    problem, rng = search.problem, np.random.default_rng([search.seed, n])
    found = []
    for d, size in enumerate(search.bins or even_bins(n, len(shares))):
        share = shares[d].of(problem.u[:, d])
        order = np.argsort(share, kind="stable")
        exact = [
            bin_widths(ExactPartition(problem, s, n_max=size, order=order), share, size)
            for s in search.sets
        ]
        drawn = [np.exp(JITTER * rng.normal(size=size)) for _ in range(search.restarts - 1)]
        rows = [[e, *(w / w.sum() for w in drawn)] for e in exact]
        found.append(np.array(rows))
    return found


def _train_edges(search: Search, counts: Sequence[int]) -> _Batch:
    from gato_coffea.optimisation.training.descent import descend
    from gato_coffea.optimisation.training.shapes import RectangleShape

    problem = search.problem
    features = problem.points.features
    shares = shares_of(problem, search.weight)
    starts = [_edge_widths(search, n, shares) for n in counts]
    owner = np.repeat(np.arange(len(counts)), [widths[0].shape[1] for widths in starts])
    bins = np.array([[w.shape[-1] for w in starts[c]] for c in owner])
    sets = _padded(search)
    shape = RectangleShape(features, shares, sets[0].target.u, bins)
    raw = [
        np.concatenate([raw_widths(widths[d], shape.size[d]) for widths in starts], axis=1)
        for d in shape.dims
    ]
    best, histories = descend(
        problem, sets, shape, raw, _schedule(search), progress=search.progress
    )

    def categories(g: int, r: int) -> Categories:
        return edge_categories(features, shape.inner_edges([b[g] for b in best], r))

    return _Batch(owner, categories, histories)


def _schedule(search: Search) -> Schedule:
    """The whole schedule, or a shorter and colder one for a training that continues another."""
    from gato_coffea.optimisation.training.descent import Schedule

    plain = Schedule(epochs=search.epochs)
    if not search.previous:
        return plain
    (r0, r1), (t0, t1) = plain.learning_rate, plain.temperature
    return replace(
        plain,
        epochs=max(1, round(FURTHER * search.epochs)),
        learning_rate=(COLDER * r0, r1),
        temperature=(COLDER * t0, t1),
    )
