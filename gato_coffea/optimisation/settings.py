"""What may be asked of an optimisation; everything else is refused before it begins."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_type_hints

import numpy as np
from pydantic import ValidationError

from gato_coffea.categories.axes import named_data
from gato_coffea.config.settings import Settings
from gato_coffea.config.text import problem_of
from gato_coffea.errors import InputError, OptimisationError, require
from gato_coffea.events.samples import Feature, Sample
from gato_coffea.optimisation.window import Window

log = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])


def checked_settings(given: Mapping[str, object]) -> Settings:
    """Settings from arguments, which may be NumPy's numbers and arrays.

    Raises
    ------
    OptimisationError
        With the first that is wrong, and what is allowed.
    """
    values = {name: _plain(value) for name, value in given.items()}
    if values.get("constraints") is None:
        values.pop("constraints", None)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise OptimisationError(problem_of(error, model=Settings, content=values)) from None


def _plain(value: object) -> Any:
    """Python's own numbers and lists where NumPy's are given."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: _plain(v) for name, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def check_yardsticks(settings: Settings, features: Sequence[Feature]) -> None:
    """Refuse edges of the user's own that are none in the one discriminant.

    Raises
    ------
    OptimisationError
        With the yardstick and what is allowed.
    """
    try:
        settings.check_yardsticks({f.name: (f.low, f.high) for f in features})
    except ValueError as error:
        raise OptimisationError(str(error)) from None


def with_settings(arguments: type) -> Callable[[Function], Function]:
    """Show every setting in a function's signature, where it has them as ``**settings``.

    Parameters
    ----------
    arguments
        A ``TypedDict`` with the types of the settings.
    """
    hints = get_type_hints(arguments)

    def decorate(function: Function) -> Function:
        own = inspect.signature(function)
        known = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        names = {p.name for p in known}
        further = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=own.empty if field.is_required() else field.get_default(),
                annotation=hints[name],
            )
            for name, field in Settings.model_fields.items()
            if name not in names
        ]
        function.__signature__ = own.replace(parameters=known + further)  # type: ignore[attr-defined]
        return function

    return decorate


def check_choice(key: str, value: object, allowed: Sequence[str]) -> None:
    """Refuse what is not one of the allowed words.

    Raises
    ------
    OptimisationError
        With the words that are allowed.
    """
    if value not in allowed:
        raise OptimisationError(f"{key}: unknown (got {value!r}; allowed {', '.join(allowed)})")


def check_method(method: str) -> None:
    """Check that what a method trains with is installed.

    Raises
    ------
    NotInstalledError
        If it is not.
    """
    if method == "gato":
        require("tensorflow", place="method: gato", otherwise="method: exact and lloyd need none")


def check_flags(**flags: Any) -> None:
    """Refuse what is neither true nor false.

    Raises
    ------
    OptimisationError
        With the first such value.
    """
    for key, value in flags.items():
        if not isinstance(value, bool | np.bool_):
            raise OptimisationError(f"{key}: must be True or False (got {value!r})")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def mass_window(
    window_gev: Sequence[float] | None, mass_range_gev: Sequence[float] | None
) -> Window | None:
    """The mass window inside its range; None where no mass is used.

    Raises
    ------
    InputError
        If only one of both is given, one is no pair of numbers, or the window does not lie inside
        the range.
    """
    if window_gev is None and mass_range_gev is None:
        return None
    if window_gev is None or mass_range_gev is None:
        raise InputError("window_gev and mass_range_gev: give both or none")
    for key, pair in (("window_gev", window_gev), ("mass_range_gev", mass_range_gev)):
        listed = isinstance(pair, Sequence | np.ndarray)
        if not listed or len(pair) != 2 or not all(map(_is_number, pair)):
            raise InputError(f"{key}: must be two masses in GeV (got {pair!r})")
    low, high = mass_range_gev
    first, last = window_gev
    if not low <= first < last <= high:
        raise InputError(
            f"window_gev: must be two increasing masses inside mass_range_gev, {low:g} to "
            f"{high:g} GeV (got {first:g} to {last:g})"
        )
    return Window(low, high, first, last)


def checked_resonant(
    resonant: Sequence[str], backgrounds: Sequence[str], window: Window | None
) -> tuple[str, ...]:
    """Backgrounds that peak in the signal window.

    Raises
    ------
    OptimisationError
        If a name is no background, there is no window, or no background is left for the
        continuum.
    """
    if isinstance(resonant, str):
        raise OptimisationError(f"resonant: must be a list of processes (got {resonant!r})")
    for name in resonant:
        if name not in backgrounds:
            raise OptimisationError(
                f"resonant: {name!r} is no background (allowed: {', '.join(backgrounds)})"
            )
    if resonant and window is None:
        raise OptimisationError(
            f"resonant: needs window_gev and mass_range_gev (got {', '.join(resonant)})"
        )
    if resonant and set(resonant) >= set(backgrounds):
        raise OptimisationError(
            f"resonant: one background must be left for the continuum (got {', '.join(resonant)})"
        )
    return tuple(dict.fromkeys(resonant))


def _is_data(name: str, value: object) -> bool:
    return (isinstance(value, Sample) and value.data) or named_data(name)


def _check_names(key: str, given: Any) -> None:
    listed = isinstance(given, Sequence) and not isinstance(given, str)
    if (
        not listed
        or not all(isinstance(n, str) for n in given)
        or (key == "signals" and not given)
    ):
        raise OptimisationError(f"{key}: must be a list of processes (got {given!r})")


def checked_backgrounds(
    samples: Mapping[str, object], signals: Sequence[str], backgrounds: Sequence[str] | None
) -> tuple[str, ...]:
    """Names of the backgrounds: those given, or all processes that are neither signal nor data.

    Data are samples that say so, and whatever else is called data, data_obs or the like.

    Raises
    ------
    OptimisationError
        If a name is no process, or one counts twice.
    """
    for key, given in (("signals", signals), ("backgrounds", backgrounds)):
        if given is not None or key == "signals":
            _check_names(key, given)
    others = tuple(name for name in samples if name not in signals)
    data = tuple(name for name in others if _is_data(name, samples[name]))
    if backgrounds is None:
        chosen = tuple(name for name in others if name not in data)
        if data:
            log.info("data, and no background unless named as one: %s", ", ".join(data))
    else:
        chosen = tuple(backgrounds)
    for key, names in (("signals", signals), ("backgrounds", chosen)):
        for name in names:
            if name not in samples:
                raise OptimisationError(
                    f"{key}: {name!r} is no process (allowed: {', '.join(samples)})"
                )
    if not chosen:
        told = ", ".join(data)
        hint = f" (data count only where backgrounds names them: {told})" if data else ""
        raise OptimisationError(f"backgrounds: no process is left as background{hint}")
    for key, names in (("signals", signals), ("backgrounds", chosen)):
        if len(set(names)) < len(names):
            raise OptimisationError(f"{key}: each process counts once (got {list(names)})")
    both = set(signals) & set(chosen)
    if both:
        raise OptimisationError(f"signals: {sorted(both)} is both signal and background")
    return chosen


def listed_features(features: object) -> tuple[Feature, ...]:
    """The features as a tuple.

    Raises
    ------
    InputError
        If they are no sequence of `Feature`.
    """
    if isinstance(features, str | Feature) or not isinstance(features, Iterable):
        raise InputError(
            f"features: must be a list of Feature(name, low, high, scale) (got {features!r})"
        )
    listed = tuple(features)
    for feature in listed:
        if not isinstance(feature, Feature):
            raise InputError(
                f"features: must be of kind Feature(name, low, high, scale) (got {feature!r})"
            )
    return listed
