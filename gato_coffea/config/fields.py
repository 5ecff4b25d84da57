"""What the keys of an analysis file are made of: kinds of values, and what is said of each key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    Strict,
    ValidationError,
)

from gato_coffea.config.text import NAME_PATTERN, problem_of
from gato_coffea.errors import ConfigError

MAX_NAME = 120
"""Results are called by these names, and a file's name takes 255 bytes at most."""

LARGEST_END = 1e100
"""Ends of ranges beyond this have differences, and squares of them, that are no numbers."""


def about(meaning: str, *, example: object = None, unit: str | None = None, **limits: Any) -> Any:
    """What is said of a key, and the limits of its value.

    Parameters
    ----------
    meaning
        One or two sentences, for the key reference, the help of an option and of `optimise`.
    example
        A value as it stands in an analysis file.
    unit
        Of a number; none for counts and ratios.
    limits
        As pydantic's ``Field`` takes them: ``ge``, ``lt``, ``min_length`` and others.
    """
    said: dict[str, JsonValue] = {} if unit is None else {"unit": unit}
    examples = None if example is None else [example]
    return Field(description=meaning, examples=examples, json_schema_extra=said, **limits)


def _no_truth(value: object) -> Any:
    """Refuse true and false, which would count as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number (got {str(value).lower()})")
    return value


def _in_a_list(value: object) -> Any:
    """One text stands for a list of it."""
    return [value] if isinstance(value, str) else value


Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=MAX_NAME)]
Number = Annotated[float, BeforeValidator(_no_truth), Field(allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_no_truth)]
Flag = Annotated[bool, Strict()]
"""True or false, and nothing that could be taken for it, as 1 or "yes"."""

Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Count = Annotated[Whole, Field(ge=1)]
Range = tuple[Number, Number]
OneOrMore = Annotated[
    tuple[str, ...],
    BeforeValidator(_in_a_list, json_schema_input_type=str | tuple[str, ...]),
]


class Section(BaseModel):
    """A part of the analysis file: frozen, without unknown keys, infinities or NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Spoken(Section):
    """A section that is made in Python too, where what is wrong is said in the same words."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            kind = type(self)
            told = problem_of(error, model=kind, content=values)
            raise ConfigError(f"{kind.__name__}: {told}") from None

    # inside an analysis file pydantic makes the section itself, and its place stands in the error
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


def increasing(value: Range) -> Range:
    """Refuse a range that is none, or one without squares.

    Raises
    ------
    ValueError
        With the ends.
    """
    largest = max(value, key=abs)
    if abs(largest) > LARGEST_END:
        raise ValueError(f"must lie within {LARGEST_END:g} of zero (got {largest:g})")
    if not value[0] < value[1]:
        raise ValueError(f"the lower end must be below the upper end (got {list(value)})")
    return value


def is_list(value: object) -> bool:
    """Whether a value is a list as YAML and Python write them; no text, set or mapping."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)
