"""Backgrounds whose weights differ by orders of magnitude, and from place to place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gato_coffea import optimise
from gato_coffea.config import Constraints, read_analysis
from gato_coffea.datasets import data_folder, features
from gato_coffea.datasets.toys import toy_arrays
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature
from gato_coffea.optimisation import targets
from gato_coffea.optimisation.inputs import as_samples, points_from_samples, with_folds
from gato_coffea.optimisation.objective import Counting
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.targets import training_sets
from gato_coffea.optimisation.weights import (
    background_by_place,
    events_per_entry,
    mean_weight,
    rare_among_lighter,
)
from gato_coffea.processing.executors import process

ANALYSES = Path(__file__).resolve().parents[2] / "analyses"
HIGH = 0.6
"""Above this the toy has light events of its sliced background only."""


def sliced_toy(*, seed=1, slope=12.0):
    """A background of which the mean weight falls as exp(-slope x), one of weight 0.05, a signal.

    The density of the former is exp(-slope x) too: its events are spread evenly.
    """
    rng = np.random.default_rng(seed)
    x = {"sliced": rng.random(300), "plain": rng.random(4000), "signal": rng.beta(4, 2, 3000)}
    own = 1000 * np.exp(-slope * x["sliced"]) * rng.gamma(2.0, 0.5, 300)
    weight = {"sliced": own, "plain": np.full(4000, 0.05), "signal": np.full(3000, 0.02)}
    return {name: {"x": x[name], "weight": weight[name]} for name in x}


def problem_of(arrays, **changes):
    samples = with_folds(as_samples(arrays), 5)
    points = points_from_samples(
        samples, features=[Feature("x", 0.0, 1.0)], signals=["signal"], n_folds=5, max_points=400
    )
    backgrounds = tuple(name for name in sorted(samples) if name != "signal")
    objective = Counting("geometric", mc_uncertainty=True)
    return Problem(points, ("signal",), backgrounds, objective, Constraints(), **changes)


def test_mean_weight_is_found_and_heavy_events_do_not_decide_it():
    rng = np.random.default_rng(5)
    u = np.sort(rng.random((400, 1)), axis=0)
    true = np.exp(8 - 14 * u[:, 0])
    weight = true * rng.exponential(1.0, 400)
    found = mean_weight(u, weight, weight**2, np.ones(400))
    assert found.degree in (1, 2)
    # The logarithm is known to 1 / sqrt(400) in the middle, and to some five times that outside.
    assert np.abs(np.log(found.mean / true)).max() < 0.5
    assert events_per_entry(weight, weight**2, np.ones(400)) > 10


def test_heavy_weights_without_a_place_have_one_mean():
    rng = np.random.default_rng(6)
    weight = rng.lognormal(0, 1.5, 500)
    found = mean_weight(rng.normal(size=(500, 1)), weight, weight**2, np.ones(500))
    assert found.degree == 0
    np.testing.assert_allclose(found.mean, weight.mean())


@pytest.mark.parametrize("signed", [False, True])
def test_sums_are_those_of_the_events(signed):
    rng = np.random.default_rng(7)
    u = rng.random((500, 1))
    count = (u[:, 0] < 0.7) * 1.0
    weight = count * np.exp(-6 * u[:, 0])
    weight *= np.where(signed & (rng.random(500) < 0.2), -1.0, 1.0)
    found = background_by_place(u, np.full(500, 3.0), weight, weight**2, count, elsewhere=True)
    assert found.yields.sum() == pytest.approx(weight.sum())
    assert found.variance.sum() == pytest.approx((weight**2).sum())
    assert (found.yields >= 0).all()
    assert (found.yields == 0).any()  # where less than one event is expected in all


def test_a_process_is_rare_among_lighter_ones_only():
    sumw, entries = np.array([20_000.0, 150.0, 50.0, 0.0]), np.array([15.0, 2500.0, 2000.0, 1.0])
    sumw2 = sumw**2 / entries
    assert rare_among_lighter(sumw, sumw2).tolist() == [True, False, False, False]
    assert not rare_among_lighter(sumw[:1], sumw2[:1]).any()
    # As few entries, but the lightest ones: they are all that is known of a place.
    assert not rare_among_lighter(np.array([0.1, 150.0]), np.array([0.1**2 / 15, 9.0])).any()


def test_light_events_are_not_drowned_by_heavy_ones():
    arrays = sliced_toy()
    own = problem_of(arrays)
    high = own.points.x[:, 0] > HIGH
    inside = arrays["sliced"]["x"] > HIGH
    events = arrays["sliced"]["weight"][inside].sum() + 0.05 * (arrays["plain"]["x"] > HIGH).sum()
    by_place = training_sets(own)[0].target
    one_weight = targets._sets(own, by_place=False)[0][0].target
    assert by_place.background[high].sum() == pytest.approx(events, rel=0.15)
    raw = own.densities(range(5))
    spread = np.sqrt(raw.variance[high].sum())
    assert np.sqrt(by_place.variance[high].sum()) < 3 * spread
    assert np.sqrt(one_weight.variance[high].sum()) > 10 * spread
    assert by_place.background.sum() == pytest.approx(raw.background.sum(), rel=1e-9)


@pytest.mark.parametrize("kind", ["1d", "three-class"])
def test_toys_have_one_mean_weight(kind):
    arrays = toy_arrays(kind, n_signal=2000, n_bkg=8000, seed=1)
    sums = [
        np.concatenate([np.asarray(c["weight"]) ** power for name, c in arrays.items()])
        for power in (1, 2, 0)
    ]
    assert events_per_entry(*sums) < targets.MANY_WEIGHTS


@pytest.mark.parametrize("weight", [0.1, 30.0])
def test_one_mean_weight_where_no_weight_depends_on_the_place(weight):
    arrays = sliced_toy()
    arrays["sliced"]["weight"] = np.full(300, weight)
    own = problem_of(arrays)
    assert targets._weights_differ(own) == (weight > 1)
    found, plain = training_sets(own), targets._sets(own, by_place=False)
    for one, (other, _) in zip(found, plain, strict=True):
        np.testing.assert_array_equal(one.target.background, other.target.background)
        np.testing.assert_array_equal(one.target.variance, other.target.variance)


def test_categories_of_few_heavy_events_are_not_below_equal_bins():
    # With one mean weight these four samples have 3.23, 3.30 and 3.32 on average.
    found = [
        optimise(
            sliced_toy(seed=seed),
            signals=["signal"],
            n_categories=[3, 4, 6],
            method="exact",
            features=[Feature("x", 0.0, 1.0)],
        )
        for seed in (4, 5, 6, 7)
    ]
    for results in zip(*found, strict=True):
        own = np.mean([r.held_out.combined for r in results])
        equal = np.mean([r.yardsticks["equidistant"].held_out.combined for r in results])
        assert own > equal


@pytest.mark.parametrize("method", ["exact", "lloyd", "gato"])
def test_heptutorial_is_not_below_equal_bins(method):
    try:
        folder = data_folder() / "cms_heptutorial_mc"
    except InputError as error:
        pytest.skip(str(error))
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    analysis = read_analysis(ANALYSES / "heptutorial")
    results = optimise(
        process(analysis, progress=False).samples,
        signals=["single_top"],
        n_categories=[3, 4, 6],
        method=method,
        features=features(analysis),
        seed=1,
    )
    for result in results:
        assert result.n_categories == result.asked
        assert result.held_out.combined > result.yardsticks["equidistant"].held_out.combined
