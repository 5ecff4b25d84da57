import numpy as np
import pytest

from gato_coffea.config import Constraints
from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import Feature, Grid, Points
from gato_coffea.optimisation.objective import Counting
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.rebinning import (
    rule_edges,
    signal_quantiles,
    transfo_d,
    transfo_f,
)

SIGNAL = np.array([1.0, 1.0, 2.0, 2.0, 4.0])
BACKGROUND = np.array([50.0, 25.0, 15.0, 6.0, 4.0])


def test_transfo_d_by_hand() -> None:
    # z = 2 each: parts from above are .88, .52, .7, .7, 1.2. The uppermost bin alone (.88) is
    # nearer to one than with the next (1.4); then .52 + .7 = 1.22 is nearer than .52; .7 + 1.2
    # is not nearer than .7, and the last is left below.
    found = transfo_d(SIGNAL, BACKGROUND, z_signal=2, z_background=2)
    assert found.tolist() == [1, 2, 4]


def test_transfo_d_drops_an_edge_beyond_the_number_of_bins() -> None:
    # Four equal fine bins, z_b = z_s = 1: Z passes one at the third, and is one with two.
    flat = np.ones(4)
    assert transfo_d(flat, flat, z_signal=1, z_background=1).tolist() == [2]


def test_transfo_f_by_hand() -> None:
    s, b = np.array([0.0, 1.0, 1.0, 2.0]), np.array([100.0, 10.0, 10.0, 2.0])
    worth = s * np.log1p(s / b)
    # From above with z_b = 4, z_s = 1: sqrt(4 * 2 / 122) + sqrt(2 ln 2) = 1.43 closes at once;
    # then sqrt(4 * 10 / 122) + sqrt(.095) = .88 does not, with the next 1.25 does.
    assert np.sqrt(8 / 122) + np.sqrt(worth[3]) > 1
    assert np.sqrt(40 / 122) + np.sqrt(worth[2]) < 1 < np.sqrt(80 / 122) + np.sqrt(2 * worth[1])
    exact = transfo_f(s, b, 0 * b, z_signal=1, z_background=4)
    assert exact.tolist() == [3]  # the edge at 1 is the lowest, which is always merged
    # Where the uppermost background is known to 20 % only, its bin is not closed.
    poor = np.array([0.0, 0.0, 0.0, (0.2 * 2) ** 2])
    assert transfo_f(s, b, poor, z_signal=1, z_background=4).tolist() == []


def test_quantiles_of_the_signal() -> None:
    assert signal_quantiles(np.ones(8), 4).tolist() == [2, 4, 6]
    assert signal_quantiles(np.array([0.0, 10.0, 0.0]), 3).tolist() in ([1], [1, 2], [2])


@pytest.mark.parametrize("n", [2, 5, 9])
def test_edges_are_inside_and_increase(n: int) -> None:
    rng = np.random.default_rng(n)
    s, b = rng.uniform(0, 1, 50) * np.linspace(0, 1, 50), rng.uniform(0, 9, 50)
    for edges in (
        transfo_d(s, b, z_signal=n, z_background=n),
        transfo_f(s, b, 0.001 * b, z_signal=n, z_background=n),
        signal_quantiles(s, n),
    ):
        assert np.all(np.diff(edges) > 0)
        assert np.all((edges > 0) & (edges < 50))
    assert len(transfo_d(s, b, z_signal=n, z_background=n)) < 2 * n


def test_impossible_input() -> None:
    with pytest.raises(OptimisationError, match="signal must have a positive yield"):
        transfo_d(0 * SIGNAL, BACKGROUND, z_signal=2, z_background=2)
    with pytest.raises(OptimisationError, match=r"z_background must be positive \(got 0\)"):
        transfo_f(SIGNAL, BACKGROUND, BACKGROUND, z_signal=2, z_background=0)


def test_rules_draw_their_edges_between_fine_bins() -> None:
    feature = Feature("score", 0.0, 1.0)
    edges = np.linspace(0, 1, 11)
    signal, background = np.full((1, 10), 1.0), np.full((1, 10), 10.0)
    points = Points(
        features=(feature,),
        processes=("s", "b"),
        x=0.5 * (edges[1:] + edges[:-1])[:, None],
        sumw=np.stack([signal, background]),
        sumw2=np.stack([signal, 0.01 * background]),
        count=np.stack([signal, background]),
        grid=Grid((feature,), (edges,)),
        cell=np.arange(10),
    )
    problem = Problem(points, ("s",), ("b",), Counting(), Constraints())
    found = rule_edges(problem, 2)
    np.testing.assert_allclose(found["signal quantiles"], [0.5])
    np.testing.assert_allclose(found["TransfoD"], [0.5])
    assert set(found) == {"TransfoD", "TransfoF", "signal quantiles"}
    assert rule_edges(problem, 1) == {}


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_no_rule_draws_more_categories_than_are_asked_for(n: int) -> None:
    """With z = n / 2, TransfoF alone would draw more where purity rises steeply."""
    edges = np.linspace(0, 1, 201)
    x = 0.5 * (edges[1:] + edges[:-1])
    background, signal = 1000 * np.exp(-8 * x), 0.5 * x**2
    assert len(transfo_f(signal, background, background / 50, z_signal=4, z_background=4)) > 7
    points = Points(
        features=(Feature("score", 0.0, 1.0),),
        processes=("s", "b"),
        x=x[:, None],
        sumw=np.stack([signal, background])[:, None],
        sumw2=np.stack([signal, background])[:, None] / 50,
        count=np.stack([signal, background])[:, None] * 50,
        grid=Grid((Feature("score", 0.0, 1.0),), (edges,)),
        cell=np.arange(200),
    )
    found = rule_edges(Problem(points, ("s",), ("b",), Counting(), Constraints()), n)
    assert all(1 <= len(cuts) <= n - 1 for cuts in found.values())
    assert len(found["TransfoF"]) >= n // 2
