"""Channels exclude each other: an event that two of them select would be counted twice."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from gato_coffea.errors import InputError
from gato_coffea.events.arrays import IntArray
from gato_coffea.processing.event_view import EventView, id_branches


def check_overlap(
    events: Any, entries: Mapping[str, IntArray], *, event_id: tuple[str, ...] | None
) -> None:
    """Refuse a chunk of which two channels have an event.

    Parameters
    ----------
    events
        Events of the chunk.
    entries
        Which of them are in each channel.
    event_id
        Branches that identify an event, or None for the usual ones.

    Raises
    ------
    InputError
        With the channels and the first event: by what identifies it, else by its entry.
    """
    for first, second in combinations(entries, 2):
        both = np.intersect1d(entries[first], entries[second], assume_unique=True)
        if len(both):
            metadata = getattr(events, "metadata", None) or {}
            place = f"{metadata.get('filename', 'events')}: datasets.{metadata.get('dataset', '')}"
            raise InputError(
                f"{place}: channels {first!r} and {second!r} overlap: {len(both)} of "
                f"{len(events)} events are in both (the first: "
                f"{_name(events, int(both[0]), place, event_id)}); an event may count once"
            )


def _name(events: object, entry: int, place: str, event_id: tuple[str, ...] | None) -> str:
    """What identifies an event."""
    named = id_branches(events, event_id)
    if named is None:
        start = int((getattr(events, "metadata", None) or {}).get("entrystart", 0))
        return f"entry {start + entry}"
    one = EventView(events, np.array([entry]), place)
    return ", ".join(f"{branch} {one.values(branch, 'event_id')[0]}" for branch in named)
