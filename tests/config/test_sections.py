from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gato_coffea.config import parse_analysis, sections
from gato_coffea.config.sections import (
    Constraints,
    Discriminant,
    Mass,
    Optimisation,
    Variation,
    Weight,
)
from gato_coffea.errors import ConfigError

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


def test_single_sources_and_counts_stand_for_lists() -> None:
    weight = Weight(nominal="w", variations={"sUp": "u"})  # type: ignore[arg-type,dict-item]
    assert (weight.nominal, weight.variations) == (("w",), {"sUp": Variation(replace=("u",))})
    assert Optimisation(signals=("s",), n_categories=4).n_categories == (4,)  # type: ignore[arg-type]


def test_sections_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Constraints().min_effective = 3.0  # type: ignore[misc]


def weight(**variations: Any) -> Weight:
    return Weight.model_validate({"nominal": ["gen", "pileup"], "variations": variations})


@pytest.mark.parametrize(
    ("said", "own", "expected"),
    [
        (["gen", "pileup_up"], None, (("gen", "pileup_up"), ())),
        ({"replace": ["gen", "pileup_up"]}, None, (("gen", "pileup_up"), ())),
        ({"multiply": "sf_up"}, None, (("gen", "pileup", "sf_up"), ())),
        # what it changes of the nominal product, it changes of a dataset's own weight
        (["gen", "pileup_up"], ("gen", "pileup", "k"), (("gen", "k", "pileup_up"), ())),
        (["gen", "pileup", "sf_up"], ("gen", "k"), (("gen", "k", "sf_up"), ())),
        ({"multiply": ["sf_up"]}, ("gen", "k"), (("gen", "k", "sf_up"), ())),
        (["gen", "pileup_up"], ("whole",), (("whole", "pileup_up"), ("pileup",))),
        (["genUp"], ("gen", "gen"), (("gen", "genUp"), ("pileup",))),
    ],
)
def test_variations_and_own_weights_compose(said: Any, own: Any, expected: Any) -> None:
    assert weight(xUp=said).varied("xUp", own) == expected


def test_a_variation_is_said_in_one_way() -> None:
    for wrong in ({}, {"replace": "a", "multiply": "b"}):
        with pytest.raises(ValueError, match="give exactly one of replace, multiply"):
            weight(xUp=wrong)


@pytest.mark.parametrize(
    ("section", "field"),
    [
        (section, name)
        for section in (Constraints, Optimisation, Mass, Discriminant)
        for name, field in section.model_fields.items()
        if any(kind in str(field.annotation) for kind in ("int", "float"))
    ],
)
def test_no_number_is_true_or_false(section: Any, field: str) -> None:
    for value in (True, (True, False), ((True, False),)):
        with pytest.raises(ValidationError) as raised:
            section.model_validate({field: value})
        assert field in {e["loc"][0] for e in raised.value.errors()}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"min_effective": -1}, "Constraints: min_effective: must be at least 0 (got -1)"),
        ({"min_backgrund": 1}, "Constraints: min_backgrund: unknown key; did you mean 'min_back"),
        (
            {"per_process": {"b": {"min_effective": "x"}}},
            "Constraints: per_process.b.min_effective: must be a number (got 'x')",
        ),
    ],
)
def test_constraints_made_in_python_are_told_in_one_line(values: Any, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Constraints(**values)
    assert str(raised.value).startswith(told)
    assert "\n" not in str(raised.value)
    with pytest.raises(ValidationError) as inside:  # in a file the place is that of the file
        Optimisation.model_validate({"signals": ["s"], "constraints": values})
    assert inside.value.errors()[0]["loc"][0] == "constraints"


FLAGS = [
    (section, name)
    for section in vars(sections).values()
    if isinstance(section, type) and issubclass(section, sections.Section)
    for name, field in section.model_fields.items()
    if "bool" in str(field.annotation)
]


@pytest.mark.parametrize(("section", "name"), FLAGS)
def test_a_flag_is_true_or_false_and_nothing_like_it(section: Any, name: str) -> None:
    for value in (1, 0, "yes", "true", "False", 1.0):
        with pytest.raises(ValidationError) as raised:
            section.model_validate({name: value})
        kinds = {e["loc"][0]: e["type"] for e in raised.value.errors()}
        assert kinds[name] == "bool_type"


def test_flags_are_refused_in_one_line(small: Any, tmp_path: Path) -> None:
    assert {name for _, name in FLAGS} >= {"data", "blinded", "smooth", "normalise", "resonant"}
    for key in ("datasets.collisions.data", "mass.blinded", "unblind", "keep_columns"):
        content = small.update(deepcopy(small.content), {key: "yes"})
        with pytest.raises(ConfigError) as refused:
            parse_analysis(content, directory=tmp_path)
        assert str(refused.value) == f"analysis: {key}: must be true or false (got 'yes')"
