"""Eras: each dataset belongs to one, and each has a luminosity."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from gato_coffea.config import parse_analysis
from gato_coffea.errors import ConfigError

ERAS = {"2022": {"luminosity_per_fb": 1.5}, 2023: {"luminosity_per_fb": 0.5}}


def with_eras(content: dict[str, Any], eras: Any = ERAS) -> dict[str, Any]:
    """Every dataset in the first era, and one more of the signal in the second."""
    content = deepcopy(content) | {"eras": deepcopy(eras)}
    del content["luminosity_per_fb"]
    for dataset in content["datasets"].values():
        dataset["era"] = "2022"
    content["datasets"]["sig_b"] = content["datasets"]["sig_a"] | {
        "era": 2023,
        "files": ["sig_b_*.root"],
    }
    return content


def test_a_year_may_be_a_number(small: Any, tmp_path: Path) -> None:
    analysis = parse_analysis(with_eras(small.content), directory=tmp_path)
    assert list(analysis.eras) == ["2022", "2023"]
    assert analysis.datasets["sig_b"].era == "2023"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"luminosity_per_fb": 2.0}, "luminosity_per_fb: each of the eras has its own; take it "),
        (
            {"datasets.bkg_a.era": None},
            "datasets.bkg_a.era is missing (allowed: 2022, 2023, as in",
        ),
        ({"datasets.bkg_a.era": "2018"}, "datasets.bkg_a.era: is not in eras (got '2018'; allowe"),
        ({"datasets.sig_b.era": "2022"}, "eras.2023: no dataset is of this era"),
        ({"eras": {"20 22": {"luminosity_per_fb": 1}}}, "eras"),
        ({"eras": {"2022": {"luminosity_per_fb": 0}}}, "eras.2022.luminosity_per_fb: must be abo"),
    ],
)
def test_what_is_refused(small: Any, tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    content = small.update(with_eras(small.content), changes)
    with pytest.raises(ConfigError) as raised:
        parse_analysis(content, directory=tmp_path)
    assert str(raised.value).startswith(f"analysis: {told}")
    assert "\n" not in str(raised.value)


def test_an_era_without_the_section(small: Any, tmp_path: Path) -> None:
    content = small.update(deepcopy(small.content), {"datasets.bkg_a.era": "2022"})
    with pytest.raises(ConfigError, match="allowed: none, eras is missing"):
        parse_analysis(content, directory=tmp_path)
