import numpy as np
import pyhf
import pytest

from gato_coffea.statistics.interpolation import (
    additive,
    multiplicative,
    multiplicative_coefficients,
)

A = np.linspace(-3, 3, 61)


def test_additive_is_code_4p_of_pyhf() -> None:
    up, nominal, down = 12.0, 10.0, 9.0
    weights = additive(A)
    own = nominal + weights.up * (up - nominal) + weights.down * (down - nominal)
    code = pyhf.interpolators.code4p([[[[down], [nominal], [up]]]])
    theirs = nominal + np.array(code(A[None, :])).ravel()
    assert own == pytest.approx(theirs, rel=1e-12)


def test_multiplicative_is_code_4_of_pyhf() -> None:
    up, down = np.array(1.3), np.array(0.8)
    own = multiplicative(A, up, down, multiplicative_coefficients(up, down)).factor
    theirs = np.array(pyhf.interpolators.code4([[[[0.8], [1.0], [1.3]]]])(A[None, :])).ravel()
    assert own == pytest.approx(theirs, rel=1e-12)


def test_a_symmetric_factor_is_a_power() -> None:
    up = np.array(1.1)
    found = multiplicative(A, up, 1 / up, multiplicative_coefficients(up, 1 / up)).factor
    assert found == pytest.approx(1.1**A, rel=1e-6)


def test_derivatives_are_those_of_the_values() -> None:
    up, down = np.array(1.3), np.array(0.8)
    coefficients = multiplicative_coefficients(up, down)
    step = 1e-4
    at = A + 0.013  # not on the seams, where the third derivative jumps
    low, here, high = (multiplicative(at + d, up, down, coefficients) for d in (-step, 0, step))
    slope = (high.factor - low.factor) / (2 * step)
    bend = (high.factor - 2 * here.factor + low.factor) / step**2
    assert here.rate * here.factor == pytest.approx(slope, rel=1e-6)
    assert here.bend * here.factor == pytest.approx(bend, abs=1e-6)
    first, middle, last = (additive(at + d) for d in (-step, 0, step))
    assert middle.up_slope == pytest.approx((last.up - first.up) / (2 * step), abs=1e-6)
    assert middle.down_slope == pytest.approx((last.down - first.down) / (2 * step), abs=1e-6)
    found = (last.up - 2 * middle.up + first.up) / step**2
    assert middle.bend == pytest.approx(found, abs=1e-5)


@pytest.mark.parametrize("seam", [-1.0, 1.0])
def test_nothing_jumps_at_one_standard_deviation(seam: float) -> None:
    up, down = np.array(1.5), np.array(0.9)
    coefficients = multiplicative_coefficients(up, down)
    near = np.array([seam - 1e-9, seam + 1e-9])
    for values in (*additive(near), *multiplicative(near, up, down, coefficients)):
        assert values[0] == pytest.approx(values[1], abs=1e-6)
