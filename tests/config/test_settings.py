"""The settings of an optimisation."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gato_coffea.config.settings import Constraints, Optimisation
from gato_coffea.errors import ConfigError


def test_a_single_number_of_categories_stands_for_a_list_and_each_counts_once() -> None:
    assert Optimisation(signals=("s",), n_categories=4).n_categories == (4,)
    assert Optimisation(signals=("s",), n_categories=[4, 2, 4]).n_categories == (4, 2)
    assert Optimisation(signals=("s",), n_categories="auto").counts == (2, 3, 5, 8, 12, 20)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Constraints().min_effective = 3.0  # type: ignore[misc]


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


def test_the_former_name_of_a_key_keeps_working() -> None:
    named = Optimisation.model_validate({"signals": ["s"], "mass_window": False})
    assert named.extrapolate_from_sidebands is False
    with pytest.raises(ValidationError, match="mass_window"):
        Optimisation.model_validate(
            {"signals": ["s"], "mass_window": False, "extrapolate_from_sidebands": True}
        )
