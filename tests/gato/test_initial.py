import numpy as np
import pytest

from gato_coffea.errors import InputError
from gato_coffea.gato.initial import crowded_means, information_start, spread_means


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_spread_points_leave_no_large_hole(dim):
    n = 200
    means = spread_means(n, dim)
    assert means.shape == (n, dim)
    assert ((means >= 0) & (means < 1)).all()
    probes = np.random.default_rng(1).uniform(size=(2000, dim))
    nearest = np.abs(probes[:, None] - means).max(axis=2).min(axis=1)
    # Cubes of this half width hold 30 of the points on average.
    assert nearest.max() < 0.5 * (30 / n) ** (1 / dim)


def test_spread_points_on_the_simplex():
    means = spread_means(300, 2, on_simplex=True)
    rest = 1 - means.sum(axis=1)
    assert (means > 0).all()
    assert (rest > 0).all()
    # Uniform on the simplex: each coordinate has mean 1/3 and falls as 1 - x.
    np.testing.assert_allclose([*means.mean(axis=0), rest.mean()], 1 / 3, atol=0.01)
    assert np.mean(means[:, 0] < 0.5) == pytest.approx(0.75, abs=0.02)


def test_crowded_points_reach_both_ends():
    means, widths = crowded_means(20)
    assert means.shape == widths.shape == (20, 1)
    assert (np.diff(means[:, 0]) > 0).all()
    assert (widths > 0).all()
    assert means[0, 0] < 0.001
    np.testing.assert_allclose(means, 1 - means[::-1], rtol=1e-9)
    one, width = crowded_means(1)
    assert (one.item(), width.item()) == (0.5, 1.0)


def events(x, weight=1.0):
    return {"x": np.asarray(x, dtype=float), "weight": np.full(len(x), weight)}


def test_points_lie_where_the_ratio_changes():
    rng = np.random.default_rng(1)
    data = {"s": events(rng.normal(0.8, 0.05, 20_000)), "b": events(rng.uniform(0, 1, 20_000))}
    means, widths = information_start(data, ["s"], 8)
    assert (np.diff(means[:, 0]) > 0).all()
    # The signal lies within 0.65 and 0.95; elsewhere all events are alike.
    assert ((means > 0.6) & (means < 1.0)).sum() >= 6
    # The widths are the gaps that the points leave, from end to end.
    assert widths.sum() == pytest.approx(1, abs=0.05)


def test_draws_favour_no_signal_and_keep_apart():
    rng = np.random.default_rng(2)
    data = {
        "common": events(rng.normal([0, 0], 0.1, (5000, 2)), 100.0),
        "rare": events(rng.normal([5, 5], 0.1, (5000, 2)), 0.01),
        "b": events(rng.normal([0, 5], 0.1, (5000, 2))),
    }
    for seed in range(10):
        means, widths = information_start(data, ["common", "rare"], 2, seed=seed)
        assert sorted(np.round(means[:, 0] / 5)) == [0, 1]
        assert (widths > 0).all()
    again = [information_start(data, ["common", "rare"], 5, seed=4) for _ in range(2)]
    np.testing.assert_array_equal(*[means for means, _ in again])


@pytest.mark.parametrize(
    ("signals", "x", "weight", "told"),
    [
        ([], [0.1, 0.2], 1.0, "start: needs a signal"),
        (["s"], [0.1, 0.2], 0.0, "s: no event has a positive weight"),
        (["s"], [0.3, 0.3], 1.0, "start: the discriminant is constant"),
    ],
)
def test_what_cannot_be(signals, x, weight, told):
    with pytest.raises(InputError, match=told):
        information_start({"s": events(x, weight), "b": events(x)}, signals, 2)
