"""Rare processes of large weight: no category without them is taken for well known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

import gato_coffea
from gato_coffea.config import Constraints
from gato_coffea.config.settings import Constraints as Section
from gato_coffea.errors import OptimisationError

FEATURE = gato_coffea.Feature("score", 0.0, 1.0, "logit")


def events(seed=1, heavy=15, total=3000.0):
    """A signal, a continuum, and a few events that hold most of the background."""
    rng = np.random.default_rng(seed)
    shapes = {"signal": (1.0, 2000, 40.0), "continuum": (-1.0, 2000, 1000.0)}
    shapes["multijets"] = (-0.5, heavy, total)
    return {
        name: {"x": expit(rng.normal(mean, 1.0, n)), "weight": np.full(n, sumw / n)}
        for name, (mean, n, sumw) in shapes.items()
    }


def optimised(constraints=None, *, method="exact", n=5, **changes):
    return gato_coffea.optimise(
        events(**changes),
        signals=["signal"],
        n_categories=n,
        method=method,
        constraints=constraints,
        features=[FEATURE],
        folds=2,
        epochs=60,
    )


def entries(result, process):
    y = result.yields
    row = y.processes.index(process)
    return y.sumw[row] ** 2 / np.maximum(y.sumw2[row], 1e-300)


@pytest.mark.parametrize("method", ["exact", "lloyd", "gato"])
def test_no_category_is_empty_of_a_heavy_process(method):
    result = optimised(method=method)
    assert (entries(result, "multijets") >= 1).all()
    off = Constraints(min_effective_per_process=0)
    assert (entries(optimised(off, method=method), "multijets") == 0).any()


def test_yardsticks_obey_too():
    free = optimised(Constraints(min_effective_per_process=0), n=12)
    bound = optimised(n=12)
    # Equal bins without multijets were worth several times what is known.
    found = [r.yardsticks["equidistant"].training.statistics_only for r in (free, bound)]
    assert found[1] < 0.6 * found[0]


def test_what_is_asked_of_a_process_holds():
    limits = Constraints(per_process={"multijets": {"min_effective": 5}})
    assert (entries(optimised(limits), "multijets") >= 5).all()
    limits = Constraints(per_process={"continuum": {"min_effective": 400}})
    assert (entries(optimised(limits), "continuum") >= 400).all()


@pytest.mark.parametrize("method", ["exact", "lloyd", "gato"])
def test_a_yield_that_is_asked_of_a_process_holds(method):
    limits = Constraints(per_process={"multijets": {"min_yield": 450}})
    yields = optimised(limits, method=method).yields
    assert (yields.sumw[yields.processes.index("multijets")] >= 450).all()
    free = optimised(Constraints(min_effective_per_process=0), method=method).yields
    assert (free.sumw[free.processes.index("multijets")] < 450).any()


@pytest.mark.parametrize("method", ["exact", "gato"])
def test_a_yield_must_not_be_negative(method):
    """A cluster of negative weights among the most signal-like events of a rare process."""
    samples = events(heavy=400, total=60.0)
    rare = samples["multijets"]
    rare["x"] = np.concatenate([rare["x"], np.linspace(0.90, 0.99, 40)])
    rare["weight"] = np.concatenate([rare["weight"], np.full(40, -0.4)])
    options = {
        "signals": ["signal"],
        "n_categories": 5,
        "method": method,
        "features": [FEATURE],
        "folds": 2,
        "epochs": 60,
    }
    lowest = {}
    for name, least in (("free", {}), ("asked", {"multijets": {"min_yield": 0}})):
        limits = Constraints(per_process=least, min_effective=1)
        yields = gato_coffea.optimise(samples, constraints=limits, **options).yields
        lowest[name] = yields.sumw[yields.processes.index("multijets")].min()
    assert lowest["free"] < 0 <= lowest["asked"]


def test_light_events_and_small_shares_are_exempt():
    # One event more of the same weight leaves enough; a share below 5 % does not count.
    same = optimised(heavy=20, total=10.0)
    assert same.n_categories == 5
    assert optimised(Constraints(exempt_below=0.9)).yields.sumw.shape[1] == 5


def test_what_cannot_be_met_names_the_process():
    limits = Constraints(per_process={"multijets": {"min_effective": 50}})
    with pytest.raises(OptimisationError, match=r"min_effective 50 of multijets \(got 15\)"):
        optimised(limits)
    limits = Constraints(per_process={"multijets": {"min_yield": 4000}})
    with pytest.raises(OptimisationError, match=r"min_yield 4000 of multijets \(got 3000\)"):
        optimised(limits)
    limits = Constraints(per_process={"multijet": {"min_effective": 1}})
    with pytest.raises(OptimisationError, match=r"per_process.multijet: is no background"):
        optimised(limits)


def test_the_form_of_the_analysis_file():
    found = Section.model_validate({"per_process": {"ttbar": {"min_effective": 5}}})
    assert found.per_process["ttbar"].min_effective == 5
    with pytest.raises(ValueError, match="give min_effective, min_yield or both"):
        Section.model_validate({"per_process": {"ttbar": {}}})
    with pytest.raises(ValueError, match="min_effect"):
        Section.model_validate({"per_process": {"ttbar": {"min_effect": 5}}})
