"""What must hold between the sections of an analysis file."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from gato_coffea.config import parse_analysis
from gato_coffea.errors import ConfigError

SCORES = [{"name": name, "range": [0, 1]} for name in "ab"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"discriminants": SCORES * 2}, "discriminants: names must differ (got ['a', 'b', 'a', "),
        (
            {"discriminants": [{"name": f"d{i}", "range": [0, 1]} for i in range(13)]},
            "discriminants: at most 12 can be optimised together (got 13)",
        ),
        ({"luminosity_per_fb": None}, "luminosity_per_fb is missing"),
        ({"optimise.signals": ["data"]}, "optimise.signals: is no simulated process"),
        ({"optimise.backgrounds": ["sig", "bkg"]}, "optimise: ['sig'] is both signal and backgr"),
        ({"optimise.signals": ["sig", "bkg"]}, "optimise.backgrounds: no process is left as ba"),
        ({"optimise.use": 5}, "optimise.use: is none of the numbers of categories (got 5; allo"),
        ({"optimise.n_categories": 4001}, "optimise.n_categories: 4001 categories need as many"),
        (
            {"weight.variations.pileupDown": None},
            "weight.variations: 'pileupUp' needs its opposite 'pileupDown'",
        ),
        (
            {"mass": None, "optimise.extrapolate_from_sidebands": True},
            "optimise.extrapolate_from_sidebands needs a mass section",
        ),
        ({"blind": {"score": 0.5}}, "blind: with a mass section data are hidden in its window"),
        ({"mass": None, "blind": {"score": 1.0}}, "blind.score: must lie inside the range [0.0,"),
        ({"processes": {"data": {}}}, "processes.data: is no simulated process of the datasets"),
    ],
)
def test_contradictions(small: Any, tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    content = small.update(deepcopy(small.content), changes)
    with pytest.raises(ConfigError) as raised:
        parse_analysis(content, directory=tmp_path)
    assert str(raised.value).startswith(f"analysis: {told}")


@pytest.mark.parametrize(
    "changes",
    [
        {"optimise.n_categories": 4000},
        {"optimise.n_categories": 4001, "keep_columns": False},  # cells have as many as there are
        {"optimise.use": 3},
        {"mass": None, "blind": {"score": 0.5}},
        {"luminosity_per_fb": None, "optimise.signals": ["sig"]},
        {"weight.variations": {}},
        {"processes": {"bkg": {"resonant": True}}},  # data give the continuum
    ],
)
def test_what_may_be_said_together(small: Any, tmp_path: Path, changes: dict[str, Any]) -> None:
    content = small.update(deepcopy(small.content), changes)
    if "luminosity_per_fb" in changes:
        for dataset in content["datasets"].values():
            for key in ("cross_section_pb", "sum_of_weights"):
                dataset.pop(key, None)
            if not dataset.get("data"):
                dataset["already_normalised"] = True
    parse_analysis(content, directory=tmp_path)


def test_the_order_of_the_keys_does_not_matter(small: Any, tmp_path: Path) -> None:
    turned = dict(reversed(deepcopy(small.content).items()))
    one, two = (parse_analysis(c, directory=tmp_path) for c in (small.content, turned))
    assert one == two
    assert one.fingerprint() == two.fingerprint()
