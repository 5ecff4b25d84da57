"""The section ``systematics``: what is uncertain beside the numbers of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from gato_coffea.config.fields import Name, OneOrMore, Positive, Section, about
from gato_coffea.config.weights import Variation, Varied

UP, DOWN = "Up", "Down"
SCORE, MASS, WEIGHT = "score", "mass", "weight"
"""What a shape changes beside the discriminants by their own names; ``score`` is the only one."""


def _every(value: object) -> Any:
    """The word all stands for no limit, and a year may be written without quotes."""
    if value == "all":
        return None
    listed = value if isinstance(value, list | tuple) else [value]
    if not listed:
        raise ValueError(
            "is empty, so that it acts on nothing (got []; allowed: one name or more)"
        )
    years = [str(v) if type(v) is int else v for v in listed]
    return years if value is not None else None


Which = Annotated[
    OneOrMore | None, BeforeValidator(_every, json_schema_input_type=str | tuple[str, ...] | None)
]


class _Uncertainty(Section):
    """What all kinds of uncertainty may say: where they act."""

    processes: Annotated[
        Which, about("Processes that it acts on; without it all.", example=["ttbar"])
    ] = None
    eras: Annotated[Which, about("Eras that it acts in; without it all.", example=["2022"])] = None
    channels: Annotated[
        Which, about("Channels that it acts in; without it all.", example=["boosted"])
    ] = None


class NormUncertainty(_Uncertainty):
    """A log-normal uncertainty of normalisations: ``value``, or ``up`` and ``down``."""

    kind: Annotated[Literal["norm"], about("A normalisation.", example="norm")]
    value: Annotated[
        Positive | None,
        about("Factor at one standard deviation; at minus one its inverse.", example=1.016),
    ] = None
    up: Annotated[Positive | None, about("Factor at plus one deviation.", example=1.3)] = None
    down: Annotated[Positive | None, about("Factor at minus one deviation.", example=0.8)] = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.up is None) != (self.down is None) or (self.value is None) == (self.up is None):
            raise ValueError("give either value, or up and down")
        return self

    @property
    def factors(self) -> tuple[float, float]:
        """Factors at plus and at minus one standard deviation."""
        if self.value is not None:
            return self.value, 1.0 / self.value
        assert self.up is not None
        assert self.down is not None
        return self.up, self.down


class FreeUncertainty(_Uncertainty):
    """A normalisation without prior, which the events must measure.

    In the optimisation of a channel its categories alone do; in the models of the exports those
    of all channels and the control regions.
    """

    kind: Annotated[
        Literal["free"],
        about(
            "A normalisation without prior: the optimisation of a channel does not know what "
            "control regions measure of it; the models of the exports do.",
            example="free",
        ),
    ]

    @model_validator(mode="after")
    def _of_some(self) -> Self:
        if self.processes is None:
            raise ValueError("kind free needs processes; the data cannot measure all of them")
        if self.eras is not None:
            raise ValueError(
                "kind free acts in all eras: categories are shared by them; give the processes of "
                "an era a name of their own"
            )
        return self


class _Varied(_Uncertainty):
    """What uncertainties have whose events vary."""

    correlate: Annotated[
        Literal["eras"] | None,
        about(
            "eras: one nuisance parameter for all eras; without it each era has its own.",
            example="eras",
        ),
    ] = None


class WeightUncertainty(_Varied):
    """Other weights of the same events."""

    kind: Annotated[Literal["weight"], about("Other weights.", example="weight")]
    up: Annotated[
        Varied,
        about("Weight at plus one deviation: replaced, or multiplied.", example={"multiply": "u"}),
    ]
    down: Annotated[Varied, about("Weight at minus one deviation.", example={"multiply": "d"})]


def _listed(value: object) -> Any:
    """One source of a discriminant or the mass is one; a weight may be a product."""
    if not isinstance(value, Mapping):
        return value
    return {k: [v] if isinstance(v, str) else v for k, v in value.items()}


Change = Annotated[
    Mapping[Name, tuple[str, ...]],
    BeforeValidator(_listed, json_schema_input_type=Mapping[Name, str | tuple[str, ...]]),
    Field(min_length=1),
]


class ShapeUncertainty(_Varied):
    """Other values of the discriminants or the mass, so that events move between categories."""

    kind: Annotated[Literal["shape"], about("Other scores or masses.", example="shape")]
    up: Annotated[
        Change,
        about(
            "What differs at plus one deviation: discriminants by name (score if there is one), "
            "mass, and the whole weight.",
            example={"score": "py:score_jes_up", "mass": "mass_jes_up"},
        ),
    ]
    down: Annotated[Change, about("The same at minus one deviation.", example={"score": "s_down"})]

    @field_validator("up", "down")
    @classmethod
    def _single(cls, value: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        for key, sources in value.items():
            if key != WEIGHT and len(sources) != 1:
                raise ValueError(f"{key}: must be one source (got {list(sources)})")
        return value


Systematic = Annotated[
    NormUncertainty | FreeUncertainty | WeightUncertainty | ShapeUncertainty,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, kw_only=True)
class EventVariation:
    """What one variation changes of an event, and in which datasets.

    Attributes
    ----------
    key
        Where the analysis file says it.
    values
        Sources of discriminants by name, and of the mass.
    weight
        What it does to the weight, or None.
    factor
        What it multiplies the weight with besides.
    processes, eras
        What it acts on; None for all.
    by_era
        Whether each era has its own, which is the nominal in all others.
    """

    key: str
    values: Mapping[str, str] = field(default_factory=dict)
    weight: Variation | None = None
    factor: float = 1.0
    processes: tuple[str, ...] | None = None
    eras: tuple[str, ...] | None = None
    by_era: bool = False

    def acts_on(self, process: str, era: str | None) -> bool:
        """Whether it varies the events of a process in an era."""
        here = self.processes is None or process in self.processes
        return here and (self.eras is None or era in self.eras)

    def label(self, name: str, era: str | None) -> str:
        """What the variation ``name`` is called for the events of an era: jes_2022Up for jesUp."""
        if era is None or not self.by_era:
            return name
        ending = UP if name.endswith(UP) else DOWN
        return f"{name.removesuffix(ending)}_{era}{ending}"

    def sources(self) -> dict[str, str]:
        """Every source that it names, by its key in the analysis file."""
        found = {f"{self.key}.{name}": source for name, source in self.values.items()}
        if self.weight is not None:
            named = enumerate(self.weight.sources)
            found |= {f"{self.key}[{i}]": source for i, source in named}
        return found


def event_variations(
    systematics: Mapping[str, Systematic], *, discriminants: Sequence[str]
) -> dict[str, EventVariation]:
    """Variations of events by name, as in jesUp and jesDown.

    A normalisation of some eras is one of the weights there: the categories hold events of all.
    """
    result = {}
    for name, systematic in systematics.items():
        if isinstance(systematic, NormUncertainty) and systematic.eras is not None:
            for factor, ending in zip(systematic.factors, (UP, DOWN), strict=True):
                result[name + ending] = EventVariation(
                    key=f"systematics.{name}",
                    factor=factor,
                    processes=systematic.processes,
                    eras=systematic.eras,
                )
        if not isinstance(systematic, WeightUncertainty | ShapeUncertainty):
            continue
        for key, ending in (("up", UP), ("down", DOWN)):
            side: Variation | Mapping[str, tuple[str, ...]] = getattr(systematic, key)
            values, weight = {}, None
            if isinstance(side, Variation):
                weight = side
            else:
                named = {own_name(k, discriminants): v for k, v in side.items()}
                values = {k: sources[0] for k, sources in named.items() if k != WEIGHT}
                weight = Variation(replace=named[WEIGHT]) if WEIGHT in named else None
            result[name + ending] = EventVariation(
                key=f"systematics.{name}.{key}",
                values=values,
                weight=weight,
                processes=systematic.processes,
                eras=systematic.eras,
                by_era=systematic.correlate != "eras",
            )
    return result


def own_name(key: str, discriminants: Sequence[str]) -> str:
    """The name of what a key of a shape changes: ``score`` is the only discriminant there is."""
    only = len(discriminants) == 1 and key == SCORE
    return discriminants[0] if only else key


def check_systematics(
    systematics: Mapping[str, Systematic],
    *,
    known: Mapping[str, Sequence[str]],
    discriminants: Sequence[str] | None,
    mass: bool,
) -> None:
    """Refuse uncertainties of what the analysis does not have.

    Parameters
    ----------
    systematics
        The section.
    known
        The processes, eras and channels that there are, by the name of the key.
    discriminants
        Names of the discriminants that shapes may change; None where that is not to be checked.
    mass
        Whether there is a mass section.

    Raises
    ------
    ValueError
        With the key, what stands there and what is allowed.
    """
    allowed = [*(discriminants or ()), *([MASS] if mass else []), WEIGHT]
    for name, systematic in systematics.items():
        if name.endswith((UP, DOWN)):
            raise ValueError(
                f"systematics.{name}: is the name of the uncertainty, without Up or Down, which "
                "its variations end in"
            )
        for key, labels in known.items():
            for label in getattr(systematic, key) or ():
                if label not in labels:
                    raise ValueError(
                        f"systematics.{name}.{key}: is not there (got {label!r}; allowed: "
                        f"{', '.join(labels) or 'none, the analysis has no ' + key})"
                    )
        if discriminants is not None and isinstance(systematic, ShapeUncertainty):
            for side in ("up", "down"):
                changed = [own_name(key, discriminants) for key in getattr(systematic, side)]
                unknown = [key for key in changed if key not in allowed]
                if unknown or changed == [WEIGHT]:
                    raise ValueError(
                        f"systematics.{name}.{side}: a shape changes discriminants or the mass "
                        f"(got {', '.join(unknown or changed)}; allowed: {', '.join(allowed)})"
                    )
