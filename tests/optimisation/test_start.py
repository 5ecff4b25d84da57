"""Mixtures to start from stand for the partitions that they are made of."""

from __future__ import annotations

import numpy as np
import pytest

from gato_coffea.categories import MixtureCategories
from gato_coffea.events.samples import Feature
from gato_coffea.optimisation.problem import Mixtures
from gato_coffea.optimisation.start import (
    Quadratic,
    mixture_along,
    mixtures_from_labels,
    quadratic_ratio,
)


def assigned(mixtures, u, g=0, r=0):
    """Component of each point, by the NumPy inference that categories files use."""
    dim = u.shape[1]
    one = MixtureCategories(
        features=tuple(Feature(f"x{d}", 0.0, 1.0) for d in range(dim)),
        label=np.arange(mixtures.means.shape[2]),
        means=mixtures.means[g, r],
        scale_tril=mixtures.scale_tril[g, r],
        log_weights=mixtures.log_weights[g, r],
    )
    return one.log_posterior(u).argmax(axis=1)


def row(n, seed):
    rng = np.random.default_rng(seed)
    return np.sort(rng.normal(0, 2, n))[:, None], rng.exponential(1, n)


@pytest.mark.parametrize("k", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("seed", range(5))
def test_bins_of_one_discriminant_are_reproduced_exactly(k, seed):
    u, weight = row(300, seed)
    cuts = np.sort(np.random.default_rng(100 + seed).choice(np.arange(1, 300), k - 1, False))
    label = np.searchsorted(cuts, np.arange(300), side="right")
    start = mixtures_from_labels(u, [[label]], weight, k)
    np.testing.assert_array_equal(assigned(start, u), label)


def test_bins_of_very_different_width():
    u = np.concatenate([np.linspace(0, 1e-3, 50), np.linspace(1, 1000, 50)])[:, None]
    label = np.repeat([0, 1, 2, 3], [25, 25, 5, 45])
    start = mixtures_from_labels(u, [[label]], np.ones(100), 4)
    np.testing.assert_array_equal(assigned(start, u), label)


def test_order_of_the_points_does_not_matter():
    u, weight = row(200, 3)
    label = np.repeat([0, 1, 2, 3], 50)
    order = np.random.default_rng(1).permutation(200)
    first = mixtures_from_labels(u, [[label]], weight, 4)
    other = mixtures_from_labels(u[order], [[label[order]]], weight[order], 4)
    for name in ("means", "scale_tril", "log_weights"):
        np.testing.assert_allclose(getattr(first, name), getattr(other, name), rtol=1e-12)


@pytest.mark.parametrize("n", [5, 9])
def test_components_without_points_win_nowhere(n):
    u, weight = row(200, 4)
    label = np.repeat([0, 1, 3, 4], 50)
    start = mixtures_from_labels(u, [[label]], weight, n)
    np.testing.assert_array_equal(assigned(start, u), label)
    for array in (start.means, start.scale_tril, start.log_weights):
        assert np.isfinite(array).all()


def test_weights_of_zero():
    u, weight = row(60, 5)
    label = np.repeat([0, 1, 2], 20)
    weight[label == 1] = 0
    start = mixtures_from_labels(u, [[label]], weight, 3)
    np.testing.assert_array_equal(assigned(start, u), label)


def test_batches_are_laid_out_as_training_sets_then_restarts():
    u, weight = row(90, 6)
    labels = [
        [np.repeat([0, 1, 2], sizes) for sizes in row]
        for row in (
            [(30, 30, 30), (20, 40, 30)],
            [(10, 10, 70), (50, 20, 20)],
            [(60, 20, 10), (5, 80, 5)],
        )
    ]
    start = mixtures_from_labels(u, labels, weight, 3)
    assert start.means.shape == (2, 3, 3, 1)
    assert start.scale_tril.shape == (2, 3, 3, 1, 1)
    assert start.log_weights.shape == (2, 3, 3)
    for g in range(2):
        for r in range(3):
            np.testing.assert_array_equal(assigned(start, u, g, r), labels[r][g])


@pytest.mark.parametrize("dim", [2, 3])
def test_well_separated_groups_are_reproduced(dim):
    rng = np.random.default_rng(dim)
    centre = rng.permutation(np.stack(np.meshgrid(*[[-6, 0, 6]] * dim), -1).reshape(-1, dim))[:5]
    label = rng.integers(0, 5, 1000)
    u = centre[label] + rng.normal(0, 1, (1000, dim)) * rng.uniform(0.3, 1, (5, dim))[label]
    start = mixtures_from_labels(u, [[label]], np.ones(1000), 5)
    # Six standard deviations apart: hardly an event is on the wrong side.
    assert (assigned(start, u) == label).mean() > 0.99
    for k in range(5):
        inside = label == k
        np.testing.assert_allclose(start.means[0, 0, k], u[inside].mean(axis=0))
        factor = start.scale_tril[0, 0, k]
        np.testing.assert_array_equal(factor, np.tril(factor))
        # A fraction of 0.03 of the overall width is added to each direction.
        covariance = np.cov(u[inside].T, bias=True) + np.diag((0.03 * u.std(axis=0)) ** 2)
        np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e-9)


