"""The text of an analysis file: YAML without surprises, and what is wrong in the user's words."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"

PLAIN_WORDS = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "path_type": "must be a path",
    "mapping_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "none_required": "must be empty",
    "recursion_loop": "contains itself",
}
"""What pydantic finds, by its type of error, where the words need no number."""

NUMBER_WORDS = {
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "too_short": "needs at least {min_length}",
    "too_long": "takes at most {max_length}",
    "string_too_short": "needs at least {min_length} characters",
    "string_too_long": "takes at most {max_length} characters",
}
"""The same, with what pydantic says beside the type."""


def shown(value: object) -> str:
    """A value in a few words, however large or deep it is."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 3, 80, 80
    return short.repr(value)


class _DuplicateError(ValueError):
    """A key that stands twice in one mapping."""


class _NumberError(ValueError):
    """A number that YAML 1.1 reads as another than it seems."""


SURPRISING = re.compile(r"[-+]?(0[0-9]+|[^_:]*[_:].*)")
"""Numbers with a zero in front (octal), with ``_`` (left out) or with ``:`` (of base 60)."""


class _Loader(yaml.SafeLoader):
    """YAML without surprises: a key that stands twice is an error, and so is an odd number.

    The second of two keys would replace the first; ``010`` would be eight.
    """

    def plain_number(self, node: yaml.ScalarNode) -> int | float:
        if SURPRISING.fullmatch(node.value):
            raise _NumberError(
                f"line {node.start_mark.line + 1}: {node.value} is read as another number in "
                "YAML; write it with digits alone, or in quotes if it is text"
            )
        whole = node.tag.endswith("int")
        return self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in seen:
                raise _DuplicateError(
                    f"line {line}: key {key.value!r} stands twice, first in line {seen[name]}; "
                    "the second would replace the first"
                )
            seen[name] = line
        return node

    def flatten_mapping(self, node: Any) -> None:
        """Put merged keys (``<<``) in place, under those that the mapping says itself.

        PyYAML leaves both in the list, and takes the wrong one where such a mapping is merged
        once more.
        """
        super().flatten_mapping(node)
        last = {}
        for pair in node.value:
            scalar = isinstance(pair[0], yaml.ScalarNode)
            last[(pair[0].tag, pair[0].value) if scalar else id(pair[0])] = pair
        node.value = list(last.values())


for _tag in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.plain_number)


def read_yaml(text: str) -> Any:
    """Content of a YAML text.

    Raises
    ------
    ValueError
        In one line: if it is not valid, nested too deeply, or has a key twice in one place.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except (_DuplicateError, _NumberError):
        raise
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except yaml.YAMLError as error:
        raise ValueError(f"is not valid YAML ({' '.join(str(error).split())})") from None
    except (ValueError, TypeError, AttributeError, OverflowError, KeyError) as error:
        # what a tag such as !!int or !!timestamp makes of text that is none
        raise ValueError(f"is not valid YAML ({' '.join(str(error).split())})") from None


def problem_of(error: ValidationError, *, model: type[BaseModel], content: object) -> str:
    """The first thing that is wrong, as ``place: problem (got value)``.

    Parameters
    ----------
    error
        What pydantic says.
    model
        What the content should be.
    content
        The content, in which the place is looked for.
    """
    found = error.errors()
    unknown = [e for e in found if e["type"] == "extra_forbidden"]
    first: Any = (unknown or found)[0]  # a misspelt key explains the one that is missing
    place = ".".join(_place(first, content))
    if first["type"] == "extra_forbidden":
        return f"{place}: unknown key{_nearest(first, model)}"
    if first["type"] == "missing":
        if isinstance(first["loc"][-1], int):
            return f"{place}: needs {first['loc'][-1] + 1} values (got {shown(first['input'])})"
        return f"{place}: is missing"
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        key = first["ctx"]["discriminator"].strip("'")
        if first["type"] == "union_tag_not_found":
            return f"{place}.{key}: is missing"
        told, allowed = first["ctx"]["tag"], first["ctx"]["expected_tags"]
        return f"{place}.{key}: must be one of {allowed} (got {told!r})"
    if first["type"] == "value_error":
        message = first["msg"].removeprefix("Value error, ")
        return f"{place}: {message}" if place else message
    same = [e for e in found if _place(e, content) == _place(first, content)]
    told, *others = dict.fromkeys(map(_words, same))  # one for each kind that is allowed
    told += "".join(f", or {words.removeprefix('must be ')}" for words in others)
    return f"{place}: {told} (got {shown(first['input'])})"


def _place(detail: Any, content: Any) -> list[str]:
    """Keys that lead to the value; pydantic adds the names of types, which are no keys."""
    result, value = [], content
    for i, part in enumerate(detail["loc"]):
        last = i == len(detail["loc"]) - 1
        if _holds(value, part):
            value = value[part]
        elif not (last and detail["type"] == "missing" and isinstance(part, str)):
            continue
        result.append(str(part))
    return result


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, Mapping):
        return part in value
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return listed and isinstance(part, int) and part < len(value)


def _words(detail: Any) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "string_pattern_mismatch" and context.get("pattern") == NAME_PATTERN:
        return "must be made of letters, digits and _, and not begin with a digit"
    if kind in NUMBER_WORDS:
        words = NUMBER_WORDS[kind].format(**context)
        if kind in ("too_short", "too_long"):
            words += f" {'entry' if words.endswith(' 1') else 'entries'}"
        return words
    if kind == "string_type" and isinstance(detail["input"], int | float | bool):
        return "must be text, in quotes"
    return PLAIN_WORDS.get(kind, "cannot be this")


def _nearest(detail: Any, model: type[BaseModel]) -> str:
    section: Any = model
    for part in detail["loc"][:-1]:
        section = _step(section, part)
    if section is None:
        return ""
    fields = section.model_fields.items()
    allowed = [field.alias or key for key, field in fields if not field.exclude]
    close = difflib.get_close_matches(str(detail["loc"][-1]), allowed, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} (allowed: {', '.join(allowed)})"


def _step(section: Any, part: Any) -> Any:
    """Model class that a location part leads to; mappings and sequences lead to their items."""

    def models(annotation: object) -> list[Any]:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return [annotation]
        return [m for a in get_args(annotation) for m in models(a)]

    if section is None:
        return None
    fields = {field.alias or key: field for key, field in section.model_fields.items()}
    if part not in fields:
        return section
    found = models(fields[part].annotation)
    return found[0] if found else None
