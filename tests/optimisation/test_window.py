"""The exponential in the window against integrals, its limits and its differentiable twin."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from gato_coffea.optimisation.window import MAX_SLOPE, Window, window_fraction

WINDOW = Window(100.0, 180.0, 120.0, 130.0)
FLAT = 10 / 80


def by_integration(slope, window=WINDOW):
    """Mean mass and fraction in the window of an exponential that falls with ``slope``."""

    def integral(low, high, power):
        return quad(
            lambda m: m**power * np.exp(-slope * (m - window.low)), low, high, epsabs=0, limit=200
        )[0]

    total = integral(window.low, window.high, 0)
    mean = integral(window.low, window.high, 1) / total
    return mean, integral(window.window_low, window.window_high, 0) / total


@pytest.mark.parametrize(
    "slope", [-0.5, -0.1, -0.02, -1e-3, -1e-5, 1e-7, 1e-5, 4e-4, 0.01, 0.03, 0.1, 0.3, 0.5]
)
def test_fraction_of_a_known_exponential(slope):
    mean, fraction = by_integration(slope)
    # Where the range is 40 decay lengths the far tail is all there is in the window.
    assert float(window_fraction(mean, WINDOW)) == pytest.approx(fraction, rel=1e-6)


def test_the_slope_is_that_of_maximum_likelihood():
    rng = np.random.default_rng(2)
    mass = 100 + rng.exponential(30, 4000)
    mass = mass[mass <= 180]
    weight = rng.uniform(0.5, 2, len(mass))

    def loss(slope):
        log_norm = np.log(-np.expm1(-slope * 80) / slope)
        return (weight * (slope * (mass - 100) + log_norm)).sum()

    best = minimize_scalar(loss, bounds=(1e-3, 0.2), method="bounded", options={"xatol": 1e-9}).x
    _, fraction = by_integration(best)
    mean = np.average(mass, weights=weight)
    assert float(window_fraction(mean, WINDOW)) == pytest.approx(fraction, rel=1e-6)


def test_flat_where_the_mean_is_the_centre_or_unknown():
    fraction = window_fraction(np.array([140.0, np.nan, np.inf, -np.inf]), WINDOW)
    np.testing.assert_allclose(fraction, FLAT, rtol=1e-12)
    near = window_fraction(140 + np.array([-1e-9, 1e-9, -1e-4, 1e-4]), WINDOW)
    np.testing.assert_allclose(near, FLAT, rtol=1e-5)
    np.testing.assert_array_equal(np.sign(near - FLAT)[2:], [1, -1])


def test_steep_limits_stay_fractions():
    mean = np.array([-50.0, 99.0, 100.0, 100.5, 179.5, 180.0, 500.0])
    fraction = window_fraction(mean, WINDOW)
    assert np.isfinite(fraction).all()
    assert ((fraction >= 0) & (fraction <= 1)).all()
    assert (fraction < 1e-2).all()  # all events pile up at an end, far from the window
    at_low_end = window_fraction(mean, Window(100.0, 180.0, 100.0, 110.0))
    assert (at_low_end[:4] > 0.99).all()
    steepest = -np.expm1(-MAX_SLOPE / 8)
    assert at_low_end[0] <= steepest * (1 + 1e-12)


def test_the_whole_range_holds_everything_and_windows_add():
    mean = np.linspace(90, 190, 101)
    np.testing.assert_allclose(window_fraction(mean, Window(100, 180, 100, 180)), 1, rtol=1e-12)
    parts = [window_fraction(mean, Window(100, 180, a, a + 20)) for a in (100, 120, 140, 160)]
    np.testing.assert_allclose(np.sum(parts, axis=0), 1, rtol=1e-12)
    assert (np.diff(parts[0]) <= 1e-12).all()  # a higher mean never brings more to the low end
    assert (np.diff(parts[3]) >= -1e-12).all()


def test_mirror_symmetry():
    mean = np.linspace(101, 179, 57)
    mirrored = Window(100.0, 180.0, 150.0, 160.0)
    np.testing.assert_allclose(
        window_fraction(mean, WINDOW), window_fraction(280 - mean, mirrored), rtol=1e-9
    )


def test_shapes_are_kept():
    assert window_fraction(np.full((2, 3), 130.0), WINDOW).shape == (2, 3)
    assert window_fraction(np.float64(130.0), WINDOW).shape == ()


def test_the_differentiable_twin():
    import tensorflow as tf

    from gato_coffea.gato import mass

    mean = np.concatenate([np.linspace(101.7, 178.3, 300), 140 + np.logspace(-8, 0, 30)])
    twin = mass.window_fraction(tf.constant(mean), 100.0, 180.0, 120.0, 130.0).numpy()
    # At the slope at which one of the two goes over to its flat form, 1e-6 is left out.
    np.testing.assert_allclose(window_fraction(mean, WINDOW), twin, rtol=2e-6)