def test_likelihood_ratio_like_regions_are_mostly_reproduced():
    # Bands of a curved discriminant, which no Gaussian has: a start, not the answer.
    rng = np.random.default_rng(9)
    u = rng.normal(0, 1, (3000, 2))
    label = np.searchsorted([-0.5, 0.5, 1.5], u[:, 0] + 0.3 * u[:, 1] ** 2)
    start = mixtures_from_labels(u, [[label]], np.ones(3000), 4)
    assert (assigned(start, u) == label).mean() > 0.75


def test_groups_of_few_and_of_aligned_points():
    rng = np.random.default_rng(2)
    u = rng.normal(0, 1, (100, 3))
    u[:5] = [[5.0, 5.0, 5.0]]  # five at one place
    u[5:15] = np.linspace(-9, -8, 10)[:, None]  # ten in a line
    label = np.concatenate([np.zeros(5), np.ones(10), [2], np.full(84, 3)]).astype(int)
    start = mixtures_from_labels(u, [[label]], np.ones(100), 5)
    for array in (start.means, start.scale_tril, start.log_weights):
        assert np.isfinite(array).all()
    assert (np.diagonal(start.scale_tril[0, 0], axis1=1, axis2=2) > 0).all()
    found = assigned(start, u)
    np.testing.assert_array_equal(found[:15], label[:15])
    assert 4 not in found  # without points


def test_one_discriminant_out_of_order_is_a_general_mixture():
    u, weight = row(300, 1)
    label = np.where(np.abs(u[:, 0]) < 1, 1, 0)  # no interval on either side
    start = mixtures_from_labels(u, [[label]], weight, 2)
    assert (assigned(start, u) == label).mean() > 0.8


def test_ratio_of_gaussian_densities_is_found():
    # Of 4 exp(-(u - m)^2 / 2 s^2) over exp(-u^2 / 2) the logarithm is quadratic.
    u = np.random.default_rng(3).uniform(-3, 3, (500, 2))
    mean, width = np.array([1.0, -0.5]), np.array([0.6, 0.8])
    log_ratio = (
        np.log(4) - 0.5 * (((u - mean) / width) ** 2).sum(axis=1) + 0.5 * (u**2).sum(axis=1)
    )
    background = np.exp(-0.5 * (u**2).sum(axis=1))
    signal = background * np.exp(log_ratio)
    signal[:7], background[7:9] = 0.0, 0.0  # these say nothing
    found = quadratic_ratio(u, signal, background, np.ones(500)).of(u)
    np.testing.assert_allclose(found - found[9], log_ratio - log_ratio[9], atol=1e-9)


@pytest.mark.parametrize("dim", [1, 2, 4])
@pytest.mark.parametrize("k", [1, 2, 3, 8])
@pytest.mark.parametrize("steepness", [1.0, 12.0])
def test_intervals_of_a_quadratic_function_are_reproduced_exactly(dim, k, steepness):
    rng = np.random.default_rng([dim, k])
    u = rng.normal(3, 2, (400, dim))
    matrix = rng.normal(size=(dim, dim))  # a peak, a saddle or a valley
    score = Quadratic(
        u.mean(axis=0), u.std(axis=0), rng.normal(size=dim), 0.3 * (matrix + matrix.T)
    )
    cuts = np.sort(rng.choice(np.arange(1, 400), k - 1, replace=False))
    label = np.empty(400, dtype=int)
    label[np.argsort(score.of(u))] = np.searchsorted(cuts, np.arange(400), side="right")
    parts = mixture_along(score, u, label, np.ones(400), k + 1, steepness=steepness)
    mixtures = Mixtures(*(part[None, None] for part in parts))
    np.testing.assert_array_equal(assigned(mixtures, u), label)  # and the last one wins nowhere
    assert (mixtures.means >= u.min(axis=0)).all()
    assert (mixtures.means <= u.max(axis=0)).all()
