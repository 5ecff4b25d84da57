"""What a Python file of the user depends on, read off its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gato_coffea.workflow.code import code_fingerprint, variable_value
from gato_coffea.workflow.pipeline import stage_keys

MODULE = """
import json
import os
import numpy as np
from scales.muons import factor

ERA = os.environ.get("SMALL_ERA", "2022")


def hard(events):
    return events.pt > 20


def pileup_down(events):
    return 2.0 - events.pileup_up
"""


def process_key(analysis: Any) -> str:
    return stage_keys(analysis, {})["process"]


def test_what_the_functions_import_from_their_folder_counts(make_analysis: Any) -> None:
    analysis = make_analysis(functions=MODULE)
    folder = analysis.directory
    seen = [process_key(analysis)]
    (folder / "scales").mkdir()
    for name, text in (
        ("scales/__init__.py", ""),
        ("scales/muons.py", "from . import common\nfactor = common.one"),
        ("scales/common.py", "one = 1"),
        ("scales/common.py", "one = 2"),
    ):
        (folder / name).write_text(text)
        seen.append(process_key(analysis))
    assert len(set(seen)) == len(seen)
    (folder / "other.py").write_text("")
    (folder / "json.py").write_text("loads = None")  # hides the standard one
    assert process_key(analysis) not in seen
    seen.append(process_key(analysis))
    (folder / "other.py").write_text("x = 1")  # nothing imports it
    assert process_key(analysis) == seen[-1]


def test_environment_variables_that_the_functions_name_count(
    make_analysis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis = make_analysis(functions=MODULE)
    seen = []
    for era in ("2022", "2023"):
        monkeypatch.setenv("SMALL_ERA", era)
        seen.append(process_key(analysis))
    monkeypatch.setenv("ANOTHER", "1")
    assert process_key(analysis) == seen[-1]
    assert len(set(seen)) == 2
    assert code_fingerprint(analysis.module_path)["$SMALL_ERA"] == "2023"


@pytest.mark.parametrize(
    "line",
    ['os.environ["X_1"]', 'environ.get("X_1", 3)', 'os.getenv("X_1")', 'f(os.environ.pop("X_1"))'],
)
def test_ways_to_read_an_environment_variable(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.py").write_text(f"def g():\n    return {line}\n")
    assert set(code_fingerprint(tmp_path / "a.py")) == {"a.py", "$X_1"}


def test_what_is_no_code_or_no_file_gives_what_there_is(tmp_path: Path) -> None:
    script = tmp_path / "a.py"
    assert code_fingerprint(script) == {}
    script.write_text("def broken(:\n")  # told where it is imported
    assert list(code_fingerprint(script)) == ["a.py"]
    script.write_bytes(b"\x00\xff")
    assert list(code_fingerprint(script)) == ["a.py"]


def test_files_that_import_each_other_end(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import b")
    (tmp_path / "b.py").write_text("def f():\n    import a, numpy, not_here.at_all")
    assert list(code_fingerprint(tmp_path / "a.py")) == ["a.py", "b.py"]


def test_relative_imports_and_packages(tmp_path: Path) -> None:
    for name, text in (
        ("a.py", "import pack.deep.leaf"),
        ("pack/__init__.py", ""),
        ("pack/deep/__init__.py", "from .. import shared"),
        ("pack/deep/leaf.py", "from ..other import x"),
        ("pack/shared.py", ""),
        ("pack/other.py", ""),
        ("pack/unused.py", ""),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert set(code_fingerprint(tmp_path / "a.py")) == {
        *("a.py", "pack/__init__.py", "pack/deep/__init__.py", "pack/deep/leaf.py"),
        *("pack/shared.py", "pack/other.py"),
    }


def test_the_folder_of_data_counts_as_the_folder_that_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATO_COFFEA_DATA", str(tmp_path))
    assert variable_value("GATO_COFFEA_DATA") == str(tmp_path)
    monkeypatch.setenv("GATO_COFFEA_DATA", str(tmp_path / "missing"))
    assert variable_value("GATO_COFFEA_DATA") == str(tmp_path / "missing")
    monkeypatch.delenv("SMALL_NOTHING", raising=False)
    assert variable_value("SMALL_NOTHING") is None
