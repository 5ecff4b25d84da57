"""Every setting of an optimisation: its default, limits, unit and meaning, said here alone.

The section ``optimise`` of an analysis file, the arguments of `gato_coffea.optimise`, the options
of ``gato-coffea optimise``, the keys of the stages and the key reference are made from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, Required, Self, TypedDict

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, model_validator

from gato_coffea.config.constraints import Constraints
from gato_coffea.config.fields import (
    Count,
    Flag,
    Number,
    Positive,
    Spoken,
    Whole,
    about,
    is_list,
)
from gato_coffea.config.text import shown

AUTO_COUNTS = (2, 3, 5, 8, 12, 20)
"""Numbers of categories that are tried where the number is to be found."""

DEFAULT_COUNT = 5
"""Number of categories where none is given: few enough to be fitted one by one."""

MAX_FOLDS = 20
"""Each fold is a training of its own; more of them change no held-out figure by its spread."""

MAX_RESTARTS = 100
"""The best of so many trainings is found among far fewer; each takes memory and time."""

MAX_EPOCHS = 100_000
"""A training has come to rest after some hundreds; more of them change nothing but the time."""

MIN_POINTS = 100
"""Fewer weighted points than this show no shape in a few dimensions."""

YARDSTICKS = (
    *("exact", "lloyd", "equidistant", "argmax equidistant", "argmax optimal", "50 categories"),
    *("TransfoD", "TransfoF", "signal quantiles", "held-out", "training"),
)
"""Names of figures that stand beside a result in any case."""

Combination = Literal["geometric", "quadrature", "sum", "determinant"]
Objective = Literal["significance", "precision", "limit"]
Others = Literal["fixed", "profiled"]
Method = Literal["gato", "exact", "lloyd"]
Kind = Literal["mixture", "edges"]


def _whole_numbers(value: Any) -> tuple[int, ...] | None:
    """Numbers above zero in a list, as a tuple; None where something else stands there."""
    if not is_list(value) or not value:
        return None
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in value)
    return tuple(value) if whole else None


def _counts(value: Any) -> Any:
    """Numbers of categories, each once; a single one stands for a list of it."""
    if isinstance(value, str) and value == "auto":
        return value
    found = _whole_numbers([value] if isinstance(value, int) else value)
    if found is None:
        raise ValueError(f"must be whole numbers above zero, or auto (got {shown(value)})")
    return tuple(dict.fromkeys(found))


def _bins(value: Any) -> Any:
    found = _whole_numbers(value)
    if value is not None and found is None:
        raise ValueError(f"must be whole numbers above zero (got {shown(value)})")
    return found


def _processes(value: Any) -> Any:
    if value is not None and not is_list(value):
        raise ValueError(f"must be a list of processes (got {shown(value)})")
    return value


def _increasing(value: tuple[float, ...]) -> tuple[float, ...]:
    if any(low >= high for low, high in pairwise(value)):
        raise ValueError(f"must be in increasing order (got {list(value)})")
    return value


Edges = Annotated[tuple[Number, ...], Field(min_length=1), AfterValidator(_increasing)]

Processes = Annotated[tuple[str, ...], BeforeValidator(_processes)]


class Settings(Spoken):
    """Every setting that the analysis file, Python and the command line share."""

    signals: Annotated[
        Processes,
        about("Processes that count as signal, each of its own.", example=["ggH"], min_length=1),
    ]
    backgrounds: Annotated[
        Processes | None,
        about(
            "Processes that count as background; without it, all that are neither signal nor "
            "data.",
            example=["continuum", "ttbar"],
        ),
    ] = None
    n_categories: Annotated[
        tuple[Count, ...] | Literal["auto"],
        BeforeValidator(
            _counts, json_schema_input_type=Count | tuple[Count, ...] | Literal["auto"]
        ),
        about(
            "Number of categories, or a list of numbers that are all tried; auto tries "
            f"{', '.join(map(str, AUTO_COUNTS))} and recommends the fewest whose held-out Z lies "
            "within one spread of the best.",
            example=[3, 5, 8],
        ),
    ] = (DEFAULT_COUNT,)
    combination: Annotated[
        Combination,
        about(
            "How the figures of several signals become one; determinant is that of the "
            "information on all their strengths, for a simultaneous measurement.",
            example="quadrature",
        ),
    ] = "geometric"
    objective: Annotated[
        Objective,
        about(
            "Figure of merit of each signal: discovery significance, precision (one over the "
            "uncertainty of its strength) or limit (one over the median expected upper limit), "
            "each with all systematic uncertainties profiled.",
            example="precision",
        ),
    ] = "significance"
    others: Annotated[
        Others,
        about(
            "Whether the strengths of the other signals are fixed at their expectation or "
            "profiled with the nuisance parameters.",
            example="profiled",
        ),
    ] = "fixed"
    method: Annotated[
        Method,
        about(
            "gato trains by gradient descent and needs TensorFlow; exact and lloyd partition a "
            "fine grid.",
            example="exact",
        ),
    ] = "gato"
    kind: Annotated[
        Kind,
        about(
            "What gato trains: a Gaussian mixture, or the edges of rectangular bins, up to "
            "n_categories of them. With edges, exact cuts one discriminant into bins, where else "
            "its categories are intervals of the ratio of signal to background.",
            example="edges",
        ),
    ] = "mixture"
    bins_per_discriminant: Annotated[
        tuple[Count, ...] | None,
        BeforeValidator(_bins, json_schema_input_type=tuple[Count, ...] | None),
        about(
            "Number of bins in each discriminant, for kind edges and method gato; then "
            "n_categories is their product.",
            example=[4, 4],
        ),
    ] = None
    constraints: Annotated[
        Constraints, about("What every category must satisfy.", example={"min_effective": 20})
    ] = Constraints()
    mc_uncertainty: Annotated[
        Flag,
        about(
            "Whether the significance counts the background's uncertainty from finite "
            "simulation, as exported models do. The figure without it stands beside it.",
            example=False,
        ),
    ] = True
    systematic: Annotated[
        Number,
        about(
            "Relative systematic uncertainty of the background of each category.",
            example=0.05,
            ge=0,
            lt=1,
        ),
    ] = 0.0
    restarts: Annotated[
        Whole, about("Independent trainings; the best is kept.", example=4, ge=1, le=MAX_RESTARTS)
    ] = 2
    folds: Annotated[
        Whole,
        about(
            "Parts of the events, each of which is held out once; with 1 there is no "
            "cross-validation, and Z is biased upwards.",
            example=10,
            ge=1,
            le=MAX_FOLDS,
        ),
    ] = 5
    epochs: Annotated[
        Whole, about("Largest number of epochs of a training.", example=400, ge=1, le=MAX_EPOCHS)
    ] = 250
    seed: Annotated[
        Whole, about("Seed of all random numbers: same seed, same result.", example=42, ge=0)
    ] = 0
    max_points: Annotated[
        Whole,
        about("Largest number of weighted points to train on.", example=8000, ge=MIN_POINTS),
    ] = 4_000
    smooth: Annotated[
        Flag,
        about(
            "Train on densities estimated from the events instead of on the events' own "
            "fluctuations. Yields and significances always come from the events.",
            example=False,
        ),
    ] = True

    yardsticks: Annotated[
        Mapping[str, Edges],
        about(
            "Edges of your own in the one discriminant, by names of yours, from low to high: what "
            "they reach stands beside every result. A value on an edge belongs above it; of "
            "histograms and cells, a bin belongs where its centre lies.",
            example={"today": [0.2, 0.5, 0.8]},
        ),
    ] = Field(default_factory=dict)

    round_to: Annotated[
        Positive | None,
        about(
            "Edges in the one discriminant are rounded to multiples of this, and a note says what "
            "that costs; for method exact or lloyd, or kind edges. Without it nothing is rounded.",
            example=0.01,
        ),
    ] = None

    @model_validator(mode="after")
    def _rectangles(self) -> Self:
        if self.round_to is not None and (self.method, self.kind) == ("gato", "mixture"):
            raise ValueError(
                "round_to needs kind: edges, or method: exact or lloyd (got mixture, gato)"
            )
        trained = self.kind == "edges" and self.method == "gato"
        if self.bins_per_discriminant is not None and not trained:
            raise ValueError(
                "bins_per_discriminant needs kind: edges and method: gato "
                f"(got {self.kind}, {self.method})"
            )
        return self

    @property
    def counts(self) -> tuple[int, ...]:
        """Numbers of categories that are asked for."""
        if self.bins_per_discriminant is not None:
            return (math.prod(self.bins_per_discriminant),)
        return AUTO_COUNTS if isinstance(self.n_categories, str) else self.n_categories

    def check_yardsticks(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        """Refuse edges that are none in the one discriminant.

        Parameters
        ----------
        ranges
            Lowest and highest value of each discriminant, by name.

        Raises
        ------
        ValueError
            With the yardstick, the edge, and the range that it must lie in.
        """
        for name, edges in self.yardsticks.items():
            if name in YARDSTICKS:
                raise ValueError(
                    f"yardsticks.{name}: is the name of another one; choose a name of your own"
                )
            if len(ranges) > 1:
                raise ValueError(
                    f"yardsticks.{name}: edges need one discriminant (got {', '.join(ranges)})"
                )
            ((feature, (low, high)),) = ranges.items()
            for edge in edges:
                if not low < edge < high:
                    raise ValueError(
                        f"yardsticks.{name}: must lie inside the range of {feature}, {low:g} to "
                        f"{high:g} (got {edge:g})"
                    )

    def arguments(self) -> dict[str, Any]:
        """The settings as arguments of `gato_coffea.optimise`, by name."""
        return {name: getattr(self, name) for name in Settings.model_fields}


class SettingArguments(TypedDict, total=False):
    """Types of the settings as arguments in Python, but for ``n_categories``.

    That one stands in the overloads of `gato_coffea.optimise`: it says how many results there are.
    """

    signals: Required[Sequence[str]]
    backgrounds: Sequence[str] | None
    combination: Combination
    objective: Objective
    others: Others
    method: Method
    kind: Kind
    bins_per_discriminant: Sequence[int] | None
    constraints: Constraints | None
    mc_uncertainty: bool
    systematic: float
    restarts: int
    folds: int
    epochs: int
    seed: int
    max_points: int
    smooth: bool
    yardsticks: Mapping[str, Sequence[float]]
    round_to: float | None


class Optimisation(Settings):
    """The section ``optimise``: the settings, and what an analysis file says beside them.

    With a mass section the significance is that of the signal window, as in the exported models.
    """

    use: Annotated[
        Whole | None,
        about(
            "Number of categories, as asked, that templates are made with. Without it the "
            "smallest whose held-out Z lies within one spread of the best.",
            example=5,
        ),
    ] = None
    extrapolate_from_sidebands: Annotated[
        Flag | None,
        Field(validation_alias=AliasChoices("extrapolate_from_sidebands", "mass_window")),
        about(
            "Whether the significance is that of the signal window, with the background "
            "extrapolated into it from the whole mass range; with a mass section it is, and "
            "false asks for the significance of the whole mass range.",
            example=False,
        ),
    ] = None
