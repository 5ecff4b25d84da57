import json
import pickle

import numpy as np
import pytest
import tensorflow as tf

from gato_coffea.datasets.toys import toy_arrays
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature
from gato_coffea.gato.convert import df_dict_to_tensors
from gato_coffea.gato.model import GaussianMixtureModel, gato_gmm_model
from gato_coffea.gato.toy_frames import generate_toy_data_1D
from gato_coffea.statistics.counting import signal_significances


def shaken(model, seed=0, size=0.7):
    """The model with random parameters, as after some training."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign_add(rng.normal(0, size, variable.shape).astype(np.float32))
    return model


@pytest.fixture(scope="module")
def one_dimension():
    return df_dict_to_tensors(generate_toy_data_1D(4000, 6000, seed=1))


@pytest.fixture(scope="module")
def two_dimensions():
    arrays = toy_arrays("three-class", n_signal=2000, n_bkg=5000, seed=1)
    return {
        name: {"NN_output": tf.constant(c["x"][:, :2], tf.float32), "weight": c["weight"]}
        for name, c in arrays.items()
    }


class Trained(gato_gmm_model):
    def call(self, data_dict):
        significances, yields, sumw2 = self.get_differentiable_significance(
            data_dict, signal_labels=["signal"], return_details=True
        )
        return -significances["signal"], yields, sumw2


def test_documented_variables_and_names():
    model = gato_gmm_model(n_cats=4, dim=2)
    assert isinstance(model, GaussianMixtureModel)
    assert model.name == "gato_gmm_model"
    shapes = {v.name.split(":")[0]: tuple(v.shape) for v in model.trainable_variables}
    assert shapes == {"mixture_logits": (4,), "means": (4, 2), "unconstrained_L": (4, 2, 2)}
    assert model.get_effective_means().shape == (4, 2)
    assert model.get_scale_tril().shape == (4, 2, 2)
    assert float(tf.reduce_sum(tf.exp(model.get_mixture_weight()))) == pytest.approx(1)
    with pytest.raises(NotImplementedError):
        model.call({})


def test_start_follows_the_range():
    wide = gato_gmm_model(5, 2, mean_norm="sigmoid", mean_range=[(0, 1), (200, 3000)])
    unit = gato_gmm_model(5, 2, mean_norm="sigmoid", mean_range=(0, 1))
    np.testing.assert_allclose(
        wide.get_effective_means()[:, 1], 200 + 2800 * unit.get_effective_means()[:, 1], rtol=1e-4
    )
    np.testing.assert_allclose(wide.get_scale_tril()[:, 1, 1], 2800 * unit.sigma0[1], rtol=1e-6)
    x = np.random.default_rng(1).uniform(size=(500, 2)).astype(np.float32)
    np.testing.assert_allclose(
        unit.get_probs(x), wide.get_probs(x * [1, 2800] + [0, 200]), atol=1e-4
    )


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("k", [2, 3, 10, 20])
def test_every_component_wins_somewhere_at_the_start(k, dim):
    rng = np.random.default_rng(1)
    regions = {
        "sigmoid": rng.uniform(size=(10_000, dim)),
        "softmax": rng.dirichlet([1] * (dim + 1), 10_000)[:, :dim],
    }
    for norm, x in regions.items():
        bins = gato_gmm_model(k, dim, mean_norm=norm).get_bin_indices(x)
        assert set(bins.numpy()) == set(range(k))


@pytest.mark.parametrize("norm", ["softmax", "sigmoid"])
def test_probabilities_follow_the_distribution_object(norm):
    model = shaken(gato_gmm_model(3, 2, mean_norm=norm))
    x = tf.random.stateless_uniform((200, 2), (1, 2))
    pdf = model.get_mixture_pdf()
    joint = pdf.components_distribution.log_prob(x[:, None, :]) + model.get_mixture_weight()
    for temperature in (1.0, 0.3):
        expected = tf.nn.softmax(joint / temperature, axis=-1)
        np.testing.assert_allclose(model.get_probs(x, temperature), expected, atol=2e-5)
    np.testing.assert_array_equal(model.get_bin_indices(x), tf.argmax(joint, axis=-1))


def test_results_mirror_the_form_of_the_data(one_dimension):
    model = shaken(gato_gmm_model(3, 1, mean_norm="sigmoid"))
    flat = one_dimension["signal"]["NN_output"]
    tall = flat[:, None].numpy()
    probs = model.get_probs(flat)
    assert probs.shape == (4000, 3)
    np.testing.assert_array_equal(model.get_probs(tall), probs)
    for data in ({"a": flat, "b": tall}, {"a": {"NN_output": flat}, "b": {"NN_output": tall}}):
        assert list(model.get_probs(data)) == ["a", "b"]
        bins = model.get_bin_indices(data, temperature=0.1)
        np.testing.assert_array_equal(bins["a"], bins["b"])
        assert bins["a"].dtype == tf.int32
    frames = generate_toy_data_1D(4000, 6000, seed=1)
    np.testing.assert_array_equal(
        model.get_bin_indices(frames)["signal"], model.get_bin_indices(one_dimension)["signal"]
    )


def test_wrong_width_and_nan():
    model = gato_gmm_model(3, 2)
    with pytest.raises(InputError, match=r"needs events of shape \(N, 2\)"):
        model.get_probs(np.zeros((5, 3), np.float32))
    x = np.array([[0.1, 0.2], [np.nan, 0.1], [0.5, 0.4]])
    assert model.get_bin_indices(x).numpy().tolist()[1] == -1
    assert (model.get_bin_indices(x).numpy()[[0, 2]] >= 0).all()


def test_cold_significance_is_the_hard_one(two_dimensions):
    model = shaken(gato_gmm_model(6, 2))
    signals = ["signal1", "signal2"]
    sumw, sumw2 = model.hard_yields(two_dimensions)
    background = sum(sumw[p] for p in sumw if p not in signals)
    expected = signal_significances(np.stack([sumw[s] for s in signals]), background)
    model.temperature = 1e-5
    z, yields, squares = model.get_differentiable_significance(
        two_dimensions, signal_labels=signals, return_details=True
    )
    assert list(z) == signals
    # Events within float32 of a boundary are shared at any temperature.
    np.testing.assert_allclose([float(z[s]) for s in signals], expected, rtol=1e-3)
    np.testing.assert_allclose(yields, background, rtol=1e-3)
    np.testing.assert_allclose(
        squares, sum(sumw2[p] for p in sumw2 if p not in signals), rtol=1e-2
    )
    assert np.abs(model.get_bias(two_dimensions)).max() < 1e-3
    assert np.abs(model.get_bias(two_dimensions, temperature=1.0)).max() > 1e-2


def test_bias_of_an_empty_category_is_minus_one(one_dimension):
    model = gato_gmm_model(3, 1, mean_norm="sigmoid")
    model.mixture_logits.assign([0.0, -8.0, 0.0])
    bias = model.get_bias(one_dimension)
    assert bias[1] == -1
    assert (np.abs(bias[[0, 2]]) < 1).all()


def test_reweighting(two_dimensions):
    model = shaken(gato_gmm_model(3, 2))
    arguments = {"signal_labels": ["signal1"], "return_details": True}
    _, plain, squares = model.get_differentiable_significance(two_dimensions, **arguments)
    factor = np.array([0.5, 2.0, 1.0])
    _, scaled, scaled_squares = model.get_differentiable_significance(
        two_dimensions, background_reweight=factor, **arguments
    )
    np.testing.assert_allclose(scaled, plain * factor, rtol=1e-5)
    np.testing.assert_allclose(scaled_squares, squares * factor**2, rtol=1e-5)
    _, one, _ = model.get_differentiable_significance(
        two_dimensions, background_reweight=factor, reweight_processes=["bkg1"], **arguments
    )
    only = {"bkg1": two_dimensions["bkg1"], "signal1": two_dimensions["signal1"]}
    _, first, _ = model.get_differentiable_significance(only, **arguments)
    np.testing.assert_allclose(one, plain + first * (factor - 1), rtol=1e-4)
    with pytest.raises(InputError, match="reweight_processes: no such process"):
        model.get_differentiable_significance(
            two_dimensions, reweight_processes=["bkg9"], **arguments
        )
    with pytest.raises(InputError, match="signal_labels: needs at least one of signal1"):
        model.get_differentiable_significance(two_dimensions, signal_labels=[])
    with pytest.raises(InputError, match=r"signal_labels: no such process \(got 'ggH'"):
        model.get_differentiable_significance(two_dimensions, signal_labels=["ggH"])


def test_gradient_against_finite_differences(one_dimension):
    model = Trained(3, 1, mean_norm="sigmoid")
    with tf.GradientTape() as tape:
        loss, _, _ = model.call(one_dimension)
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        direction = np.sign(gradient.numpy())
        values = []
        for sign in (1, -1):
            variable.assign_add(sign * 0.01 * direction)
            values.append(float(model.call(one_dimension)[0]))
            variable.assign_sub(sign * 0.01 * direction)
        # float32 sums of ten thousand events leave 1e-3 of a difference of 1e-2
        expected = (values[0] - values[1]) / 0.02
        assert np.sum(gradient.numpy() * direction) == pytest.approx(expected, rel=2e-2)


def test_temperature_acts_inside_a_compiled_step(one_dimension):
    model = Trained(4, 1, temperature=1.0, mean_norm="sigmoid")

    @tf.function
    def loss(data):
        return model.call(data)[0]

    values = []
    for temperature in (1.0, 0.1):
        model.temperature = temperature
        assert model.temperature == pytest.approx(temperature)
        values.append(float(loss(one_dimension)))
        assert values[-1] == pytest.approx(float(model.call(one_dimension)[0]), rel=1e-5)
    assert loss.experimental_get_tracing_count() == 1
    assert values[0] != values[1]
    with pytest.raises(InputError, match="temperature must be positive"):
        model.temperature = 0.0


def test_a_short_training_improves_and_repeats(one_dimension):
    def train():
        model = Trained(4, 1, mean_norm="sigmoid")
        optimizer = tf.keras.optimizers.RMSprop(learning_rate=0.1)

        @tf.function
        def step(data):
            with tf.GradientTape() as tape:
                loss, _, _ = model.call(data)
            variables = model.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            return loss

        return [float(step(one_dimension)) for _ in range(15)]

    first = train()
    assert first[-1] < 1.2 * first[0] < 0
    assert train() == pytest.approx(first, rel=1e-4)


def test_boundaries_are_where_bins_change(one_dimension):
    model = shaken(gato_gmm_model(6, 1, mean_norm="sigmoid", mean_range=(-1.0, 2.0)), seed=3)
    edges, winners = model.get_effective_boundaries_1d(return_mapping=True)
    x = np.random.default_rng(2).uniform(-1, 2, 50_000)
    np.testing.assert_array_equal(
        model.get_bin_indices(x), winners.numpy()[np.searchsorted(edges.numpy(), x)]
    )
    np.testing.assert_array_equal(model.get_effective_boundaries_1d(n_points=10), edges)
    with pytest.raises(InputError, match="boundaries need one dimension"):
        gato_gmm_model(2, 2).get_effective_boundaries_1d()


def test_background_statistics_in_order(one_dimension, two_dimensions):
    model = shaken(gato_gmm_model(4, 1, mean_norm="sigmoid"), seed=5)
    yields, relative, order = model.compute_hard_bkg_stats(one_dimension)
    sumw, sumw2 = model.hard_yields(one_dimension)
    total = sum(sumw[p] for p in sumw if p != "signal")
    np.testing.assert_allclose(yields, total[order])
    error = np.sqrt(sum(sumw2[p] for p in sumw if p != "signal"))[order]
    full = yields > 0
    np.testing.assert_allclose(relative[full], error[full] / yields[full])
    assert (relative[~full] == 1).all()
    assert sorted(order) == [0, 1, 2, 3]
    _, winners = model.get_effective_boundaries_1d(return_mapping=True)
    np.testing.assert_array_equal(
        order[: len(set(winners.numpy()))], list(dict.fromkeys(winners.numpy()))
    )

    model = shaken(gato_gmm_model(5, 2))
    *_, order = model.compute_hard_bkg_stats(two_dimensions)
    sumw, _ = model.hard_yields(two_dimensions)
    background = sum(sumw[p] for p in sumw if not p.startswith("signal"))
    z2 = [
        (
            signal_significances(
                np.array([[sumw[s][k]] for s in ("signal1", "signal2")]), background[k : k + 1]
            )
            ** 2
        ).sum()
        for k in range(5)
    ]
    assert (np.diff(np.array(z2)[order]) <= 0).all()


def test_effective_parameters_hold_true_weights():
    model = shaken(gato_gmm_model(4, 2))
    parameters = model.get_effective_parameters()
    assert np.exp(parameters["log mixture weights"]).sum() == pytest.approx(1)
    np.testing.assert_allclose(parameters["means"], model.get_effective_means())
    json.dumps(parameters)


@pytest.mark.parametrize("dim", [1, 3])
def test_save_and_restore(tmp_path, dim):
    model = shaken(gato_gmm_model(4, dim, mean_norm="sigmoid", mean_range=(-2, 5)))
    model.temperature = 0.25
    model.sigma0 = (0.7,) * dim
    model.save(tmp_path / "new" / "4_bins")
    other = gato_gmm_model(4, dim, mean_norm="sigmoid", mean_range=(-2, 5))
    other.restore(tmp_path / "new" / "4_bins")
    x = np.random.default_rng(1).uniform(-2, 5, (1000, dim))
    np.testing.assert_array_equal(model.get_probs(x), other.get_probs(x))
    np.testing.assert_array_equal(model.get_bin_indices(x), other.get_bin_indices(x))
    assert other.temperature == 0.25


def test_restore_checks_what_it_reads(tmp_path):
    with pytest.raises(FileNotFoundError, match="no saved model"):
        gato_gmm_model(4, 1).restore(tmp_path)
    gato_gmm_model(4, 1).save(tmp_path)
    for wrong, key in (
        (gato_gmm_model(5, 1), "n_cats"),
        (gato_gmm_model(4, 2), "dim"),
        (gato_gmm_model(4, 1, mean_norm="sigmoid"), "mean_norm"),
        (gato_gmm_model(4, 1, mean_range=(0, 2)), "mean_range"),
        (gato_gmm_model(4, 1, cov_offdiag_damping=1.0), "cov_offdiag_damping"),
    ):
        with pytest.raises(InputError, match=f"{key} differs from the model's"):
            wrong.restore(tmp_path)
    file = tmp_path / "model.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"means": [[1.0]]}))
    with pytest.raises(InputError, match="is damaged"):
        gato_gmm_model(4, 1).restore(tmp_path)
    for change in (
        {"temperature": -1.0},
        {"sigma0": [0.1, 0.1]},
        {"mixture_logits": [float("nan")] * 4},
    ):
        file.write_text(json.dumps(content | change))
        model = gato_gmm_model(4, 1)
        before = model.get_effective_parameters()
        with pytest.raises(InputError, match="is damaged"):
            model.restore(tmp_path)
        assert model.get_effective_parameters() == before
    file.write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        gato_gmm_model(4, 1).restore(tmp_path)


def test_pickles():
    model = shaken(gato_gmm_model(4, 2))
    model.temperature = 0.5
    model.get_mixture_pdf()
    copy = pickle.loads(pickle.dumps(model))
    x = np.random.default_rng(1).uniform(size=(100, 2))
    np.testing.assert_array_equal(copy.get_probs(x), model.get_probs(x))
    assert copy.temperature == 0.5


def test_portable_categories_agree_event_by_event(tmp_path):
    model = shaken(gato_gmm_model(5, 2, mean_norm="sigmoid", mean_range=[(0, 1), (200, 3000)]))
    features = [Feature("score", 0, 1), Feature("mjj", 200, 3000)]
    categories = model.to_categories(features, order=[4, 2, 0, 1, 3])
    x = np.random.default_rng(1).uniform([0, 200], [1, 3000], (20_000, 2))
    rank = np.argsort([4, 2, 0, 1, 3])
    np.testing.assert_array_equal(categories.assign(x), rank[model.get_bin_indices(x)])
    with pytest.raises(InputError, match="needs 2 features of linear scale"):
        model.to_categories(features[:1])


@pytest.mark.parametrize("k", [1, 5, 10, 20])
def test_start_from_data_is_close_to_the_best_binning(k):
    model = gato_gmm_model(k, 1, mean_norm="sigmoid")
    data = toy_arrays("1d", n_signal=50_000, n_bkg=150_000, seed=2)
    model.initialise(data)
    sumw, _ = model.hard_yields(toy_arrays("1d", n_signal=50_000, n_bkg=300_000, seed=3))
    background = sum(sumw[p] for p in sumw if p != "signal")
    z = float(signal_significances(sumw["signal"][None], background)[0])
    # Population optima 1.699, 1.774, 1.788 for 5, 10, 20 bins; 5 % covers this small test sample.
    assert z > {1: 0.3, 5: 1.58, 10: 1.67, 20: 1.70}[k]


def test_start_without_data_resolves_the_ends_of_a_score():
    model = gato_gmm_model(20, 1, mean_norm="sigmoid", mean_range=(-1.0, 1.0))
    edges = model.get_effective_boundaries_1d().numpy()
    assert len(edges) == 19
    assert edges[0] < -0.99
    assert edges[-1] > 0.99
    np.testing.assert_allclose(edges, -edges[::-1], atol=1e-5)


def test_start_from_data_in_two_dimensions(two_dimensions):
    model = gato_gmm_model(8, 2)
    model.initialise(two_dimensions, seed=3)
    first = model.get_effective_means().numpy()
    model.initialise(two_dimensions, seed=3)
    np.testing.assert_array_equal(first, model.get_effective_means())
    model.initialise(two_dimensions, seed=4)
    assert not np.array_equal(first, model.get_effective_means())
    filled = np.concatenate([model.get_bin_indices(v) for v in two_dimensions.values()])
    assert len(np.unique(filled)) == 8
    with pytest.raises(InputError, match="start: needs a signal"):
        model.initialise({"bkg1": two_dimensions["bkg1"]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_cats": 0, "dim": 1}, "n_cats and dim must be positive"),
        ({"n_cats": 2, "dim": 1, "mean_norm": "tanh"}, "mean_norm must be softmax or sigmoid"),
        ({"n_cats": 2, "dim": 3, "mean_range": [(0, 1), (0, 1)]}, "mean_range must be one pair"),
        ({"n_cats": 2, "dim": 1, "mean_range": (1, 0)}, "mean_range must be one pair"),
        ({"n_cats": 2, "dim": 1, "temperature": -1}, "temperature must be positive"),
    ],
)
def test_what_cannot_be(arguments, message):
    with pytest.raises(InputError, match=message):
        gato_gmm_model(**arguments)
