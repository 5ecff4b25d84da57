"""Densities of processes with negative or few weights, from samples whose density is known."""

from __future__ import annotations

import numpy as np
import pytest

from gato_coffea.optimisation.tilting import tilted, without_negative

EDGES = np.linspace(-5, 5, 201)
U = 0.5 * (EDGES[1:] + EDGES[:-1])[:, None]
NORMAL = np.exp(-0.5 * U[:, 0] ** 2) * 0.05 / np.sqrt(2 * np.pi)


def signed(rng, n, share):
    """Sums of weights, of their squares, and events of a Gaussian; ``share`` are negative."""
    x = rng.normal(size=n)
    negative = share(x)
    weight = np.where(rng.random(n) < negative, -1.0, 1.0) / (1 - 2 * negative)
    sums = [np.histogram(x, EDGES, weights=w)[0] for w in (weight, weight**2, np.ones(n))]
    return np.array(sums, dtype=float)


def test_a_shape_that_is_right_stays_nearly_as_it_is():
    changed = []
    for seed in range(20):
        yields = np.histogram(np.random.default_rng(seed).normal(size=300), EDGES)[0] / 100.0
        found = tilted(U, NORMAL, yields, 300.0)
        changed.append(found.degree > 0)
        assert found.yields.sum() == pytest.approx(yields.sum())
        assert (found.yields >= 0).all()
    # Akaike's criterion adds the first term in 16 % of samples.
    assert sum(changed) <= 8


def test_a_shifted_gaussian_is_a_tilt_of_degree_one():
    expected = np.exp(-0.5 * (U[:, 0] - 0.7) ** 2)
    found = tilted(U, NORMAL, 30.0 * expected, 10_000.0)
    np.testing.assert_allclose(
        found.yields, 30 * expected, atol=1e-3 * 30
    )  # a shrinkage of 1e-4 in the coefficient, and the end of the basis at four sigma


def test_moments_that_no_density_has_end_finite():
    yields = np.zeros(len(U))
    yields[[20, 100, 180]] = 5.0, -4.0, 1.0
    found = tilted(U, NORMAL, yields, 4.0 / 42.0, degree=4)
    assert np.isfinite(found.yields).all()
    assert (found.yields >= 0).all()


@pytest.mark.parametrize(
    "share", [lambda x: np.full_like(x, 0.3), lambda x: 0.2 + 0.1 * np.tanh(x)]
)
def test_negative_sums_are_gone_and_the_density_is_right(share):
    off = []
    for seed in range(10):
        sums = signed(np.random.default_rng(seed), 5000, share)
        assert (sums[0] < 0).any()
        found = without_negative(U, *sums).yields
        assert (found[sums[2] > 0] > 0).all()
        assert found.sum() == pytest.approx(sums[0].sum())
        regions = np.array_split(found, [80, 100, 120])
        off.append([r.sum() for r in regions])
    truth = [5000 * r.sum() for r in np.array_split(NORMAL, [80, 100, 120])]
    # Ten samples of 5000 x 0.16 effective entries, of which 16 % lie in the outer regions.
    np.testing.assert_allclose(np.mean(off, axis=0), truth, rtol=0.12)


def test_positive_sums_stay_as_they_are():
    sums = signed(np.random.default_rng(0), 100_000, lambda x: np.zeros_like(x))
    np.testing.assert_array_equal(without_negative(U, *sums).yields, sums[0])
