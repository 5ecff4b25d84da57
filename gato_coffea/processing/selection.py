"""Which events of a chunk are kept: what is blinded, the requirements, and the cut flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from gato_coffea.categories.axes import MASS
from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray
from gato_coffea.processing.event_view import EventView, Source
from gato_coffea.processing.layout import Layout
from gato_coffea.processing.output import FIRST_STEP, Cutflow, Step
from gato_coffea.processing.sources import Sources


@dataclass(frozen=True)
class Hidden:
    """A closed interval of what a source gives, times a factor, that blinded events lie in."""

    source: Source
    key: str
    factor: float
    low: float
    high: float


def hidden_intervals(layout: Layout, sources: Sources) -> list[Hidden]:
    """What is blinded: the signal window of the mass, and discriminants from a value on."""
    result = []
    for name, low, high in layout.blinding:
        if name == MASS:
            assert layout.mass is not None
            assert sources.mass is not None
            result.append(Hidden(sources.mass, MASS, layout.mass.to_gev, low, high))
        else:
            key = f"discriminants.{name}"
            result.append(Hidden(sources.discriminants[name], key, 1.0, low, high))
    return result


@dataclass(frozen=True)
class Selected:
    """Events that pass, what was counted on the way, and how many there were to begin with."""

    view: EventView
    cutflow: Cutflow
    n_events: int

    @classmethod
    def of(cls, view: EventView, sources: Sources, hidden: Sequence[Hidden]) -> Self:
        """Apply blinding and requirements; what is hidden is counted nowhere.

        Where a function says what is hidden, it is called with the events that passed, and
        nothing is counted before that: counts would tell how many events are hidden.
        """
        known = [s for s in sources.weight if not callable(s)]
        if any(callable(h.source) for h in hidden):
            view = _visible(_required(view, sources.selection, known)[0], hidden)
            return cls(view, {}, len(view))
        view = _visible(view, hidden)
        passed, cutflow = _required(view, sources.selection, known)
        return cls(passed, cutflow, len(view))


def _visible(view: EventView, hidden: Sequence[Hidden]) -> EventView:
    """The events that are not hidden; one without a value is none of those that are."""
    for part in hidden:
        values = view.numbers(part.source, part.key) * part.factor
        view = view.where(~((values >= part.low) & (values <= part.high)))
    return view


def _required(
    view: EventView, selection: Mapping[str, Source], weight: Sequence[Source]
) -> tuple[EventView, Cutflow]:
    """Apply the requirements one after the other; weights here are those known for all events."""
    w = view.product(weight, "weight")
    cutflow = {FIRST_STEP: step(w)}
    for name, source in selection.items():
        mask = view.values(source, f"selection {name}")
        if mask.dtype.kind not in "bui":
            raise InputError(
                f"{view.place}: selection {name}: must be true or false (got type {mask.dtype})"
            )
        passed = mask.astype(bool)
        view, w = view.where(passed), w[passed]
        cutflow[name] = step(w)
    return view, cutflow


def step(weight: FloatArray) -> Step:
    """Number of events, and the sum of those of their weights that are finite."""
    return {"events": len(weight), "weighted": finite_sum(weight)}


def finite_sum(values: FloatArray) -> float:
    """Sum of the values that are neither NaN nor infinite."""
    return float(np.sum(values, where=np.isfinite(values)))
