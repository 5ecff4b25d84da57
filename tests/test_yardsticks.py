"""Yardsticks beside a result; their figures are tested with the methods."""

from __future__ import annotations

from gato_coffea.gato.result import Significance, Yardstick
from gato_coffea.gato.yardsticks import better_yardsticks


def significance(z, spread=None):
    return Significance(z, {"signal": z}, spread)


def yardstick(z):
    return Yardstick(None if z is None else significance(z, 0.9), significance(99.0))


def test_a_yardstick_that_is_better_by_more_than_the_spread_is_told():
    references = {
        "equidistant": yardstick(8.72),
        "exact": yardstick(7.9),
        "lloyd": yardstick(None),
        "ceiling": yardstick(20.0),
    }
    (note,) = better_yardsticks(significance(7.27, 0.66), references)
    assert note == (
        "yardstick equidistant: held-out Z 8.720 is above the 7.270 of these categories by more "
        "than its spread 0.660"
    )
    assert better_yardsticks(significance(7.27, 1.5), references) == []
