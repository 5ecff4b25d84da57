"""The record of a results folder: what it holds, and what it forgets."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from gato_coffea.workflow import provenance
from gato_coffea.workflow.provenance import (
    PROVENANCE,
    FileMark,
    Provenance,
    StageRecord,
    digest,
    marks_below,
    measured,
    source_hashes,
    versions,
)


def test_the_template_of_the_report_counts_for_the_report(tmp_path: Path) -> None:
    (tmp_path / "report.html.jinja").write_text("<p>")
    first = source_hashes(tmp_path)["report.html.jinja"]
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/report.html.jinja").write_text("<b>")
    assert source_hashes(tmp_path / "copy")["report.html.jinja"] != first


def test_hashes_of_sources_follow_content_and_names(tmp_path: Path) -> None:
    def hashes(name: str, **files: str) -> dict[str, str]:
        (tmp_path / name / "inner").mkdir(parents=True)
        for path, text in files.items():
            (tmp_path / name / path.replace("_", "/", 1)).with_suffix(".py").write_text(text)
        (tmp_path / name / "notes.txt").write_text(name)
        return dict(source_hashes(tmp_path / name))

    first = hashes("a", one="x = 1", inner_two="y = 2")
    assert set(first) == {"one.py", "inner/two.py"}
    assert hashes("b", one="x = 1", inner_two="y = 2") == first
    assert hashes("c", one="x = 1", inner_two="y = 3")["inner/two.py"] != first["inner/two.py"]


def test_a_record_is_current_only_with_its_key_and_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("abc")
    mark = FileMark.of(tmp_path / "a")
    record = Provenance().with_stage("s", StageRecord("k", {"a": mark}, 1.0, 2.0))
    assert record.is_current("s", key="k", output=tmp_path)
    assert not record.is_current("s", key="other", output=tmp_path)
    assert not record.is_current("t", key="k", output=tmp_path)
    for changed in ("abcd", "abd"):
        (tmp_path / "a").write_text(changed)
        assert not record.is_current("s", key="k", output=tmp_path)
    nothing = Provenance().with_stage("s", StageRecord("k", {}, 1.0, 2.0))
    assert not nothing.is_current("s", key="k", output=tmp_path)


def test_a_damaged_record_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text("{")
    assert Provenance.read(tmp_path) == Provenance()


def test_memory_and_time_of_a_block_are_measured() -> None:
    with measured() as small:
        pass
    with measured() as large:
        array = np.ones(40_000_000)
        array += 1
    assert large.wall_s > small.wall_s
    assert large.peak_mb > small.peak_mb + 200  # the array is 305 MB


def test_a_record_that_leads_out_of_the_folder_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    mark = FileMark.of(tmp_path / "file")
    output = tmp_path / "results"
    output.mkdir()
    Provenance(left={"optimise/../../file": mark}).write(output, seed=0, inputs={})
    assert Provenance.read(output) == Provenance()


def record_of(folder: Path, **names: str) -> StageRecord:
    for name, text in names.items():
        (folder / name).write_text(text)
    return StageRecord("k", {n: FileMark.of(folder / n) for n in names}, 1.5, 20.0)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    one = record_of(tmp_path, a="x", b="y")
    two = StageRecord("l", record_of(tmp_path, c="z").files, 2.0, 3.0, {"one": one.content})
    record = Provenance({"one": one, "two": two}, {"old": FileMark(1, 2, "3")})
    record.write(tmp_path, seed=7, inputs={"f": {"size": 3}})
    assert Provenance.read(tmp_path) == record
    assert Provenance.exists(tmp_path)
    content = json.loads((tmp_path / PROVENANCE).read_text())
    assert (content["seed"], content["inputs"]) == (7, {"f": {"size": 3}})
    assert content["versions"] == versions()
    assert content["versions"]["numpy"] == np.__version__


def test_a_stage_made_from_what_has_changed_is_not_current(tmp_path: Path) -> None:
    one = record_of(tmp_path, a="x")
    two = StageRecord("l", record_of(tmp_path, c="z").files, 2.0, 3.0, {"one": one.content})
    record = Provenance({"one": one, "two": two})
    assert record.is_current("two", key="l", output=tmp_path, needs=["one"])
    again = record.with_stage("one", record_of(tmp_path, a="other"))
    assert not again.is_current("two", key="l", output=tmp_path, needs=["one"])
    same = record.with_stage("one", record_of(tmp_path, a="x"))
    assert same.is_current("two", key="l", output=tmp_path, needs=["one"])


def test_files_of_forgotten_stages_stay_ours_until_they_are_made_again(tmp_path: Path) -> None:
    record = Provenance({"one": record_of(tmp_path, a="x", b="y")})
    without = record.without(["one", "never"])
    assert not without.stages
    assert set(without.owned) == {"a", "b"}
    assert set(without.less(["b"]).owned) == {"a"}
    again = without.with_stage("one", record_of(tmp_path, a="new"))
    assert set(again.left) == {"b"}
    assert again.owned["a"] == FileMark.of(tmp_path / "a")


def test_small_files_are_read_and_large_ones_go_by_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_text("abc")
    mark = FileMark.of(path)
    path.write_text("abd")
    os.utime(path, ns=(mark.modified_ns, mark.modified_ns))
    assert not mark.holds(path)
    monkeypatch.setattr(provenance, "ALWAYS_READ", 2)
    assert mark.holds(path)
    assert not mark.holds(tmp_path)
    assert not mark.holds(tmp_path / "missing")


def test_marks_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "in/side").mkdir(parents=True)
    (tmp_path / "in/side/a").write_text("1")
    (tmp_path / "b").write_text("2")
    assert list(marks_below(tmp_path)) == ["b", "in/side/a"]
    assert marks_below(tmp_path / "missing") == {}


def test_digests_do_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest([1, 2]) != digest([2, 1])
    assert digest(1, 2) != digest([1, 2])
