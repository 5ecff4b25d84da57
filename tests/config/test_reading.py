"""Analysis files as they lie on disk."""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from gato_coffea.config.reading import parse_analysis, read_analysis
from gato_coffea.errors import ConfigError


def test_a_folder_stands_for_the_file_in_it(make_analysis: Any, tmp_path: Path) -> None:
    analysis = make_analysis(n=1)
    assert read_analysis(tmp_path) == read_analysis(str(tmp_path / "analysis.yaml")) == analysis
    assert analysis.directory == tmp_path


def test_a_file_may_have_any_name(small: Any, tmp_path: Path) -> None:
    path = tmp_path / "été 2.yml"
    path.write_text(yaml.safe_dump({**small.content, "title": "é"}, allow_unicode=True), "utf-8")
    assert read_analysis(path).title == "é"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "must be a mapping of keys (got NoneType)"),
        (b"- a", "must be a mapping of keys (got list)"),
        (b"name: \xff", "is not valid YAML ("),
        (b"name: [", "is not valid YAML ("),
        (b"name: a\nname: b", "line 2: key 'name' stands twice, first in line 1"),
        (b"nmae: a", "nmae: unknown key; did you mean 'name'?"),
    ],
)
def test_what_is_wrong_is_told_with_the_file(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "analysis.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        read_analysis(tmp_path)
    assert str(raised.value).startswith(f"{path}: {told}")
    assert "\n" not in str(raised.value)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.yaml: no such analysis file"):
        read_analysis(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "gone.yaml")
    with pytest.raises(ConfigError, match=r"b\.yaml: no such analysis file"):
        read_analysis(tmp_path / "b.yaml")
    os.mkfifo(tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match=r"c\.yaml: no such analysis file"):
        read_analysis(tmp_path / "c.yaml")


def test_what_is_given_is_left_as_it_is(small: Any, tmp_path: Path) -> None:
    content = deepcopy(small.content)
    parse_analysis(content, directory=tmp_path)
    assert content == small.content


@pytest.mark.parametrize("content", [None, [], "text", 3])
def test_content_that_is_no_mapping(content: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^here: must be a mapping of keys \(got "):
        parse_analysis(content, directory=tmp_path, place="here")
