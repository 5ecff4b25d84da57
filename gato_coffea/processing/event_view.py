"""Events of a chunk: how to read one number of each, and how to tell them apart."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from gato_coffea.errors import ConfigError, GatoError, InputError
from gato_coffea.events.samples import FloatArray, IntArray, event_fold, text_identity

BoolArray = npt.NDArray[np.bool_]
Source = str | float | Callable[[Any], Any] | npt.ArrayLike
"""A branch, a number for all events, a function of the selected events, or one value an event."""


@dataclass(frozen=True)
class Quotient:
    """A product of sources over another; where the upper one is zero, zero."""

    above: tuple[Source, ...]
    below: tuple[Source, ...]


EVENT_IDS = (
    ("run", "luminosityBlock", "event"),
    ("run", "lumi", "event"),
    ("runNumber", "eventNumber"),
    ("run", "event"),
)
"""Branches that identify an event, where the analysis names none."""

PARAMETERS = re.compile(r"\[?parameters=\{[^}]*\}\]?")
"""What awkward adds to a type and the user need not see."""


@dataclass(frozen=True)
class EventView:
    """Events that passed so far, and how to read one number of each."""

    events: Any
    kept: IntArray | None
    place: str

    @cached_property
    def selected(self) -> Any:
        """The events that passed, as functions of the user see them."""
        return self.events if self.kept is None else self.events[self.kept]

    @property
    def entries(self) -> IntArray:
        """Which of all events passed."""
        return np.arange(len(self.events)) if self.kept is None else self.kept

    def __len__(self) -> int:
        return len(self.events) if self.kept is None else len(self.kept)

    def where(self, mask: BoolArray) -> EventView:
        """Those of the events that a mask of shape ``(N,)`` picks."""
        if mask.all():
            return self
        kept = np.flatnonzero(mask) if self.kept is None else self.kept[mask]
        return EventView(self.events, kept, self.place)

    def values(self, source: Source, key: str) -> npt.NDArray[Any]:
        """One value an event, in the type that it was read in, shape ``(N,)``.

        A missing number is NaN; a missing truth is false.
        """
        if isinstance(source, (int, float)):
            return np.full(len(self), source)
        if callable(source):
            result = self._call(source, key)
            if isinstance(result, (int, float, np.generic)):
                return np.full(len(self), result)
            return self._flat(result, key, len(self))
        if isinstance(source, str):
            source = self._branch(source, key)
        full = self._flat(source, key, len(self.events))
        return full if self.kept is None else full[self.kept]

    def _call(self, function: Callable[[Any], Any], key: str) -> Any:
        try:
            return function(self.selected)
        except GatoError:
            raise
        except Exception as error:  # whatever the user's function raises is told as one line
            name = getattr(function, "__name__", "function")
            text = " ".join(str(error).split())[:300]
            raise ConfigError(
                f"{self.place}: {key}: {name}(events) failed ({type(error).__name__}: {text})"
            ) from error

    def _branch(self, name: str, key: str) -> Any:
        value = self.events
        for part in (name,) if name in self.events.fields else name.split("."):
            if part not in value.fields:
                close = difflib.get_close_matches(name, self.events.fields, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise InputError(f"{self.place}: {key}: branch {name!r} is missing{hint}")
            value = value[part]
        return value

    def _read(self, value: object, key: str) -> Any:
        """An array whose events are read from the file now, or one line about why they are not."""
        try:
            return ak.materialize(value)
        except Exception as error:  # each compression has an error of its own
            text = " ".join(str(error).split())[:200]
            raise InputError(
                f"{self.place}: {key}: events cannot be read from the file "
                f"({type(error).__name__}: {text})"
            ) from error

    def _flat(self, value: Any, key: str, length: int) -> npt.NDArray[Any]:
        kind = None
        if isinstance(value, ak.Array):
            value = self._read(value, key)
        try:
            if isinstance(value, ak.Array):
                kind = PARAMETERS.sub("", str(value.type.content))
                value = ak.to_numpy(value) if value.ndim == 1 else None
            array = None if value is None else np.ma.asarray(value)
        except (TypeError, ValueError):
            array = None
        if array is None or array.ndim != 1 or array.dtype.kind not in "buif":
            if kind is None:
                kind = f"{array.dtype}, shape {array.shape}" if array is not None else "no array"
            raise InputError(f"{self.place}: {key}: must be one number an event (got type {kind})")
        if len(array) != length:
            raise InputError(
                f"{self.place}: {key}: must have {length} values, one an event (got {len(array)})"
            )
        if np.ma.is_masked(array):
            if array.dtype.kind == "b":
                return np.ma.filled(array, False)
            return np.ma.filled(array.astype(np.float64), np.nan)
        return np.asarray(array)

    def numbers(self, source: Source, key: str) -> FloatArray:
        """One float64 an event, shape ``(N,)``, not to be written to; a missing value is NaN."""
        return self.values(source, key).astype(np.float64, copy=False)

    def product(self, sources: Sequence[Source] | Quotient, key: str) -> FloatArray:
        """Product of sources, shape ``(N,)``; one where there are none."""
        if isinstance(sources, Quotient):
            above, below = self.product(sources.above, key), self.product(sources.below, key)
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.where(above == 0, 0.0, above / below)
        result = np.ones(len(self))
        for i, source in enumerate(sources):
            result *= self._known(source, f"{key}[{i}]")
        return result

    def _known(self, source: Source, key: str) -> FloatArray:
        """One number an event; branches and functions are read once for all weights."""
        if not (isinstance(source, str) or callable(source)):
            return self.numbers(source, key)
        name = source if isinstance(source, str) else id(source)
        if name not in self._numbers:
            self._numbers[name] = self.numbers(source, key)
        return self._numbers[name]

    @cached_property
    def _numbers(self) -> dict[str | int, FloatArray]:
        return {}


def id_branches(events: Any, event_id: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Branches that identify an event: those named, else the usual ones; None without any."""
    if event_id is not None:
        return event_id
    fields = set(events.fields)
    return next((ids for ids in EVENT_IDS if fields.issuperset(ids)), None)


