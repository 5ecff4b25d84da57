from __future__ import annotations

import numpy as np
import pytest

from gato_coffea.errors import InputError
from gato_coffea.events.variations import Variation, check_pairs, check_total, uncertainties


def test_uncertainties_are_named_by_their_pairs() -> None:
    assert uncertainties(["puUp", "jesDown", "puDown", "jesUp"]) == ("jes", "pu")


def test_a_shape_moves_events_and_a_weight_does_not() -> None:
    assert Variation(x=np.zeros((2, 1))).is_shape
    assert Variation(mass=np.zeros(2)).is_shape
    assert not Variation(weight=np.zeros(2)).is_shape


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["jesUp"], "ttbar.variations.jesUp: needs its opposite jesDown"),
        (["jesDown", "puUp", "puDown"], "ttbar.variations.jesDown: needs its opposite jesUp"),
        (["jes"], "ttbar.variations.jes: the name must end in Up or Down"),
        (["Up", "Down"], "ttbar.variations.Down: the name must end in Up or Down"),
    ],
)
def test_a_variation_needs_its_opposite(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_pairs({"signal": [], "ttbar": names})


def test_a_total_that_is_off_by_more_than_two_is_refused() -> None:
    check_total("ttbar.variations.puUp", 10.0, 19.9)
    check_total("ttbar.variations.puUp", -1.0, 5.0)
    for varied in (5.0, 20.0, -3.0):
        with pytest.raises(InputError, match=r"ttbar.variations.puUp: its total of .* nominal 10"):
            check_total("ttbar.variations.puUp", 10.0, varied)
