"""Functions of the mass: exact integrals and gradients."""

import numpy as np
import pytest
from scipy.integrate import quad

from gato_coffea.sidebands import (
    FAMILIES,
    family_named,
)

SIDEBANDS = ((100.0, 120.0), (130.0, 180.0))
WINDOW = (120.0, 130.0)
EDGES = np.linspace(100.0, 180.0, 81)
PARAMETERS = {
    "exponential": [700.0, 0.03],
    "exponential2": [700.0, 1.2, -0.3],
    "power": [700.0, 3.5],
    "bernstein1": [500.0, 200.0],
    "bernstein2": [500.0, 150.0, 50.0],
    "bernstein3": [500.0, 100.0, 50.0, 50.0],
    "bernstein4": [500.0, 100.0, 0.0, 50.0, 50.0],
    "laurent1": [500.0, 200.0],
    "laurent2": [500.0, 150.0, 50.0],
    "laurent3": [500.0, 100.0, 50.0, 50.0],
}


@pytest.mark.parametrize("name", FAMILIES)
def test_integrals_are_exact_and_gradients_right(name):
    family = family_named(name, sidebands=SIDEBANDS)
    parameters = np.array(PARAMETERS[name])
    bins = np.stack([EDGES[:-1], EDGES[1:]], axis=1)
    value, gradient = family.expected(parameters, bins)

    def density(m):  # the limit of a narrow bin
        return family.expected(parameters, np.array([[m - 1e-4, m + 1e-4]]))[0][0] / 2e-4

    for i in (0, 23, 79):
        slow = quad(density, *bins[i], epsabs=1e-9, epsrel=1e-9)[0]
        assert value[i] == pytest.approx(slow, rel=1e-7)
    inside = (bins[:, 1] <= 120) | (bins[:, 0] >= 130)
    assert value[inside].sum() == pytest.approx(700.0, rel=1e-12)
    merged = family.expected(parameters, np.array([WINDOW]))[0][0]
    assert merged == pytest.approx(value[~inside].sum(), rel=1e-12)
    for p in range(len(parameters)):
        step = np.zeros(len(parameters))
        step[p] = 1e-5 * max(1.0, abs(parameters[p]))
        up, down = (family.expected(parameters + s, bins)[0] for s in (step, -step))
        slow = (up - down) / (2 * step[p])
        # Second-order differences: relative error about the square of the step.
        np.testing.assert_allclose(gradient[:, p], slow, rtol=1e-6, atol=1e-6 * abs(slow).max())


@pytest.mark.parametrize("slope", [-3.0, -1e-3, -1e-9, 0.0, 1e-12, 9.99e-3, 1.001e-2, 0.5, 3.0])
def test_exponential_is_smooth_through_a_flat_shape(slope):
    family = family_named("exponential", sidebands=SIDEBANDS)
    got = family.expected(np.array([1.0, slope]), np.array([[100.0, 101.0], [119.0, 120.0]]))[0]
    assert np.log(got[0] / got[1]) == pytest.approx(19 * slope, rel=1e-9, abs=1e-12)
    assert np.isfinite(got).all()
