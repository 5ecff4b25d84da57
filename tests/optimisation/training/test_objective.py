import numpy as np
import pytest
import tensorflow as tf

from gato_coffea.optimisation.training import objective
from gato_coffea.statistics import counting as significance

S = np.array([1e-9, 1e-4, 0.3, 1.0, 5.0, 200.0, 3e4])
B = np.array([1.0, 2.0, 0.01, 100.0, 7.0, 10.0, 1e6])
V = np.array([0.0, 1e-8, 0.5, 100.0, 3.0, 1e4, 1e9])


def gradient(function, *values, compiled=False):
    def slopes(*variables):
        with tf.GradientTape() as tape:
            tape.watch(variables)
            result = function(*variables)
        return tape.gradient(result, variables)

    if compiled:
        slopes = tf.function(slopes, jit_compile=True)
    return [g.numpy() for g in slopes(*(tf.constant(np.asarray(v, dtype=float)) for v in values))]


def test_twin_of_numpy():
    np.testing.assert_allclose(
        objective.profiled_z2(S, B, V).numpy(), significance.profiled_z2(S, B, V), rtol=1e-12
    )
    np.testing.assert_allclose(
        objective.asimov_z2(S, B).numpy(), significance.asimov_z2(S, B), rtol=1e-12
    )


def test_asimov_figure_by_hand():
    assert float(objective.asimov_z2(10.0, 100.0)) == pytest.approx(0.96824, rel=1e-5)
    assert objective.asimov_z2(tf.constant(1.0), tf.constant(2.0)).dtype == tf.float32


def test_variance_to_zero_is_asimov():
    for v in (1e-3, 1e-6, 1e-12):
        relative = float(objective.profiled_z2(5.0, 7.0, v)) / float(objective.asimov_z2(5.0, 7.0))
        assert relative == pytest.approx(1, abs=v)


def test_small_signal_is_naive():
    b, v = np.array([1e2, 1e4, 3e5]), np.array([0.0, 1e4, 1e8])
    s = 1e-4 * b
    np.testing.assert_allclose(objective.profiled_z2(s, b, v).numpy(), s**2 / (b + v), rtol=1e-4)


def test_no_jump_at_the_edge_of_the_series():
    r = significance.SERIES_BELOW
    below, above = objective.asimov_z2([r * (1 - 1e-12), r * (1 + 1e-12)], [1.0, 1.0]).numpy()
    assert above / below == pytest.approx(1, abs=1e-11)


@pytest.mark.parametrize("combination", ["geometric", "quadrature", "sum"])
def test_gradients_against_finite_differences(combination):
    rng = np.random.default_rng(4)
    signal, background = rng.uniform(0.1, 3, (2, 3)), rng.uniform(1, 9, 3)
    variance = rng.uniform(0, 4, 3)

    def z(signal, background, variance):
        return objective.combine_z2(objective.signal_z2(signal, background, variance), combination)

    values = [signal, background, variance]
    for which, analytic in enumerate(gradient(z, *values)):
        for at in np.ndindex(values[which].shape):
            moved = []
            for sign in (1, -1):
                shifted = [v.copy() for v in values]
                shifted[which][at] += sign * 1e-5
                moved.append(float(z(*map(tf.constant, shifted))))
            # central differences are good to the square of their step
            assert analytic[at] == pytest.approx((moved[0] - moved[1]) / 2e-5, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("combination", ["geometric", "quadrature", "sum"])
def test_gradients_are_finite_where_a_signal_or_background_is_absent(combination):
    signal = np.array([[[0.0, -1.0, 2.0], [0.0, 0.0, 0.0]], np.zeros((2, 3))])
    background = np.array([1.0, 0.0, -3.0])

    def z(*values):
        return objective.combine_z2(objective.signal_z2(*values), combination)

    assert np.isfinite(z(tf.constant(signal), tf.constant(background), tf.zeros(3))).all()
    # The compiler multiplies by infinite slopes that a plain call leaves out.
    for compiled in (False, True):
        for g in gradient(z, signal, background, np.zeros(3), compiled=compiled):
            assert np.isfinite(g).all()


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_of_the_root_are_finite(compiled):
    s, b = [0.0, 1.0, -1.0, 3.0], [1.0, 0.0, 2.0, 3.0]
    for g in gradient(objective.asymptotic_significance, s, b, compiled=compiled):
        assert np.isfinite(g).all()


@pytest.mark.parametrize(("s", "b"), [(0, 5), (-1, 5), (-1, 1e3), (3, 0), (3, -2), (-1, -1)])
@pytest.mark.parametrize("v", [0.0, 4.0])
def test_no_signal_and_no_background_have_neither_value_nor_slope(s, b, v):
    assert float(objective.profiled_z2(float(s), float(b), v)) == 0
    for g in gradient(objective.profiled_z2, s, b, v):
        assert g == 0


def test_another_signal_is_no_background():
    signal, background = np.array([[2.0, 2.0], [5.0, 5.0]]), np.array([0.0, -1.0])
    got = objective.signal_z2(tf.constant(signal), tf.constant(background)).numpy()
    np.testing.assert_array_equal(got, 0)


def test_signals_see_each_other():
    signal, background = np.array([[2.0, 0.0], [1.0, 3.0]]), np.array([5.0, 9.0])
    got = objective.signal_z2(tf.constant(signal), tf.constant(background)).numpy()
    np.testing.assert_allclose(got, significance.signal_significances(signal, background) ** 2)
    first = float(objective.asimov_z2(2.0, 6.0))
    assert got[0] == pytest.approx(first)


def test_combinations():
    z2 = tf.constant([[4.0, 9.0]])
    assert float(objective.combine_z2(z2, "geometric")[0]) == pytest.approx(np.sqrt(6.0))
    assert float(objective.combine_z2(z2, "quadrature")[0]) == pytest.approx(np.sqrt(13.0))
    assert float(objective.combine_z2(z2, "sum", weights=(0.5, 2.0))[0]) == pytest.approx(7.0)
    assert float(objective.combine_z2(z2, weights=(0, 1))[0]) == pytest.approx(3.0)
    np.testing.assert_allclose(
        objective.combine_z2(z2, "geometric").numpy(),
        significance.combine(np.sqrt(z2.numpy()), "geometric"),
        rtol=1e-6,
    )


def test_asymptotic_significance_is_the_root():
    z = objective.asymptotic_significance(tf.constant(S, tf.float32), tf.constant(B, tf.float32))
    np.testing.assert_allclose(z.numpy() ** 2, significance.asimov_z2(S, B), rtol=1e-5)
    # At zero signal the root goes on as s / sqrt(b), whose slope is finite.
    (ds, _) = gradient(objective.asymptotic_significance, [1e-12], [4.0])
    assert ds[0] == pytest.approx(0.5)


def test_no_background_is_no_reward():
    z = objective.asymptotic_significance([1.0, 1.0, 1.0], [0.0, -2.0, 1e-10]).numpy()
    np.testing.assert_array_equal(z, 0)
