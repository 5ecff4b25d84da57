"""The sidebands measure the continuum, so that nothing else makes it uncertain."""

from typing import Any

import numpy as np
import pytest

import gato_coffea
from gato_coffea.events.samples import FloatArray
from gato_coffea.optimisation.measured import acting_on
from gato_coffea.statistics.uncertainties import Free, Norm


def events(rng: np.random.Generator, n: int, mass: FloatArray, power: float) -> dict[str, Any]:
    x = rng.random(n) ** power
    up, down = np.clip(x + 0.03 * (1 - x), 0, 1), np.clip(x - 0.03 * (1 - x), 0, 1)
    return {
        "x": x,
        "weight": np.full(n, 0.05),
        "mass": mass,
        "variations": {"jesUp": {"x": up}, "jesDown": {"x": down}},
    }


@pytest.fixture
def samples() -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(5)
    return {
        "signal": events(rng, 2000, rng.normal(125, 1.5, 2000), 0.4),
        "continuum": events(rng, 8000, rng.uniform(100, 180, 8000), 2.0),
    }


def optimised(samples: dict[str, dict[str, Any]], *systematics: Norm) -> gato_coffea.Result:
    found = gato_coffea.optimise(
        samples,
        signals=["signal"],
        n_categories=3,
        method="exact",
        folds=2,
        systematics=systematics,
        window_gev=(122.0, 128.0),
        mass_range_gev=(100.0, 180.0),
    )
    assert isinstance(found, gato_coffea.Result)
    return found


def test_uncertainties_of_the_continuum_do_not_act_beside_its_sidebands(
    samples: dict[str, dict[str, Any]],
) -> None:
    everywhere = optimised(samples, Norm("lumi", 1.2), Norm("cont", 1.5, processes=["continuum"]))
    samples["continuum"] = {k: v for k, v in samples["continuum"].items() if k != "variations"}
    of_signal = optimised(samples, Norm("lumi", 1.2, processes=["signal"]))
    assert everywhere.training == of_signal.training
    assert everywhere.held_out == of_signal.held_out
    note = next(n for n in everywhere.notes if n.startswith("the sidebands measure"))
    assert "continuum: jesUp, jesDown, lumi, cont act on signals" in note
    assert not any(n.startswith("the sidebands measure") for n in of_signal.notes)


def test_normalisations_are_limited_to_some_processes() -> None:
    given = [Norm("lumi", 1.02), Norm("zh", 1.1, processes=["ZH", "cont"]), Free("f", ["cont"])]
    limited = acting_on(given, ["ggH", "ZH"])
    assert [(n.name, n.processes) for n in limited] == [("lumi", ("ggH", "ZH")), ("zh", ("ZH",))]
