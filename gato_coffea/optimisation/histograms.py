"""Histograms as people hold them: the nominal one of each process, and its bins as points.

NumPy alone: a histogram is anything with ``axes``, ``values()`` and ``variances()``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gato_coffea.categories.axes import NOMINAL, VARIATION_AXES, by_process
from gato_coffea.errors import InputError, OptimisationError
from gato_coffea.events.samples import (
    MOMENTS,
    Cells,
    FloatArray,
    Grid,
    IntArray,
    Points,
    points_from_cells,
    text_identity,
)
from gato_coffea.events.variations import DOWN, UP
from gato_coffea.optimisation.inputs import MIN_OUTSIDE_FRACTION, check_size, unit_feature

FOLDS_NOTE = (
    "histograms hold no events: folds are random parts of the entries of each bin, and categories "
    "have their edges on the bins"
)

CHANCE = 1e-3
"""Bins of unweighted entries that are all multiples of a number by chance are rarer than this."""

log = logging.getLogger(__name__)


def counts_note(histograms: Mapping[str, object]) -> list[str]:
    """A sentence about the histograms that are taken for counts, if there are any."""
    plain = [name for name, h in histograms.items() if not has_variances(h)]
    if not plain:
        return []
    return [f"histograms without variances, taken for unweighted counts: {', '.join(plain)}"]


def is_histogram(value: object) -> bool:
    """Whether a value is a histogram."""
    return all(hasattr(value, name) for name in ("axes", "values", "variances"))


def nominal_histograms(samples: object) -> Any:
    """The nominal histogram of each process; what is not made of histograms is left as it is.

    Parameters
    ----------
    samples
        One histogram with a process axis, or a mapping of process to histogram, which may have
        an axis of variations (`gato_coffea.categories.axes.by_process`). A mapping with one
        entry counts as that entry: a coffea output of one histogram, or of one for each dataset.

    Raises
    ------
    InputError
        If there is nothing, the one histogram has no process axis, one of several has, or a
        process has several.
    """
    if is_histogram(samples):
        found = dict(by_process("", samples))
        if list(found) == ["histogram"]:
            raise InputError("histogram: one alone needs an axis called process")
        return found
    if not isinstance(samples, Mapping):
        kind = type(samples).__name__
        raise InputError(f"samples: must be a mapping of process to events (got {kind})")
    if not samples:
        raise InputError("samples: no process is given")
    for name in samples:
        if not isinstance(name, str):
            raise InputError(f"samples: names of processes must be text (got {name!r})")
    held = {name: _only_histogram(name, value) for name, value in samples.items()}
    if not all(is_histogram(value) for value in held.values()):
        return samples
    result = {}
    for name, histogram in held.items():
        split = dict(by_process(name, histogram))
        if list(split) == [name]:
            result[name] = split[name]
        elif len(held) == 1:
            return nominal_histograms(histogram)
        else:
            raise InputError(
                f"histogram {name}: has an axis of processes of its own (got one of "
                f"{len(held)} histograms; give this one alone)"
            )
    return result


def varied_histograms(samples: object) -> dict[str, dict[str, Any]]:
    """The variations of each process in the histograms that have an axis of variations.

    Their names end in Up and Down; ``_up`` and ``_down`` stand for these. A process of which an
    axis that several share holds nothing in a variation does not vary.

    Parameters
    ----------
    samples
        As `nominal_histograms` takes them.

    Returns
    -------
    dict
        Variation to histogram, by process; empty for what is not made of histograms.
    """
    held = {"": samples} if is_histogram(samples) else samples
    if not isinstance(held, Mapping):
        return {}
    each = {name: _only_histogram(name, value) for name, value in held.items()}
    if not each or not all(map(is_histogram, each.values())):
        return {}
    axes = {name: _variation_axis(value) for name, value in each.items()}
    labels = dict.fromkeys(str(x) for axis in axes.values() if axis is not None for x in axis)
    result: dict[str, dict[str, Any]] = {}
    for label in labels:
        if label == NOMINAL:
            continue
        chosen = {
            name: value[{axis.name: label}]
            for name, value in each.items()
            if (axis := axes[name]) is not None and label in list(axis)
        }
        for process, one in nominal_histograms(chosen.get("", chosen)).items():
            if np.any(one.values()):
                result.setdefault(process, {})[_up_or_down(label)] = one
    return result


def _variation_axis(histogram: Any) -> Any:
    """The axis of variations of a histogram, or None."""
    found = [a for a in histogram.axes if getattr(a, "name", "") in VARIATION_AXES]
    return found[0] if found and len(found[0]) > 1 else None


def _up_or_down(label: str) -> str:
    """The name of a variation as it is written here: jesUp for jes_up.

    >>> _up_or_down("jes_up"), _up_or_down("JES_Down"), _up_or_down("jesUp"), _up_or_down("pdf")
    ('jesUp', 'JESDown', 'jesUp', 'pdf')
    """
    for side in (UP, DOWN):
        if label.lower().endswith(f"_{side.lower()}"):
            return label[: -len(side) - 1] + side
    return label


def _only_histogram(name: str, value: object) -> Any:
    """The one histogram that a mapping holds; anything else is left as it is."""
    if not isinstance(value, Mapping):
        return value
    found = [key for key, inner in value.items() if is_histogram(inner)]
    if not found or {"x", "weight"} & set(value):
        return value
    if len(found) > 1:
        raise InputError(
            f"{name}: holds {len(found)} histograms (got {', '.join(map(str, found))}); "
            "give the one to optimise"
        )
    return value[found[0]]


def split_bins(
    name: str, sumw: FloatArray, sumw2: FloatArray, *, n_folds: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Effective entries of each bin, and the random fraction of them in each fold.

    The parts of a Poisson number that is split at random are independent, so that a fold can be
    held out of the training on the others as if events had been split.

    Parameters
    ----------
    name
        Process; each one is split on its own.
    sumw, sumw2
        Contents of the bins, shape ``(P,)``.
    n_folds
        Number of folds.
    seed
        Same seed, same parts.

    Returns
    -------
    tuple
        Entries ``(P,)``, at least one, and fractions ``(P, folds)`` that sum to one.
    """
    entries = np.rint(sumw**2 / np.where(sumw2 > 0, sumw2, np.inf))
    entries = np.clip(entries, 1, 1e15)
    rng = np.random.default_rng([seed, text_identity(name)])
    parts = rng.multinomial(entries.astype(np.int64), np.full(n_folds, 1.0 / n_folds))
    return entries, parts / entries[:, None]


