"""The weight, its variations, and the weights of single datasets."""

from __future__ import annotations

from typing import Any

import pytest

from gato_coffea.config.weights import Variation, Weight


def test_single_sources_stand_for_lists() -> None:
    weight = Weight(nominal="w", variations={"sUp": "u"})  # type: ignore[arg-type,dict-item]
    assert (weight.nominal, weight.variations) == (("w",), {"sUp": Variation(replace=("u",))})


def weight(**variations: Any) -> Weight:
    return Weight.model_validate({"nominal": ["gen", "pileup"], "variations": variations})


@pytest.mark.parametrize(
    ("said", "own", "expected"),
    [
        (["gen", "pileup_up"], None, (("gen", "pileup_up"), ())),
        ({"replace": ["gen", "pileup_up"]}, None, (("gen", "pileup_up"), ())),
        ({"multiply": "sf_up"}, None, (("gen", "pileup", "sf_up"), ())),
        # what it changes of the nominal product, it changes of a dataset's own weight
        (["gen", "pileup_up"], ("gen", "pileup", "k"), (("gen", "k", "pileup_up"), ())),
        (["gen", "pileup", "sf_up"], ("gen", "k"), (("gen", "k", "sf_up"), ())),
        ({"multiply": ["sf_up"]}, ("gen", "k"), (("gen", "k", "sf_up"), ())),
        (["gen", "pileup_up"], ("whole",), (("whole", "pileup_up"), ("pileup",))),
        (["genUp"], ("gen", "gen"), (("gen", "genUp"), ("pileup",))),
    ],
)
def test_variations_and_own_weights_compose(said: Any, own: Any, expected: Any) -> None:
    assert weight(xUp=said).varied(weight(xUp=said).variations["xUp"], own) == expected


def test_a_variation_is_said_in_one_way() -> None:
    for wrong in ({}, {"replace": "a", "multiply": "b"}):
        with pytest.raises(ValueError, match="give exactly one of replace, multiply"):
            weight(xUp=wrong)
