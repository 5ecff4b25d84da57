"""Densities estimated from samples whose densities are known."""

from __future__ import annotations

import numpy as np
import pytest

from gato_coffea.optimisation.smoothing import fit_posterior, polynomial_basis, smooth_densities


def binned(rng, n, means, sigmas, *, weights, edges):
    """Weighted events of Gaussians in bins: centres, yields and effective entries."""
    yields, effective = [], []
    for mean, sigma, weight in zip(means, sigmas, weights, strict=True):
        yields.append(weight * np.histogram(rng.normal(mean, sigma, n), edges)[0])
        effective.append(n)
    centre = 0.5 * (edges[1:] + edges[:-1])
    return centre[:, None], np.array(yields, dtype=float), np.array(effective, dtype=float)


EDGES = np.linspace(-5, 5, 201)


def test_recovers_the_ratio_of_two_gaussians_and_finds_that_it_is_linear():
    # Equal widths: the log ratio is x - 1/2, a polynomial of degree one.
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        u, yields, effective = binned(
            rng, 20_000, (1, 0), (1, 1), weights=(0.02, 3.0), edges=EDGES
        )
        estimate, degree = smooth_densities(u, yields, effective)[:2]
        found.append(degree)
        estimate, _ = smooth_densities(u, yields, effective, degree=1)[:2]
        inside = (np.abs(u[:, 0]) < 3) & (estimate > 0).all(axis=0)  # a cell without events
        log_ratio = np.log(estimate[0, inside] / 0.02 / (estimate[1, inside] / 3.0))
        # Slope and offset of 40 000 events are known to about 0.012: 0.05 at |x| = 3 is 1.4 s.d.
        # of it, and four times that leaves room for the worst of twelve samples.
        expected = u[inside, 0] - 0.5
        np.testing.assert_allclose(log_ratio, expected, atol=0.15)
    # Akaike's criterion takes one term too many in 16 % of samples.
    assert sum(d == 1 for d in found) >= 7
    assert max(found) <= 3


def test_a_quadratic_ratio_needs_degree_two():
    # Widths 1 and 2: the log ratio is ln 2 - 3 x^2 / 8.
    rng = np.random.default_rng(3)
    u, yields, effective = binned(rng, 50_000, (0, 0), (1, 2), weights=(1, 1), edges=EDGES)
    estimate, degree = smooth_densities(u, yields, effective)[:2]
    assert degree >= 2
    inside = np.abs(u[:, 0]) < 2.5
    expected = np.log(2) - 0.375 * u[:, 0] ** 2
    np.testing.assert_allclose(
        np.log(estimate[0] / estimate[1])[inside], expected[inside], atol=0.15
    )


def test_fills_cells_that_are_empty_by_chance():
    # One event in a hundred of the background is simulated; its cells are often empty.
    rng = np.random.default_rng(4)
    u, yields, _ = binned(rng, 20_000, (1, 0), (1, 1), weights=(1, 1), edges=EDGES)
    few = np.histogram(rng.normal(0, 1, 200), EDGES)[0] * 100.0
    assert (few[np.abs(u[:, 0]) < 2] == 0).sum() > 10
    estimate, _ = smooth_densities(u, np.stack([yields[0], few]), np.array([20_000.0, 200.0]))[:2]
    known = np.exp(-0.5 * u[:, 0] ** 2)
    known *= few.sum() / known.sum()
    inside = np.abs(u[:, 0]) < 2
    # 200 events know slope and offset to 0.1; the raw cells are off by their whole content.
    assert np.abs(np.log(estimate[1, inside] / known[inside])).max() < 0.6


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_sums_are_preserved_and_the_order_of_points_does_not_matter(dim):
    rng = np.random.default_rng(dim)
    u = rng.normal(0, 1, (600, dim))
    yields = rng.exponential(1, (3, 600)) * np.exp(0.7 * u.sum(axis=1) * [[1], [-0.3], [0]])
    effective = np.array([3000.0, 800.0, 5000.0])
    estimate, degree = smooth_densities(u, yields, effective)[:2]
    assert estimate.shape == yields.shape
    assert (estimate > 0).all()
    np.testing.assert_allclose(estimate.sum(axis=1), yields.sum(axis=1), rtol=1e-12)
    order = rng.permutation(600)
    shuffled, again = smooth_densities(u[order], yields[:, order], effective)[:2]
    assert again == degree
    # Newton's method ends at 0.01 units of log likelihood: a like relative difference.
    np.testing.assert_allclose(shuffled, estimate[:, order], rtol=1e-6)


def test_yields_scale_and_coordinates_shift():
    rng = np.random.default_rng(6)
    u, yields, effective = binned(rng, 4000, (1, 0), (1, 1.2), weights=(2, 3), edges=EDGES)
    estimate, degree = smooth_densities(u, yields, effective)[:2]
    scaled, _ = smooth_densities(1000 * u - 7, yields * [[50], [0.1]], effective, degree=degree)[
        :2
    ]
    np.testing.assert_allclose(scaled, estimate * [[50], [0.1]], rtol=1e-6)


