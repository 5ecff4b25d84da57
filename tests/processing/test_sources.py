from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gato_coffea.config import Discriminant
from gato_coffea.errors import ConfigError
from gato_coffea.processing.event_view import Quotient
from gato_coffea.processing.layout import Layout
from gato_coffea.processing.sources import Sources, Varied

ONE = Layout(discriminants=(Discriminant(name="bdt", range=(0, 1)),))
TWO = Layout(
    discriminants=(Discriminant(name="bdt", range=(0, 1)), Discriminant(name="dnn", range=(0, 1)))
)


def sources(layout: Layout = ONE, **options: Any) -> Sources:
    settings: dict[str, Any] = {
        "discriminants": None,
        "mass": None,
        "weight": "w",
        "variations": None,
        "selection": None,
        "data": False,
        "place": "f.root: datasets.d",
    }
    return Sources.of(layout, **(settings | options))


def test_everything_is_brought_into_one_form() -> None:
    fraction = Quotient(("up",), ("w",))
    found = sources(variations={"aUp": "up", "bUp": ["w", "b"], "cUp": fraction})
    assert found.discriminants == {"bdt": "bdt"}
    assert found.weight == ["w"]
    assert found.variations == {
        "aUp": Varied(weight=["up"]),
        "bUp": Varied(weight=["w", "b"]),
        "cUp": Varied(weight=fraction),
    }


def test_the_one_discriminant_may_be_called_score() -> None:
    moved = np.zeros(3)
    for name in ("score", "bdt"):
        (varied,) = sources(variations={"jesUp": {name: moved}}).variations.values()
        assert varied.values["bdt"] is moved
        assert varied.weight is None


def test_data_have_weight_one_and_no_variations() -> None:
    found = sources(weight="w", variations={"aUp": "up"}, data=True)
    assert found.weight == [1.0]
    assert found.variations == {}


@pytest.mark.parametrize(
    ("layout", "change", "told"),
    [
        (ONE, {"mass": "m"}, "variations.jesUp: cannot change 'mass' (allowed: bdt, weight, as"),
        (TWO, {"score": "s"}, "cannot change 'score' (allowed: bdt, dnn, weight, as the layout"),
        (ONE, {}, "variations.jesUp: changes nothing (allowed: bdt, weight)"),
        (ONE, {"bdt": ["a", "b"]}, "variations.jesUp.bdt: must be one source (got ['a', 'b'])"),
    ],
)
def test_what_cannot_be_changed_is_refused(layout: Layout, change: Any, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sources(layout, variations={"jesUp": change})
    assert told in str(caught.value)
    assert str(caught.value).startswith("f.root: datasets.d: ")
