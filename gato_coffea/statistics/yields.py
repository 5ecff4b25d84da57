"""Yields of categories by process, with variations and the variance from finite simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import BoolArray, FloatArray


@dataclass(frozen=True, kw_only=True)
class BinnedYields:
    """Expected yields of all processes in all categories.

    A row is a process, or a process in one era. Leading axes, written ``...``, are sets of yields
    that are worked on together, as training sets and restarts.

    Attributes
    ----------
    processes
        Process of each row, ``C`` of them.
    signals
        Processes that are signals; all others are background.
    nominal
        Expected events, shape ``(..., C, K)``.
    sumw2
        Variance of the total background from finite simulation, shape ``(..., K)``; zero where
        it is not to count.
    variations
        Names of the variations, ``J`` of them.
    up, down
        Yields at plus and minus one standard deviation of each, shape ``(..., J, C, K)``.
    eras
        Era of each row, or None in all of them.
    channels
        Channel of each category, or None in all of them.
    """

    processes: tuple[str, ...]
    signals: tuple[str, ...]
    nominal: FloatArray
    sumw2: FloatArray
    variations: tuple[str, ...] = ()
    up: FloatArray | None = None
    down: FloatArray | None = None
    eras: tuple[str | None, ...] = ()
    channels: tuple[str | None, ...] = ()

    def __post_init__(self) -> None:
        nominal = np.asarray(self.nominal, dtype=np.float64)
        *batch, rows, n = nominal.shape
        if rows != len(self.processes):
            raise OptimisationError(
                f"yields: {len(self.processes)} processes need as many rows (got {rows})"
            )
        for signal in self.signals:
            if signal not in self.processes:
                raise OptimisationError(
                    f"yields: signal is not there (got {signal!r}; allowed: "
                    f"{', '.join(self.processes)})"
                )
        varied = (*batch, len(self.variations), rows, n)
        given = {"up": self.up, "down": self.down}
        arrays = {
            key: np.zeros(varied) if value is None else np.asarray(value, dtype=np.float64)
            for key, value in given.items()
        }
        arrays |= {"nominal": nominal, "sumw2": np.asarray(self.sumw2, dtype=np.float64)}
        shapes = {"up": varied, "down": varied, "nominal": nominal.shape, "sumw2": (*batch, n)}
        for key, array in arrays.items():
            if array.shape != shapes[key]:
                raise OptimisationError(
                    f"yields.{key}: must have shape {shapes[key]} (got {array.shape})"
                )
            if not np.isfinite(array).all():
                raise OptimisationError(f"yields.{key}: {self._not_finite(key, array)}")
            object.__setattr__(self, key, array)
        object.__setattr__(self, "eras", self.eras or (None,) * rows)
        object.__setattr__(self, "channels", self.channels or (None,) * n)

    def _not_finite(self, key: str, array: FloatArray) -> str:
        at = np.argwhere(~np.isfinite(array))[0]
        *before, category = at.tolist()
        process = "" if key == "sumw2" else f"process {self.processes[before[-1]]}, "
        name = f"variation {self.variations[before[-2]]}, " if key in ("up", "down") else ""
        return f"is not finite ({name}{process}category {category}: {array[tuple(at)]})"

    @property
    def n_categories(self) -> int:
        """Number of categories, of all channels together."""
        return int(self.nominal.shape[-1])

    @property
    def is_signal(self) -> BoolArray:
        """Whether each row is a signal."""
        return np.array([p in self.signals for p in self.processes], dtype=np.bool_)

    def rows_of(self, processes: Sequence[str]) -> BoolArray:
        """Whether each row belongs to one of the processes."""
        return np.array([p in processes for p in self.processes], dtype=np.bool_)

    def without(self, variations: Sequence[str]) -> Self:
        """The same yields with fewer variations."""
        assert self.up is not None
        assert self.down is not None
        kept = [j for j, name in enumerate(self.variations) if name not in variations]
        return replace(
            self,
            variations=tuple(self.variations[j] for j in kept),
            up=self.up[..., kept, :, :],
            down=self.down[..., kept, :, :],
        )
