import numpy as np
import pytest
import tensorflow as tf

from gato_coffea.optimisation.training.penalties import (
    RELATIVE_LIMIT,
    high_bkg_uncertainty_penalty,
    low_bkg_penalty,
)


def test_figures_by_hand():
    assert float(low_bkg_penalty(tf.constant([4.0, 10.0, 12.0, 9.0]))) == pytest.approx(36 + 1)
    sumsq, yields = tf.constant([4.0, 1.0, 0.01]), tf.constant([4.0, 2.0, 1.0])
    got = float(high_bkg_uncertainty_penalty(sumsq, yields, rel_threshold=0.2))
    assert got == pytest.approx(0.3**2 + 0.3**2)


def test_whole_numbers_and_lists():
    assert float(low_bkg_penalty([9, 12])) == pytest.approx(1)
    got = high_bkg_uncertainty_penalty([1, 4], [4, 40])
    assert got.dtype == tf.float32
    assert float(got) == pytest.approx(0.05**2)
    assert high_bkg_uncertainty_penalty(np.ones(2), np.ones(2)).dtype == tf.float64


def test_batch_axes():
    yields = tf.ones((2, 3, 4))
    assert low_bkg_penalty(yields).shape == (2, 3)
    assert high_bkg_uncertainty_penalty(yields, yields).shape == (2, 3)


@pytest.mark.parametrize("compiled", [False, True])
def test_no_background_is_finite_and_costs(compiled):
    yields = tf.Variable([0.0, -3.0, 1e-30, 5.0])
    sumsq = tf.Variable([0.0, 2.0, 0.0, 0.0])

    # The compiler multiplies by infinite slopes that a plain call leaves out.
    @tf.function(jit_compile=compiled)
    def both():
        with tf.GradientTape() as tape:
            penalty = high_bkg_uncertainty_penalty(sumsq, yields) + low_bkg_penalty(yields)
        return penalty, tape.gradient(penalty, [sumsq, yields])

    penalty, gradients = both()
    assert float(penalty) > 0.64
    for gradient in gradients:
        assert np.isfinite(gradient.numpy()).all()


def test_relative_uncertainty_has_a_limit():
    for nothing in (1e-30, -1.0, -1e6):
        got = float(high_bkg_uncertainty_penalty(tf.constant([1.0]), tf.constant([nothing])))
        assert got == pytest.approx((RELATIVE_LIMIT - 0.2) ** 2, rel=1e-6)
    # Without any entries there is nothing to compare with.
    assert float(high_bkg_uncertainty_penalty([0.0], [0.0])) == pytest.approx(0.8**2)


def test_gradients_against_finite_differences():
    yields = np.array([3.0, 9.0, 25.0, 0.6])
    sumsq = np.array([5.0, 8.0, 1.0, 0.9])
    step = 1e-6
    for which in range(4):
        shift = step * np.eye(4)[which]
        for function, values, at in (
            (low_bkg_penalty, (yields,), 0),
            (high_bkg_uncertainty_penalty, (sumsq, yields), 0),
            (high_bkg_uncertainty_penalty, (sumsq, yields), 1),
        ):
            tensors = [tf.constant(v) for v in values]
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                penalty = function(*tensors)
            moved = [
                float(function(*(v + s * shift * (i == at) for i, v in enumerate(values))))
                for s in (1, -1)
            ]
            slope = tape.gradient(penalty, tensors)[at].numpy()[which]
            # Central differences lose half of the digits of a penalty of order 50.
            assert slope == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=1e-6, abs=1e-7)


def test_categories_beyond_the_thresholds_cost_nothing():
    yields, sumsq = tf.Variable([10.0, 50.0]), tf.Variable([4.0, 90.0])
    with tf.GradientTape() as tape:
        penalty = low_bkg_penalty(yields) + high_bkg_uncertainty_penalty(sumsq, yields)
    assert float(penalty) == 0
    for gradient in tape.gradient(penalty, [yields, sumsq]):
        np.testing.assert_array_equal(gradient, 0)
