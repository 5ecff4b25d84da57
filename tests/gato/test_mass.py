import numpy as np
import pytest
import tensorflow as tf

from gato_coffea.errors import InputError
from gato_coffea.gato.convert import convert_mass_data_to_tensors
from gato_coffea.gato.mass import (
    compute_mass_reweight_factors,
    differentiable_mass_factors,
)
from gato_coffea.gato.model import gato_gmm_model
from gato_coffea.gato.toy_frames import generate_resonance_toy_data
from gato_coffea.optimisation.training.window import (
    exponential_slope,
    mean_mass,
    window_fraction,
)

RANGE = (100.0, 180.0)
WINDOW = (123.5, 126.5)


def exact(slope, window=WINDOW):
    """Mean and window fraction of a truncated exponential by brute force."""
    m = np.linspace(*RANGE, 2_000_001)
    density = np.exp(-slope * (m - RANGE[0]))
    inside = np.linspace(*window, 200_001)
    total = np.trapezoid(density, m)
    part = np.trapezoid(np.exp(-slope * (inside - RANGE[0])), inside)
    return np.trapezoid(density * m, m) / total, part / total


@pytest.mark.parametrize("slope", [-0.3, -0.02, -1e-4, 0.0, 1e-6, 7e-4, 0.003, 0.02, 0.1, 0.5])
def test_slope_and_fraction_of_an_exponential(slope):
    mean, fraction = exact(slope)
    mean = tf.constant(mean, tf.float64)
    assert float(exponential_slope(mean, *RANGE)) == pytest.approx(slope, rel=1e-6, abs=1e-9)
    assert float(window_fraction(mean, *RANGE, *WINDOW)) == pytest.approx(fraction, rel=1e-7)


def test_a_flat_continuum_and_the_whole_range():
    assert float(window_fraction(140.0, *RANGE, *WINDOW)) == pytest.approx(3 / 80)
    assert float(window_fraction(120.0, *RANGE, *RANGE)) == pytest.approx(1)
    low = window_fraction(tf.constant(117.0, tf.float64), *RANGE, 100.0, 130.0)
    high = window_fraction(tf.constant(117.0, tf.float64), *RANGE, 130.0, 180.0)
    assert float(low + high) == pytest.approx(1, rel=1e-12)


def test_smooth_through_every_seam():
    # Series meet closed forms at small slopes: the fraction must not jump there.
    mean = tf.constant(np.linspace(138, 142, 40_001))
    fraction = window_fraction(mean, *RANGE, *WINDOW).numpy()
    second = np.diff(fraction, 2)
    assert np.abs(second).max() < 1e-10


def test_gradient_against_finite_differences():
    mean = tf.constant([104.0, 112.0, 130.0, 139.99, 140.0, 140.2, 165.0, 176.0], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(mean)
        fraction = window_fraction(mean, *RANGE, *WINDOW)
    gradient = tape.gradient(fraction, mean).numpy()
    step = 1e-4
    up, down = (window_fraction(mean + s, *RANGE, *WINDOW).numpy() for s in (step, -step))
    np.testing.assert_allclose(gradient, (up - down) / (2 * step), rtol=1e-6, atol=1e-11)


def test_finite_outside_and_with_batch_axes():
    mean = tf.constant([[-1e9, 100.0, 180.0], [1e9, 99.0, 140.0]])
    with tf.GradientTape() as tape:
        tape.watch(mean)
        fraction = window_fraction(mean, *RANGE, *WINDOW)
    assert fraction.shape == (2, 3)
    assert fraction.dtype == tf.float32
    assert ((fraction.numpy() >= 0) & (fraction.numpy() <= 1)).all()
    assert np.isfinite(tape.gradient(fraction, mean).numpy()).all()


def test_mean_of_an_empty_category_is_the_centre():
    got = mean_mass([2.0, 0.0, -1.0], [240.0, 0.0, -130.0], low=100.0, high=180.0)
    np.testing.assert_allclose(got, [120, 140, 140])


def test_window_must_lie_inside():
    with pytest.raises(InputError, match=r"mass window: 90\.0 to 110\.0 is not inside"):
        window_fraction(120.0, *RANGE, 90.0, 110.0)


def test_factors_of_a_model_recover_the_slopes():
    data = generate_resonance_toy_data(500, 500, 60_000, background_slopes=[0.02], seed=3)
    model = gato_gmm_model(4, 3)
    model.initialise(data)
    factors = compute_mass_reweight_factors(model, data)
    assert factors.shape == (4,)
    _, expected = exact(0.02)
    counts = np.bincount(
        np.concatenate([model.get_bin_indices(f) for p, f in data.items() if p.startswith("bkg")]),
        minlength=4,
    )
    # The fraction moves by a third of its relative mean shift; three standard deviations.
    tolerance = 3 * expected / np.sqrt(np.maximum(counts, 1))
    assert (np.abs(factors - expected) < tolerance).all()
    tensors = convert_mass_data_to_tensors(data)
    np.testing.assert_allclose(compute_mass_reweight_factors(model, tensors), factors, rtol=1e-4)
    with pytest.raises(InputError, match="no process is continuum"):
        compute_mass_reweight_factors(model, data, signal_labels=list(data))


def test_masses_beyond_the_range_count_nowhere():
    rng = np.random.default_rng(2)
    score = rng.dirichlet([1, 1, 1], 4000)
    inside = {"NN_output": score, "weight": np.ones(4000), "mass": rng.uniform(100, 150, 4000)}
    beyond = {name: np.concatenate([column, column[:2000]]) for name, column in inside.items()}
    beyond["mass"][4000:] = np.repeat([20.0, 99.9, 180.1, 900.0], 500)
    model = gato_gmm_model(3, 3)
    expected = compute_mass_reweight_factors(model, {"bkg": inside})
    assert (expected > 3 / 80).all()  # more at low masses
    np.testing.assert_allclose(compute_mass_reweight_factors(model, {"bkg": beyond}), expected)
    soft = [
        differentiable_mass_factors(model, {"bkg": table}, signal_labels=[]).numpy()
        for table in (inside, beyond)
    ]
    np.testing.assert_allclose(*soft, rtol=1e-5)
    other = {name: column.copy() for name, column in inside.items()}
    other["m"], other["w"] = other.pop("mass"), other.pop("weight")
    other["logits"] = other.pop("NN_output")
    named = {"mass_column": "m", "weight_column": "w", "feature_key": "logits"}
    got = compute_mass_reweight_factors(model, {"bkg": other}, **named)
    np.testing.assert_array_equal(got, expected)


def test_soft_factors_inside_a_compiled_training_step():
    data = generate_resonance_toy_data(500, 500, 5000, background_slopes=[0.01, 0.04], seed=3)
    tensors = convert_mass_data_to_tensors(data)
    signals = ["signal1", "signal2"]
    model = gato_gmm_model(3, 3)
    model.initialise(data)
    variables = model.trainable_variables

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            factors = differentiable_mass_factors(model, tensors, signal_labels=signals)
            z = model.get_differentiable_significance(
                tensors, signal_labels=signals, background_reweight=factors
            )
            loss = -tf.sqrt(z["signal1"] * z["signal2"])
        return factors, tape.gradient(loss, variables)

    factors, gradients = step()
    assert factors.shape == (3,)
    assert all(np.isfinite(g.numpy()).all() for g in gradients)
    model.temperature = 1e-4
    np.testing.assert_allclose(step()[0], compute_mass_reweight_factors(model, data), rtol=1e-3)
