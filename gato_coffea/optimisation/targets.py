"""Training sets: the events of some folds, and the densities to optimise that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gato_coffea.config import Constraints
from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.optimisation.densities import Densities
from gato_coffea.optimisation.partitions import merge_unsatisfied, seed_labels
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.result import effective_entries
from gato_coffea.optimisation.smoothing import Estimate, smooth_densities
from gato_coffea.optimisation.tilting import without_negative
from gato_coffea.optimisation.variations import smooth_rows
from gato_coffea.optimisation.weights import (
    NOT_CHOSEN,
    Degrees,
    background_by_place,
    events_per_entry,
    rare_among_lighter,
    weight_loss,
    without_sign,
)

CALIBRATION_ENTRIES = 100
"""Effective background entries of a region in which estimate and events are made to agree."""

CALIBRATION_REGIONS = 200

MANY_WEIGHTS = 10.0
"""Events over effective entries from which on the weights are looked at one by one.

Below, most of what the events know is left where all of them are taken together.
"""

EventSums = tuple[FloatArray, FloatArray, FloatArray]
"""Sums of weights, of their squares, and events, each ``(processes, P)``; see `Problem.sums`."""

MASS_PRIOR_ENTRIES = 100.0
"""How many entries the overall mean mass counts for in a region."""


@dataclass(frozen=True)
class TrainingSet:
    """What some folds say: the raw densities, and those to be optimised."""

    raw: Densities
    target: Densities

    def padded(self, n: int) -> TrainingSet:
        """The same on ``n`` points, the further ones without yields."""
        return TrainingSet(self.raw.padded(n), self.target.padded(n))


def training_sets(problem: Problem) -> list[TrainingSet]:
    """All events first; then, where there are folds, all events but those of each fold.

    Where weights differ by orders of magnitude, they are taken as a function of the place
    (`weights`) if that foretells those of the events held out better than one mean weight does.
    """
    if problem.smooth and _weights_differ(problem):
        found = _sets(problem, by_place=True)
        if _foretold(problem, [smooth for _, smooth in found[1:]]):
            return _with_rows(problem, [training for training, _ in found])
    return _with_rows(problem, [training for training, _ in _sets(problem, by_place=False)])


def _with_rows(problem: Problem, sets: Sequence[TrainingSet]) -> list[TrainingSet]:
    """The sets with estimates by process and variation, where the objective asks for them."""
    if not (problem.smooth and problem.objective.by_process):
        return list(sets)
    left_out: list[int | None] = [None, *range(len(sets) - 1)]
    return [
        replace(
            training,
            target=replace(
                training.target,
                rows=smooth_rows(problem, training.target, problem.training_folds(fold)),
            ),
        )
        for fold, training in zip(left_out, sets, strict=True)
    ]


def _sets(problem: Problem, *, by_place: bool) -> list[tuple[TrainingSet, Smooth | None]]:
    """The sets of `training_sets`, each with the smooth estimate in it."""
    n = problem.points.n_folds
    estimate_target = _target_by_place if by_place else _target
    everything = problem.training_folds(None)
    raw = problem.densities(everything)
    target, estimate = estimate_target(problem, raw, problem.sums(everything))

    def without(fold: int) -> tuple[TrainingSet, Smooth | None]:
        folds = problem.training_folds(fold)
        raw = problem.densities(folds)
        _check_fold(problem, raw, fold)
        target, own = estimate_target(problem, raw, problem.sums(folds), like=estimate)
        return TrainingSet(raw, target), own

    return [(TrainingSet(raw, target), estimate), *map(without, range(n) if n > 1 else ())]


def _continuum(problem: Problem) -> slice:
    """Rows of `Problem.sums` with the backgrounds that are not resonant."""
    first = len(problem.signals)
    return slice(first, first + len(problem.continuum))


def _weights_differ(problem: Problem) -> bool:
    """Whether the backgrounds have few effective entries for their number of events."""
    rows = _continuum(problem)
    sums = problem.sums(problem.training_folds(None))
    return events_per_entry(*(each[rows] for each in sums)) > MANY_WEIGHTS


def _foretold(problem: Problem, without_fold: Sequence[Smooth | None]) -> bool:
    """Whether the weights by place have a higher likelihood for events held out than one mean.

    That is one for each process. Without folds no event is held out, and the degrees of the
    polynomials have chosen already.
    """
    rows, gain = _continuum(problem), 0.0
    for fold, smooth in enumerate(without_fold):
        assert smooth is not None
        held_out, seen = (
            _sizes(problem, [fold], rows),
            _sizes(problem, problem.training_folds(fold), rows),
        )
        for c, mean in enumerate(smooth.weight):
            (sumw, count), (all_sumw, all_count) = held_out[c], seen[c]
            if all_sumw.sum() > 0:
                constant = np.full_like(mean, all_sumw.sum() / all_count.sum())
                gain += weight_loss(constant, sumw, count) - weight_loss(mean, sumw, count)
    return not without_fold or gain > 0


def _sizes(
    problem: Problem, folds: Sequence[int], rows: slice
) -> list[tuple[FloatArray, FloatArray]]:
    """Each background's sums of weights without their sign, and events, at each point."""
    each = zip(*(array[rows] for array in problem.sums(folds)), strict=True)
    return [(without_sign(*own), own[2]) for own in each]


