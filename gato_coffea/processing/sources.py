"""What is read of an event: the sources of its values, in one form whatever they are given as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from coffea.analysis_tools import PackedSelection, Weights

from gato_coffea.categories.axes import MASS
from gato_coffea.errors import ConfigError
from gato_coffea.processing.event_view import Quotient, Source
from gato_coffea.processing.layout import Layout

WEIGHT = "weight"
SCORE = "score"
"""What the one discriminant may be called in a variation, whatever its own name is."""

Product = Source | Sequence[Source] | Quotient
Change = Product | Mapping[str, Product]
"""A variation: the weight in place of the nominal one, or by name all values that differ."""


@dataclass(frozen=True, kw_only=True)
class Varied:
    """Sources that differ in a variation.

    Attributes
    ----------
    values
        Of discriminants by their names, and of the mass.
    weight
        The whole weight, or None where it is the nominal one.
    """

    values: Mapping[str, Source] = field(default_factory=dict)
    weight: list[Source] | Quotient | None = None


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Sources of everything that is read of the events of a chunk."""

    discriminants: Mapping[str, Source]
    mass: Source | None
    weight: list[Source]
    variations: Mapping[str, Varied]
    selection: Mapping[str, Source]

    @classmethod
    def of(
        cls,
        layout: Layout,
        *,
        discriminants: Mapping[str, Source] | None,
        mass: Source | None,
        weight: Source | Sequence[Source] | Weights,
        variations: Mapping[str, Change] | None,
        selection: Mapping[str, Source] | PackedSelection | None,
        data: bool,
        place: str,
        era: str | None = None,
    ) -> Self:
        """Sources as `gato_coffea.collect` is given them; data have weight one and no variations.

        Raises
        ------
        ConfigError
            If a variation changes what the layout does not have, or is given twice.
        """
        names = [f.name for f in layout.features]
        changes = {} if data else {**_coffea_variations(weight), **(variations or {})}
        if isinstance(weight, Weights):
            twice = sorted(set(_coffea_variations(weight)) & set(variations or {}))
            if twice and not data:
                raise ConfigError(
                    f"{place}: collect: variation {twice[0]!r} is in variations and in the "
                    "coffea Weights; give it once"
                )
        if layout.mass is not None and mass is None:
            mass = layout.mass.source
        return cls(
            discriminants={n: n for n in names} if discriminants is None else discriminants,
            mass=mass,
            weight=[1.0] if data else _nominal(weight),
            variations={
                layout.variation_label(name, era): _varied(
                    change, layout, place=f"{place}: variations.{name}"
                )
                for name, change in changes.items()
            },
            selection=_requirements(selection),
        )


def _nominal(weight: Source | Sequence[Source] | Weights) -> list[Source]:
    if isinstance(weight, Weights):
        found = weight.weight()
        return [1.0 if found is None else found]
    return listed(weight)


def _coffea_variations(weight: object) -> dict[str, Change]:
    """Variations that a coffea ``Weights`` holds beside its nominal product."""
    if not isinstance(weight, Weights):
        return {}
    return {str(name): weight.weight(name) for name in sorted(weight.variations)}


def _requirements(selection: Mapping[str, Source] | PackedSelection | None) -> dict[str, Source]:
    """Masks by name; of a coffea ``PackedSelection`` all that it holds, in its order."""
    if isinstance(selection, PackedSelection):
        return {name: selection.all(name) for name in selection.names}
    return dict(selection or {})


def _varied(change: Change, layout: Layout, *, place: str) -> Varied:
    if not isinstance(change, Mapping):
        return Varied(weight=product(change))
    names = [f.name for f in layout.features]
    own = dict(change)
    if SCORE in own and SCORE not in names and len(names) == 1:
        own[names[0]] = own.pop(SCORE)
    weight = own.pop(WEIGHT, None)
    allowed = [*names, *([MASS] if layout.mass is not None else []), WEIGHT]
    for name, source in own.items():
        if name not in allowed:
            raise ConfigError(
                f"{place}: cannot change {name!r} (allowed: {', '.join(allowed)}, as the layout "
                "has them)"
            )
        if isinstance(source, (list, tuple, Quotient)):
            raise ConfigError(f"{place}.{name}: must be one source (got {source!r})")
    if not change:
        raise ConfigError(f"{place}: changes nothing (allowed: {', '.join(allowed)})")
    values: Mapping[str, Any] = own
    return Varied(values=values, weight=None if weight is None else product(weight))


def listed(value: Any) -> list[Source]:
    """The factors of a product, which may be one."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def product(value: Any) -> list[Source] | Quotient:
    """The factors of a product, or of a quotient of products."""
    return value if isinstance(value, Quotient) else listed(value)
