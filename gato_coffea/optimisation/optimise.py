"""Find categories, and say honestly how good they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any, Literal, Unpack, overload

import numpy as np
from threadpoolctl import threadpool_limits

from gato_coffea.config.patience import told_if_long
from gato_coffea.config.settings import DEFAULT_COUNT, SettingArguments, Settings
from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import Cells, Feature, Points, points_from_cells
from gato_coffea.events.variations import check_pairs
from gato_coffea.optimisation.candidates import candidates
from gato_coffea.optimisation.checks import (
    check_problem,
    check_variations,
    leaving,
    unchanging,
)
from gato_coffea.optimisation.evaluation import (
    EventTally,
    PointTally,
    Tally,
)
from gato_coffea.optimisation.finish import finished, references, with_differences
from gato_coffea.optimisation.histograms import (
    FOLDS_NOTE,
    counts_note,
    is_histogram,
    nominal_histograms,
    points_from_histograms,
    varied_histograms,
)
from gato_coffea.optimisation.inputs import (
    as_samples,
    check_dimension,
    check_features,
    default_features,
    points_from_samples,
    with_folds,
)
from gato_coffea.optimisation.measured import measured_note, without_variations
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.profiled import chosen_objective
from gato_coffea.optimisation.result import Result
from gato_coffea.optimisation.search import Search
from gato_coffea.optimisation.settings import (
    check_flags,
    check_method,
    check_yardsticks,
    checked_backgrounds,
    checked_resonant,
    checked_settings,
    listed_features,
    mass_window,
    with_settings,
)
from gato_coffea.optimisation.window import Window
from gato_coffea.statistics.uncertainties import Normalisation
from gato_coffea.version import __version__


class Arguments(SettingArguments, total=False):
    """Types of the arguments of `optimise` beside ``n_categories``."""

    features: Sequence[Feature] | None
    window_gev: tuple[float, float] | None
    mass_range_gev: tuple[float, float] | None
    resonant: Sequence[str]
    systematics: Sequence[Normalisation]
    progress: bool
    continue_from: Result | Sequence[Result] | None
    unweighted: bool


@overload
def optimise(
    samples: Any, *, n_categories: int = DEFAULT_COUNT, **settings: Unpack[Arguments]
) -> Result: ...


@overload
def optimise(
    samples: Any, *, n_categories: Sequence[int] | Literal["auto"], **settings: Unpack[Arguments]
) -> list[Result]: ...


@with_settings(Arguments)
def optimise(
    samples: Any,
    *,
    n_categories: int | Sequence[int] | Literal["auto"] = DEFAULT_COUNT,
    features: Sequence[Feature] | None = None,
    window_gev: tuple[float, float] | None = None,
    mass_range_gev: tuple[float, float] | None = None,
    resonant: Sequence[str] = (),
    systematics: Sequence[Normalisation] = (),
    progress: bool = False,
    continue_from: Result | Sequence[Result] | None = None,
    unweighted: bool = False,
    **settings: Any,
) -> Result | list[Result]:
    """Find the categories with the best expected significance.

    Parameters
    ----------
    samples
        Process to its events (a DataFrame or a mapping with ``x`` of shape ``(N,)`` or
        ``(N, D)``, ``weight`` and, optionally, ``mass``, ``fold`` and ``variations``), to its
        `Cells`, or to a fine histogram, which may have an axis of variations; or one histogram
        with an axis called process. Each pair of variations, as jesUp and jesDown, is a
        systematic uncertainty.
    features
        Names, ranges and scales of the discriminants; by default `default_features`.
    window_gev, mass_range_gev
        Signal window and range of the mass: signal counts in the window, background is
        extrapolated into it from the range by an exponential. Both or none; without them all
        masses count, and where there are masses a note says so.
    resonant
        Backgrounds that peak in the signal window: counted there, and never extrapolated.
    systematics
        Uncertainties of normalisations: `gato_coffea.Norm` and `gato_coffea.Free`. With any
        systematic uncertainty the figure is that of the profile likelihood.
    progress
        Show a progress bar.
    continue_from
        Results of ``gato`` to start from, with a shorter and colder schedule; one for each of
        ``n_categories``. A note says what was gained.
    unweighted
        Whether every entry of histograms without variances has weight one; else those are
        refused whose contents do not look like it (`optimisation.histograms.check_counts`).
    **settings
        Those of `gato_coffea.config.Settings`, as the section ``optimise`` of an analysis file
        has them.

    Returns
    -------
    Result or list of Result
        One for each number of categories; a list where ``n_categories`` is one, or auto.

    Raises
    ------
    InputError
        If the samples are not what they have to be.
    OptimisationError
        If a setting cannot be, or there is no answer: a signal or the background without yield, a
        constant discriminant, fewer points than categories, constraints that cannot be met.
    """
    asked = checked_settings({"n_categories": n_categories, **settings})
    check_method(asked.method)
    check_flags(unweighted=unweighted, progress=progress)
    if continue_from is not None and asked.method != "gato":
        raise OptimisationError(f"continue: method {asked.method} trains nothing (allowed: gato)")
    varied = varied_histograms(samples)
    samples = nominal_histograms(samples)
    backgrounds = checked_backgrounds(samples, asked.signals, asked.backgrounds)
    window = mass_window(window_gev, mass_range_gev)
    resonant = checked_resonant(resonant, backgrounds, window)
    ordered = tuple(sorted(backgrounds))  # numbers are drawn, and sums taken, in this order
    used = {name: samples[name] for name in (*asked.signals, *ordered)}
    points, tally, about_events = _prepare(
        used,
        asked,
        varied={name: varied[name] for name in used if name in varied},
        features=features,
        in_window=(*asked.signals, *resonant),
        window=window,
        unweighted=unweighted,
        systematics=systematics,
    )
    objective = chosen_objective(
        asked, points, window, backgrounds=ordered, resonant=resonant, systematics=systematics
    )
    problem = Problem(
        points=points,
        signals=asked.signals,
        backgrounds=ordered,
        objective=objective,
        constraints=asked.constraints,
        smooth=asked.smooth,
        resonant=resonant,
    )
    check_yardsticks(asked, points.features)
    counts = _possible_counts(asked, points)
    check_variations(points)
    check_problem(problem, max(counts))
    binned = is_histogram(samples[asked.signals[0]])
    if binned and asked.round_to is not None:
        raise OptimisationError("round_to: edges lie on the bins of the histograms already")
    search = Search(
        problem,
        tally,
        asked.method,
        counts,
        asked.restarts,
        asked.epochs,
        asked.seed,
        progress,
        binned=binned,
        notes=(
            *unchanging(points),
            *about_events,
            *((FOLDS_NOTE, *counts_note(used)) if binned else ()),
        ),
        kind=asked.kind,
        bins=asked.bins_per_discriminant,
        previous=_by_count(continue_from),
        own_edges=asked.yardsticks,
        round_to=asked.round_to,
    )
    results = _searched(search)
    record = _record(search, asked)
    results = [_with_record(result, record) for result in results]
    return results[0] if isinstance(n_categories, int | np.integer) else results


def _possible_counts(settings: Settings, points: Points) -> tuple[int, ...]:
    """Numbers of categories: of those that auto stands for, the ones that there are points for.

    Raises
    ------
    OptimisationError
        If bins are given for another number of discriminants than there are.
    """
    bins = settings.bins_per_discriminant
    if bins is not None and len(bins) != len(points.features):
        raise OptimisationError(
            f"bins_per_discriminant: needs one number for each of {len(points.features)} "
            f"discriminants (got {list(bins)})"
        )
    if bins is None and settings.n_categories == "auto":
        return tuple(n for n in settings.counts if n <= len(points)) or (1,)
    return settings.counts


def _searched(search: Search) -> list[Result]:
    """The results of a search, one for each number of categories.

    Raises
    ------
    OptimisationError
        If the method cannot solve the problem.
    """
    method, counts, points = search.method, search.counts, search.problem.points
    if method == "exact" and not search.additive:
        raise OptimisationError(
            "method: exact needs one signal, or one discriminant and combination quadrature "
            f"(got {len(search.problem.signals)} signals, combination "
            f"{search.problem.objective.combination}); allowed here: gato, lloyd"
        )
    # The matrices are small: more threads of the linear algebra only wait for each other.
    into = f"{', '.join(map(str, counts))} categories"
    size = f"{len(points)} points, {points.n_folds} folds, into {into}"
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(1) as beside:
        first = "exact" if search.additive else "lloyd"
        with told_if_long(f"optimise: {first} partitions of {size}"):
            for n in counts:
                search.partitions(n, search.starts)  # kept for both threads
        yardsticks = beside.submit(references, search)
        trains = method == "gato"
        with told_if_long(f"optimise: {method} with {size}", unless=trains and search.progress):
            found = candidates(search)
        with told_if_long(f"optimise: yields and uncertainties of {into}"):
            results = [
                finished(search, *each)
                for each in zip(found, counts, yardsticks.result(), strict=True)
            ]
            return with_differences(search, found, results)


def _record(search: Search, settings: Settings) -> dict[str, Any]:
    """The circumstances of a training, for the categories file."""
    problem = search.problem
    window = problem.objective.window
    return {
        "package": "gato_coffea",
        "version": __version__,
        "method": settings.method,
        "signals": list(problem.signals),
        "backgrounds": list(problem.backgrounds),
        "resonant": list(problem.resonant),
        "combination": settings.combination,
        "objective": settings.objective,
        "others": settings.others,
        "systematics": list(problem.objective.uncertainties),
        "mc_uncertainty": settings.mc_uncertainty,
        "systematic": settings.systematic,
        "window_gev": None if window is None else [window.window_low, window.window_high],
        "seed": settings.seed,
        "folds": problem.points.n_folds,
    }


def _by_count(results: Result | Sequence[Result] | None) -> dict[int, Result]:
    """Results by the number of categories that was asked for."""
    if results is None:
        return {}
    each = results if isinstance(results, Sequence) else [results]
    if not all(isinstance(result, Result) for result in each):
        raise OptimisationError(f"continue_from: must be results of optimise (got {results!r})")
    return {result.asked: result for result in each}


def _with_record(result: Result, record: Mapping[str, Any]) -> Result:
    """The result with the circumstances of the training in its categories."""
    training = {
        **record,
        "asked": result.asked,
        "held_out": asdict(result.held_out) if record["folds"] > 1 else None,
        "training": asdict(result.training),
    }
    return replace(result, categories=replace(result.categories, training=training))


def _prepare(
    samples: Mapping[str, Any],
    settings: Settings,
    *,
    varied: Mapping[str, Mapping[str, Any]],
    features: Sequence[Feature] | None,
    in_window: Sequence[str],
    window: Window | None,
    unweighted: bool,
    systematics: Sequence[Normalisation],
) -> tuple[Points, Tally, list[str]]:
    """Points to train on, what the final yields are taken from, and notes about the events."""
    values, n_folds = list(samples.values()), settings.folds
    continuum = [] if window is None else [name for name in samples if name not in in_window]
    if all(isinstance(value, Cells) for value in values):
        check_dimension(len(values[0].grid.features))
        check_pairs({name: cells.variations for name, cells in samples.items()})
        notes = measured_note(samples, systematics, continuum)
        samples = without_variations(samples, continuum)
        points = points_from_cells(samples, in_window=None if window is None else in_window)
        inside = None if window is None else points_from_cells(samples, in_window=[*samples])
        notes += leaving(samples, with_mass=window is not None)
        return points, PointTally(points, inside=inside), notes
    if all(is_histogram(value) for value in values):
        if window is not None:
            raise OptimisationError("window_gev: needs events with masses (got histograms)")
        check_pairs(varied)
        points = points_from_histograms(
            samples,
            variations=varied,
            n_folds=n_folds,
            seed=settings.seed,
            unweighted=unweighted,
        )
        return points, PointTally(points), []
    events = with_folds(as_samples(samples), n_folds)
    check_pairs({name: sample.variations for name, sample in events.items()})
    notes = measured_note(events, systematics, continuum)
    events = without_variations(events, continuum)
    notes += leaving(events, with_mass=window is not None)
    features = default_features(events) if features is None else listed_features(features)
    check_features(events, features)
    points = points_from_samples(
        events,
        features=features,
        signals=in_window,
        n_folds=n_folds,
        window=window,
        max_points=settings.max_points,
    )
    tally = EventTally(events, signals=in_window, n_folds=n_folds, window=window)
    return points, tally, notes
