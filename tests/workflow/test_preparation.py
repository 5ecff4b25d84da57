"""Ntuples that an analysis prepares: made once, and again when what they come from changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gato_coffea.errors import ConfigError, OutputError
from gato_coffea.workflow.lock import locked
from gato_coffea.workflow.preparation import MARKER, make_ntuples

PREPARE = """
import os
from pathlib import Path
from parts import name


def prepare(directory):
    (directory / name).write_text(Path(os.environ["SMALL_DATA"], "in.csv").read_text())
"""


def test_prepared_ntuples_follow_their_data_and_must_be_there(
    make_analysis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "in.csv").write_text(name)
    (tmp_path / "make.py").write_text(PREPARE)
    (tmp_path / "parts.py").write_text("name = 'a.root'")
    monkeypatch.setenv("SMALL_DATA", str(tmp_path / "one"))
    analysis = make_analysis({"ntuples": "make.py", "depends_on": "$SMALL_DATA/in.csv"})
    made = tmp_path / "ntuples/a.root"
    assert [make_ntuples(analysis), make_ntuples(analysis)] == [True, False]
    monkeypatch.setenv("SMALL_DATA", str(tmp_path / "two"))
    assert make_ntuples(analysis)
    assert made.read_text() == "two"
    (tmp_path / "two/in.csv").write_text("new")
    assert make_ntuples(analysis)
    assert made.read_text() == "new"
    made.unlink()
    assert make_ntuples(analysis)
    assert made.is_file()
    assert {p.name for p in made.parent.iterdir()} == {"a.root", ".prepared.json"}


def test_a_script_that_makes_nothing_is_told(make_analysis: Any) -> None:
    analysis = make_analysis({"ntuples": "make.py"})
    (analysis.directory / "make.py").write_text("def prepare(directory):\n    pass\n")
    with pytest.raises(ConfigError, match=r"make.py: prepare\(directory\) has made no file in "):
        make_ntuples(analysis)


def test_prepared_ntuples_are_made_once_and_again_when_the_script_changes(
    make_analysis: Any, tmp_path: Path
) -> None:
    script = tmp_path / "make.py"
    script.write_text(
        "def prepare(directory):\n"
        "    directory.mkdir(exist_ok=True)\n"
        "    with open(directory / 'log', 'a') as f:\n        f.write('x')\n"
    )
    analysis = make_analysis({"ntuples": "make.py"}, n=1)
    assert [make_ntuples(analysis) for _ in range(3)] == [True, False, False]
    script.write_text(script.read_text() + "\n")
    assert make_ntuples(analysis)
    assert (tmp_path / "ntuples/log").read_text() == "xx"


@pytest.mark.parametrize("wrong", ["4d", "missing.py", "data"])
def test_ntuples_that_nothing_can_make(make_analysis: Any, wrong: str) -> None:
    with pytest.raises(ConfigError, match=f"ntuples: is neither a toy nor .*got '{wrong}'"):
        make_ntuples(make_analysis({"ntuples": wrong}, n=1))


def test_a_script_without_prepare_is_told(make_analysis: Any, tmp_path: Path) -> None:
    (tmp_path / "make.py").write_text("x = 1\n")
    with pytest.raises(ConfigError, match=r"make.py: has no function prepare\(directory\)"):
        make_ntuples(make_analysis({"ntuples": "make.py"}, n=1))


def test_an_analysis_that_prepares_nothing(make_analysis: Any, tmp_path: Path) -> None:
    assert not make_ntuples(make_analysis(n=1))
    assert not (tmp_path / "ntuples").exists()


HELPED = """
from parts import name

def prepare(directory):
    from later import text
    (directory / name).write_text(text)
"""


def test_a_script_imports_what_lies_beside_it(make_analysis: Any, tmp_path: Path) -> None:
    (tmp_path / "make.py").write_text(HELPED)
    (tmp_path / "parts.py").write_text("name = 'a.root'")
    (tmp_path / "later.py").write_text("text = 'one'")
    analysis = make_analysis({"ntuples": "make.py"}, n=1)
    assert make_ntuples(analysis)
    assert (tmp_path / "ntuples/a.root").read_text() == "one"
    (tmp_path / "later.py").write_text("text = 'two'")
    assert make_ntuples(analysis)
    assert (tmp_path / "ntuples/a.root").read_text() == "two"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"key": 1, "files": []}', "[" * 100_000])
def test_a_damaged_marker_makes_them_again(
    make_analysis: Any, tmp_path: Path, content: str
) -> None:
    (tmp_path / "make.py").write_text("def prepare(d):\n    (d / 'a.root').write_text('x')\n")
    analysis = make_analysis({"ntuples": "make.py"}, n=1)
    assert make_ntuples(analysis)
    (tmp_path / "ntuples" / MARKER).write_text(content)
    assert [make_ntuples(analysis), make_ntuples(analysis)] == [True, False]


def test_a_preparation_that_fails_leaves_nothing_that_looks_complete(
    make_analysis: Any, tmp_path: Path
) -> None:
    script = tmp_path / "make.py"
    script.write_text("def prepare(d):\n    (d / 'a.root').write_text('x')\n    1 / 0\n")
    analysis = make_analysis({"ntuples": "make.py"}, n=1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            make_ntuples(analysis)
    assert not (tmp_path / "ntuples" / MARKER).exists()


def test_two_at_a_time_are_told(make_analysis: Any, tmp_path: Path) -> None:
    (tmp_path / "make.py").write_text("def prepare(d):\n    (d / 'a.root').write_text('x')\n")
    analysis = make_analysis({"ntuples": "make.py"}, n=1)
    (tmp_path / "ntuples").mkdir()
    with (
        locked(tmp_path / "ntuples"),
        pytest.raises(OutputError, match="is being written to by"),
    ):
        make_ntuples(analysis)