def test_negative_weights_survive():
    rng = np.random.default_rng(7)
    u, yields, effective = binned(rng, 5000, (1, 0), (1, 1), weights=(1, 1), edges=EDGES)
    sign = np.where(rng.random(yields.shape) < 0.15, -0.3, 1.0)
    yields = yields * sign
    assert (yields < 0).any()
    estimate, _ = smooth_densities(u, yields, effective)[:2]
    assert np.isfinite(estimate).all()
    assert (estimate >= 0).all()
    np.testing.assert_allclose(estimate.sum(axis=1), yields.sum(axis=1), rtol=1e-12)


def test_the_degree_that_is_asked_is_kept_within_what_the_points_carry():
    rng = np.random.default_rng(8)
    u, yields, effective = binned(
        rng, 500, (1, 0), (1, 1), weights=(1, 1), edges=np.linspace(-4, 4, 9)
    )
    assert smooth_densities(u, yields, effective, degree=7)[1] == 1
    assert smooth_densities(u, yields, effective, degree=1)[1] == 1


def test_too_few_points_are_left_as_they_are():
    u = np.array([[0.0], [1.0], [2.0]])
    yields = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    estimate, degree = smooth_densities(u, yields, np.array([10.0, 10.0]))[:2]
    assert degree == 0
    np.testing.assert_array_equal(estimate, yields)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_basis_is_orthonormal_and_grows_by_degree(dim):
    rng = np.random.default_rng(9)
    u, weight = rng.normal(0, 1, (800, dim)), rng.exponential(1, 800)
    weight[:20] = 0
    basis = polynomial_basis(u, weight)
    gram = (basis.values * weight[:, None]).T @ basis.values / weight.sum()
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-10)
    assert basis.size[0] == 1
    assert basis.size[1] == 1 + dim
    assert (np.diff(basis.size) > 0).all()
    np.testing.assert_allclose(np.abs(basis.values[weight > 0, 0]), 1.0)
    # The first terms hold every linear function of the coordinates, where none is cut off.
    inside = np.flatnonzero((weight > 0) & (np.abs(u) < 3).all(axis=1))
    linear = basis.values[:, : basis.size[1]][inside]
    for c in u[inside].T:
        residual = c - linear @ np.linalg.lstsq(linear, c, rcond=None)[0]
        assert np.abs(residual).max() < 1e-9


def test_a_discriminant_that_repeats_another_adds_no_terms():
    u = np.random.default_rng(1).normal(0, 1, (400, 1))
    alone = polynomial_basis(u, np.ones(400))
    twice = polynomial_basis(np.concatenate([u, 3 * u - 1], axis=1), np.ones(400))
    assert twice.size == alone.size[: len(twice.size)]


def test_posterior_is_where_the_likelihood_is_flat():
    rng = np.random.default_rng(10)
    basis = polynomial_basis(rng.normal(0, 1, (300, 1)), np.ones(300)).values[:, :3]
    weight = rng.exponential(1, (300, 3))
    log_p, nll, *_ = fit_posterior(basis, weight)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, rtol=1e-12)
    assert nll == pytest.approx(-(weight * log_p).sum(), rel=1e-5)
    # Moments of every class are those of its weights, which is the likelihood equation.
    predicted = (np.exp(log_p) * weight.sum(axis=1, keepdims=True)).T @ basis
    np.testing.assert_allclose(predicted, weight.T @ basis, atol=0.05)


def test_classes_that_never_meet_end_finite():
    u = np.linspace(-1, 1, 200)[:, None]
    signal = (u[:, 0] > 0) * 1.0
    estimate, _ = smooth_densities(u, np.stack([signal, 1 - signal]), np.array([1e5, 1e5]))[:2]
    assert np.isfinite(estimate).all()
    assert estimate[0][u[:, 0] < -0.2].sum() < 1e-2
    assert estimate[1][u[:, 0] > 0.2].sum() < 1e-2


def test_a_start_from_a_similar_estimate_ends_at_the_same_densities():
    rng = np.random.default_rng(11)
    u, yields, effective = binned(rng, 4000, (1, 0), (1, 1.2), weights=(2, 3), edges=EDGES)
    other = binned(rng, 3000, (1, 0), (1, 1.2), weights=(0.1, 70), edges=EDGES)[1]
    plain, degree = smooth_densities(u, yields, effective)[:2]
    like = smooth_densities(u, other, effective, degree=degree)
    helped = smooth_densities(u, yields, effective, like=like)
    assert helped.degree == degree
    np.testing.assert_allclose(helped.yields, plain, rtol=1e-5)


@pytest.mark.parametrize("size", [0.05, 1.0, 20.0])
def test_a_hessian_from_elsewhere_changes_the_way_and_not_the_end(size):
    rng = np.random.default_rng(12)
    basis = polynomial_basis(rng.normal(0, 1, (300, 1)), np.ones(300)).values[:, :3]
    weight = 50 * rng.exponential(1, (300, 3))
    plain = fit_posterior(basis, weight)
    hint = size * fit_posterior(basis, 50 * rng.exponential(1, (300, 3))).hessian
    helped = fit_posterior(basis, weight, start=plain.theta + 0.2, hessian=hint)
    np.testing.assert_allclose(helped.theta, plain.theta, atol=1e-5)
    # It is that of a unit of weight: the same for the same events counted twice.
    np.testing.assert_allclose(fit_posterior(basis, 2 * weight).hessian, plain.hessian, rtol=1e-6)
