"""What is wrong with an analysis file, in the field's words and never in pydantic's."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from gato_coffea.config import parse_analysis
from gato_coffea.config.text import read_yaml, shown
from gato_coffea.errors import ConfigError

INF = float("inf")
WRONG: dict[str, list[Any]] = {
    "mass.window_gev": [INF, [INF, 130], "a", [120], [1, 2, 3], {}, [120, "x"], [1e308, 2e308]],
    "mass.range_gev": [[0, INF], [1e308, -1e308], [-1e308, 1e308], [100, 1e308]],
    "mass.bins": [0, 1e30, 10**40, "x", 4.5, INF, True],
    "mass.sidebands_gev": [[], [[100]], 5, [[100, INF]]],
    "optimise.n_categories": ["many", [0], 0, [], [[2, 3]], 2.5, True, [2, "x"]],
    "optimise.signals": [[], "sig", 5, [5]],
    "optimise.folds": [0, 1000, "x"],
    "optimise.constraints": [5, {"min_effective": -1}, {"max_rel_unc": 0}],
    "optimise.systematic": [1, -0.1],
    "datasets": [{}, 5, [1], {"a b": {}}, {1: {}}, {"x": 5}],
    "datasets.sig_a.files": [[], 5, [5], {}],
    "datasets.sig_a.process": [5, "gg H", ""],
    "datasets.sig_a.data": ["maybe", 5],
    "discriminants": [[], 5, {}, [5], [{}], [{"name": "a", "range": [0]}]],
    "selection": [5, [5], {}, [[1]]],
    "schema": ["nano", 5],
    "luminosity_per_fb": ["x", -1, INF],
    "weight.variations": [5, [], {"a b": "x"}, {"xUp": 5}],
    "plots": [5, {"style": "D0"}, {"com_tev": 0}],
    "event_id": [5, [5]],
}


@pytest.mark.parametrize("key", WRONG)
def test_no_message_is_pydantics(small: Any, tmp_path: Path, key: str) -> None:
    for value in WRONG[key]:
        content = small.update(deepcopy(small.content), {key: value})
        with pytest.raises(ConfigError) as raised:
            parse_analysis(content, directory=tmp_path)
        told = str(raised.value)
        assert told.startswith(f"analysis: {key.split('.')[0]}"), told
        assert "cannot be this" not in told
        assert "\n" not in told
        for raw in ("nput should", "validation", "unable to", "pydantic", "at least 1 item"):
            assert raw not in told


@pytest.mark.parametrize("name", ["NanoAODSchema", "nanoaod", "NANOAOD"])
def test_schemas_go_by_the_names_of_their_classes_too(
    small: Any, tmp_path: Path, name: str
) -> None:
    content = deepcopy(small.content) | {"schema": name}
    assert parse_analysis(content, directory=tmp_path).schema_ == "nanoaod"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: {c: 1, c: 2}", "line 2: key 'c' stands twice, first in line 2; the second"),
        ("a: 1\nb: 2\n'a': 3", "line 3: key 'a' stands twice, first in line 1"),
        ("- a: 1\n  a: 2", "line 2: key 'a' stands twice, first in line 1"),
        ("!!int zz", "is not valid YAML (invalid literal for int"),
        ("!!timestamp zz", "is not valid YAML ("),
        ("!!float {a: 1}", "is not valid YAML ("),
        ("!!python/object:os.system {}", "is not valid YAML (could not determine a constructor"),
        ("? [a, b]\n: 1\n? {c: 1}\n: 2", "is not valid YAML ("),
        ("[" * 30_000, "is nested too deeply"),
        ("a: &a [*a", "is not valid YAML ("),
    ],
)
def test_yaml_that_cannot_be_meant(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=r"is|stands") as raised:
        read_yaml(text)
    assert str(raised.value).startswith(told)
    assert "\n" not in str(raised.value)


def test_merged_keys_may_be_said_again() -> None:
    text = "base: &base {a: 1, b: 2}\nmore: &more {<<: *base, b: 3}\nlast: {<<: *more, a: 4}"
    content = read_yaml(text)
    assert content["more"] == {"a": 1, "b": 3}
    assert content["last"] == {"a": 4, "b": 3}


def test_values_are_shown_short() -> None:
    bomb: Any = "x"
    for _ in range(60):
        bomb = [bomb] * 9
    assert len(shown(bomb)) < 2000
    assert shown("half") == "'half'"


@pytest.mark.parametrize("number", ["1_0", "010", "1:30", "1_0.5", "-0_1"])
def test_numbers_that_yaml_reads_otherwise_are_refused(number: str) -> None:
    with pytest.raises(ValueError, match=rf"^line 2: {number} is read as another number in YAML"):
        read_yaml(f"a: 1\nb: {number}")
    assert read_yaml(f"b: '{number}'") == {"b": number}


def test_plain_numbers_are_read() -> None:
    text = "[0, 10, -3, 0.5, 00.5, 1.0e-3, 0x10, .inf]"
    assert read_yaml(text) == [0, 10, -3, 0.5, 0.5, 1e-3, 16, float("inf")]