def _check_fold(problem: Problem, raw: Densities, fold: int) -> None:
    """Refuse a fold that holds all of a signal or of the background."""
    names = [*problem.signals, f"background {', '.join(problem.continuum)}"]
    for name, yields in zip(names, [*raw.signal, raw.background], strict=True):
        if not yields.sum() > 0:
            kind = "signal " if name in problem.signals else ""
            raise OptimisationError(
                f"{kind}{name}: the yield without fold {fold} must be above zero "
                f"(got {yields.sum():.4g}); too few events, or folds that are not even"
            )


@dataclass(frozen=True)
class Smooth:
    """How the densities of all events were estimated, which those without a fold start from.

    ``places`` and ``weight`` are there where the weights are taken as a function of the place:
    how each background was estimated, and its mean weight at each point.
    """

    estimate: Estimate
    degrees: tuple[int, ...]
    places: tuple[Degrees, ...] = ()
    weight: tuple[FloatArray, ...] = ()


def _target(
    problem: Problem,
    raw: Densities,
    sums: EventSums,
    *,
    like: Smooth | None = None,
) -> tuple[Densities, Smooth | None]:
    """What is to be optimised, and the smooth estimate in it."""
    if not problem.smooth:
        return raw, None
    sumw, sumw2, count = sums
    tilts = [
        without_negative(raw.u, *own, degree=None if like is None else like.degrees[c])
        for c, own in enumerate(zip(sumw, sumw2, count, strict=True))
    ]
    m, r = len(problem.signals), len(sumw) - len(problem.resonant)
    positive = np.array([tilt.yields for tilt in tilts])
    classes, spreads = [*raw.signal, raw.background], [*sumw2[:m], raw.variance]
    shapes = [*positive[:m], positive[m:r].sum(axis=0)]
    if raw.peak is not None and raw.peak[0].sum() > 0:
        classes, spreads = [*classes, raw.peak[0]], [*spreads, raw.peak[1]]
        shapes.append(positive[r:].sum(axis=0))
    yields, variances, positive = np.array(classes), np.array(spreads), np.array(shapes)
    effective = effective_entries(yields.sum(axis=1), variances.sum(axis=1))
    estimate = smooth_densities(
        raw.u, positive, effective, like=None if like is None else like.estimate
    )
    everywhere = np.zeros(len(raw.background), dtype=np.int64)
    regions = _regions(problem, _with_yields(raw, estimate.yields, everywhere))
    calibrated = calibrate(estimate.yields, yields, effective, regions)
    smooth = Smooth(estimate, tuple(tilt.degree for tilt in tilts))
    return _with_yields(raw, calibrated, regions), smooth


def _target_by_place(
    problem: Problem,
    raw: Densities,
    sums: EventSums,
    *,
    like: Smooth | None = None,
) -> tuple[Densities, Smooth]:
    """As `_target`, with the weights of the backgrounds as functions of the place.

    First the number of background events, each of which counts as one, is estimated like any
    density; then each background's part of them and its mean weight.
    """
    rows = _continuum(problem)
    number = sums[2][rows].astype(np.float64)
    counted = replace(raw, background=number.sum(axis=0), variance=number.sum(axis=0), moment=None)
    sumw, sumw2, count = (array.astype(np.float64) for array in sums)
    processes = list(zip(sumw[rows].copy(), sumw2[rows].copy(), number, strict=True))
    sumw[rows] = sumw2[rows] = number
    events, smooth = _target(problem, counted, (sumw, sumw2, count), like=like)
    assert smooth is not None
    rare = rare_among_lighter(sums[0][rows].sum(axis=1), sums[1][rows].sum(axis=1))
    found = [
        background_by_place(
            raw.u,
            events.background,
            *own,
            elsewhere=bool(rare[c]),
            degrees=NOT_CHOSEN if like is None else like.places[c],
        )
        for c, own in enumerate(processes)
    ]
    yields = np.sum([one.yields for one in found], axis=0)
    variance = np.sum([one.variance for one in found], axis=0)
    moment = None
    if raw.moment is not None:
        region = _regions(problem, events)
        n = int(region.max()) + 1
        total = np.maximum(np.bincount(region, yields, n), 1e-300)
        prior = MASS_PRIOR_ENTRIES * np.bincount(region, variance, n) / total
        moment = yields * regional_mean(raw.moment, raw.background, prior, region)
    target = replace(events, background=yields, variance=variance, moment=moment)
    places, weight = tuple(one.degrees for one in found), tuple(one.weight for one in found)
    return target, replace(smooth, places=places, weight=weight)


