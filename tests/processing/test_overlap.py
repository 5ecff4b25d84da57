from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from gato_coffea.errors import InputError
from gato_coffea.processing.overlap import check_overlap

PLAIN = ak.Array({"score": [0.1, 0.2, 0.3, 0.4]})
NAMED = ak.with_field(
    ak.with_field(ak.with_field(PLAIN, [1, 1, 2, 2], "run"), [5, 5, 6, 6], "lumi"),
    [11, 12, 13, 14],
    "event",
)


def test_channels_that_exclude_each_other_pass() -> None:
    entries = {"a": np.array([0, 2]), "b": np.array([1, 3]), "c": np.array([], dtype=np.int64)}
    check_overlap(PLAIN, entries, event_id=None)


@pytest.mark.parametrize(
    ("events", "event_id", "told"),
    [
        (NAMED, None, "run 2, lumi 6, event 13"),
        (NAMED, ("event",), "event 13"),
        (PLAIN, None, "entry 2"),
    ],
)
def test_an_event_in_two_channels_is_named(
    events: ak.Array, event_id: tuple[str, ...] | None, told: str
) -> None:
    entries = {"a": np.array([0, 2, 3]), "b": np.array([1]), "c": np.array([2, 3])}
    with pytest.raises(InputError) as caught:
        check_overlap(events, entries, event_id=event_id)
    assert str(caught.value) == (
        "events: datasets.: channels 'a' and 'c' overlap: 2 of 4 events are in both (the first: "
        f"{told}); an event may count once"
    )
