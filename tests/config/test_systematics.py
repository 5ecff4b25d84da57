from __future__ import annotations

import copy
from typing import Any

import pytest

from gato_coffea.config import Analysis
from gato_coffea.config.systematics import FreeUncertainty, NormUncertainty
from gato_coffea.errors import ConfigError

JES = {
    "kind": "shape",
    "up": {"score": "score_up", "mass": "m_up", "weight": ["w", "sf"]},
    "down": {"score": "py:down"},
}
PILEUP = {"kind": "weight", "up": ["genWeight", "pu_up"], "down": {"multiply": "pu_down"}}


def analysis(systematics: dict[str, Any], changes: dict[str, Any], small: Any) -> Analysis:
    from pathlib import Path

    from gato_coffea.config import parse_analysis

    content = small.update(copy.deepcopy(small.content), {"systematics": systematics, **changes})
    return parse_analysis(content, directory=Path())


def test_all_kinds_are_read(small: Any) -> None:
    found = analysis(
        {
            "lumi": {"kind": "norm", "value": 1.016, "processes": "all"},
            "tt": {"kind": "norm", "up": 1.3, "down": 0.8, "processes": "bkg"},
            "free": {"kind": "free", "processes": ["bkg"]},
            "jes": JES,
            "pu": PILEUP,
        },
        {},
        small,
    )
    lumi, tt, free = (found.systematics[name] for name in ("lumi", "tt", "free"))
    assert isinstance(lumi, NormUncertainty)
    assert (lumi.value, lumi.processes) == (1.016, None)
    assert isinstance(tt, NormUncertainty)
    assert (tt.up, tt.down, tt.processes) == (1.3, 0.8, ("bkg",))
    assert isinstance(free, FreeUncertainty)
    up = found.event_variations["jesUp"]
    assert up.values == {"score": "score_up", "mass": "m_up"}
    assert up.weight is not None
    assert up.weight.replace == ("w", "sf")
    assert found.event_variations["jesDown"].weight is None
    assert found.sources()["systematics.jes.down.score"] == "py:down"
    assert found.sources()["systematics.pu.up[1]"] == "pu_up"
    names = ("jesDown", "jesUp", "pileupDown", "pileupUp", "puDown", "puUp")
    assert found.variation_labels == names
    assert set(found.variations_of("bkg_a")) == set(names)
    assert found.variations_of("collisions") == {}


def test_the_only_discriminant_may_be_called_score(small: Any) -> None:
    found = analysis({"jes": JES}, {"discriminants": [{"name": "bdt", "range": [0, 1]}]}, small)
    assert found.event_variations["jesUp"].values["bdt"] == "score_up"


def test_a_variation_of_some_processes(small: Any) -> None:
    found = analysis({"jes": {**JES, "processes": "bkg"}}, {}, small)
    assert "jesUp" in found.variations_of("bkg_b")
    assert "jesUp" not in found.variations_of("sig_a")


ERAS = {
    "luminosity_per_fb": None,
    "eras": {2022: {"luminosity_per_fb": 2.0}, "2023B": {"luminosity_per_fb": 3.0}},
    "datasets.sig_a.era": 2022,
    "datasets.bkg_a.era": 2022,
    "datasets.bkg_b.era": "2023B",
    "datasets.collisions.era": "2023B",
}


def test_eras_have_variations_of_their_own_unless_they_are_correlated(small: Any) -> None:
    found = analysis({"jes": JES, "pu": {**PILEUP, "correlate": "eras"}}, ERAS, small)
    assert set(found.variations_of("bkg_a")) == {
        *("jes_2022Up", "jes_2022Down", "puUp", "puDown", "pileupUp", "pileupDown")
    }
    assert found.variations_of("bkg_b")["jes_2023BUp"] == "jesUp"
    assert "jes_2023BUp" in found.variation_labels
    assert found.luminosity_of("bkg_b") == 3.0
    assert found.total_luminosity_per_fb == 5.0
    late = analysis({"jes": {**JES, "eras": "2023B"}}, ERAS, small)
    assert "jes_2022Up" not in late.variations_of("bkg_a")


@pytest.mark.parametrize(
    ("systematics", "changes", "told"),
    [
        (
            {"a": {"kind": "norm"}},
            {},
            "systematics.a: give either value, or up and down",
        ),
        (
            {"a": {"kind": "norm", "value": 1.1, "processes": ["ggH"]}},
            {},
            "systematics.a.processes: is not there (got 'ggH'; allowed: sig, bkg)",
        ),
        (
            {"a": {"kind": "norm", "value": 1.1, "eras": ["2022"]}},
            {},
            "systematics.a.eras: is not there (got '2022'; allowed: none, the analysis has no "
            "eras)",
        ),
        (
            {"a": {"kind": "norm", "value": 1.1, "processes": []}},
            {},
            "systematics.a.processes: is empty, so that it acts on nothing",
        ),
        ({"a": {"kind": "free"}}, {}, "systematics.a: kind free needs processes"),
        (
            {"a": {**JES, "down": {"dnn": "x"}}},
            {},
            "systematics.a.down: a shape changes discriminants or the mass (got dnn; allowed: "
            "score, mass, weight)",
        ),
        (
            {"a": {**JES, "down": {"weight": "x"}}},
            {},
            "systematics.a.down: a shape changes discriminants or the mass (got weight",
        ),
        ({"a": {"kind": "shape", "up": {"score": "s"}}}, {}, "systematics.a.down: is missing"),
        ({"aUp": PILEUP}, {}, "systematics.aUp: is the name of the uncertainty, without Up or"),
        ({"pileup": PILEUP}, {}, "systematics.pileup: is in weight.variations too"),
        ({}, {"datasets.bkg_a.era": "2022"}, "datasets.bkg_a.era: is not in eras (got '2022'"),
        ({}, {**ERAS, "luminosity_per_fb": 1.0}, "luminosity_per_fb: each of the eras has its"),
        ({}, {**ERAS, "datasets.bkg_a.era": None}, "datasets.bkg_a.era is missing (allowed: 2022"),
        (
            {},
            {**ERAS, "datasets.bkg_b.era": 2022, "datasets.collisions.era": 2022},
            "eras.2023B: no dataset is of this era",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    systematics: dict[str, Any], changes: dict[str, Any], told: str, small: Any
) -> None:
    with pytest.raises(ConfigError) as caught:
        analysis(systematics, changes, small)
    assert told in str(caught.value)
