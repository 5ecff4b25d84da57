"""Schedules of temperature, steepness and learning rate. NumPy only.

`annealed` is the pure function; the documented schedulers write its value where a compiled
training step reads it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np

from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray

Mode = Literal["exponential", "cosine"]


def annealed(
    epoch: float, start: float, end: float, *, total: float, mode: Mode = "exponential"
) -> float:
    """Value of a schedule.

    Parameters
    ----------
    epoch
        Where on the schedule; before 0 it is ``start``, from ``total`` on exactly ``end``.
    start, end
        First and last value; both positive for ``exponential``.
    total
        Length of the schedule, positive.
    mode
        ``exponential``: ``start * (end / start)**(epoch / total)``. ``cosine``:
        ``end + (start - end) * (1 + cos(pi * epoch / total)) / 2``.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> annealed(50, 1.0, 0.01, total=100)
    0.1
    """
    if mode not in ("exponential", "cosine"):
        raise InputError(f"schedule: mode must be exponential or cosine (got {mode!r})")
    if not total > 0:
        raise InputError(f"schedule: total must be positive (got {total})")
    if mode == "exponential" and not (start > 0 and end > 0):
        raise InputError(f"schedule: exponential needs positive ends (got {start}, {end})")
    if epoch <= 0:
        return float(start)
    if epoch >= total:
        return float(end)
    if mode == "exponential":
        return start * math.pow(end / start, epoch / total)
    return end + 0.5 * (start - end) * (1.0 + math.cos(math.pi * epoch / total))


def schedule(n: int, start: float, end: float, *, mode: Mode = "exponential") -> FloatArray:
    """Values of ``n`` epochs, of which the last is exactly ``end``.

    >>> schedule(3, 4.0, 1.0)
    array([4., 2., 1.])
    """
    total = max(n - 1, 1)
    values = [annealed(epoch, start, end, total=total, mode=mode) for epoch in range(n)]
    return np.array([*values[:-1], float(end)] if n else [])


@dataclass(frozen=True)
class _Course:
    """What the schedulers share: the way of a quantity from epoch to epoch."""

    quantity: str
    start: float
    end: float
    total: int
    mode: Mode
    verbose: bool

    def __post_init__(self) -> None:
        self._at(0)  # complains at once

    def _at(self, epoch: int) -> float:
        return annealed(epoch, self.start, self.end, total=self.total, mode=self.mode)

    def value(self, epoch: int) -> float:
        value = self._at(epoch)
        if self.verbose:
            print(f"epoch {epoch}: {self.quantity} {value:.5g}")  # is what verbose means
        return value


def updated(current: Any, value: float) -> Any:
    """What replaces ``current``: the value, or itself with the value where it is a variable."""
    if isinstance(current, Real):
        return value
    current.assign(value)
    return current


class TemperatureScheduler:
    """Anneals the temperature of a model; call `update` once an epoch.

    Parameters
    ----------
    model
        Anything with a ``temperature``: a number that can be set, or a variable.
    t_initial, t_final
        Temperature at epoch 0, and from ``total_epochs`` on.
    total_epochs, mode
        Length of the schedule, and its form as in `annealed`.
    verbose
        Whether every new value is printed.

    Raises
    ------
    InputError
        If an argument is out of range.
    """

    quantity: ClassVar[str] = "temperature"

    def __init__(
        self,
        model: Any,
        t_initial: float = 1.0,
        t_final: float = 0.01,
        *,
        total_epochs: int = 100,
        mode: Mode = "exponential",
        verbose: bool = False,
    ) -> None:
        self.model = model
        self._course = _Course(self.quantity, t_initial, t_final, total_epochs, mode, verbose)

    def update(self, epoch: int) -> float:
        """Set the value of an epoch and return it."""
        value = self._course.value(epoch)
        self._put(value)
        return value

    def _put(self, value: float) -> None:
        self.model.temperature = updated(self.model.temperature, value)


class SteepnessScheduler(TemperatureScheduler):
    """Anneals every ``var_cfg[j]["k"]`` of a sigmoid model; call `update` once an epoch.

    The arguments are those of `TemperatureScheduler`; a steepness usually rises.
    """

    quantity = "steepness"

    def _put(self, value: float) -> None:
        for variable in self.model.var_cfg:
            variable["k"] = updated(variable["k"], value)


class LearningRateScheduler:
    """Anneals the learning rate of an optimiser; call `update` once an epoch.

    Parameters
    ----------
    optimizer
        A Keras optimiser.
    lr_initial, lr_final
        Learning rate at epoch 0, and from ``total_epochs`` on.
    total_epochs, mode, verbose
        As in `TemperatureScheduler`.

    Raises
    ------
    InputError
        If an argument is out of range.
    """

    def __init__(
        self,
        optimizer: Any,
        lr_initial: float = 0.5,
        lr_final: float = 0.001,
        *,
        total_epochs: int = 100,
        mode: Mode = "cosine",
        verbose: bool = False,
    ) -> None:
        self.optimizer = optimizer
        self._course = _Course("learning rate", lr_initial, lr_final, total_epochs, mode, verbose)

    def update(self, epoch: int) -> float:
        """Set the learning rate for an epoch and return it."""
        value = self._course.value(epoch)
        self.optimizer.learning_rate = value
        return value
