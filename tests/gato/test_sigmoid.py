import json
import pickle

import numpy as np
import pytest
import tensorflow as tf

from gato_coffea.datasets.toys import toy_arrays
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature
from gato_coffea.gato.sigmoid import (
    gato_sigmoid_model,
)
from gato_coffea.optimisation.training.edges import (
    ordered_edges,
    raw_edges,
    safe_sigmoid,
)

TWO = [
    {"name": "disc", "bins": 3, "range": (0.0, 1.0)},
    {"name": "mjj", "bins": 2, "range": (200.0, 3000.0), "steepness": 20.0},
]


@pytest.fixture
def two():
    model = gato_sigmoid_model(TWO)
    model.set_boundaries([0.2, 0.7], 0)
    model.set_boundaries([900.0], 1)
    return model


def events(n=2000):
    return np.random.default_rng(1).uniform([0, 200], [1, 3000], (n, 2)).astype(np.float32)


def test_safe_sigmoid():
    z = tf.constant([-np.inf, -1e38, -1.0, 0.0, 1.0, 1e38, np.inf])
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = safe_sigmoid(z, 1e30)
    np.testing.assert_allclose(value, [0, 0, 0, 0.5, 1, 1, 1], atol=1e-30)
    assert np.isfinite(tape.gradient(value, z).numpy()).all()
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = safe_sigmoid(z, np.inf)
    np.testing.assert_allclose(value, [0, 0, 0, 0.5, 1, 1, 1], atol=1e-30)
    assert np.isfinite(tape.gradient(value, z).numpy()).all()
    np.testing.assert_allclose(
        safe_sigmoid(tf.constant([-0.3, 0.2]), 5.0), 1 / (1 + np.exp([1.5, -1.0])), rtol=1e-6
    )


def test_safe_sigmoid_of_whole_numbers():
    assert float(safe_sigmoid(1, 2)) == pytest.approx(1 / (1 + np.exp(-2)))
    assert safe_sigmoid(np.ones(2), 2).dtype == tf.float64


def test_edges_are_ordered_and_invert():
    raw = np.random.default_rng(1).normal(0, 3, (50, 6))
    edges = ordered_edges(tf.constant(raw)).numpy()
    assert (np.diff(edges, axis=1) > 0).all()
    assert edges.min() > 0
    assert edges.max() < 1
    np.testing.assert_allclose(raw_edges(edges[0]), raw[0], rtol=1e-6)
    np.testing.assert_allclose(ordered_edges(tf.zeros(3)), [0.25, 0.5, 0.75], rtol=1e-6)


def test_documented_parts(two):
    assert two.n_cats == 6
    assert [tuple(cfg["raw"].shape) for cfg in two.var_cfg] == [(2,), (1,)]
    assert [float(cfg["k"]) for cfg in two.var_cfg] == [5.0, 20.0]
    assert len(two.trainable_variables) == 2
    np.testing.assert_allclose(two.calculate_boundaries(), [0.2, 0.7], rtol=1e-5)
    np.testing.assert_allclose(two.calculate_boundaries(1), [900.0], rtol=1e-5)
    with pytest.raises(NotImplementedError):
        two.call({})


def test_memberships_sum_to_one_and_harden_to_the_edges(two):
    x = events()
    soft = two.get_probs(x).numpy()
    assert soft.shape == (2000, 6)
    assert soft.min() > -1e-6
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)
    expected = 2 * np.digitize(x[:, 0], [0.2, 0.7]) + (x[:, 1] >= 900)
    far = np.abs(x[:, :1] - [0.2, 0.7]).min(axis=1) > 1e-4
    np.testing.assert_array_equal(two.get_bin_indices(x)[far], expected[far])
    steep = two.get_probs(x, steepness_scale=1e6).numpy().argmax(axis=1)
    np.testing.assert_array_equal(steep[far], expected[far])


def test_beyond_the_range_and_nan(two):
    x = np.array([[-5.0, 1e5], [np.nan, 500.0]])
    assert two.get_bin_indices(x).numpy().tolist() == [1, -1]


def test_helpers_agree_with_hard_yields_when_steep():
    arrays = toy_arrays("1d", n_signal=3000, n_bkg=5000, seed=1)
    data = {name: {"NN_output": c["x"], "weight": c["weight"]} for name, c in arrays.items()}
    model = gato_sigmoid_model([{"bins": 4, "range": (0, 1)}])
    assert np.abs(model.get_bias(data, steepness_scale=1e5)).max() < 1e-2
    assert np.abs(model.get_bias(data)).max() > 0.1
    yields, relative = model.compute_hard_bkg_stats(data)
    assert tf.is_tensor(yields)
    assert tf.is_tensor(relative)
    assert yields.dtype == relative.dtype == tf.float32
    background = np.concatenate([arrays[f"bkg{i}"]["x"] for i in range(1, 6)])
    weight = np.concatenate([arrays[f"bkg{i}"]["weight"] for i in range(1, 6)])
    expected = np.histogram(background, 4, (0, 1), weights=weight)[0]
    np.testing.assert_allclose(yields.numpy(), expected, rtol=1e-6)  # float32
    counts = np.histogram(background, 4, (0, 1))[0]
    np.testing.assert_allclose(relative, 1 / np.sqrt(counts), rtol=1e-3)
    z, soft, _ = model.get_differentiable_significance(
        data, signal_labels=["signal"], return_details=True
    )
    assert float(z["signal"]) > 0
    assert float(tf.reduce_sum(soft)) == pytest.approx(26_000, rel=1e-4)


