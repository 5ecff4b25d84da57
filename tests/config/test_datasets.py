"""Datasets: each normalised in one way, none derived from what it cannot be derived from."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from pydantic import ValidationError

from gato_coffea.config.datasets import Dataset, SumOfWeights, check_datasets

PLAIN: dict[str, Any] = {"files": "a.root", "process": "p"}
WAYS: dict[str, dict[str, Any]] = {
    "cross section": {"cross_section_pb": 1.0, "sum_of_weights": {"count_events": True}},
    "data": {"data": True},
    "normalised": {"already_normalised": True},
}


def dataset(**more: Any) -> Dataset:
    return Dataset.model_validate(PLAIN | more)


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_normalising_is_enough(way: str) -> None:
    found = dataset(**WAYS[way])
    assert found.files == ("a.root",)
    check_datasets({"d": found})


def test_none_or_two_ways_are_refused() -> None:
    with pytest.raises(ValidationError, match="cross_section_pb is missing"):
        dataset()
    for one, two in itertools.combinations(WAYS.values(), 2):
        with pytest.raises(ValidationError, match=r"give only one of|sum_of_weights goes with"):
            dataset(**one, **two)


@pytest.mark.parametrize(
    ("said", "fine"),
    [
        ({"branch": "w"}, True),
        ({"tree": "Runs", "entry": "sumw"}, True),
        ({"count_events": True}, True),
        ({}, False),
        ({"tree": "Runs"}, False),
        ({"entry": "sumw"}, False),
        ({"branch": "w", "count_events": True}, False),
        ({"branch": "w", "tree": "Runs", "entry": "sumw"}, False),
        ({"branch": "w", "entry": "sumw"}, False),
    ],
)
def test_a_sum_of_weights_has_one_place(said: dict[str, Any], fine: bool) -> None:
    if fine:
        SumOfWeights.model_validate(said)
        return
    with pytest.raises(ValidationError, match=r"give exactly one of|go together"):
        SumOfWeights.model_validate(said)


def test_a_cross_section_may_be_zero_but_needs_its_sum() -> None:
    check_datasets({"d": dataset(**WAYS["cross section"] | {"cross_section_pb": 0})})
    with pytest.raises(ValueError, match=r"^datasets\.d\.sum_of_weights is missing"):
        check_datasets({"d": dataset(cross_section_pb=1.0)})


def test_derived_datasets() -> None:
    data, weighted = dataset(data=True), {"derived_from": "d", "weight": "w"}
    with pytest.raises(ValidationError, match="derived_from needs a weight of its own"):
        dataset(already_normalised=True, derived_from="d")
    check_datasets({"d": data, "e": dataset(already_normalised=True, **weighted)})
    scaled = dataset(**WAYS["cross section"], **weighted)
    check_datasets({"d": dataset(**WAYS["cross section"]), "e": scaled})
    with pytest.raises(ValueError, match=r"^datasets\.e: is derived from data, which have no cr"):
        check_datasets({"d": data, "e": scaled})
    for wrong in ({"e": scaled}, {"d": scaled, "e": scaled}):
        with pytest.raises(ValueError, match=r"must name a dataset that is not derived itself"):
            check_datasets(wrong)
