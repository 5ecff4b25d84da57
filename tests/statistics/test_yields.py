from typing import Any

import numpy as np
import pytest

from gato_coffea.errors import OptimisationError
from gato_coffea.statistics.yields import BinnedYields

GIVEN: dict[str, Any] = {
    "processes": ("s", "b"),
    "signals": ("s",),
    "nominal": np.ones((2, 3)),
    "sumw2": np.zeros(3),
}


def test_what_is_not_given() -> None:
    y = BinnedYields(**GIVEN)
    assert y.n_categories == 3
    assert y.is_signal.tolist() == [True, False]
    assert y.up is not None
    assert y.up.shape == (0, 2, 3)
    assert y.eras == (None, None)
    assert y.channels == (None,) * 3


def test_variations_can_be_left_out() -> None:
    both = np.stack([np.full((2, 3), 2.0), np.full((2, 3), 3.0)])
    y = BinnedYields(**GIVEN, variations=("jes", "jer"), up=both, down=both)
    left = y.without(["jes"])
    assert left.variations == ("jer",)
    assert left.up is not None
    assert left.up.shape == (1, 2, 3)
    assert left.up[0, 0, 0] == 3.0


NAN = np.array([[1.0, 1.0, 1.0], [1.0, np.nan, 1.0]])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"signals": ("z",)}, r"signal is not there \(got 'z'; allowed: s, b\)"),
        ({"processes": ("s",)}, "1 processes need as many rows"),
        ({"sumw2": np.zeros(2)}, r"yields.sumw2: must have shape \(3,\)"),
        ({"nominal": NAN}, r"yields.nominal: is not finite \(process b, category 1: nan\)"),
        (
            {"variations": ("jes",), "up": NAN[None], "down": np.ones((1, 2, 3))},
            r"yields.up: is not finite \(variation jes, process b, category 1: nan\)",
        ),
        ({"variations": ("jes",), "up": NAN, "down": NAN}, r"yields.up: must have shape"),
    ],
)
def test_impossible_yields(change: dict[str, Any], told: str) -> None:
    with pytest.raises(OptimisationError, match=told):
        BinnedYields(**{**GIVEN, **change})