def check_spread(grid: Grid, filled: IntArray) -> None:
    """Refuse a discriminant with one filled bin.

    Raises
    ------
    OptimisationError
        With the bin.
    """
    for feature, edges, index in zip(
        grid.features, grid.edges, np.unravel_index(filled, grid.shape), strict=True
    ):
        if len(filled) and (index == index[0]).all():
            low, high = edges[index[0]], edges[index[0] + 1]
            raise OptimisationError(
                f"histograms: {feature.name} is constant, all yields lie in one bin "
                f"(got bin {index[0]}, {low:.4g} to {high:.4g})"
            )


def tell_flow(name: str, histogram: Any) -> None:
    """Say what a histogram holds beyond its axes, which nothing is made of."""
    try:
        everything = histogram.values(flow=True)
    except TypeError:  # the protocol alone knows no flow
        return
    inside, total = float(np.sum(histogram.values())), float(np.sum(everything))
    if abs(total - inside) > MIN_OUTSIDE_FRACTION * abs(total):
        log.warning(
            "histogram %s: %.3g of a yield of %.4g is under- or overflow, and in no category",
            *(name, total - inside, total),
        )


def axes_in_words(histogram: Any) -> str:
    """Axes in words, as ``score: 20 bins from 0 to 1``."""
    return ", ".join(
        f"{getattr(axis, 'name', '') or 'x'}: {len(axis)} bins from {axis.edges[0]:g} to "
        f"{axis.edges[-1]:g}"
        for axis in histogram.axes
    )


def points_from_histograms(
    histograms: Mapping[str, Any],
    *,
    variations: Mapping[str, Mapping[str, Any]] | None = None,
    n_folds: int = 1,
    seed: int = 0,
    unweighted: bool = False,
) -> Points:
    """Bins of histograms as points.

    Parameters
    ----------
    histograms
        Process to histogram (anything with the UHI protocol), all with the same axes, one or
        more; bins are cells, so categories have their edges on the bins. An axis from 0 to 1 is
        taken as that of a score.
    variations
        Histograms of the variations of each process, from `varied_histograms`.
    n_folds, seed
        In how many folds the bins' entries are split (`split_bins`), and how; those of the
        variations as the nominal ones, since they are the same events.
    unweighted
        Whether contents without variances are counts, whatever they look like.

    Raises
    ------
    InputError
        If the axes differ, or the storage has no variances and the contents are no counts.
    OptimisationError
        If all yields lie in one bin.
    """
    first_name, first = next(iter(histograms.items()))
    for axis in first.axes:
        if not getattr(axis.traits, "ordered", True):
            raise InputError(
                f"histogram {first_name}: axis {axis.name!r} holds names, which are no "
                f"discriminant; pick one (got {', '.join(map(str, axis))})"
            )
    edges = tuple(np.asarray(axis.edges, dtype=np.float64) for axis in first.axes)
    features = tuple(
        unit_feature(getattr(axis, "name", "") or f"x{d}", float(e[0]), float(e[-1]))
        for d, (axis, e) in enumerate(zip(first.axes, edges, strict=True))
    )
    grid = Grid(features, edges)
    centre = np.stack(
        np.meshgrid(*[0.5 * (e[1:] + e[:-1]) for e in edges], indexing="ij"), axis=-1
    ).reshape(-1, len(edges))
    stretched = np.stack([f.stretch(centre[:, d]) for d, f in enumerate(features)], axis=-1)
    cells = {}
    for name, h in histograms.items():
        sumw, sumw2 = _checked(name, h, first_name, first, unweighted=unweighted)
        tell_flow(name, h)
        filled = np.flatnonzero((sumw != 0) | (sumw2 != 0))
        # A bin stands for as many events as it has effective entries, at least one. Events that
        # vary into an empty bin are of no fold that is known: each has its share of them.
        entries, part = np.ones_like(sumw), np.full((len(sumw), n_folds), 1.0 / n_folds)
        entries[filled], part[filled] = split_bins(
            name, sumw[filled], sumw2[filled], n_folds=n_folds, seed=seed
        )
        varied = {}
        for label, one in (variations or {}).get(name, {}).items():
            place = f"{name}, variation {label}"
            own = _checked(place, one, first_name, first, unweighted=True)
            varied[label] = _cells(grid, (entries, *own), part, stretched)
        cells[name] = replace(
            _cells(grid, (entries, sumw, sumw2), part, stretched), variations=varied
        )
    check_spread(grid, np.unique(np.concatenate([own.key for own in cells.values()])))
    return points_from_cells(cells)


