"""What has no answer, and is refused before the search for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from gato_coffea.config import Constraints
from gato_coffea.errors import InputError, OptimisationError
from gato_coffea.events.samples import Cells, FloatArray, Points, Sample
from gato_coffea.events.variations import DOWN, UP, check_total, stem
from gato_coffea.optimisation.densities import CategoryYields, Densities
from gato_coffea.optimisation.problem import CANCELLED, Problem


def check_problem(problem: Problem, asked: int) -> None:
    """Refuse what has no answer.

    Raises
    ------
    OptimisationError
        If a signal or the background has no positive yield, there are fewer points than
        categories, or constraints cannot be met.
    """
    for name in problem.constraints.per_process:
        if name not in problem.backgrounds:
            raise OptimisationError(
                f"constraints.per_process.{name}: is no background "
                f"(allowed: {', '.join(problem.backgrounds)})"
            )
    raw = problem.densities(problem.training_folds(None))
    names = [f"signal {name}" for name in problem.signals]
    names.append(f"background {', '.join(problem.continuum)}")
    for name, yields in zip(names, [*raw.signal, raw.background], strict=True):
        total, size = yields.sum(), np.abs(yields).sum()
        if not total > CANCELLED * size:
            got = 0.0 if abs(total) <= CANCELLED * size else total
            raise OptimisationError(f"{name}: the total yield must be above zero (got {got:.4g})")
    for d, feature in enumerate(problem.points.features):
        if np.ptp(problem.u[:, d]) < CANCELLED and len(problem.points) > 1:
            raise OptimisationError(
                f"discriminant {feature.name}: is constant "
                f"(got {problem.points.x[0, d]:.6g} everywhere)"
            )
    if len(problem.points) < asked:
        raise OptimisationError(
            f"n_categories: {asked} categories need as many distinct points "
            f"(got {len(problem.points)})"
        )
    refuse_unmet(problem, raw)


def check_variations(points: Points) -> None:
    """Refuse variations whose total is far from the nominal one.

    Raises
    ------
    InputError
        With process, variation and both totals.
    """
    for c, process in enumerate(points.processes):
        nominal = float(points.sumw[c].sum())
        for name, varied in _varied_of(points, c):
            check_total(f"{process}.variations.{name}", nominal, float(varied.sum()))


def unchanging(points: Points) -> list[str]:
    """A sentence for every uncertainty both of whose variations are the nominal."""
    changed = {
        stem(name)
        for c in range(len(points.processes))
        for name, varied in _varied_of(points, c)
        if not np.array_equal(varied, points.sumw[c])
    }
    return [
        f"systematics: {name} changes nothing: up and down are the nominal in every process"
        for name in points.variations
        if name not in changed
    ]


def leaving(samples: Mapping[str, Sample] | Mapping[str, Cells], *, with_mass: bool) -> list[str]:
    """A sentence for every process of which events leave in a variation, by NaN.

    Parameters
    ----------
    samples
        Process to events, or to their cells, with their variations.
    with_mass
        Whether a mass window is used, which an event without a mass is not in.

    Raises
    ------
    InputError
        If all events of a process leave.
    """
    found = []
    what = "x or mass" if with_mass else "x"
    for process, sample in samples.items():
        if isinstance(sample, Cells):
            size = int(sample.sums[..., 0].sum())
            counts = {name: cells.missing for name, cells in sample.variations.items()}
        else:
            size = len(sample)
            counts = {
                name: int(sample.varied(name).incomplete(with_mass=with_mass).sum())
                for name in sample.variations
            }
            for name, n in counts.items():
                if n == size > 0:
                    raise InputError(
                        f"{process}.variations.{name}: no event is left, all {size} have NaN as "
                        f"their {what} (allowed: for events that the variation does not select)"
                    )
        if any(counts.values()):
            each = ", ".join(f"{n} in {name}" for name, n in counts.items() if n)
            found.append(
                f"{process}: of {size} events, some leave all categories in a variation, with NaN "
                f"as their {what}: {each}"
            )
    return found


def _varied_of(points: Points, process: int) -> Iterator[tuple[str, FloatArray]]:
    """Variations of a process by name, with their sums of weights by fold and point."""
    names = [source + side for side in (UP, DOWN) for source in points.variations]
    for name, each in zip(names, points.varied, strict=True):
        yield name, each[process]


def refuse_unmet(problem: Problem, raw: Densities) -> None:
    """Refuse constraints that one category of all these events does not meet.

    Raises
    ------
    OptimisationError
        With each constraint, what was reached, and the key to change.
    """
    everything = np.zeros(len(raw.background), dtype=np.int64)
    yields = raw.yields(everything, 1, problem.objective)
    unmet = _unmet(problem.constraints, yields, scale=raw.scale)
    if len(yields.watched):
        margins = problem.process_margins(yields, scale=raw.scale)[:, 0]
        limits = problem.process_limits
        for q, margin in enumerate(margins):
            if margin < 1:
                limit, reached = limits.words(q, float(margin))
                unmet.append(f"{limit} (got {reached})")
    if not unmet:
        return
    events = "all events" if raw.scale == 1 else "all events of a training that leaves a fold out"
    keys = " and ".join(dict.fromkeys(f"constraints.{text.split()[0]}" for text in unmet))
    raise OptimisationError(
        f"constraints: not met even by {events} in one category: {', '.join(unmet)}; change {keys}"
    )


def _unmet(limits: Constraints, yields: CategoryYields, *, scale: float) -> list[str]:
    """Which limits the one category fails, and what it reaches."""
    effective, background = float(yields.effective[0]) * scale, float(yields.background[0])
    relative = effective**-0.5 if effective > 0 else np.inf
    found = []
    if effective < limits.min_effective:
        found.append(f"min_effective {limits.min_effective:g} (got {effective:.4g})")
    if background < limits.min_background:
        found.append(f"min_background {limits.min_background:g} (got {background:.4g})")
    if limits.max_rel_unc is not None and relative > limits.max_rel_unc:
        found.append(f"max_rel_unc {limits.max_rel_unc:g} (got {relative:.3g})")
    return found
