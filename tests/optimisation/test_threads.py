"""The same for several things at a time."""

import time

import pytest

from gato_coffea.optimisation.threads import in_threads


def test_results_are_in_the_order_of_the_items() -> None:
    def square(n: int) -> int:
        time.sleep(0.01 * (8 - n))  # the first ends last
        return n * n

    assert in_threads(square, range(5, 8)) == [25, 36, 49]
    assert in_threads(square, []) == []


def test_an_error_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda n: 1 // n, [1, 0])
