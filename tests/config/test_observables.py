"""Scores and masses as the analysis file says them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gato_coffea.config.observables import Discriminant, Mass

MASS: dict[str, Any] = {
    "source": "m",
    "unit": "GeV",
    "range_gev": (100, 180),
    "window_gev": (120, 130),
}


def test_the_source_of_a_discriminant_is_its_name_if_no_other_is_given() -> None:
    assert Discriminant(name="score", range=(0, 1)).expression == "score"
    assert Discriminant(name="score", range=(0, 1), source="py:f").expression == "py:f"


@pytest.mark.parametrize(("unit", "factor"), [("MeV", 1e-3), ("GeV", 1.0), ("TeV", 1e3)])
def test_masses_in_other_units(unit: str, factor: float) -> None:
    assert Mass(**MASS | {"unit": unit}).to_gev == factor


def test_sidebands_are_all_outside_the_window_if_no_others_are_given() -> None:
    assert Mass(**MASS).sidebands == ((100, 120), (130, 180))
    bands = ((105, 115), (140, 160))
    assert Mass(**MASS, sidebands_gev=bands).sidebands == bands


def test_a_cut_inside_a_bin_is_told_with_a_number_of_bins_that_fits() -> None:
    with pytest.raises(ValidationError, match="121 GeV lies inside one of 40 bins; bins: 80"):
        Mass(**MASS | {"window_gev": (121, 130)}, bins=40)
