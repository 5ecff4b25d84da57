"""Events, cells and weighted points: NumPy values that add.

A `Sample` holds the events of one process. `Cells` are its events summed on a fine grid: a chunk
makes some, and the cells of different chunks add. `Points` are what the optimiser works on, the
same for events, cells and histograms: positions, and for every process and fold the sums of
weights there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gato_coffea.errors import InputError
from gato_coffea.events.arrays import BoolArray, FloatArray, IntArray, numbers
from gato_coffea.events.features import Feature, Grid, Scale, bin_index
from gato_coffea.events.folds import event_fold, text_identity
from gato_coffea.events.variations import DOWN, UP, Variation, as_variation, uncertainties
from gato_coffea.rendering.rounding import amount

__all__ = [
    "MOMENTS",
    "BoolArray",
    "Cells",
    "Feature",
    "FloatArray",
    "Grid",
    "IntArray",
    "Points",
    "Sample",
    "Scale",
    "Variation",
    "as_sample",
    "bin_index",
    "concatenate",
    "content_fold",
    "event_fold",
    "points_from_cells",
    "text_identity",
]

MOMENTS = ("count", "sumw", "sumw2", "sumw_window", "sumw2_window", "sumw_mass")
"""What a cell sums, for each fold. The mass moments are zero where there is no mass."""

BLOCK = 200_000
"""Events that are worked on at a time."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Events of one process.

    Attributes
    ----------
    x
        Discriminants, shape ``(N, D)``.
    weight
        Nominal weights, shape ``(N,)``; may be negative.
    mass
        Masses in GeV, shape ``(N,)``, or None.
    fold
        Fold of each event, shape ``(N,)``, or None: for data, and where no identity is known.
    variations
        By name what is different in each: names end in Up and Down, as in jesUp and jesDown.
    data
        Whether these are collision data, which are no background unless they are named as one.
    era
        Number of the era of each event, in the order of the analysis, shape ``(N,)``, or None.
    """

    x: FloatArray
    weight: FloatArray
    mass: FloatArray | None = None
    fold: IntArray | None = None
    variations: Mapping[str, Variation] = field(default_factory=dict)
    data: bool = False
    era: IntArray | None = None

    def __len__(self) -> int:
        return len(self.weight)

    def __repr__(self) -> str:
        size = f"{len(self)} events of {amount(self.weight.sum())} in {self.x.shape[1]}-D"
        return f"Sample({size}{''.join(f', {name}' for name in self.variations)})"

    def scaled(self, factor: float, *, ratios: Mapping[str, float] | None = None) -> Self:
        """The same events with every weight multiplied by ``factor``.

        Weights of a variation that is in ``ratios`` are multiplied by that besides.
        """
        more = ratios or {}
        return replace(
            self,
            weight=self.weight * factor,
            variations={
                name: v.scaled(factor * more.get(name, 1.0)) for name, v in self.variations.items()
            },
        )

    def blocks(self) -> list[Self]:
        """The events in blocks: long arrays cost more memory, and more time an event."""
        return [self.where(slice(i, i + BLOCK)) for i in range(0, max(len(self), 1), BLOCK)]

    def where(self, mask: npt.NDArray[Any] | slice) -> Self:
        """The events that a boolean mask, an index array of shape ``(N,)`` or a slice picks."""
        return replace(
            self,
            x=self.x[mask],
            weight=self.weight[mask],
            mass=None if self.mass is None else self.mass[mask],
            fold=None if self.fold is None else self.fold[mask],
            era=None if self.era is None else self.era[mask],
            variations={name: v.where(mask) for name, v in self.variations.items()},
        )

    def incomplete(self, *, with_mass: bool) -> BoolArray:
        """Which events have NaN in a discriminant or, where it counts, in the mass."""
        gone: BoolArray = np.asarray(np.isnan(self.x).any(axis=1))
        if with_mass and self.mass is not None:
            gone |= np.isnan(self.mass)
        return gone

    def varied(self, name: str) -> Self:
        """The events as a variation has them; the nominal ones where it has nothing of its own."""
        own = self.variations.get(name, Variation())
        return replace(
            self,
            variations={},
            x=self.x if own.x is None else own.x,
            weight=self.weight if own.weight is None else own.weight,
            mass=self.mass if own.mass is None else own.mass,
        )


def as_sample(value: object, *, name: str) -> Sample:
    """A sample from a `Sample`, a DataFrame or a mapping of columns.

    Parameters
    ----------
    value
        Columns ``x`` (or ``NN_output``) of shape ``(N,)`` or ``(N, D)``, ``weight`` and,
        optionally, ``mass`` and ``fold``, each ``(N,)``; and ``variations``, by name a
        `Variation` or a mapping of those columns that differ.
    name
        Process, for error messages.

    Raises
    ------
    InputError
        If a column is missing, of the wrong shape, or not finite.
    """
    if isinstance(value, Sample):
        table: Any = {k: v for k, v in vars(value).items() if v is not None}
    elif hasattr(value, "keys"):
        table = value
    else:
        raise InputError(f"{name}: must be a table of columns (got {type(value).__name__})")
    key = "x" if "x" in table else "NN_output"
    for needed in (key, "weight"):
        if needed not in table:
            raise InputError(f"{name}: column {needed!r} is missing (got {sorted(table)})")
    columns = {
        k: numbers(table[k], place=f"{name}.{k}") for k in (key, "weight", "mass") if k in table
    }
    x = columns.pop(key)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or not x.shape[1]:
        raise InputError(f"{name}.{key}: must have shape (N,) or (N, D) (got {x.shape})")
    fold = _as_folds(table["fold"], name=name) if "fold" in table else None
    for column, array in (columns if fold is None else {**columns, "fold": fold}).items():
        if array.shape != (len(x),):
            raise InputError(f"{name}.{column}: must have shape ({len(x)},) (got {array.shape})")
    _check_finite({key: x, **columns}, name=name)
    varied = table.get("variations", {})
    if not hasattr(varied, "items"):
        raise InputError(
            f"{name}.variations: must be a mapping of names to what is different (got {varied!r})"
        )
    variations = {
        k: as_variation(v, place=f"{name}.variations.{k}", n=len(x), dimension=x.shape[1])
        for k, v in varied.items()
    }
    return Sample(
        x=x,
        weight=columns["weight"],
        mass=columns.get("mass"),
        fold=fold,
        variations=variations,
        data=isinstance(value, Sample) and value.data,
    )


def _as_folds(values: object, *, name: str) -> IntArray:
    array: npt.NDArray[Any] = numbers(values, place=f"{name}.fold")
    whole = getattr(values, "dtype", None)
    if whole == np.int64 and not np.ma.is_masked(values):
        array = np.asarray(values)  # large ones have no exact float
    if not ((array >= 0) & (array % 1 == 0)).all():
        raise InputError(f"{name}.fold: must be whole numbers from 0 on (got {array[:3]} ...)")
    return array.astype(np.int64)


def _check_finite(columns: Mapping[str, FloatArray], *, name: str) -> None:
    for column, array in columns.items():
        if not np.isfinite(array).all():
            bad = int((~np.isfinite(array)).sum())
            raise InputError(
                f"{name}.{column}: {bad} of {array.size} values are NaN or infinite, or masked"
            )


def content_fold(sample: Sample, *, n_folds: int) -> IntArray:
    """Fold of each event from its own discriminants and mass, and from nothing else.

    It tells of no other event: which ones there were between two of them cannot be seen. Events
    that are equal in all of these are in one fold.
    """
    columns = [*sample.x.T, *([] if sample.mass is None else [sample.mass])]
    # + 0.0: the negative zero is the same number, with other bytes
    bits = [np.ascontiguousarray(c + 0.0, dtype=np.float64).view(np.int64) for c in columns]
    return event_fold(bits, n_folds=n_folds)


def concatenate(samples: Sequence[Sample]) -> Sample:
    """The events of several samples as one, in the order given.

    A variation that a sample lacks is the nominal there.

    Raises
    ------
    InputError
        If some are collision data and others are not.
    """
    kinds = {sample.data for sample in samples}
    if len(kinds) > 1:
        raise InputError("samples: collision data and simulation cannot be one process")
    names = dict.fromkeys(name for sample in samples for name in sample.variations)

    def join(arrays: Iterable[Any]) -> Any:
        parts = list(arrays)
        return None if any(part is None for part in parts) else np.concatenate(parts)

    return Sample(
        x=join(s.x for s in samples),
        weight=join(s.weight for s in samples),
        mass=join(s.mass for s in samples),
        fold=join(s.fold for s in samples),
        era=join(s.era for s in samples),
        variations={n: _joined(n, samples) for n in names},
        data=kinds == {True},
    )


def _joined(name: str, samples: Sequence[Sample]) -> Variation:
    """A variation of all samples: its columns are those that differ in any of them."""
    some = dict.fromkeys(
        column
        for s in samples
        if name in s.variations
        for column, _ in s.variations[name].arrays()
    )
    columns = {column: [getattr(s.varied(name), column) for s in samples] for column in some}
    whole = {c: arrays for c, arrays in columns.items() if all(a is not None for a in arrays)}
    return Variation(**{column: np.concatenate(arrays) for column, arrays in whole.items()})


@dataclass(frozen=True)
class Cells:
    """Events of one dataset or process summed on a grid, kept sparse; cells add.

    Attributes
    ----------
    grid
        The grid of all cells.
    key
        Flat indices of the occupied cells, increasing, shape ``(P,)``.
    sums
        `MOMENTS` for each cell and fold, shape ``(P, folds, moments)``.
    sum_x
        Sum of the events' positions, stretched, shape ``(P, D)``.
    variations
        Cells of the same events in each variation, by name; where other cells lack one that these
        have, their nominal is added to it.
    missing
        Of a variation's cells: number of events that leave by NaN (`Variation`).
    """

    grid: Grid
    key: IntArray
    sums: FloatArray
    sum_x: FloatArray
    variations: Mapping[str, Self] = field(default_factory=dict)
    missing: int = 0

    def __repr__(self) -> str:
        names = "".join(f", {name}" for name in self.variations)
        return f"Cells({len(self.key)} occupied{names})"

    @classmethod
    def fill(
        cls,
        grid: Grid,
        sample: Sample,
        *,
        n_folds: int,
        window: tuple[float, float] | None = None,
        mass_range: tuple[float, float] | None = None,
    ) -> Self:
        """Sum a sample and its variations.

        Events outside the grid are left out, and so are masses out of range.

        Parameters
        ----------
        grid, sample
            What to sum, and where.
        n_folds
            Number of folds; the sample must carry them where it is above one.
        window, mass_range
            Signal window and range of the mass in GeV, where mass moments are wanted.
        """
        variations = {
            name: cls.fill(
                grid,
                sample.varied(name),
                n_folds=n_folds,
                window=window,
                mass_range=mass_range,
            )
            for name in sample.variations
        }
        sample = replace(sample, variations={})
        missing = int(sample.incomplete(with_mass=mass_range is not None).sum())
        cell = grid.index(sample.x)
        keep = cell >= 0
        if mass_range is not None and sample.mass is not None:
            keep &= (sample.mass >= mass_range[0]) & (sample.mass <= mass_range[1])
        if not keep.all():
            sample, cell = sample.where(keep), cell[keep]
        occupied = np.bincount(cell, minlength=int(np.prod(grid.shape))) > 0
        key, inverse = np.flatnonzero(occupied), (np.cumsum(occupied) - 1)[cell]
        fold = sample.fold if sample.fold is not None and n_folds > 1 else np.zeros_like(cell)
        w = sample.weight
        moments = [np.ones_like(w), w, w * w]
        if sample.mass is not None and window is not None:
            inside = (sample.mass >= window[0]) & (sample.mass <= window[1])
            moments += [w * inside, w * w * inside, w * sample.mass]
        sums = np.zeros((len(key), n_folds, len(MOMENTS)))
        flat = inverse * n_folds + fold
        for m, values in enumerate(moments):
            sums[..., m] = np.bincount(flat, values, len(key) * n_folds).reshape(-1, n_folds)
        stretched = [f.stretch(sample.x[:, d]) for d, f in enumerate(grid.features)]
        sum_x = [np.bincount(inverse, u, len(key)) for u in stretched]
        positions = np.stack(sum_x, axis=-1).astype(np.float64)
        return cls(grid, key.astype(np.int64), sums, positions, variations, missing)

    def __add__(self, other: Self) -> Self:
        if not all(
            np.array_equal(a, b) for a, b in zip(self.grid.edges, other.grid.edges, strict=True)
        ):
            raise InputError("cells: cannot add cells of different grids")
        if self.sums.shape[1] != other.sums.shape[1]:
            raise InputError("cells: cannot add cells of different numbers of folds")
        key = np.union1d(self.key, other.key)
        sums = np.zeros((len(key), *self.sums.shape[1:]))
        sum_x = np.zeros((len(key), self.sum_x.shape[1]))
        for part in (self, other):
            at = np.searchsorted(key, part.key)
            sums[at] += part.sums
            sum_x[at] += part.sum_x
        names = dict.fromkeys([*self.variations, *other.variations])
        variations = {name: self.varied(name) + other.varied(name) for name in names}
        return replace(
            self,
            key=key,
            sums=sums,
            sum_x=sum_x,
            variations=variations,
            missing=self.missing + other.missing,
        )

    def varied(self, name: str) -> Self:
        """The cells of a variation; the nominal ones where it is not known."""
        return self.variations.get(name, replace(self, variations={}))

    def scaled(self, factor: float, *, ratios: Mapping[str, float] | None = None) -> Self:
        """The same cells with every weight multiplied by ``factor``.

        Weights of a variation that is in ``ratios`` are multiplied by that besides.
        """
        power, more = np.array([0, 1, 2, 1, 2, 1]), ratios or {}
        return replace(
            self,
            sums=self.sums * factor**power,
            variations={
                name: cells.scaled(factor * more.get(name, 1.0))
                for name, cells in self.variations.items()
            },
        )


@dataclass(frozen=True, kw_only=True)
class Points:
    """Weighted points: what the optimiser trains on.

    Attributes
    ----------
    features
        The discriminants, ``D`` of them.
    processes
        Their names, ``C`` of them.
    x
        Position of each point, shape ``(P, D)``.
    sumw, sumw2
        Sums of weights and of squared weights, shape ``(C, folds, P)``. Where a mass window is
        used, a signal's sums are those inside the window and a background's those of the range.
    sumw_mass
        Sum of weight times mass, same shape, or None without a mass window.
    count
        Number of events behind each, same shape.
    grid, cell
        The grid and each point's flat cell index ``(P,)``, where the points are cells.
    variations
        Uncertainties that vary the events, ``J`` of them.
    varied
        Sums of weights of the events as they are up, then down: shape ``(2 J, C, folds, P)``; the
        nominal ones for a process that a variation leaves alone.
    """

    features: tuple[Feature, ...]
    processes: tuple[str, ...]
    x: FloatArray
    sumw: FloatArray
    sumw2: FloatArray
    count: FloatArray
    sumw_mass: FloatArray | None = None
    grid: Grid | None = None
    cell: IntArray | None = None
    variations: tuple[str, ...] = ()
    varied: FloatArray = field(default_factory=lambda: np.zeros(0))

    @property
    def n_folds(self) -> int:
        """Number of folds; one where events carry no identity."""
        return int(self.sumw.shape[1])

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        return f"Points({len(self)} points of {', '.join(self.processes)}, {self.n_folds} folds)"

    def of(self, processes: Sequence[str]) -> IntArray:
        """Indices of processes by name."""
        return np.array([self.processes.index(p) for p in processes], dtype=np.int64)


def points_from_cells(
    cells: Mapping[str, Cells], *, in_window: Sequence[str] | None = None
) -> Points:
    """Points from the cells of each process, each at the mean position of its events.

    Parameters
    ----------
    cells
        Cells of every process, all on the same grid and with the same folds.
    in_window
        Processes whose yield counts inside the mass window only (the signals); None where no
        window is used.
    """
    parts = list(cells.values())
    grid, n_folds = parts[0].grid, parts[0].sums.shape[1]
    key = np.unique(np.concatenate([part.key for part in parts]))
    sums = np.zeros((len(parts), len(key), n_folds, len(MOMENTS)))
    sum_x = np.zeros((len(key), len(grid.features)))
    for c, part in enumerate(parts):
        at = np.searchsorted(key, part.key)
        sums[c, at] = part.sums
        sum_x[at] += part.sum_x
    mean = sum_x / sums[..., 0].sum(axis=(0, 2))[:, None]
    moments = dict(zip(MOMENTS, np.moveaxis(sums, (3, 2), (0, 2)), strict=True))
    use_window = np.array([name in (in_window or ()) for name in cells])[:, None, None]
    counted = np.where(use_window, moments["sumw_window"], moments["sumw"])
    x = np.stack([f.unstretch(mean[:, d]) for d, f in enumerate(grid.features)], axis=-1)
    names = uncertainties(name for part in parts for name in part.variations)
    varied = np.zeros(0)
    if names:
        varied = np.stack(
            [
                [
                    _counted(part.variations[name], key, window=bool(use_window[c, 0, 0]))
                    if name in part.variations
                    else counted[c]
                    for c, part in enumerate(parts)
                ]
                for name in (source + side for side in (UP, DOWN) for source in names)
            ]
        )
    return Points(
        features=grid.features,
        processes=tuple(cells),
        x=x,
        sumw=counted,
        sumw2=np.where(use_window, moments["sumw2_window"], moments["sumw2"]),
        count=moments["count"],
        sumw_mass=None if in_window is None else moments["sumw_mass"],
        grid=grid,
        cell=key,
        variations=names,
        varied=varied,
    )


def _counted(cells: Cells, key: IntArray, *, window: bool) -> FloatArray:
    """Sums of weights of cells at the points that stand for them, shape ``(folds, P)``."""
    result = np.zeros((len(key), cells.sums.shape[1]))
    moment = MOMENTS.index("sumw_window" if window else "sumw")
    np.add.at(result, _nearest(cells.grid, key, cells.key), cells.sums[..., moment])
    return result.T


def _nearest(grid: Grid, key: IntArray, wanted: IntArray) -> IntArray:
    """Which of the occupied cells each wanted cell is, or is nearest to in steps of the grid."""
    at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    other = np.flatnonzero(key[at] != wanted)
    occupied = np.stack(np.unravel_index(key, grid.shape), axis=-1)
    for some in np.array_split(other, 1 + len(other) * len(key) // BLOCK):
        there = np.stack(np.unravel_index(wanted[some], grid.shape), axis=-1)
        at[some] = ((there[:, None] - occupied) ** 2).sum(axis=-1).argmin(axis=1)
    return at.astype(np.int64)
