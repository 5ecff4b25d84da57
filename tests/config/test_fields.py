"""Kinds of values that all sections of the analysis file share."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gato_coffea.config import Discriminant, Mass, parse_analysis
from gato_coffea.config.fields import Section
from gato_coffea.config.settings import Constraints, Optimisation
from gato_coffea.errors import ConfigError


def subclasses(kind: type[Section]) -> list[type[Section]]:
    return [s for c in kind.__subclasses__() for s in (c, *subclasses(c))]


SECTIONS = [s for s in subclasses(Section) if s.__module__.startswith("gato_coffea.config.")]


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


FLAGS = [
    (section, name)
    for section in SECTIONS
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
