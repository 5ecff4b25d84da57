"""Variations of events: the same events with other weights, discriminants or masses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gato_coffea.errors import InputError
from gato_coffea.events.arrays import SCORES, FloatArray, columns_of, numbers

UP, DOWN = "Up", "Down"
"""Endings of the names of the two variations of one uncertainty."""

MAX_TOTAL_RATIO = 2.0
"""Factor by which a variation of the weights may change a total: scales and PDFs change it by
tens of percent, and what doubles it is a wrong weight."""


@dataclass(frozen=True)
class Variation:
    """What is different in a variation of a sample, event by event in the sample's order.

    Attributes
    ----------
    x
        Discriminants, shape ``(N, D)``; an event with a NaN is in no category. None: the nominal
        ones.
    weight
        Weights, shape ``(N,)``; zero for an event that is not selected. None: the nominal ones.
    mass
        Masses in GeV, shape ``(N,)``; an event with NaN is in no mass range. None: the nominal
        ones.
    """

    x: FloatArray | None = None
    weight: FloatArray | None = None
    mass: FloatArray | None = None

    @property
    def is_shape(self) -> bool:
        """Whether events move, and do not only change their weights."""
        return self.x is not None or self.mass is not None

    def arrays(self) -> Iterator[tuple[str, FloatArray]]:
        """The columns that differ from the nominal ones, by name."""
        for column in ("x", "weight", "mass"):
            array = getattr(self, column)
            if array is not None:
                yield column, array

    def scaled(self, factor: float) -> Self:
        """The same with every weight multiplied by ``factor``."""
        weight = None if self.weight is None else self.weight * factor
        return type(self)(self.x, weight, self.mass)

    def where(self, mask: npt.NDArray[Any] | slice) -> Self:
        """The variation of the events that a mask, an index array or a slice picks."""
        return type(self)(**{column: array[mask] for column, array in self.arrays()})


def stem(name: str) -> str:
    """The uncertainty that a variation belongs to.

    >>> stem("jesUp"), stem("pileupDown"), stem("other")
    ('jes', 'pileup', 'other')
    """
    for ending in (UP, DOWN):
        if name.endswith(ending) and name != ending:
            return name.removesuffix(ending)
    return name


def uncertainties(names: Iterable[str]) -> tuple[str, ...]:
    """The uncertainties that variations belong to, in alphabetical order."""
    return tuple(sorted({stem(name) for name in names}))


def as_variation(value: Any, *, place: str, n: int, dimension: int) -> Variation:
    """A checked variation of ``n`` events.

    Parameters
    ----------
    value
        A `Variation`, a table with columns ``x`` (or ``NN_output``), ``weight`` and ``mass``, or
        an array: the weights.
    place
        What an error message begins with.
    n, dimension
        Number of events, and of their discriminants.

    Raises
    ------
    InputError
        If a column is of the wrong shape or a weight is not finite.
    """
    if isinstance(value, Variation):
        columns: dict[str, Any] = dict(value.arrays())
    elif (names := columns_of(value)) is None:
        columns = {"weight": value}
    else:
        known = {*SCORES, "weight", "mass"}
        wrong = next((name for name in names if name not in known), None)
        if wrong is not None or not names:
            raise InputError(f"{place}: holds x, weight or mass (got {wrong or 'nothing'})")
        columns = {"x" if name in SCORES else name: value[name] for name in names}
    arrays = {
        column: numbers(getattr(array, "value", array), place=f"{place}.{column}")
        for column, array in columns.items()
    }
    if "x" in arrays and arrays["x"].ndim == 1:
        arrays["x"] = arrays["x"][:, None]
    for column, array in arrays.items():
        shape = (n, dimension) if column == "x" else (n,)
        if array.shape != shape:
            raise InputError(
                f"{place}.{column}: must have the shape of the nominal, {shape}, for the same "
                f"events in the same order (got {array.shape})"
            )
    weight = arrays.get("weight")
    if weight is not None and not np.isfinite(weight).all():
        bad = int((~np.isfinite(weight)).sum())
        raise InputError(
            f"{place}.weight: {bad} of {n} values are NaN or infinite, or masked (an event that "
            "is not selected has weight 0)"
        )
    return Variation(**arrays)


def check_pairs(names: Mapping[str, Iterable[str]]) -> None:
    """Refuse variations without their opposite.

    Parameters
    ----------
    names
        Names of the variations of each process.

    Raises
    ------
    InputError
        With process and variation.
    """
    for process, found in names.items():
        own = set(found)
        for name in sorted(own):
            source = stem(name)
            if source == name:
                raise InputError(
                    f"{process}.variations.{name}: the name must end in Up or Down, as in jesUp"
                )
            other = source + (DOWN if name.endswith(UP) else UP)
            if other not in own:
                raise InputError(
                    f"{process}.variations.{name}: needs its opposite {other} (a one-sided "
                    "variation is given with the nominal as the other side)"
                )


def check_total(place: str, nominal: float, varied: float) -> None:
    """Refuse a variation that changes the total by a factor of `MAX_TOTAL_RATIO` or more.

    One that leaves nothing is named as such: it is no matter of weights that are factors.

    Raises
    ------
    InputError
        With both totals.
    """
    if nominal > 0 and varied == 0.0:
        raise InputError(
            f"{place}: nothing is left of the nominal total of {nominal:.6g} (its events have "
            "NaN, values outside the ranges, or weight zero)"
        )
    if nominal > 0 and not nominal / MAX_TOTAL_RATIO < varied < nominal * MAX_TOTAL_RATIO:
        raise InputError(
            f"{place}: its total of {varied:.6g} is {varied / nominal:.3g} times the nominal "
            f"{nominal:.6g} (allowed: within a factor of {MAX_TOTAL_RATIO:g}); a weight "
            "variation holds whole weights and not factors on them"
        )
