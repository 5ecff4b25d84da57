import numpy as np
import pytest
import tensorflow as tf

from gato_coffea.gato.penalties import high_bkg_uncertainty_penalty, low_bkg_penalty


def test_figures_by_hand():
    assert float(low_bkg_penalty(tf.constant([4.0, 10.0, 12.0, 9.0]))) == pytest.approx(36 + 1)
    sumsq, yields = tf.constant([4.0, 1.0, 0.01]), tf.constant([4.0, 2.0, 1.0])
    got = float(high_bkg_uncertainty_penalty(sumsq, yields, rel_threshold=0.2))
    assert got == pytest.approx(0.3**2 + 0.3**2)


def test_batch_axes():
    yields = tf.ones((2, 3, 4))
    assert low_bkg_penalty(yields).shape == (2, 3)
    assert high_bkg_uncertainty_penalty(yields, yields).shape == (2, 3)


def test_no_background_is_finite_and_costs():
    yields = tf.Variable([0.0, -3.0, 1e-30, 5.0])
    sumsq = tf.Variable([0.0, 2.0, 0.0, 0.0])
    with tf.GradientTape() as tape:
        penalty = high_bkg_uncertainty_penalty(sumsq, yields) + low_bkg_penalty(yields)
    assert float(penalty) > 0.64
    for gradient in tape.gradient(penalty, [sumsq, yields]):
        assert np.isfinite(gradient.numpy()).all()
