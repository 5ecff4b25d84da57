"""What every category must satisfy, as files and Python say it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gato_coffea.config.constraints import Constraints
from gato_coffea.config.settings import Optimisation
from gato_coffea.errors import ConfigError


def test_constraints_are_frozen() -> None:
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