def _cells(
    grid: Grid, totals: Sequence[FloatArray], part: FloatArray, position: FloatArray
) -> Cells:
    """Cells of the bins that are not empty, from entries, contents and variances of all."""
    key = np.flatnonzero((totals[1] != 0) | (totals[2] != 0))
    sums = np.zeros((len(key), part.shape[1], len(MOMENTS)))
    for m, total in enumerate(totals):
        sums[..., m] = total[key, None] * part[key]
    return Cells(grid, key, sums, position[key] * totals[0][key, None])


def has_variances(histogram: Any) -> bool:
    """Whether a histogram stores sums of squared weights beside its contents."""
    storage = getattr(histogram, "storage_type", None)
    if storage is not None:
        return bool(storage.__name__ == "Weight")
    return bool(getattr(histogram, "weighted", histogram.variances() is not None))


def check_counts(name: str, histogram: Any, *, unweighted: bool) -> None:
    """Refuse a histogram without variances whose contents are no counts of unweighted entries.

    Contents that are no whole numbers are weighted, and so are those that are all multiples of
    one: such counts are less probable than `CHANCE`.

    Parameters
    ----------
    name, histogram
        Process and its histogram.
    unweighted
        Whether the user says that the contents are counts, whatever they look like.

    Raises
    ------
    InputError
        With what to do.
    """
    values = np.ravel(histogram.values())
    if getattr(histogram, "kind", "COUNT") != "COUNT":
        raise InputError(f"histogram {name}: holds means, not yields")
    if unweighted:
        return
    if histogram.variances() is None:
        got = "weights without their squares"
    elif (values < 0).any() or (values % 1 != 0).any():
        wrong = values[(values < 0) | (values % 1 != 0)]
        got = f"a bin of {wrong[0]:.6g}, which is no count"
    else:
        filled = values[(values > 0) & (values < 2**53)].astype(np.int64)
        step = int(np.gcd.reduce(filled)) if len(filled) else 1
        if step == 1 or float(step) ** -len(filled) > CHANCE:
            return
        got = f"bins that are all multiples of {step}"
    raise InputError(
        f"histogram {name}: has no variances (got {got}); fill it with hist.storage.Weight(), or "
        "TH1::Sumw2 in ROOT, or say unweighted=True (--unweighted) if every entry has weight one"
    )


def _checked(
    name: str, h: Any, first_name: str, first: Any, *, unweighted: bool
) -> tuple[FloatArray, FloatArray]:
    """Contents and variances of a histogram, flat, when it is like the first one and sound."""
    edges = [np.asarray(axis.edges) for axis in first.axes]
    own = [np.asarray(axis.edges) for axis in h.axes]
    same = len(own) == len(edges) and all(map(np.array_equal, own, edges))
    if not same:
        got, needed = axes_in_words(h), axes_in_words(first)
        got = "others of as many bins" if got == needed else got
        raise InputError(
            f"histogram {name}: its axes differ from those of {first_name} "
            f"(got {got}; needed {needed})"
        )
    stored = has_variances(h)
    if not stored:
        check_counts(name, h, unweighted=unweighted)
    sumw = np.ravel(h.values())
    sumw2 = np.ravel(h.variances()) if stored else np.abs(sumw)
    if not (np.isfinite(sumw).all() and np.isfinite(sumw2).all()):
        bad = int((~np.isfinite(sumw) | ~np.isfinite(sumw2)).sum())
        raise InputError(f"histogram {name}: {bad} of {sumw.size} bins are NaN or infinite")
    if (sumw2 < 0).any() or (sumw.any() and not sumw2.any()):
        raise InputError(
            f"histogram {name}: variances must not be negative, nor all zero (got "
            f"{sumw2.min():.4g} to {sumw2.max():.4g})"
        )
    check_size(f"histogram {name}", sumw)
    return sumw, sumw2