def _with_yields(raw: Densities, estimate: FloatArray, region: IntArray) -> Densities:
    m = len(raw.signal)
    signal, background, resonant = estimate[:m], estimate[m], estimate[m + 1 :]
    moment, peak = None, raw.peak
    if raw.moment is not None:
        prior = MASS_PRIOR_ENTRIES * raw.variance.sum() / raw.background.sum()
        moment = background * regional_mean(raw.moment, raw.background, prior, region)
    if raw.peak is not None and len(resonant):
        peak = resonant * np.array([[1.0], [raw.peak[1].sum() / raw.peak[0].sum()]])
    return replace(
        raw,
        signal=signal,
        background=background,
        variance=background * (raw.variance.sum() / raw.background.sum()),
        moment=moment,
        peak=peak,
        watched=None,  # constraints are for the events, and not for their estimate
        rows=None,
    )


def _regions(problem: Problem, smooth: Densities) -> IntArray:
    """Regions of similar signal-to-background ratios with enough background events each."""
    n = min(CALIBRATION_REGIONS, len(smooth.background))
    rng = np.random.default_rng(n)
    part = seed_labels(smooth, n, problem.objective, rng)
    part = np.unique(part, return_inverse=True)[1]
    n = int(part.max()) + 1
    enough = Constraints(min_effective=CALIBRATION_ENTRIES)
    # By the estimate: regions that end where the events suffice end on upward fluctuations.
    parts = smooth.grouped(part, n)
    return merge_unsatisfied(replace(problem, constraints=enough), parts, parts)[part]


def calibrate(
    estimate: FloatArray, yields: FloatArray, effective: FloatArray, region: IntArray
) -> FloatArray:
    """Scale the estimate of each class in each region towards the yield of the events there.

    How far is for the regions to say (empirical Bayes): where they scatter about the estimate no
    more than their statistics allow, it stands; else every region is drawn to its events.

    Parameters
    ----------
    estimate, yields
        Estimated and observed yields, shape ``(classes, P)``.
    effective
        Effective entries of each class in all, shape ``(classes,)``.
    region
        Region of each point, integers of shape ``(P,)``.

    Returns
    -------
    FloatArray
        Shape of ``estimate``, with the same sums.
    """
    n = int(region.max()) + 1
    result = np.empty_like(estimate)
    for c, (expected, seen) in enumerate(zip(estimate, yields, strict=True)):
        unit = effective[c] / seen.sum()
        found = np.maximum(np.bincount(region, seen, n), 0.0) * unit
        foreseen = np.bincount(region, expected, n) * unit
        scatter = _excess_scatter(found, foreseen)
        factor = (1.0 + scatter * found) / (1.0 + scatter * foreseen)
        result[c] = expected * factor[region]
    return result * (estimate.sum(axis=1) / result.sum(axis=1))[:, None]


def _excess_scatter(found: FloatArray, foreseen: FloatArray) -> float:
    """Variance of the true over the foreseen number, beyond that of Poisson numbers."""
    size = np.maximum(found, foreseen)
    weight = size / (size + CALIBRATION_ENTRIES)
    excess = ((found - foreseen) ** 2 - foreseen) / np.maximum(foreseen, 1.0) ** 2
    return float(max((weight * np.minimum(excess, 1.0)).sum() / weight.sum(), 0.0))


def regional_mean(
    moment: FloatArray, sumw: FloatArray, prior: FloatArray | float, region: IntArray
) -> FloatArray:
    """Mean mass of the background around each point: that of its region, drawn to the overall one.

    Parameters
    ----------
    moment, sumw
        Sums of weight times mass, and of weights, shape ``(P,)``.
    prior
        Sum of weights that the overall mean counts for: one number, or one for each region.
    region
        Region of each point, integers of shape ``(P,)``.

    Returns
    -------
    FloatArray
        Shape ``(P,)``, in the unit of the mass. The overall mean counts for as many events as
        make the spread of a region's mean small.
    """
    n = int(region.max()) + 1
    mean = moment.sum() / sumw.sum()
    total = np.maximum(np.bincount(region, sumw, n), 0.0)
    shift = np.bincount(region, moment - mean * sumw, n) / (total + prior)
    return np.asarray((mean + shift)[region])
