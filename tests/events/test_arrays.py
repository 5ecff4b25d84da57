"""Numbers from what people hold: nothing is dropped or turned into something else on the way."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pytest

from gato_coffea.errors import InputError
from gato_coffea.events.arrays import columns_of, matrix, numbers

NUMBERS = [1.0, 2.5, -3.0]
HELD: dict[str, Any] = {
    "list": NUMBERS,
    "tuple": tuple(NUMBERS),
    "float32": np.array(NUMBERS, dtype=np.float32),
    "objects": np.array(NUMBERS, dtype=object),
    "series": pd.Series(NUMBERS),
    "awkward": ak.Array(NUMBERS),
    "masked": np.ma.array(NUMBERS, mask=False),
    "big end first": np.array(NUMBERS, dtype=">f8"),
    "a view": np.array([1.0, 0, 2.5, 0, -3.0, 0])[::2],
}


@pytest.mark.parametrize("kind", HELD)
def test_all_that_holds_numbers_is_one_array(kind: str) -> None:
    found = numbers(HELD[kind], place="x")
    assert found.dtype == np.float64
    assert type(found) is np.ndarray
    assert found.tolist() == NUMBERS


def test_an_array_of_float64_is_not_copied() -> None:
    array = np.array(NUMBERS)
    assert np.shares_memory(numbers(array, place="x"), array)


@pytest.mark.parametrize(
    "value",
    [
        np.ma.array(NUMBERS, mask=[False, True, False]),
        ak.Array([1.0, None, -3.0]),
        pd.Series([1.0, None, -3.0]),
        pd.array([1.0, None, -3.0], dtype="Float64"),
    ],
)
def test_what_is_masked_or_missing_is_nan(value: Any) -> None:
    if type(value).__module__.startswith("pandas.core.arrays"):
        value = pd.Series(value)
    found = numbers(value, place="x")
    assert found[[0, 2]].tolist() == [1.0, -3.0]
    assert np.isnan(found[1])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([1 + 2j], "complex numbers"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "dates"),
        (np.array([3], dtype="m8[s]"), "durations"),
        (["a", "b"], "text"),
        (np.array([b"1"]), "text"),
        (np.array(["1", 2.0], dtype=object), "text"),
        ([[1.0], [1.0, 2.0]], "in one shape"),
        (ak.Array([[1.0], [1.0, 2.0]]), "in one shape"),
        ([10**400], "in one shape"),
        (np.zeros(1, dtype=[("a", "f8")]), "records"),
        ({"a": 1}, "in one shape"),
        (object(), "in one shape"),
    ],
)
def test_what_is_no_number_is_refused(value: Any, told: str) -> None:
    with pytest.raises(InputError, match=r"^here: must hold numbers") as raised:
        numbers(value, place="here")
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


TABLES: dict[str, Any] = {
    "mapping": {"b": [3.0, 4.0], "a": [1.0, 2.0]},
    "frame": pd.DataFrame({"b": [3.0, 4.0], "a": [1.0, 2.0]}),
    "records": np.array([(3.0, 1.0), (4.0, 2.0)], dtype=[("b", "f8"), ("a", "f4")]),
    "awkward": ak.Array({"b": [3.0, 4.0], "a": [1.0, 2.0]}),
    "vectors in x": {"x": [[1.0, 3.0], [2.0, 4.0]]},
    "vectors of objects": pd.DataFrame(
        {"NN_output": [np.array([1.0, 3.0]), np.array([2.0, 4.0])]}
    ),
    "array": np.array([[1.0, 3.0], [2.0, 4.0]]),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_go_by_names_and_arrays_by_order(kind: str) -> None:
    np.testing.assert_array_equal(matrix(TABLES[kind], ["a", "b"], place="x"), [[1, 3], [2, 4]])


def test_one_discriminant_may_be_a_row() -> None:
    assert matrix([1.0, 2.0], ["a"], place="x").shape == (2, 1)
    assert matrix(np.zeros((0,)), ["a"], place="x").shape == (0, 1)
    assert matrix(np.zeros((0, 2)), ["a", "b"], place="x").shape == (0, 2)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": [1.0]}, r"column 'b' is missing \(got a;"),
        ({"a": [1.0], "b": [[1.0]]}, "must have one number an event"),
        ({"a": [1.0], "b": [1.0, 2.0]}, "must have one number an event"),
        (np.zeros((2, 3)), r"need 2 columns \(a, b\) \(got shape \(2, 3\)\)"),
        (np.zeros(2), "need 2 columns"),
        (np.zeros((1, 2, 1)), "need 2 columns"),
    ],
)
def test_what_does_not_fit_the_names(value: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        matrix(value, ["a", "b"], place="x")


def test_names_of_columns() -> None:
    assert columns_of(TABLES["frame"]) == ["b", "a"]
    assert columns_of(TABLES["records"]) == ["b", "a"]
    assert columns_of(TABLES["awkward"]) == ["b", "a"]
    assert columns_of(TABLES["mapping"]) == ["b", "a"]
    assert columns_of(np.zeros(3)) is None
    assert columns_of([1.0]) is None
