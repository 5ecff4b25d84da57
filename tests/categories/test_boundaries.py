import numpy as np
import pytest

from gato_coffea.categories.boundaries import align_boundary_tracks, mixture_boundaries


def posterior(x, means, widths, log_weights):
    return log_weights - np.log(widths) - 0.5 * ((x[:, None] - means) / widths) ** 2


@pytest.mark.parametrize("k", [1, 2, 5, 30])
@pytest.mark.parametrize("seed", range(4))
def test_against_a_dense_scan(k, seed):
    rng = np.random.default_rng(seed)
    means, widths = rng.uniform(200, 3000, k), rng.uniform(20, 2000, k)
    log_weights = np.log(rng.dirichlet(np.ones(k)))
    boundaries, winners = mixture_boundaries(means, widths, log_weights, low=200.0, high=3000.0)
    assert (np.diff(boundaries) > 0).all()
    assert len(winners) == len(boundaries) + 1
    x = rng.uniform(200, 3000, 20_000)
    scan = posterior(x, means, widths, log_weights).argmax(axis=1)
    np.testing.assert_array_equal(winners[np.searchsorted(boundaries, x)], scan)


def test_equal_widths_meet_half_way():
    boundaries, winners = mixture_boundaries(
        np.array([0.8, 0.2, 0.5]), np.full(3, 0.1), np.zeros(3), low=0.0, high=1.0
    )
    np.testing.assert_allclose(boundaries, [0.35, 0.65])
    np.testing.assert_array_equal(winners, [1, 2, 0])


def test_a_narrow_component_splits_a_wide_one():
    boundaries, winners = mixture_boundaries(
        np.array([0.5, 0.5]), np.array([0.5, 0.01]), np.zeros(2), low=0.0, high=1.0
    )
    np.testing.assert_array_equal(winners, [0, 1, 0])
    assert boundaries.mean() == pytest.approx(0.5)


def test_two_equal_components_have_no_boundary():
    same = np.full(2, 0.5)
    boundaries, winners = mixture_boundaries(same, same, np.zeros(2), low=0.0, high=1.0)
    assert len(boundaries) == 0
    assert len(winners) == 1


def test_tracks_follow_crossing_free_motion():
    epochs = np.linspace(0, 1, 40)
    history = [[0.2 + 0.1 * e, 0.6 - 0.1 * e] for e in epochs]
    tracks = align_boundary_tracks(history)
    np.testing.assert_allclose(tracks, history)


def test_a_boundary_that_comes_and_goes():
    history = [[0.2], [0.2, 0.7], [0.2], [0.21, 0.7], [0.7]]
    tracks = align_boundary_tracks(history, dist_tol=0.02, gap_max=5)
    np.testing.assert_array_equal(tracks[:, 0], [0.2, 0.2, 0.2, 0.21, np.nan])
    np.testing.assert_array_equal(tracks[:, 1], [np.nan, 0.7, np.nan, 0.7, 0.7])


def test_too_far_or_too_late_is_another_track():
    assert align_boundary_tracks([[0.2], [0.5]]).shape == (2, 2)
    gap = [[0.2], [], [], [0.2]]
    assert align_boundary_tracks(gap, gap_max=1).shape == (4, 2)
    assert align_boundary_tracks(gap, gap_max=2).shape == (4, 1)


def test_distances_of_any_size():
    # In GeV: 0 may go to 40, and 300 is another track; the other pairing continues none.
    tracks = align_boundary_tracks([[0.0, 100.0], [40.0, 300.0]], dist_tol=50.0)
    assert tracks.shape == (2, 3)
    np.testing.assert_array_equal(tracks[:, 0], [0, 40])


def test_as_many_as_possible_continue():
    # Greedy matching would give 0.111 to 0.12 and leave the other track without a match.
    tracks = align_boundary_tracks([[0.1, 0.12], [0.09, 0.111]], dist_tol=0.02)
    assert tracks.shape == (2, 2)
    assert align_boundary_tracks([]).shape == (0, 0)
