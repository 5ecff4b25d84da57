"""The significance against likelihood ratios, exact arithmetic, its limits and its twin."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from gato_coffea.statistics.counting import (
    SERIES_BELOW,
    asimov_z2,
    category_z2,
    combine,
    profiled_z2,
    signal_significances,
)


def in_many_digits(s, b, v=0.0):
    """The likelihood ratio at its minimum in 80 digits, in which nothing cancels."""
    with localcontext() as context:
        context.prec = 80
        s, b, v = Decimal(s), Decimal(b), Decimal(v)
        n = s + b
        # Zero of the derivative by the shift: shift**2 + (b + v) shift - v s = 0.
        shift = (((b + v) ** 2 + 4 * v * s).sqrt() - b - v) / 2
        mean = b + shift
        penalty = shift * shift / v if v else Decimal(0)
        return float(2 * (mean - n + n * (n / mean).ln()) + penalty)


def likelihood_ratio(s, b, v):
    """Twice the log ratio of the likelihoods of a count with a background that is a Gaussian."""
    n = s + b

    def twice_negative_log(shift):
        return 2 * (b + shift - n * np.log(b + shift)) + shift**2 / v

    found = minimize_scalar(
        twice_negative_log, bounds=(0.0, s), method="bounded", options={"xatol": 1e-10 * s}
    )
    return found.fun - 2 * (n - n * np.log(n))


def test_a_figure_by_hand():
    # 2 [110 ln 1.1 - 10] with ln 1.1 = 0.0953101798043249
    assert float(asimov_z2(10.0, 100.0)) == pytest.approx(0.9682395569514780, rel=1e-13)
    # s = 3, b = v = 1: the shift is 1, so 2 {2 - 4 + 4 ln 2} + 1 = 8 ln 2 - 3
    assert float(profiled_z2(3.0, 1.0, 1.0)) == pytest.approx(8 * np.log(2) - 3, rel=1e-14)


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated")
@pytest.mark.parametrize(("s", "b", "v"), [(2.0, 20.0, 40.0), (60.0, 50.0, 250.0), (9, 3, 0.4)])
def test_it_is_what_pyhf_makes_of_the_exported_uncertainty(s, b, v):
    pyhf = pytest.importorskip("pyhf")

    samples = [
        {"data": [s], "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]},
        {
            "data": [b],
            "modifiers": [{"name": "mc", "type": "staterror", "data": [float(np.sqrt(v))]}],
        },
    ]
    channel = {
        "name": "c",
        "samples": [x | {"name": n} for n, x in zip("sb", samples, strict=True)],
    }
    model = pyhf.Model({"channels": [channel]}, poi_name="mu")
    observed = [s + b, *model.config.auxdata]
    fixed = {"init_pars": [1.0, 1.0], "par_bounds": [(0, 10), (1e-10, 100)]}
    q0 = pyhf.infer.test_statistics.q0(0.0, observed, model, **fixed, fixed_params=[False, False])
    # Its fits end at 1e-6 or so of the log likelihood.
    assert float(profiled_z2(s, b, v)) == pytest.approx(float(q0), abs=2e-4)


@pytest.mark.parametrize(("s", "b", "v"), [(3.0, 8.0, 2.0), (20.0, 5.0, 9.0), (40.0, 900.0, 50.0)])
def test_it_is_a_profile_likelihood_ratio(s, b, v):
    # A minimum found to 1e-10 is known to the square of that; the difference of logs to 1e-12.
    assert float(profiled_z2(s, b, v)) == pytest.approx(likelihood_ratio(s, b, v), rel=1e-9)


def test_float64_holds_over_many_decades():
    ratio = np.logspace(-14, 8, 111)
    for b in (1e-3, 1.0, 1e7):
        exact = [in_many_digits(float(r) * b, b) for r in ratio]
        # Above the series the closed form loses at most 1 / SERIES_BELOW of eps.
        np.testing.assert_allclose(asimov_z2(ratio * b, b), exact, rtol=5e-14)
        for v in (1e-9 * b, 0.1 * b, 1.0 * b, 30 * b):
            exact = [in_many_digits(float(r) * b, b, v) for r in ratio]
            np.testing.assert_allclose(profiled_z2(ratio * b, b, v), exact, rtol=1e-13)


def test_no_jump_at_the_edge_of_the_series():
    r = SERIES_BELOW * (1 + np.array([-1e-9, -1e-13, 0.0, 1e-13, 1e-9]))
    curvature = asimov_z2(r, 1.0) / r**2
    # The function itself moves by r / 3 times the step.
    np.testing.assert_allclose(curvature, curvature[2], rtol=1e-11)
    t = profiled_z2(r, 1.0, 0.5) / r**2
    np.testing.assert_allclose(t, t[2], rtol=1e-11)


def test_small_signal_is_naive():
    b, v = np.array([2.0, 1e2, 1e4, 3e5]), np.array([1.0, 0.0, 1e4, 1e8])
    for r in (1e-3, 1e-6, 1e-12):
        np.testing.assert_allclose(profiled_z2(r * b, b, v), (r * b) ** 2 / (b + v), rtol=r)


def test_vanishing_variance_is_asimov():
    for v in (1e-2, 1e-5, 1e-9, 1e-15, 0.0):
        relative = float(profiled_z2(5.0, 7.0, v) / asimov_z2(5.0, 7.0))
        assert relative == pytest.approx(1, abs=v + 1e-15)
    z2 = profiled_z2(5.0, 7.0, np.logspace(-6, 6, 60))
    assert (np.diff(z2) < 0).all()  # less is known
    assert z2[-1] < 1e-4


def test_hardly_any_background():
    # Estimated densities can be as small as this; 2 (s ln(s / b) - s) to leading order.
    expected = [2 * (-np.log(b) - 1) for b in (1e-100, 1e-200, 1e-300)]
    np.testing.assert_allclose(asimov_z2(1.0, [1e-100, 1e-200, 1e-300]), expected, rtol=1e-12)


@pytest.mark.parametrize("known", [True, False])
def test_convex_and_homogeneous(known):
    rng = np.random.default_rng(5)
    s, b, v = rng.exponential(1, (3, 1000, 2)) * np.logspace(-3, 3, 1000)[:, None]
    v *= 0.0 if known else np.logspace(3, -3, 1000)[:, None]
    apart = profiled_z2(s, b, v).sum(axis=1)
    together = profiled_z2(s.sum(axis=1), b.sum(axis=1), v.sum(axis=1))
    assert (apart >= together * (1 - 1e-12)).all()  # splitting a category never loses
    scaled = profiled_z2(7 * s, 7 * b, 7 * v)
    np.testing.assert_allclose(scaled, 7 * profiled_z2(s, b, v), rtol=1e-12)


def test_equal_ratios_lose_nothing():
    equal = asimov_z2(np.array([1.0, 3.0]), np.array([5.0, 15.0])).sum()
    assert equal == pytest.approx(float(asimov_z2(4.0, 20.0)), rel=1e-13)


@pytest.mark.parametrize(("s", "b"), [(0, 5), (-1, 5), (3, 0), (3, -2), (0, 0), (-1, -1)])
@pytest.mark.parametrize("v", [0.0, 4.0])
def test_no_signal_and_no_background_are_no_reward(s, b, v):
    assert float(profiled_z2(s, b, v)) == 0.0


def test_shapes_broadcast():
    assert asimov_z2(np.ones((3, 1)), np.ones(4)).shape == (3, 4)
    assert asimov_z2(1, 2).dtype == np.float64
    assert asimov_z2(np.zeros(0), np.zeros(0)).shape == (0,)


def test_each_signal_sees_the_others():
    signal = np.array([[2.0, 0.5, 0.0], [1.0, 3.0, 4.0]])
    background = np.array([5.0, 9.0, 2.0])
    z2 = category_z2(signal, background)
    for i, k in np.ndindex(2, 3):
        assert z2[i, k] == asimov_z2(signal[i, k], background[k] + signal[1 - i, k])
    np.testing.assert_allclose(signal_significances(signal, background) ** 2, z2.sum(axis=1))


def test_negative_and_absent_yields_among_several_signals():
    signal = np.array([[2.0, 2.0, 2.0], [-1.0, 0.0, 5.0]])
    background = np.array([4.0, 0.0, -3.0])
    z2 = category_z2(signal, background, np.array([1.0, 1.0, 0.0]))
    # A negative signal neither counts nor takes background away from the other.
    assert z2[0, 0] == profiled_z2(2.0, 4.0, 1.0)
    # Another signal is no substitute for a background that is not there.
    np.testing.assert_array_equal(z2[:, 1:], 0)
    assert z2[1, 0] == 0


def test_batch_axes_and_a_number_as_variance():
    rng = np.random.default_rng(1)
    signal, background = rng.uniform(0, 3, (4, 5, 2, 3)), rng.uniform(1, 9, (4, 5, 3))
    batch = signal_significances(signal, background, 0.7)
    assert batch.shape == (4, 5, 2)
    alone = signal_significances(signal[2, 3], background[2, 3], np.full(3, 0.7))
    np.testing.assert_array_equal(batch[2, 3], alone)


def test_combinations():
    z = np.array([[3.0, 4.0], [0.0, 5.0], [1.0, 1.0]])
    np.testing.assert_allclose(combine(z, "quadrature"), [5, 5, np.sqrt(2)], rtol=1e-15)
    np.testing.assert_allclose(combine(z, "sum"), [7, 5, 2], rtol=1e-15)
    # An absent signal makes the geometric mean vanish, without a warning.
    np.testing.assert_allclose(combine(z, "geometric"), [np.sqrt(12), 0, 1], rtol=1e-15)
    for combination in ("geometric", "quadrature", "sum"):
        assert combine(np.array([2.5]), combination) == pytest.approx(2.5, rel=1e-15)


def test_the_differentiable_twin():
    import tensorflow as tf

    from gato_coffea.optimisation.training import objective

    rng = np.random.default_rng(8)
    signal = rng.exponential(1, (300, 2, 4)) * np.logspace(-6, 4, 300)[:, None, None]
    background = rng.exponential(1, (300, 4)) * np.logspace(3, -2, 300)[:, None]
    signal[::7, 0, 1], signal[::5, 1, 2], background[::6, 3] = -1.0, 0.0, 0.0
    variance = rng.exponential(1, (300, 4)) * background
    s, b, v = (tf.constant(a, tf.float64) for a in (signal, background, variance))
    twin = objective.signal_z2(s, b, v)
    z = signal_significances(signal, background, variance)
    np.testing.assert_allclose(twin.numpy(), z**2, rtol=1e-12)
    # The twin adds 1e-12 to a square before it takes a logarithm.
    both = (z > 1e-2).all(axis=-1)
    assert both.sum() > 100
    got = objective.combine_z2(twin, "geometric").numpy()[both]
    np.testing.assert_allclose(got, combine(z, "geometric")[both], rtol=2e-8)
    for combination in ("quadrature", "sum"):
        got = objective.combine_z2(twin, combination).numpy()
        np.testing.assert_allclose(got, combine(z, combination), rtol=1e-12)
