from __future__ import annotations

from typing import Any

from gato_coffea.statistics.declared import declared_normalisations
from gato_coffea.statistics.uncertainties import Free, Norm


def test_norms_and_free_ones_are_handed_on_and_variations_are_not(make_analysis: Any) -> None:
    analysis = make_analysis(
        {
            "systematics": {
                "lumi": {"kind": "norm", "value": 1.016},
                "tt": {"kind": "norm", "up": 1.3, "down": 0.8, "processes": "bkg"},
                "bkg": {"kind": "free", "processes": ["bkg"]},
                "jes": {"kind": "shape", "up": {"score": "pt"}, "down": {"score": "pt"}},
            }
        },
        n=1,
    )
    assert declared_normalisations(analysis) == (
        Norm("lumi", 1.016),
        Norm("tt", up=1.3, down=0.8, processes=("bkg",)),
        Free("bkg", ("bkg",)),
    )


def test_a_norm_of_one_era_is_a_variation_of_the_events(make_analysis: Any) -> None:
    eras = {
        "luminosity_per_fb": None,
        "eras": {2022: {"luminosity_per_fb": 2.0}, 2023: {"luminosity_per_fb": 3.0}},
        "datasets.sig_a.era": 2022,
        "datasets.bkg_a.era": 2022,
        "datasets.bkg_b.era": 2023,
        "datasets.collisions.era": 2023,
        "systematics": {"lumi_22": {"kind": "norm", "value": 1.25, "eras": 2022}},
    }
    analysis = make_analysis(eras, n=50)
    assert declared_normalisations(analysis) == ()
    assert set(analysis.variations_of("bkg_a")) >= {"lumi_22Up", "lumi_22Down"}
    assert "lumi_22Up" not in analysis.variations_of("bkg_b")
