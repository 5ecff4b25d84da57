"""The key ``optimise.constraints``: what every category must satisfy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from gato_coffea.config.fields import NotNegative, Number, Positive, Spoken, about


class ProcessConstraints(Spoken):
    """What every category must hold of one background process."""

    min_effective: Annotated[
        NotNegative | None,
        about(
            "Effective entries (square of the sum of weights over the sum of their squares) of "
            "this process that every category must hold. Without it min_effective_per_process.",
            example=5,
        ),
    ] = None
    min_yield: Annotated[
        NotNegative | None,
        about(
            "Yield of this process that every category must hold, at all masses; 0 refuses "
            "negative ones. Without it there is no limit.",
            example=0,
            unit="events",
        ),
    ] = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.min_effective is None and self.min_yield is None:
            raise ValueError("give min_effective, min_yield or both")
        return self


class Constraints(Spoken):
    """What every category must satisfy, exactly, in the result.

    Of the total background ``min_effective`` effective entries, ``min_background`` yield, and at
    most ``max_rel_unc`` relative uncertainty; of single backgrounds what ``per_process`` says. A
    background that it does not name needs ``min_effective_per_process``, if it has at least the
    share ``exempt_below`` of the background and events so heavy that one more of them in the
    category would break ``min_effective``.
    """

    min_effective: Annotated[
        NotNegative,
        about("Effective background entries that every category must hold.", example=20),
    ] = 10.0
    min_background: Annotated[
        NotNegative,
        about("Background yield that every category must hold.", example=1.5, unit="events"),
    ] = 0.0
    max_rel_unc: Annotated[
        Positive | None,
        about(
            "Largest relative uncertainty of a category's background from finite simulation; 0.1 "
            "is 10 %. Without it there is no limit.",
            example=0.2,
        ),
    ] = None
    per_process: Annotated[
        Mapping[str, ProcessConstraints],
        about(
            "What every category must hold of single backgrounds, by process.",
            example={"ttbar": {"min_effective": 5}},
        ),
    ] = Field(default_factory=dict)
    min_effective_per_process: Annotated[
        NotNegative,
        about(
            "Effective entries of each background that per_process does not name, wherever one "
            "event more of it would break min_effective.",
            example=2,
        ),
    ] = 1.0
    exempt_below: Annotated[
        Number,
        about(
            "Share of the background below which a process is exempt from "
            "min_effective_per_process.",
            example=0.02,
            ge=0,
            le=1,
        ),
    ] = 0.05