@dataclass(frozen=True, kw_only=True)
class ChunkIdentity:
    """Which events these are."""

    dataset: str
    filename: str
    start: int
    is_data: bool | None = None
    era: str | None = None

    @classmethod
    def of(cls, events: object, dataset: str | None, process: str) -> ChunkIdentity:
        """What ``events.metadata`` says; what it does not say is left empty."""
        metadata = getattr(events, "metadata", None) or {}
        return cls(
            dataset=dataset or metadata.get("dataset", process),
            filename=metadata.get("filename", ""),
            start=int(metadata.get("entrystart", 0)),
            era=metadata.get("era"),
            is_data=None if metadata.get("is_data") is None else bool(metadata["is_data"]),
        )

    @property
    def place(self) -> str:
        """File and dataset, for error messages."""
        return f"{self.filename or 'events'}: datasets.{self.dataset}"

    @property
    def key(self) -> tuple[str, str, int]:
        """Sorts the chunks of a dataset in the order of its files and entries."""
        return self.dataset, self.filename, self.start

    def folds(
        self, view: EventView, *, n_folds: int, event_id: tuple[str, ...] | None
    ) -> IntArray:
        """Fold of each event from what identifies it, whatever the chunks are.

        Where no branches do, it is the name of the file and the entry there: the same events
        written again, or moved to another folder, have the same folds.
        """
        named = id_branches(view.events, event_id)
        if named is None:
            file = text_identity(self.filename.rpartition("/")[2] or self.dataset)
            identity: list[npt.ArrayLike] = [np.full(len(view), file), view.entries + self.start]
        else:
            identity = [view.values(name, "event_id") for name in named]
        return event_fold(identity, n_folds=n_folds)
