import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from gato_coffea.optimisation.training import mixture


def parameters(shape=(), *, components=4, size=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    raw_means = rng.normal(size=(*shape, components, size)).astype(dtype)
    raw_scale = rng.normal(size=(*shape, components, size, size)).astype(dtype)
    logits = rng.normal(size=(*shape, components)).astype(dtype)
    return (
        mixture.effective_means(tf.constant(raw_means)),
        mixture.scale_tril(tf.constant(raw_scale), sigma0=0.2, damping=0.5),
        tf.nn.log_softmax(tf.constant(logits)),
    )


def points(n=50, size=3, dtype=np.float64):
    return tf.constant(np.random.default_rng(9).uniform(0, 1, (n, size)).astype(dtype))


@pytest.mark.parametrize("shape", [(), (2, 3)])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_slow_twin(shape, size):
    means, scale, log_weights = parameters(shape, size=size)
    x = points(size=size)
    twin = tfp.distributions.MultivariateNormalTriL(loc=means, scale_tril=scale)
    events = tf.reshape(x, (len(x), *[1] * (len(shape) + 1), size))
    density = tf.experimental.numpy.moveaxis(twin.log_prob(events), 0, -2)
    expected = density + log_weights[..., None, :]
    got = mixture.log_joint(x, means, scale, log_weights)
    assert got.shape == (*shape, 50, 4)
    np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-10)


def test_gradient_of_the_slow_twin():
    means, scale, log_weights = parameters()
    x = points()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([means, scale, log_weights])
        ours = tf.reduce_logsumexp(mixture.log_joint(x, means, scale, log_weights))
        twin = tfp.distributions.MultivariateNormalTriL(loc=means, scale_tril=scale)
        theirs = tf.reduce_logsumexp(twin.log_prob(x[:, None, :]) + log_weights)
    for source in (means, scale, log_weights):
        a, b = tape.gradient(ours, source).numpy(), tape.gradient(theirs, source).numpy()
        if a.ndim == 3:
            a, b = np.tril(a), np.tril(b)
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_memberships_sum_to_one_and_harden():
    arguments = (points(), *parameters())
    soft = mixture.memberships(*arguments)
    np.testing.assert_allclose(soft.numpy().sum(-1), 1)
    hard = mixture.memberships(*arguments, temperature=1e-6).numpy()
    np.testing.assert_array_equal(hard.argmax(-1), soft.numpy().argmax(-1))
    assert (hard.max(-1) > 1 - 1e-6).all()
    flat = mixture.memberships(*arguments, temperature=1e12).numpy()
    np.testing.assert_allclose(flat, 0.25, rtol=1e-6)


def test_compiled_step_gives_the_same():
    arguments = (points(dtype=np.float32), *parameters((2,), dtype=np.float32))
    compiled = tf.function(mixture.memberships, jit_compile=True)(*arguments)
    np.testing.assert_allclose(
        compiled.numpy(), mixture.memberships(*arguments).numpy(), atol=1e-5
    )


def test_softmax_means_lie_on_the_simplex():
    raw = tf.constant(np.random.default_rng(1).normal(0, 4, (7, 2)))
    means = mixture.effective_means(raw).numpy()
    assert (means > 0).all()
    assert (means.sum(axis=1) < 1).all()
    np.testing.assert_allclose(mixture.effective_means(tf.zeros((1, 2))).numpy(), 1 / 3)


def test_sigmoid_means_lie_in_the_range():
    span = [(-2.0, 2.0), (200.0, 3000.0)]
    raw = tf.constant([[-60.0, 60.0], [0.0, 0.0]])
    means = mixture.effective_means(raw, mean_norm="sigmoid", mean_range=span).numpy()
    np.testing.assert_allclose(means, [[-2, 3000], [0, 1600]], rtol=1e-6, atol=1e-6)
    one = mixture.effective_means(raw, mean_norm="sigmoid", mean_range=(1.0, 3.0)).numpy()
    np.testing.assert_allclose(one[1], 2)


@pytest.mark.parametrize("mean_norm", ["softmax", "sigmoid"])
def test_raw_means_invert(mean_norm):
    means = np.array([[0.2, 0.3], [0.01, 0.9]])
    raw = mixture.raw_means(means, mean_norm=mean_norm, mean_range=(-1.0, 2.0))
    back = mixture.effective_means(tf.constant(raw), mean_norm=mean_norm, mean_range=(-1.0, 2.0))
    np.testing.assert_allclose(back.numpy(), means, rtol=1e-9)


def test_widths_start_at_sigma0_and_stay_finite():
    scale = mixture.scale_tril(tf.zeros((2, 3, 3)), sigma0=[0.1, 2.0, 30.0]).numpy()
    np.testing.assert_allclose(scale, np.broadcast_to(np.diag([0.1, 2, 30]), (2, 3, 3)))
    wild = mixture.scale_tril(tf.constant([[[1e3]], [[-1e3]]]), sigma0=1.0).numpy()
    assert np.isfinite(wild).all()
    assert (wild > 0).all()
    damped = mixture.scale_tril(tf.ones((1, 2, 2)), sigma0=[1.0, 3.0], damping=0.1).numpy()[0]
    np.testing.assert_allclose(damped, [[np.e, 0], [0.3, 3 * np.e]], rtol=1e-6)
