"""What may be asked of an optimisation; everything else is refused before it begins."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gato_coffea.categories.axes import named_data
from gato_coffea.errors import InputError, OptimisationError, require
from gato_coffea.events.samples import Feature, Sample
from gato_coffea.optimisation.choice import AUTO_COUNTS
from gato_coffea.optimisation.window import Window

log = logging.getLogger(__name__)


def check_choice(key: str, value: Any, allowed: Sequence[str]) -> None:
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


def check_whole(key: str, value: Any, *, least: int, most: int | None = None) -> None:
    """Refuse what is not a whole number, too small, or too large where there is a largest one.

    Raises
    ------
    OptimisationError
        With the numbers that are allowed.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        allowed = f"{least} on" if most is None else f"{least} to {most}"
        raise OptimisationError(f"{key}: must be a whole number from {allowed} (got {value!r})")


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


def check_fraction(key: str, value: Any) -> None:
    """Refuse what is no number between zero, included, and one.

    Raises
    ------
    OptimisationError
        With the value.
    """
    if not _is_number(value) or not 0 <= value < 1:
        raise OptimisationError(f"{key}: must be at least 0 and below 1 (got {value!r})")


def _is_number(value: Any) -> bool:
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


def checked_counts(asked: Any) -> tuple[int, ...]:
    """Numbers of categories, each once.

    Raises
    ------
    OptimisationError
        If they are not whole numbers above zero.
    """
    if isinstance(asked, str):
        found: Any = AUTO_COUNTS if asked == "auto" else ()
    else:
        each = asked if isinstance(asked, Sequence | np.ndarray) else [asked]
        found = [n.item() if isinstance(n, np.integer) else n for n in each]
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in found)
    if not found or not whole:
        raise OptimisationError(
            f"n_categories: must be whole numbers above zero, or auto (got {asked!r})"
        )
    return tuple(dict.fromkeys(found))


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


def checked_bins(bins: Sequence[int] | None, *, kind: str, method: str) -> tuple[int, ...] | None:
    """Number of bins in each discriminant, where they are given.

    Raises
    ------
    OptimisationError
        If they are not whole numbers above zero, or nothing rectangular is trained.
    """
    if bins is None:
        return None
    if kind != "edges" or method != "gato":
        raise OptimisationError(
            f"bins_per_discriminant: needs kind edges and method gato (got {kind}, {method})"
        )
    listed = isinstance(bins, Sequence) and not isinstance(bins, str | bytes | bytearray)
    whole = listed and all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in bins)
    if not whole or not bins:
        raise OptimisationError(
            f"bins_per_discriminant: must be whole numbers above zero (got {bins!r})"
        )
    return tuple(bins)


def _is_data(name: str, value: Any) -> bool:
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
    samples: Mapping[str, Any], signals: Sequence[str], backgrounds: Sequence[str] | None
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


def listed_features(features: Any) -> tuple[Feature, ...]:
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
