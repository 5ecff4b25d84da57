"""The settings of an optimisation as options of the command line, made from `Settings`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gato_coffea.config.settings import Settings

HISTOGRAMS = "With --from-histograms"
"""Panel of the options that an analysis file replaces."""

NAMES = {
    "signals": ("--signal",),
    "backgrounds": ("--background",),
    "n_categories": ("--n-categories", "-k"),
    "mc_uncertainty": ("--mc-uncertainty/--statistics-only",),
}
"""Options that are called otherwise than their setting."""

FILE_ONLY = {
    "per_process": "a mapping by process, which no option can hold",
    "yardsticks": "a mapping by name, which no option can hold",
    "round_to": "edges of histograms lie on their bins",
    "max_points": "the points of histograms are their bins",
}
"""Settings that are said in an analysis file or in Python only, and why."""

Function = TypeVar("Function", bound=Callable[..., Any])


def _fields(model: type[BaseModel] = Settings) -> Iterator[tuple[str, FieldInfo]]:
    """Every setting that has an option; of a section its keys."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation)
        elif name not in FILE_ONLY:
            yield name, field


def _kinds(annotation: Any) -> list[Any]:
    """The kinds of values that are allowed, without None."""
    parts = get_args(annotation) if get_origin(annotation) not in (tuple, Literal) else ()
    if get_origin(annotation) is Annotated:
        return _kinds(parts[0])
    found = [k for part in parts for k in _kinds(part)] or [annotation]
    return [kind for kind in found if kind is not NoneType]


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    """The option of a setting, with its kind, help and default."""
    first, *others = _kinds(field.annotation)
    listed, default = get_origin(first) is tuple, field.get_default(call_default_factory=True)
    flag = f"--{name.replace('_', '-')}"
    more: dict[str, Any] = {}
    kind: Any = first
    if get_origin(first) is Literal:
        kind, more["metavar"] = str, "|".join(get_args(first))
    elif listed:
        (item,) = _kinds(get_args(first)[0])
        kind = list[str] if others else list[item]  # type: ignore[valid-type]
        more["metavar"] = "NAME" if item is str else "N"
    elif first is bool:
        flag += f"/--no-{name.replace('_', '-')}"
    if listed or default is None:
        kind = kind | None
    if listed and default not in (None, ()) and not field.is_required():
        more["show_default"] = ", ".join(map(str, default))
    told = f"{field.description} {'Repeatable.' if listed else ''}".strip()
    option = typer.Option(*NAMES.get(name, (flag,)), help=told, rich_help_panel=HISTOGRAMS, **more)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None if listed else default,
        annotation=Annotated[kind, option],
    )


def with_setting_options(function: Function) -> Function:
    """Give a command every setting as an option, in place of its ``**settings``."""
    own = inspect.signature(function)
    known = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [_option(*field) for field in _fields()]
    hints = get_type_hints(function, include_extras=True)
    hints = {p.name: hints[p.name] for p in known} | {p.name: p.annotation for p in options}
    function.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[p.replace(annotation=hints[p.name]) for p in (*known, *options)]
    )
    function.__annotations__ = hints
    return function


def settings_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Settings from the values of options; those that were not given are left out.

    Examples
    --------
    >>> settings_of({"signals": ["ggH"], "n_categories": ["3", "5"], "min_effective": 20.0})
    {'signals': ['ggH'], 'n_categories': [3, 5], 'constraints': {'min_effective': 20.0}}
    """
    found: dict[str, Any] = {}
    for name, value in options.items():
        if value is None or value == []:
            continue
        if name in Settings.model_fields:
            found[name] = _counts(value) if name == "n_categories" else value
        else:
            found.setdefault("constraints", {})[name] = value
    return found


def _counts(words: list[str]) -> Any:
    """Numbers of categories from words, or the one word auto; other words stay what they are."""
    if words == ["auto"]:
        return "auto"
    return [int(word) if word.isdecimal() else word for word in words]
