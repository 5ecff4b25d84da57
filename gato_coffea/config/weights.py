"""The section ``weight``: the event weight and its variations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from gato_coffea.config.fields import Flag, Name, OneOrMore, Section, about


class Variation(Section):
    """What a variation does to the nominal weight: sources that replace it, or that multiply it.

    With ``normalise`` the sum of generator weights is taken with the variation too, so that what
    is generated keeps its cross section: for the variations of scales and PDFs.
    """

    replace: Annotated[
        OneOrMore | None,
        about("Sources whose product replaces the nominal weight.", example=["genWeight", "puUp"]),
    ] = None
    multiply: Annotated[
        OneOrMore | None,
        about("Sources that multiply the nominal weight.", example="btagUp"),
    ] = None
    normalise: Annotated[
        Flag,
        about(
            "Whether the sum of generator weights is taken with the variation too, so that what "
            "is generated keeps its cross section: for scales and PDFs.",
            example=True,
        ),
    ] = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.replace is None) == (self.multiply is None):
            raise ValueError("give exactly one of replace, multiply")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that it names."""
        return self.multiply or self.replace or ()


def _replacing(value: object) -> Any:
    """Sources alone replace the nominal product."""
    return {"replace": value} if isinstance(value, str | list | tuple) else value


Varied = Annotated[
    Variation,
    BeforeValidator(_replacing, json_schema_input_type=str | tuple[str, ...] | Variation),
]


class Factors(NamedTuple):
    """Sources whose product a weight is, and sources that it is divided by."""

    multiplied: tuple[str, ...]
    divided: tuple[str, ...] = ()


class Weight(Section):
    """The event weight: a product of sources, and its variations by name.

    A plain list of sources replaces the nominal product.
    """

    nominal: Annotated[
        OneOrMore,
        about(
            "Sources whose product is the weight of a simulated event: branches, or py:NAME.",
            example=["genWeight", "pileup"],
        ),
    ] = ()
    variations: Annotated[
        Mapping[Name, Varied],
        about(
            "Weights of systematic variations by name, which end in Up and Down.",
            example={"pileupUp": ["genWeight", "puUp"], "pileupDown": ["genWeight", "puDown"]},
        ),
    ] = Field(default_factory=dict)

    @field_validator("variations")
    @classmethod
    def _up_down(cls, value: Mapping[str, Variation]) -> Mapping[str, Variation]:
        for name in value:
            if not name.endswith(("Up", "Down")):
                raise ValueError(f"{name!r} must end in Up or Down, as in pileupUp")
        return value

    def change(self, found: Variation) -> Factors:
        """What the nominal weight is multiplied with, and divided by, for a variation."""
        if found.multiply is not None:
            return Factors(found.multiply)
        return Factors(*_cancelled(found.sources, self.nominal))

    def varied(self, found: Variation, own: tuple[str, ...] | None) -> Factors:
        """The whole weight for a variation, in a dataset with a weight of its ``own`` or without.

        What a variation changes of the nominal product it changes of a dataset's own weight.
        """
        if own is None and found.replace is not None:
            return Factors(found.replace)
        change = self.change(found)
        kept, divided = _cancelled(self.nominal if own is None else own, change.divided)
        return Factors((*kept, *change.multiplied), divided)


def _cancelled(
    above: tuple[str, ...], below: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A fraction of sources without those that stand on both sides.

    >>> _cancelled(("w", "pileup_up"), ("w", "pileup"))
    (('pileup_up',), ('pileup',))
    """
    kept, left = [], list(below)
    for source in above:
        if source in left:
            left.remove(source)
        else:
            kept.append(source)
    return tuple(kept), tuple(left)
