"""What is uncertain beside the numbers of events: normalisations, with a prior or without.

Uncertainties that are given by other weights or other values of the discriminants ("weight" and
"shape") are variations of the yields, in `yields.BinnedYields`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import FloatArray

FREE_FACTOR = float(np.e)
"""Factor of a free normalisation at one unit of its parameter: exp(a) is positive for every a."""


@dataclass(frozen=True)
class Norm:
    """A log-normal uncertainty of normalisations.

    Parameters
    ----------
    name
        Name of the nuisance parameter.
    value
        Factor at plus one standard deviation; at minus one it is the inverse. Instead of it:
    up, down
        Both factors, where they are not the inverse of each other.
    processes, channels, eras
        What it acts on; None for all.

    Raises
    ------
    OptimisationError
        If a factor is missing, or is not a positive number, or it is to act on nothing.

    Examples
    --------
    >>> Norm("lumi", 1.016).factors
    (1.016, 0.984251968503937)
    """

    name: str
    value: float | None = None
    up: float | None = None
    down: float | None = None
    processes: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None
    eras: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for key in ("processes", "channels", "eras"):
            given = getattr(self, key)
            if given is not None:
                object.__setattr__(self, key, _names(given, f"systematics.{self.name}.{key}"))
        if (self.value is None) == (self.up is None and self.down is None):
            raise OptimisationError(
                f"systematics.{self.name}: give either value, or up and down (got value "
                f"{self.value}, up {self.up}, down {self.down})"
            )
        if self.value is None and (self.up is None or self.down is None):
            raise OptimisationError(
                f"systematics.{self.name}: up and down go together (got up {self.up}, down "
                f"{self.down})"
            )
        for key in ("value", "up", "down"):
            factor = getattr(self, key)
            number = isinstance(factor, Real) and not isinstance(factor, bool)
            if factor is not None and not (number and 0 < factor < np.inf):
                raise OptimisationError(
                    f"systematics.{self.name}.{key}: must be a positive factor, as 1.1 for 10 % "
                    f"(got {factor!r})"
                )

    @property
    def factors(self) -> tuple[float, float]:
        """Factors at plus and at minus one standard deviation."""
        if self.value is not None:
            return float(self.value), 1.0 / float(self.value)
        assert self.up is not None
        assert self.down is not None
        return float(self.up), float(self.down)

    @property
    def constrained(self) -> bool:
        """A log-normal parameter has a standard normal prior."""
        return True


@dataclass(frozen=True)
class Free:
    """A normalisation without prior, which the categories must measure.

    In `gato_coffea.optimise` they are the categories of these samples alone: it knows no control
    regions. The models of an analysis file with channels have these too.

    Parameters
    ----------
    name
        Name of the parameter.
    processes
        What it acts on.
    channels, eras
        Where it acts; None for everywhere.

    Raises
    ------
    OptimisationError
        If it is to act on nothing.
    """

    name: str
    processes: tuple[str, ...]
    channels: tuple[str, ...] | None = None
    eras: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for key in ("processes", "channels", "eras"):
            given = getattr(self, key)
            if given is not None:
                object.__setattr__(self, key, _names(given, f"systematics.{self.name}.{key}"))

    @property
    def factors(self) -> tuple[float, float]:
        """Factors at plus and at minus one unit of the parameter."""
        return FREE_FACTOR, 1.0 / FREE_FACTOR

    @property
    def constrained(self) -> bool:
        """There is no prior."""
        return False


Normalisation = Norm | Free


def _names(given: Sequence[str], place: str) -> tuple[str, ...]:
    if isinstance(given, str):
        raise OptimisationError(f"{place}: must be a list of names (got {given!r})")
    if not len(given):
        raise OptimisationError(
            f"{place}: is empty, so that it acts on nothing (got {given!r}; allowed: one name "
            "or more)"
        )
    return tuple(given)


def normalisation_factors(
    uncertainties: Sequence[Normalisation],
    *,
    processes: Sequence[str],
    eras: Sequence[str | None],
    channels: Sequence[str | None],
) -> tuple[FloatArray, FloatArray]:
    """Factors up and down on each row of yields in each category, shape ``(J, C, K)``.

    The last axis has length one where no uncertainty is limited to some channels.

    Parameters
    ----------
    uncertainties
        ``J`` of them.
    processes, eras
        Process and era of each row, ``C`` of them.
    channels
        Channel of each category, ``K`` of them.

    Raises
    ------
    OptimisationError
        If a name is used twice, or an uncertainty names a process, channel or era that is not
        there.
    """
    names = [u.name for u in uncertainties]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise OptimisationError(f"systematics.{twice}: is given twice; names must differ")
    present: dict[str, Sequence[str | None]] = {
        "processes": processes,
        "eras": eras,
        "channels": channels,
    }
    local = any(u.channels is not None for u in uncertainties)
    shape = (len(names), len(processes), len(channels) if local else 1)
    up, down = np.ones(shape), np.ones(shape)
    for j, uncertainty in enumerate(uncertainties):
        for key, known in present.items():
            for name in getattr(uncertainty, key) or ():
                if name not in known:
                    there = dict.fromkeys(k for k in known if k is not None)
                    allowed = ", ".join(there) or f"none, the samples have no {key}"
                    raise OptimisationError(
                        f"systematics.{uncertainty.name}.{key}: is not there (got {name!r}; "
                        f"allowed: {allowed})"
                    )
        rows = _among(processes, uncertainty.processes) & _among(eras, uncertainty.eras)
        columns = _among(channels, uncertainty.channels) if local else np.array([True])
        here = rows[:, None] & columns
        up[j][here], down[j][here] = uncertainty.factors
    return up, down


def _among(values: Sequence[str | None], wanted: Sequence[str] | None) -> np.ndarray:
    return np.array([wanted is None or value in wanted for value in values], dtype=np.bool_)
