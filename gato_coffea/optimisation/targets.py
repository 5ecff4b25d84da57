"""Training sets: the events of some folds, and the densities to optimise that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gato_coffea.config import Constraints
from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.optimisation.partitions import merge_unsatisfied, seed_labels
from gato_coffea.optimisation.problem import Densities, Problem
from gato_coffea.optimisation.result import effective_entries
from gato_coffea.optimisation.smoothing import Estimate, smooth_densities
from gato_coffea.optimisation.tilting import without_negative

CALIBRATION_ENTRIES = 100
"""Effective background entries of a region in which estimate and events are made to agree."""

CALIBRATION_REGIONS = 200

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
    """All events first; then, where there are folds, all events but those of each fold."""
    n = problem.points.n_folds
    everything = problem.training_folds(None)
    raw = problem.densities(everything)
    target, estimate = _target(problem, raw, everything)

    def without(fold: int) -> TrainingSet:
        folds = problem.training_folds(fold)
        raw = problem.densities(folds)
        _check_fold(problem, raw, fold)
        return TrainingSet(raw, _target(problem, raw, folds, like=estimate)[0])

    return [TrainingSet(raw, target), *map(without, range(n) if n > 1 else ())]


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
    """How the densities of all events were estimated, which those without a fold start from."""

    estimate: Estimate
    degrees: tuple[int, ...]


def _target(
    problem: Problem,
    raw: Densities,
    folds: Sequence[int],
    *,
    like: Smooth | None = None,
) -> tuple[Densities, Smooth | None]:
    """What is to be optimised, and the smooth estimate in it."""
    if not problem.smooth:
        return raw, None
    sumw, sumw2, count = problem.sums(folds)
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


def _with_yields(raw: Densities, estimate: FloatArray, region: IntArray) -> Densities:
    m = len(raw.signal)
    signal, background, resonant = estimate[:m], estimate[m], estimate[m + 1 :]
    moment, peak = None, raw.peak
    if raw.moment is not None:
        moment = background * regional_mean(raw.moment, raw.background, raw.variance, region)
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
    moment: FloatArray, sumw: FloatArray, sumw2: FloatArray, region: IntArray
) -> FloatArray:
    """Mean mass of the background around each point: that of its region, drawn to the overall one.

    Parameters
    ----------
    moment, sumw, sumw2
        Sums of weight times mass, of weights and of their squares, shape ``(P,)``.
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
    prior = MASS_PRIOR_ENTRIES * sumw2.sum() / sumw.sum()
    total = np.maximum(np.bincount(region, sumw, n), 0.0)
    shift = np.bincount(region, moment - mean * sumw, n) / (total + prior)
    return np.asarray((mean + shift)[region])
