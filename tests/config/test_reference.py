"""The key reference says something of every key, and what it says is so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import TypeAdapter

from gato_coffea.config import fields, reference
from gato_coffea.config.text import read_yaml
from gato_coffea.errors import ConfigError

ANALYSES = sorted((Path(__file__).parents[2] / "analyses").glob("*/analysis.yaml"))
KEYS = {key.place: key for key in reference.every_key()}


def sections(kind: type[fields.Section] = fields.Section) -> list[type[fields.Section]]:
    return [s for c in kind.__subclasses__() for s in (c, *sections(c))]


FIELDS = [
    (section, name)
    for section in sections()
    if section.__module__.startswith("gato_coffea.config.")
    for name, field in section.model_fields.items()
    if not field.exclude
]


@pytest.mark.parametrize(("section", "name"), FIELDS)
def test_every_key_is_said(section: Any, name: str) -> None:
    field = section.model_fields[name]
    told = field.alias or name
    assert field.description.endswith("."), told
    assert any(place.split(" ")[0].rpartition(".")[2] == told for place in KEYS), told


@pytest.mark.parametrize(("section", "name"), FIELDS)
def test_every_example_is_allowed(section: Any, name: str) -> None:
    field = section.model_fields[name]
    value = field.examples[0]
    TypeAdapter(Annotated[field.annotation, None, *field.metadata]).validate_python(value)
    shown = next(key for key in KEYS.values() if key.meaning == field.description).example
    assert str(yaml.safe_load(shown)) == str(value)


@pytest.mark.parametrize(
    ("place", "allowed", "unit", "default"),
    [
        ("optimise.n_categories", "whole number from 1 on or list of", None, "[5]"),
        ("optimise.systematic", "number from 0 on below 1", None, "0.0"),
        ("datasets.NAME.files", "text or list of text", None, None),
        ("mass.window_gev", "list of 2: number", "GeV", None),
        ("discriminants[].scale", "linear or logit or log", None, "linear"),
        ("optimise.constraints.per_process.NAME.min_effective", "number from 0", None, "none"),
        ("discriminants[].range", "list of 2: number", None, None),
        ("luminosity_per_fb", "number above 0", "1/fb", "none"),
        ("systematics.NAME.value (kind norm)", "number above 0", None, "none"),
    ],
)
def test_what_is_said(place: str, allowed: str, unit: str | None, default: str | None) -> None:
    key = KEYS[place]
    assert key.allowed.startswith(allowed)
    assert (key.unit, key.default) == (unit, default)


def test_a_section_of_the_reference() -> None:
    assert {k.place.split(".")[0] for k in reference.every_key("plots")} == {"plots"}
    assert len(reference.every_key("optimise.constraints")) > 5
    assert len(reference.every_key("discriminants")) == 7
    with pytest.raises(ConfigError, match=r"got 'optimize'.; did you mean 'optimise'\?"):
        reference.every_key("optimize")


@pytest.mark.parametrize("path", ANALYSES, ids=lambda p: p.parent.name)
def test_the_schema_allows_what_is_allowed(path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    content = read_yaml(path.read_text())
    check = jsonschema.Draft202012Validator(reference.json_schema())
    check.check_schema(check.schema)
    assert list(check.iter_errors(content)) == []
    for wrong in (
        {"optimise": content["optimise"] | {"restarts": 0}},
        {"optimise": content["optimise"] | {"restart": 1}},
        {"luminosity_per_fb": -1},
        {"directory": "x"},
    ):
        assert not check.is_valid(content | wrong)
