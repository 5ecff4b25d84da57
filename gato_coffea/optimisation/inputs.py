"""From events as people hold them to weighted points."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import chain
from typing import Any, get_args

import numpy as np

from gato_coffea.config import MAX_DISCRIMINANTS
from gato_coffea.errors import InputError, OptimisationError
from gato_coffea.events.arrays import SCORES, columns_of
from gato_coffea.events.samples import (
    BoolArray,
    Cells,
    Feature,
    FloatArray,
    Grid,
    Points,
    Sample,
    Scale,
    as_sample,
    event_fold,
    points_from_cells,
)
from gato_coffea.optimisation.settings import check_choice
from gato_coffea.optimisation.threads import in_threads
from gato_coffea.optimisation.window import Window

MAX_BINS_1D = 1000
"""Cells of a single discriminant; more would not move a boundary by what matters."""

MAX_CELLS = 300_000
"""Cells of a grid, occupied or not: as many rows has a table of categories."""

MIN_FILL = 0.8
"""Part of the largest number of points from which on a grid is fine enough: refining it again
would give too many."""

TAIL_FRACTION = 2e-4
"""Fraction of each process beyond the equally wide cells, at either end: cells there would hold
single events."""

MIN_OUTSIDE_FRACTION = 1e-3
"""Part of a process outside the ranges that is worth a warning: less changes no figure by its
last digit."""

LARGEST = 1e100
"""Weights beyond this, or all below its inverse, have no squares."""

log = logging.getLogger(__name__)


def default_features(samples: Mapping[str, Sample]) -> tuple[Feature, ...]:
    """Features ``x0``, ``x1``, ... whose ranges hold all events, and are open.

    Values that all lie between 0 and 1 are taken as scores: range 0 to 1, stretched by a logit.
    The ends are those of these samples, so that later events beyond count as at the end.

    Raises
    ------
    InputError
        If a process has no events or only weights of zero, or not as many columns as the first.
    """
    _check_samples(samples, next(iter(samples.values())).x.shape[1])
    low = np.min([[c.min() for c in s.x.T] for s in samples.values()], axis=0)
    high = np.max([[c.max() for c in s.x.T] for s in samples.values()], axis=0)
    return tuple(
        replace(
            unit_feature(f"x{d}", 0.0, 1.0) if a >= 0 and b <= 1 else Feature(f"x{d}", a, b),
            open=True,
        )
        for d, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True))
    )


def unit_feature(name: str, low: float, high: float) -> Feature:
    """What reaches from 0 to 1 is a score."""
    return Feature(name, low, high, "logit" if (low, high) == (0.0, 1.0) else "linear")


def check_features(samples: Mapping[str, Sample], features: Sequence[Feature]) -> None:
    """Refuse samples that do not fit the features, and constant or too many discriminants.

    Raises
    ------
    InputError, OptimisationError
        With the process or the discriminant.
    """
    if len({f.name for f in features}) < len(features):
        raise InputError(f"features: names must differ (got {[f.name for f in features]})")
    check_dimension(len(features))
    _check_samples(samples, len(features))
    for d, feature in enumerate(features):
        values = [s.x[:, d] for s in samples.values()]
        low, high = min(v.min() for v in values), max(v.max() for v in values)
        check_extent(f"discriminant {feature.name}", low, high)
        if low == high:
            raise OptimisationError(
                f"discriminant {feature.name}: is constant (got {values[0][0]:.6g} everywhere)"
            )
        _check_feature(feature)


def check_dimension(n: int) -> None:
    """Refuse more discriminants than points can be spread over.

    Raises
    ------
    OptimisationError
        With the largest number.
    """
    if n > MAX_DISCRIMINANTS:
        raise OptimisationError(
            f"discriminants: at most {MAX_DISCRIMINANTS} can be optimised together (got {n}); "
            "combine them in a classifier first"
        )


def _check_feature(feature: Feature) -> None:
    check_choice(f"feature {feature.name}: scale", feature.scale, get_args(Scale))
    low, high = feature.low, feature.high
    if not -np.inf < low < high < np.inf:
        raise InputError(
            f"feature {feature.name}: range must be two increasing numbers (got {low} to {high})"
        )
    check_extent(f"feature {feature.name}", low, high)
    if feature.scale == "log" and low <= 0:
        raise InputError(
            f"feature {feature.name}: scale log needs a range above zero (got {low} to {high})"
        )


def _check_samples(samples: Mapping[str, Sample], n_columns: int) -> None:
    for name, sample in samples.items():
        if sample.x.shape[1] != n_columns:
            raise InputError(
                f"{name}.x: must have {n_columns} columns, one for each discriminant "
                f"(got {sample.x.shape[1]})"
            )
        if not len(sample):
            raise InputError(f"{name}: has no events")
        if not sample.weight.any():
            raise InputError(f"{name}.weight: all {len(sample)} weights are zero")
        check_size(f"{name}.weight", sample.weight)


def check_extent(place: str, low: float, high: float) -> None:
    """Refuse values of which sums and squares are no numbers.

    Raises
    ------
    InputError
        With the largest.
    """
    largest = max(abs(low), abs(high))
    if largest > LARGEST:
        raise InputError(
            f"{place}: values are too large to be binned (got {largest:.3g}; allowed up to "
            f"{LARGEST:g})"
        )


def check_size(place: str, weights: FloatArray) -> None:
    """Refuse weights, or sums of them, whose squares are no numbers.

    Raises
    ------
    InputError
        With the largest of them.
    """
    largest = float(np.abs(weights).max(initial=0.0))
    if largest > LARGEST or 0 < largest < 1 / LARGEST:
        raise InputError(
            f"{place}: is too large or small to square in float64 (got {largest:.3g}; allowed "
            f"{1 / LARGEST:g} to {LARGEST:g})"
        )


def with_folds(samples: Mapping[str, Sample], n_folds: int) -> dict[str, Sample]:
    """The samples with a fold for every event: by its position where it has no identity."""
    return {
        name: replace(s, fold=event_fold([np.arange(len(s))], n_folds=n_folds))
        if s.fold is None
        else replace(s, fold=s.fold % n_folds)
        for name, s in samples.items()
    }


def _by_block(function: Callable[[Sample], Any], samples: Mapping[str, Sample]) -> dict[str, Any]:
    """What the function gives for every block of every process."""
    parts = [(name, block) for name, sample in samples.items() for block in sample.blocks()]
    result: dict[str, list[Any]] = {name: [] for name in samples}
    found = in_threads(lambda part: function(part[1]), parts)
    for (name, _), value in zip(parts, found, strict=True):
        result[name].append(value)
    return result


def adapted_grid(
    features: Sequence[Feature], samples: Mapping[str, Sample], *, max_points: int
) -> Grid:
    """A grid on which the samples occupy at most ``max_points`` cells.

    Cells are equally wide, when stretched, where the events are; one more at either end takes
    what is beyond. In so many dimensions that even few of those are too many, each dimension is
    cut into two or three parts of equally many events of the average process.
    """
    counts = _by_block(lambda block: _n_inside(block, features), samples)
    for name, each in counts.items():
        _check_ranges(name, samples[name], features, np.sum(each, axis=0).tolist())
    positions = _by_block(lambda block: _positions(block, features), samples)

    def quantiles(at: FloatArray | Sequence[float]) -> FloatArray:
        """Of each process, of shape ``(C, len(at), D)``."""

        def of_process(own: list[FloatArray]) -> FloatArray:
            return np.quantile(np.concatenate(own, axis=1), at, axis=1)

        return np.array(in_threads(of_process, positions.values()))

    ends = quantiles([TAIL_FRACTION, 1 - TAIL_FRACTION])
    low, high = ends[:, 0].min(axis=0), ends[:, 1].max(axis=0)

    def grid_of(n: int) -> Grid:
        edges = [_edges(f, a, b, n) for f, a, b in zip(features, low, high, strict=True)]
        return Grid(tuple(features), tuple(edges))

    dim = len(features)
    if dim == 1:
        return grid_of(min(max_points, MAX_BINS_1D) - 2)
    width = np.where(high > low, high - low, 1.0)
    u = chain.from_iterable(positions.values())
    unit = in_threads(lambda own: (own - low[:, None]) / width[:, None], u)

    def occupied(n: int) -> int:
        """How many cells of such a grid hold events, but for those on an edge by rounding."""

        def seen(own: FloatArray) -> BoolArray:
            cells = np.zeros((n + 2,) * dim, dtype=np.bool_)
            cells[tuple(np.clip((own * n + 1).astype(np.int64), 0, n + 1))] = True
            return cells

        return int(np.logical_or.reduce(in_threads(seen, unit)).sum())

    def coarse() -> Grid:
        n = max(2, int(max_points ** (1 / dim)))
        inner = quantiles(np.linspace(0, 1, n + 1)[1:-1]).mean(axis=0)
        edges = [_cut(f, f.unstretch(u)) for f, u in zip(features, inner.T, strict=True)]
        return Grid(tuple(features), tuple(edges))

    n = max(2, int(max_points ** (1 / dim)) - 2)  # so few that all may be occupied
    if (n + 2) ** dim > MAX_CELLS or (found := occupied(n)) > max_points:
        return coarse()
    best = n
    most = int(MAX_CELLS ** (1 / dim)) - 2
    while found < MIN_FILL * max_points and n < most:
        # At most so many times more cells are occupied; fewer where events fill a sheet.
        n = min(most, max(n + 1, int(n * min(max_points / found, 8.0) ** (1 / dim))))
        found = occupied(n)
        if found > max_points:
            break
        best = n
    return grid_of(best)


def _positions(sample: Sample, features: Sequence[Feature]) -> FloatArray:
    """Stretched coordinates of the events inside all ranges, shape ``(D, N)``."""
    keep = np.logical_and.reduce([f.inside(sample.x[:, d]) for d, f in enumerate(features)])
    return np.stack([f.stretch(sample.x[keep, d]) for d, f in enumerate(features)])


def _n_inside(sample: Sample, features: Sequence[Feature]) -> list[int]:
    """How many events lie inside the range of each discriminant, and inside all of them."""
    inside = [f.inside(sample.x[:, d]) for d, f in enumerate(features)]
    return [int(part.sum()) for part in (*inside, np.logical_and.reduce(inside))]


def _check_ranges(
    name: str, sample: Sample, features: Sequence[Feature], n_inside: Sequence[int]
) -> None:
    """Refuse a process with no event inside the ranges; warn of one with many outside."""
    *each, together = n_inside
    for d, feature in enumerate(features):
        if not each[d]:
            raise _none_inside(name, sample, (feature,), [d])
    if not together:
        raise _none_inside(name, sample, features, range(len(features)))
    outside = len(sample) - together
    if outside > MIN_OUTSIDE_FRACTION * len(sample):
        log.warning(
            "%s: %d of %d events lie outside the ranges of the discriminants, and in no category",
            *(name, outside, len(sample)),
        )


def _none_inside(
    name: str, sample: Sample, features: Sequence[Feature], columns: Sequence[int]
) -> InputError:
    """What there is instead of events inside the ranges."""
    got = [
        f"{f.name} {sample.x[:, d].min():.4g} to {sample.x[:, d].max():.4g}"
        for f, d in zip(features, columns, strict=True)
    ]
    allowed = [f"{f.name} {f.low:.4g} to {f.high:.4g}" for f in features]
    return InputError(
        f"{name}: no event lies inside the ranges of the discriminants (got {', '.join(got)}; "
        f"allowed {', '.join(allowed)})"
    )


def _edges(feature: Feature, low: float, high: float, n: int) -> FloatArray:
    return _cut(feature, feature.unstretch(np.linspace(low, high, n + 1)))


def _cut(feature: Feature, inner: FloatArray) -> FloatArray:
    edges = np.unique(np.concatenate([[feature.low], inner, [feature.high]]))
    return edges[(edges >= feature.low) & (edges <= feature.high)]


def points_from_samples(
    samples: Mapping[str, Sample],
    *,
    features: Sequence[Feature],
    signals: Sequence[str],
    n_folds: int,
    window: Window | None = None,
    max_points: int = 5000,
) -> Points:
    """Events of each process summed on a grid made for them.

    Parameters
    ----------
    samples
        Process to events, all with folds.
    features
        The discriminants.
    signals
        Processes whose yield counts inside the mass window only, where there is one: resonant
        backgrounds too.
    n_folds
        Number of folds.
    window
        Mass window, or None.
    max_points
        Largest number of points.

    Raises
    ------
    InputError
        If a process has no event inside the ranges, or no mass where a window is used.
    """
    grid = adapted_grid(features, samples, max_points=max_points)
    mass_range = None if window is None else (window.low, window.high)
    in_window = None if window is None else (window.window_low, window.window_high)
    if window is not None:
        for name, sample in samples.items():
            _check_mass(name, sample, window, signal=name in signals)

    def fill(block: Sample) -> Cells:
        return Cells.fill(grid, block, n_folds=n_folds, window=in_window, mass_range=mass_range)

    cells = {name: reduce(operator.add, each) for name, each in _by_block(fill, samples).items()}
    return points_from_cells(cells, in_window=None if window is None else signals)


def _check_mass(name: str, sample: Sample, window: Window, *, signal: bool) -> None:
    """Refuse a process whose masses are missing, or in another unit."""
    if sample.mass is None:
        raise InputError(f"{name}: column 'mass' is missing, and a mass window is used")
    key, low, high = "mass_range_gev", window.low, window.high
    if signal:
        key, low, high = "window_gev", window.window_low, window.window_high
    if not ((sample.mass >= low) & (sample.mass <= high)).any():
        raise InputError(
            f"{name}: no event has its mass inside {key}, {low:g} to {high:g} GeV (got "
            f"{sample.mass.min():.4g} to {sample.mass.max():.4g})"
        )


COLUMNS = (*SCORES, "weight", "mass", "fold")


def as_samples(samples: Mapping[str, object]) -> dict[str, Sample]:
    """Every process as a checked `Sample`.

    Parameters
    ----------
    samples
        Process to a `Sample`, a DataFrame, an awkward array of records or a mapping of columns,
        each an array or one of coffea's accumulators of a column.

    Raises
    ------
    InputError
        If there is no process, or a column is missing, of the wrong shape or not finite.
    """
    if not samples:
        raise InputError("samples: no process is given")
    return {name: as_sample(_table(name, value), name=name) for name, value in samples.items()}


def _table(name: str, value: Any) -> Any:
    """A sample, or a table with the columns that one needs as arrays."""
    if isinstance(value, Sample):
        return value
    found = columns_of(value)
    if found is None:
        raise InputError(
            f"{name}: must be a table of columns, x and weight (got {type(value).__name__})"
        )
    known = {column: value[column] for column in COLUMNS if column in found}
    if not {*SCORES} & set(known):
        raise InputError(
            f"{name}: column 'x' is missing (got {', '.join(found)}; allowed: "
            "x of shape (N,) or (N, D), weight, mass, fold)"
        )
    # An accumulator of coffea holds its array as value.
    known = {column: getattr(array, "value", array) for column, array in known.items()}
    for column, array in known.items():
        if not hasattr(array, "__len__") or isinstance(array, str | bytes):
            raise InputError(f"{name}.{column}: must be an array (got {array!r})")
    if "variations" in found and not hasattr(value, "columns"):
        known["variations"] = value["variations"]
    return known
