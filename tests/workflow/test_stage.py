"""One stage in a results folder: what is recorded, moved, set aside and forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from gato_coffea.errors import OutputError
from gato_coffea.workflow.provenance import Provenance
from gato_coffea.workflow.stage import Recorder


def writer(**files: str) -> object:
    def make(aside: Path) -> None:
        for name, text in files.items():
            path = aside / name.replace("_", "/", 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return make


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path, seed=3, inputs={})


def run(recorder: Recorder, name: str, key: str = "k", **files: str) -> None:
    recorder.run(name, writer(**files), place=name, key=key)  # type: ignore[arg-type]


def files_of(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_files_are_in_their_places_and_recorded(recorder: Recorder, tmp_path: Path) -> None:
    done = recorder.run(
        "one",
        writer(one_a="1", one_b="2"),  # type: ignore[arg-type]
        place="one",
        key="k",
    )
    assert set(done.files) == {"one/a", "one/b"}
    assert files_of(tmp_path) == {"one/a", "one/b", "provenance.json"}
    assert Provenance.read(tmp_path).is_current("one", key="k", output=tmp_path)


def test_a_failure_leaves_the_files_of_before_but_forgets_the_stage(
    recorder: Recorder, tmp_path: Path
) -> None:
    run(recorder, "one", one_a="1")

    def fail(aside: Path) -> None:
        (aside / "one").mkdir()
        (aside / "one/a").write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        recorder.run("one", fail, place="one", key="k")
    assert (tmp_path / "one/a").read_text() == "1"
    assert files_of(tmp_path) == {"one/a", "provenance.json"}
    record = Provenance.read(tmp_path)
    assert not record.stages
    assert set(record.owned) == {"one/a"}


def test_what_a_stage_writes_no_more_is_taken_away_and_of_others_nothing(
    recorder: Recorder, tmp_path: Path
) -> None:
    run(recorder, "one", one_a="1", one_b="2")
    run(recorder, "two", two_a="1")
    (tmp_path / "one/mine").write_text("mine")
    run(recorder, "one", one_a="3")
    assert files_of(tmp_path) == {"one/a", "one/mine", "two/a", "provenance.json"}
    assert set(Provenance.read(tmp_path).owned) == {"one/a", "two/a"}


def test_a_file_of_others_is_in_the_way_and_stays(recorder: Recorder, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/a").write_text("mine")
    with pytest.raises(OutputError, match=r"one/a"):
        run(recorder, "one", one_a="1")
    assert (tmp_path / "one/a").read_text() == "mine"
    assert files_of(tmp_path) == {"one/a", "provenance.json"}


def test_stages_that_build_on_one_are_forgotten_with_it(
    recorder: Recorder, tmp_path: Path
) -> None:
    run(recorder, "one", one_a="1")
    run(recorder, "two", two_a="1")
    recorder.run(
        "one",
        writer(one_a="1"),  # type: ignore[arg-type]
        place="one",
        key="k",
        forget=["two"],
    )
    assert list(Provenance.read(tmp_path).stages) == ["one"]
