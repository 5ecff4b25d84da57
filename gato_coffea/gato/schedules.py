"""Schedules of temperature, steepness and learning rate. NumPy only.

`annealed` is the pure function; the documented schedulers write its value where a compiled
training step reads it.
"""

from __future__ import annotations

import logging
import math
from typing import Any, Literal

import numpy as np

from gato_coffea.errors import InputError
from gato_coffea.samples import FloatArray

Mode = Literal["exponential", "cosine"]

log = logging.getLogger(__name__)


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


class TemperatureScheduler:
    """Anneals the temperature of a model; call `update` once an epoch.

    Parameters
    ----------
    model
        Anything with an attribute ``temperature`` that can be set.
    t_initial, t_final
        Temperature at epoch 0, and from ``total_epochs`` on.
    total_epochs, mode
        As in `annealed`.
    verbose
        Whether every new value is logged.
    """

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
        annealed(0, t_initial, t_final, total=total_epochs, mode=mode)  # complains at once
        self.model = model
        self.t_initial = float(t_initial)
        self.t_final = float(t_final)
        self.total_epochs = total_epochs
        self.mode = mode
        self.verbose = verbose

    def _value(self, epoch: int, name: str) -> float:
        value = annealed(
            epoch, self.t_initial, self.t_final, total=self.total_epochs, mode=self.mode
        )
        if self.verbose:
            log.info("epoch %d: %s %.5g", epoch, name, value)
        return value

    def update(self, epoch: int) -> float:
        """Set the temperature for an epoch and return it."""
        value = self._value(epoch, "temperature")
        self.model.temperature = value
        return value


class SteepnessScheduler(TemperatureScheduler):
    """Anneals every ``var_cfg[j]["k"]`` of a sigmoid model; call `update` once an epoch.

    The arguments are those of `TemperatureScheduler`; a steepness usually rises.
    """

    def update(self, epoch: int) -> float:
        """Set the steepness of every variable for an epoch and return it."""
        value = self._value(epoch, "steepness")
        for variable in self.model.var_cfg:
            steepness = variable["k"]
            if isinstance(steepness, int | float):
                variable["k"] = value
            else:
                steepness.assign(value)
        return value


class LearningRateScheduler:
    """Anneals the learning rate of an optimiser; call `update` once an epoch.

    Parameters
    ----------
    optimizer
        A Keras optimiser.
    lr_initial, lr_final
        Learning rate at epoch 0, and from ``total_epochs`` on.
    total_epochs, mode
        As in `annealed`.
    verbose
        Whether every new value is logged.
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
        annealed(0, lr_initial, lr_final, total=total_epochs, mode=mode)  # complains at once
        self.optimizer = optimizer
        self.lr_initial = float(lr_initial)
        self.lr_final = float(lr_final)
        self.total_epochs = total_epochs
        self.mode = mode
        self.verbose = verbose

    def update(self, epoch: int) -> float:
        """Set the learning rate for an epoch and return it."""
        value = annealed(
            epoch, self.lr_initial, self.lr_final, total=self.total_epochs, mode=self.mode
        )
        self.optimizer.learning_rate = value
        if self.verbose:
            log.info("epoch %d: learning rate %.5g", epoch, value)
        return value
