"""The sections ``discriminants`` and ``mass``: what events are sorted by, and their mass."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import field_validator, model_validator

from gato_coffea.config.fields import Flag, Name, Range, Section, Whole, about, increasing

MAX_DISCRIMINANTS = 12
"""Two cells along each of them are about as many points as are trained on by default."""

RESERVED_AXES = {"weight", "sample", "threads", "process", "variation", "category", "templates"}

Function = Literal["exponential", "power", "bernstein", "laurent"]
FUNCTIONS: tuple[Function, ...] = ("exponential", "power", "bernstein", "laurent")


def product_names(
    names: Sequence[str], *, mass: bool, two_dimensional: bool
) -> tuple[tuple[str, ...], ...]:
    """Axes of every fine histogram; joined by ``_`` they name it.

    Parameters
    ----------
    names
        Discriminants.
    mass
        Whether there is a mass.
    two_dimensional
        Whether products of two axes are kept.

    Raises
    ------
    ValueError
        If two histograms would have one name.
    """
    result: list[tuple[str, ...]] = [(name,) for name in names]
    if mass:
        result.append(("mass",))
    if two_dimensional:
        if mass:
            result += [(name, "mass") for name in names]
        result += [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    seen: dict[str, tuple[str, ...]] = {}
    for axes in result:
        other = seen.setdefault("_".join(axes), axes)
        if other != axes:
            raise ValueError(
                f"discriminants: the histograms of {' and '.join(other)} and of "
                f"{' and '.join(axes)} would both be called {'_'.join(axes)!r}; rename one"
            )
    return tuple(result)


class Discriminant(Section):
    """A classifier score: its source, its range and the bins of its fine histogram."""

    name: Annotated[Name, about("Name of the score in files, tables and plots.", example="score")]
    source: Annotated[
        str | None,
        about(
            "Branch, or py:NAME for a function of analysis.py; without it the branch called name.",
            example="py:score",
        ),
    ] = None
    range: Annotated[
        Range,
        about("Lowest and highest value; events outside are in no category.", example=[0, 1]),
    ]
    bins: Annotated[Whole, about("Bins of the fine histogram.", example=200, ge=2, le=100_000)] = (
        200
    )
    scale: Annotated[
        Literal["linear", "logit", "log"],
        about("Scale in which the fine bins are equally wide.", example="logit"),
    ] = "linear"
    label: Annotated[
        str | None, about("Label of its axis in plots; LaTeX within $.", example="BDT score")
    ] = None

    _range = field_validator("range")(increasing)

    @model_validator(mode="after")
    def _axis_name(self) -> Self:
        if self.name in RESERVED_AXES:
            raise ValueError(f"name {self.name!r} is reserved; choose another")
        if self.scale == "log" and self.range[0] <= 0:
            raise ValueError(f"scale log needs a range above zero (got {list(self.range)})")
        return self

    @property
    def expression(self) -> str:
        """The source, which is the branch of the same name where none is given."""
        return self.source if self.source is not None else self.name


class Mass(Section):
    """The mass that separates signal window from sidebands."""

    source: Annotated[
        str, about("Branch, or py:NAME for a function of analysis.py.", example="diphoton_mass")
    ]
    unit: Annotated[Literal["GeV", "MeV", "TeV"], about("Unit of the source.", example="GeV")]
    range_gev: Annotated[
        Range, about("Range of the mass that is kept.", example=[100, 180], unit="GeV")
    ]
    bins: Annotated[Whole, about("Bins over range_gev.", example=80, ge=4, le=10_000)] = 80
    window_gev: Annotated[
        Range,
        about(
            "Signal window; its ends lie on bins, with a sideband on both sides.",
            example=[122, 128],
            unit="GeV",
        ),
    ]
    sidebands_gev: Annotated[
        tuple[Range, ...] | None,
        about(
            "Mass intervals in which the background is fitted. Without it all of the range "
            "outside the window.",
            example=[[100, 118], [132, 180]],
            unit="GeV",
            min_length=1,
        ),
    ] = None
    blinded: Annotated[
        Flag, about("Whether data in the signal window reach no output.", example=False)
    ] = True
    functions: Annotated[
        tuple[Function, ...],
        about(
            "Functions that are tried for the background in the sidebands.",
            example=["exponential", "power"],
            min_length=1,
        ),
    ] = FUNCTIONS
    label: Annotated[
        str, about("Label of the axis in plots; LaTeX within $.", example="$m_{\\gamma\\gamma}$")
    ] = "Mass"

    _ranges = field_validator("range_gev", "window_gev")(increasing)

    @model_validator(mode="after")
    def _inside(self) -> Self:
        low, high = self.range_gev
        if not low < self.window_gev[0] < self.window_gev[1] < high:
            raise ValueError(
                f"window_gev {list(self.window_gev)} must lie inside range_gev "
                f"{list(self.range_gev)} with a sideband on both sides"
            )
        for band in self.sidebands:
            if not low <= band[0] < band[1] <= high:
                raise ValueError(f"sidebands_gev: {list(band)} is not inside {[low, high]}")
            if band[0] < self.window_gev[1] and band[1] > self.window_gev[0]:
                raise ValueError(f"sidebands_gev: {list(band)} overlaps the window")
        for first, second in pairwise(self.sidebands):
            if second[0] < first[1]:
                raise ValueError(
                    f"sidebands_gev: must be in increasing order without overlap "
                    f"(got {[list(band) for band in self.sidebands]})"
                )
        if not self.sidebands[0][0] < self.window_gev[0] < self.sidebands[-1][1]:
            raise ValueError(
                "sidebands_gev: one must lie below the window and one above "
                f"(got {[list(band) for band in self.sidebands]})"
            )
        return self

    @model_validator(mode="after")
    def _on_bin_edges(self) -> Self:
        for key, value in self._cuts():
            if not self._aligned(value, self.bins):
                fitting = (
                    n
                    for n in range(self.bins + 1, 20 * self.bins)
                    if all(self._aligned(v, n) for _, v in self._cuts())
                )
                hint = next((f"; bins: {n} would do" for n in fitting), "")
                raise ValueError(f"{key}: {value:g} GeV lies inside one of {self.bins} bins{hint}")
        return self

    def _cuts(self) -> list[tuple[str, float]]:
        bands = [("sidebands_gev", edge) for band in self.sidebands for edge in band]
        return [*(("window_gev", edge) for edge in self.window_gev), *bands]

    def _aligned(self, value: float, bins: int) -> bool:
        position = bins * (value - self.range_gev[0]) / (self.range_gev[1] - self.range_gev[0])
        return abs(position - round(position)) < 1e-6

    @property
    def sidebands(self) -> tuple[Range, ...]:
        """The fitted mass intervals in GeV; all of the range outside the window by default."""
        if self.sidebands_gev is not None:
            return self.sidebands_gev
        return (self.range_gev[0], self.window_gev[0]), (self.window_gev[1], self.range_gev[1])

    @property
    def to_gev(self) -> float:
        """Factor from the unit of the source to GeV."""
        return {"GeV": 1.0, "MeV": 1e-3, "TeV": 1e3}[self.unit]
