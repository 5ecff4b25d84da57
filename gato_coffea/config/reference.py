"""Every key of the analysis file with its meaning, unit, allowed values, default and example."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from gato_coffea.config.analysis import Analysis
from gato_coffea.errors import ConfigError

ANY_NAME = "NAME"
"""Stands in a key for a name that the user chooses."""

BOUNDS = {"ge": "from {} on", "gt": "above {}", "le": "up to {}", "lt": "below {}"}
JSON_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}


FORMER_KEYS = (("Optimisation", "mass_window", "extrapolate_from_sidebands"),)
"""Section, key and its name today, of keys that keep working."""

UNDEFINED = BeforeValidator(str).json_schema_input_type
"""What a validator holds that names no type of its input."""

KINDS = {bool: "true or false", int: "whole number", float: "number"}


@dataclass(frozen=True)
class Key:
    """A key of the analysis file.

    Attributes
    ----------
    place
        Keys that lead to it, joined by dots; ``NAME`` is a name of the user's, ``[]`` an entry of
        a list.
    meaning, allowed, unit
        What it says, which values it takes, and their unit, or none.
    default
        Value without it, or None where it is needed.
    example
        A value, as it stands in an analysis file.
    """

    place: str
    meaning: str
    allowed: str
    unit: str | None
    default: str | None
    example: str

    def text(self) -> str:
        """Some lines about it."""
        kind = self.allowed + ("" if self.unit is None else f", in {self.unit}")
        state = "required" if self.default is None else f"default {self.default}"
        return f"{self.place}: {kind}; {state}\n    {self.meaning}\n    example: {self.example}"


def every_key(section: str | None = None) -> list[Key]:
    """The keys of the analysis file, or of one section with all that it holds.

    Parameters
    ----------
    section
        A key, such as ``mass`` or ``optimise.constraints``.

    Raises
    ------
    ConfigError
        If there is no such key.

    Examples
    --------
    >>> print(every_key("optimise.restarts")[0].text())
    optimise.restarts: whole number from 1 to 100; default 2
        Independent trainings; the best is kept.
        example: 4
    """
    found = list(_keys(Analysis, ""))
    if section is None:
        return found
    of = [key for key in found if f"{key.place.replace('[]', '')}.".startswith(f"{section}.")]
    if not of:
        places = [key.place.replace("[]", "") for key in found]
        close = difflib.get_close_matches(section, places, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "gato-coffea keys lists them all"
        raise ConfigError(f"keys: no such key (got {section!r}); {hint}")
    return of


def json_schema() -> dict[str, Any]:
    """JSON schema of the analysis file, for editors that complete and check YAML."""
    schema: dict[str, Any] = _with_bounds(Analysis.model_json_schema(by_alias=True))
    del schema["properties"]["directory"]
    for section, old, new in FORMER_KEYS:
        keys = schema["$defs"][section]["properties"]
        keys[old] = {**keys[new], "deprecated": True}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _with_bounds(value: object) -> Any:
    """Limits of numbers in JSON schema's words, where a check of pydantic's own hides them."""
    if isinstance(value, Mapping):
        return {JSON_BOUNDS.get(k, k): _with_bounds(v) for k, v in value.items()}
    return [_with_bounds(v) for v in value] if isinstance(value, list) else value


def _keys(model: type[BaseModel], place: str, kind: str = "") -> Iterator[Key]:
    """Keys of a section; of one of several kinds each with the kind."""
    kinds = get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()
    if len(kinds) == 1:
        kind = f" (kind {kinds[0]})"
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        own = f"{place}{field.alias or name}"
        extra = field.json_schema_extra
        unit = extra.get("unit") if isinstance(extra, Mapping) else None
        yield Key(
            own + kind,
            field.description or "",
            _allowed(field.annotation, field.metadata),
            None if unit is None else str(unit),
            _default(field),
            _shown((field.examples or [None])[0]),
        )
        for inner, between in _sections(field.annotation):
            yield from _keys(inner, f"{own}{between}.", kind)


def _default(field: FieldInfo) -> str | None:
    if field.is_required():
        return None
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "those of its keys"
    return "none" if value in (None, (), {}) else _shown(value)


def _shown(value: object) -> str:
    """A value as it stands in an analysis file, in one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _sections(annotation: object) -> list[tuple[type[BaseModel], str]]:
    """Sections that a value is made of, and what stands between its key and theirs."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [(annotation, "")]
    origin, parts = get_origin(annotation), get_args(annotation)
    between = f".{ANY_NAME}" if origin is Mapping else "[]" if origin is tuple else ""
    return [(model, between + b) for part in parts for model, b in _sections(part)]


def _allowed(annotation: Any, metadata: Any = ()) -> str:
    """Which values are allowed, in words."""
    short = [m.json_schema_input_type for m in metadata if isinstance(m, BeforeValidator)]
    if short and short[0] is not UNDEFINED:  # what stands for a list, and the list itself
        return _allowed(short[0], [m for m in metadata if not isinstance(m, BeforeValidator)])
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _allowed(parts[0], [*_flat(parts[1:]), *metadata])
    if origin is Literal:
        return " or ".join(map(str, parts))
    if origin is Mapping:
        return f"mapping of names to {_allowed(parts[1])}"
    if origin is tuple:
        if parts[-1] is Ellipsis:
            return f"list of {_allowed(parts[0])}"
        return f"list of {len(parts)}: {_allowed(parts[0])}"
    if parts:
        kinds = dict.fromkeys(_allowed(p, metadata) for p in parts if p is not NoneType)
        return " or ".join(kinds)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    bounds = _bounds(metadata) if annotation in (int, float) else ""
    return KINDS.get(annotation, "text") + bounds


def _flat(metadata: Any) -> Iterator[Any]:
    """Limits, also those that stand together in a field."""
    for entry in metadata:
        yield from entry.metadata if isinstance(entry, FieldInfo) else [entry]


def _bounds(metadata: Any) -> str:
    found = {
        name: getattr(entry, name)
        for entry in metadata
        for name in BOUNDS
        if getattr(entry, name, None) is not None
    }
    if found.keys() == {"ge", "le"}:
        return f" from {found['ge']:g} to {found['le']:g}"
    return "".join(
        f" {words.format(format(found[k], 'g'))}" for k, words in BOUNDS.items() if k in found
    )