def test_training_moves_edges_towards_significance():
    arrays = toy_arrays("1d", n_signal=3000, n_bkg=5000, seed=1)
    data = {
        n: {"NN_output": tf.constant(c["x"], tf.float32), "weight": c["weight"]}
        for n, c in arrays.items()
    }
    model = gato_sigmoid_model([{"bins": 3, "range": (0, 1)}], global_steepness=20.0)
    optimizer = tf.keras.optimizers.Adam(0.1)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -model.get_differentiable_significance(data, signal_labels=["signal"])["signal"]
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    losses = [float(step()) for _ in range(30)]
    assert losses[-1] < losses[0] - 0.1
    assert model.calculate_boundaries().numpy()[1] > 0.8


def test_gradient_against_finite_differences(two):
    rng = np.random.default_rng(5)
    x = events(4000)
    data = {
        "signal": {"NN_output": x[:2000] * [0.9, 1.0] + [0.1, 0.0], "weight": np.full(2000, 0.01)},
        "bkg": {"NN_output": x * [0.6, 0.8], "weight": rng.uniform(0.1, 1.0, len(x))},
    }

    def z():
        return two.get_differentiable_significance(data, signal_labels=["signal"])["signal"]

    with tf.GradientTape() as tape:
        value = z()
    gradients = tape.gradient(value, two.trainable_variables)
    for variable, gradient in zip(two.trainable_variables, gradients, strict=True):
        for direction in np.eye(variable.shape[0], dtype=np.float32):
            moved = []
            for sign in (1, -1):
                variable.assign_add(sign * 0.02 * direction)
                moved.append(float(z()))
                variable.assign_sub(sign * 0.02 * direction)
            slope = float(gradient.numpy() @ direction)
            # float32 sums of thousands of events leave 1e-3 of a difference of 1e-2
            expected = (moved[0] - moved[1]) / 0.04
            assert slope == pytest.approx(expected, rel=1e-2, abs=1e-4)
            assert abs(slope) > 1e-3


def test_portable_categories_agree(two):
    features = [Feature("disc", 0, 1), Feature("mjj", 200, 3000)]
    edges = [two.calculate_boundaries(j).numpy().astype(np.float64) for j in range(2)]
    corners = np.stack(np.meshgrid([0.0, *edges[0], 1.0], [200.0, *edges[1], 3000.0]), axis=-1)
    x = np.concatenate([events().astype(np.float64), corners.reshape(-1, 2)])
    np.testing.assert_array_equal(
        two.to_categories(features).assign(x), two.get_bin_indices(x).numpy()
    )
    with pytest.raises(InputError, match="edges of mjj leave its range"):
        two.to_categories([features[0], Feature("mjj", 200, 500)])


def test_save_restore_and_pickle(two, tmp_path):
    two.var_cfg[0]["k"].assign(50.0)
    two.save(tmp_path)
    other = gato_sigmoid_model(TWO)
    other.restore(tmp_path)
    x = events()
    np.testing.assert_array_equal(other.get_probs(x), two.get_probs(x))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(two)).get_probs(x), two.get_probs(x))
    with pytest.raises(InputError, match="variables differs from the model's"):
        gato_sigmoid_model(TWO[:1]).restore(tmp_path)
    with pytest.raises(FileNotFoundError):
        other.restore(tmp_path / "elsewhere")
    file = tmp_path / "model.json"
    content = json.loads(file.read_text())
    for change in ({"raw": [[1.0], [2.0]]}, {"k": [5.0]}, {"k": [5.0, 0.0]}):
        file.write_text(json.dumps(content | change))
        with pytest.raises(InputError, match="is damaged"):
            other.restore(tmp_path)
    np.testing.assert_array_equal(other.get_probs(x), two.get_probs(x))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ([], "needs at least one variable"),
        ([{"bins": 1, "range": (0, 1)}], r"variables_config\[0\].bins: must be two or more"),
        ([{"bins": 2, "range": (1, 0)}], r"range: must be \(low, high\)"),
        ([{"bins": 2, "range": (0, 1), "steepness": 0}], "steepness: must be positive"),
        ([{"bins": 2, "limits": (0, 1)}], r"unknown key \(got \['limits'\]\)"),
    ],
)
def test_what_cannot_be(config, message):
    with pytest.raises(InputError, match=message):
        gato_sigmoid_model(config)


@pytest.mark.parametrize("edges", [[0.7, 0.2], [0.0, 0.5], [0.2]])
def test_edges_that_cannot_be(two, edges):
    with pytest.raises(InputError, match="edges"):
        two.set_boundaries(edges, 0)
