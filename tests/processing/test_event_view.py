from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest

from gato_coffea.errors import ConfigError, InputError
from gato_coffea.processing.event_view import ChunkIdentity, EventView


@pytest.fixture
def events() -> ak.Array:
    return ak.Array(
        {
            "score": np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32),
            "flag": [True, False, True, True],
            "jets": [[1.0], [], [2.0, 3.0], [4.0]],
            "holes": [1.0, None, 3.0, 4.0],
            "name": ["a", "b", "c", "d"],
            "lead": ak.zip({"pt": [10.0, 20.0, 30.0, 40.0]}),
        }
    )


def view(events: ak.Array) -> EventView:
    return EventView(events, None, "a.root: datasets.x")


def test_sources(events: ak.Array) -> None:
    part = view(events).where(np.array([True, False, True, True]))
    assert len(part) == 3
    np.testing.assert_allclose(part.numbers("score", "k"), [0.1, 0.3, 0.4], rtol=1e-6)
    np.testing.assert_array_equal(part.numbers("flag", "k"), [1, 1, 1])
    np.testing.assert_array_equal(part.numbers("lead.pt", "k"), [10, 30, 40])
    np.testing.assert_array_equal(part.numbers(2, "k"), [2, 2, 2])
    np.testing.assert_array_equal(part.numbers(lambda e: ak.num(e.jets), "k"), [1, 2, 1])
    np.testing.assert_array_equal(part.numbers(np.arange(4), "k"), [0, 2, 3])
    np.testing.assert_array_equal(part.numbers(events.lead.pt, "k"), [10, 30, 40])


def test_masks_follow_one_another(events: ak.Array) -> None:
    part = view(events).where(np.array([True, False, True, True]))
    part = part.where(np.array([False, True, True]))
    np.testing.assert_array_equal(part.numbers(np.arange(4), "k"), [2, 3])
    assert ak.to_list(part.selected.name) == ["c", "d"]


def test_a_missing_value_is_nan(events: ak.Array) -> None:
    np.testing.assert_array_equal(view(events).numbers("holes", "k"), [1, np.nan, 3, 4])


def test_a_missing_truth_is_false(events: ak.Array) -> None:
    mask = view(events).values(lambda e: ak.firsts(e.jets) > 1.5, "k")
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, [False, False, True, True])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("jets", r"must be one number an event \(got type var \* float64\)"),
        ("name", r"must be one number an event \(got type string\)"),
        (lambda e: e.lead, r"must be one number an event \(got type \{pt: float64\}\)"),
        (lambda e: np.zeros((4, 2)), r"must be one number an event \(got type float64, shape"),
        (lambda e: np.zeros(3), r"must have 4 values, one an event \(got 3\)"),
        ("scroe", r"branch 'scroe' is missing; did you mean 'score'\?"),
        ("lead.eta", r"branch 'lead.eta' is missing"),
    ],
)
def test_what_is_not_one_number(events: ak.Array, source: Any, message: str) -> None:
    with pytest.raises(InputError, match=rf"^a\.root: datasets\.x: mass: {message}"):
        view(events).numbers(source, "mass")


def test_a_function_that_fails(events: ak.Array) -> None:
    def broken(events: Any) -> Any:
        return events.score / events.nothing

    with pytest.raises(ConfigError, match=r"mass: broken\(events\) failed \(AttributeError: "):
        view(events).numbers(broken, "mass")


def test_product_of_nothing_is_one(events: ak.Array) -> None:
    np.testing.assert_array_equal(view(events).product([], "weight"), np.ones(4))


def folds(events: ak.Array, *, start: int = 0, file: str = "/a/f.root", ids: Any = None) -> Any:
    identity = ChunkIdentity(dataset="x", filename=file, start=start)
    return identity.folds(EventView(events, None, "p"), n_folds=5, event_id=ids)


def test_folds_follow_the_event_not_the_place() -> None:
    n = 1000
    events = ak.Array(
        {"run": np.ones(n, int), "luminosityBlock": np.arange(n) // 7, "event": np.arange(n)}
    )
    shuffled = np.random.default_rng(1).permutation(n)
    np.testing.assert_array_equal(
        folds(events)[shuffled], folds(events[shuffled], start=9, file="other.root")
    )


def test_folds_of_events_without_identity() -> None:
    events = ak.Array({"score": np.zeros(1000)})
    whole = folds(events)
    np.testing.assert_array_equal(whole[400:], folds(events[400:], start=400))
    assert (whole != folds(events, file="/a/g.root")).any()
    np.testing.assert_array_equal(whole, folds(events, file="root://host//store/f.root"))
    # five folds of 200 +- 13 events each
    assert np.abs(np.bincount(whole, minlength=5) - 200).max() < 60


def test_named_identity() -> None:
    events = ak.Array({"number": np.arange(100), "run": np.zeros(100)})
    np.testing.assert_array_equal(
        folds(events, ids=("number",)), folds(events, ids=("number",), file="v.root", start=3)
    )
