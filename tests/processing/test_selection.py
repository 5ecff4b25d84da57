from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest

from gato_coffea.config import Discriminant
from gato_coffea.errors import InputError
from gato_coffea.processing.event_view import EventView
from gato_coffea.processing.layout import Layout
from gato_coffea.processing.selection import Selected, finite_sum, hidden_intervals
from gato_coffea.processing.sources import Sources

EVENTS = ak.Array(
    {
        "score": [0.1, 0.5, 0.9, 0.95],
        "w": [1.0, 2.0, np.nan, 4.0],
        "good": [True, True, True, False],
    }
)
LAYOUT = Layout(
    discriminants=(Discriminant(name="score", range=(0, 1)),), blind={"score": 0.8}, columns=True
)


def selected(*, blinded: bool, score: Any = "score", good: Any = "good") -> Selected:
    sources = Sources.of(
        LAYOUT,
        discriminants={"score": score},
        mass=None,
        weight="w",
        variations=None,
        selection={"good": good},
        data=False,
        place="f.root",
    )
    hidden = hidden_intervals(LAYOUT, sources) if blinded else []
    return Selected.of(EventView(EVENTS, None, "f.root"), sources, hidden)


def test_the_cut_flow_counts_events_and_finite_weights() -> None:
    found = selected(blinded=False)
    assert found.cutflow == {
        "all": {"events": 4, "weighted": 7.0},
        "good": {"events": 3, "weighted": 3.0},
    }
    assert found.n_events == 4
    np.testing.assert_array_equal(found.view.entries, [0, 1, 2])


def test_what_is_hidden_is_counted_nowhere() -> None:
    by_branch = selected(blinded=True)
    assert by_branch.n_events == 2
    assert by_branch.cutflow["all"]["events"] == 2
    np.testing.assert_array_equal(by_branch.view.entries, [0, 1])
    # a function sees selected events only: counts before it would tell what is hidden
    by_function = selected(blinded=True, score=lambda events: events.score)
    assert (by_function.n_events, by_function.cutflow) == (2, {})


def test_a_requirement_that_is_no_truth_is_refused() -> None:
    with pytest.raises(InputError, match=r"f\.root: selection good: must be true or false"):
        selected(blinded=False, good="w")


def test_sums_leave_out_what_is_no_number() -> None:
    assert finite_sum(np.array([1.0, np.nan, np.inf, 2.0])) == 3.0
