from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

from gato_coffea.datasets import (
    data_folder,
    expand,
    features,
    fileset,
    normalisation,
    resolve_files,
    sum_of_tree,
)
from gato_coffea.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "more").mkdir()
    for name in ("b.root", "a.root", "more/c.root", "more/notes.txt"):
        (tmp_path / name).touch()
    return tmp_path


def twice(tmp_path: Path, analysis: Any) -> str:
    with pytest.raises(InputError) as caught:
        fileset(analysis)
    return str(caught.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize("how", ["the path", "a link", "a hard link", "a copy"])
def test_the_same_events_in_two_datasets(make_analysis: Any, tmp_path: Path, how: str) -> None:
    analysis = make_analysis()
    first, second = tmp_path / "bkg_a_0.root", tmp_path / "bkg_b_0.root"
    second.unlink()
    if how == "the path":
        second = first
        analysis = make_analysis({"datasets.bkg_b.files": ["bkg_a_0.root"]})
    elif how == "a link":
        second.symlink_to(first)
    elif how == "a hard link":
        second.hardlink_to(first)
    else:
        shutil.copy(first, second)
    assert twice(tmp_path, analysis) == (
        f"{second.name}: datasets.bkg_b.files: holds the same events as bkg_a_0.root of "
        "datasets.bkg_a; a file counts once (derived_from: bkg_a, with a weight of its own, reads "
        "it again)"
    )


def test_the_same_events_twice_in_one_dataset(make_analysis: Any, tmp_path: Path) -> None:
    analysis = make_analysis()
    shutil.copy(tmp_path / "data_0.root", tmp_path / "data_2.root")
    assert twice(tmp_path, analysis).startswith(
        "data_2.root: datasets.collisions.files: holds the same events as data_0.root"
    )


def test_two_trees_of_one_file_are_different_events(make_analysis: Any, tmp_path: Path) -> None:
    analysis = make_analysis({"datasets.bkg_b.tree": "other/tree"})
    (tmp_path / "bkg_b_0.root").unlink()
    (tmp_path / "bkg_b_0.root").symlink_to(tmp_path / "bkg_a_0.root")
    assert len(fileset(analysis)["bkg_b"]["files"]) == 2


def test_files_that_are_read_again_on_purpose(make_analysis: Any, tmp_path: Path) -> None:
    derived = {
        "files": ["data_*.root"],
        "process": "continuum",
        "already_normalised": True,
        "weight": "pileup",
        "derived_from": "collisions",
    }
    other = {**derived, "process": "resonance", "weight": "pileup_up"}
    found = fileset(make_analysis({"datasets.continuum": derived, "datasets.resonance": other}))
    assert found["continuum"]["files"] == found["collisions"]["files"]
    wrong = make_analysis({"datasets.continuum": {**derived, "files": ["bkg_a_*.root"]}})
    assert "datasets.bkg_a" in twice(tmp_path, wrong)


def resolved(folder: Path, *patterns: str) -> list[str]:
    files = resolve_files(patterns, directory=folder, place="datasets.x.files")
    return [str(Path(f).relative_to(folder)) if "://" not in f else f for f in files]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["*.root"], ["a.root", "b.root"]),
        (["b.root", "a.root"], ["b.root", "a.root"]),
        (["more"], ["more/c.root"]),
        (["**/*.root"], ["a.root", "b.root", "more/c.root"]),
        (["a.root", "*.root", "./a.root"], ["a.root", "b.root"]),
        (["more/../a.root"], ["a.root"]),
        (["root://host//store/a.root"], ["root://host//store/a.root"]),
    ],
)
def test_patterns(folder: Path, patterns: list[str], expected: list[str]) -> None:
    assert resolved(folder, *patterns) == expected


def test_a_pattern_without_files(folder: Path) -> None:
    with pytest.raises(InputError, match=r"^datasets\.x\.files: no file matches \(got 'z\*'"):
        resolved(folder, "a.root", "z*")


@pytest.mark.parametrize("pattern", ["*.root", "lost.root"])
@pytest.mark.parametrize("target", ["nowhere.root", "lost.root"], ids=["nowhere", "itself"])
def test_a_broken_link(folder: Path, pattern: str, target: str) -> None:
    (folder / "lost.root").symlink_to(target)
    with pytest.raises(
        InputError, match=rf"lost\.root: datasets\.x\.files: is a broken.*{target}"
    ):
        resolve_files([pattern], directory=folder, place="datasets.x.files")


def test_environment_variables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NTUPLES", str(folder))
    assert resolved(folder, "$NTUPLES/more", "${NTUPLES}/a.root") == ["more/c.root", "a.root"]
    with pytest.raises(InputError, match="environment variable NO_SUCH has no value"):
        expand("$NO_SUCH/a.root", place="here")


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand("~/a.root", place="here") == f"{tmp_path}/a.root"


def test_data_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATO_COFFEA_DATA", str(folder))
    assert data_folder() == folder
    assert resolved(folder, "${GATO_COFFEA_DATA}/a.root") == ["a.root"]
    monkeypatch.setenv("GATO_COFFEA_DATA", str(folder / "nowhere"))
    with pytest.raises(InputError, match=r"^GATO_COFFEA_DATA: names no folder") as caught:
        resolved(folder, "$GATO_COFFEA_DATA/a.root")
    assert "\n" not in str(caught.value)


def test_fileset(make_analysis: Any, tmp_path: Path) -> None:
    analysis = make_analysis({"datasets.bkg_b.tree": "other/tree", "datasets.bkg_b.year": 2018})
    found = fileset(analysis)
    assert list(found) == ["sig_a", "bkg_a", "bkg_b", "collisions"]
    assert found["sig_a"]["files"] == {
        str(tmp_path / f"sig_a_{i}.root"): "ntuples/Events" for i in (0, 1)
    }
    assert set(found["bkg_b"]["files"].values()) == {"other/tree"}
    assert found["bkg_b"]["metadata"] == {"process": "bkg", "is_data": False, "year": "2018"}
    assert found["collisions"]["metadata"]["is_data"]


def test_features(make_analysis: Any) -> None:
    (feature,) = features(make_analysis())
    assert (feature.name, feature.low, feature.high, feature.scale) == ("score", 0, 1, "linear")


def test_normalisation_by_hand(make_analysis: Any) -> None:
    sumw = {"sig_a": 500.0, "bkg_a": 1e4, "bkg_b": 70.0, "collisions": 0.0}
    factors = normalisation(make_analysis(), sumw, dict.fromkeys(sumw, 1))
    # 0.5 pb x 2 / fb = 1000 events, of sum of weights 500
    assert factors == pytest.approx({"sig_a": 2, "bkg_a": 4, "bkg_b": 200, "collisions": 1})


@pytest.mark.parametrize("total", [0.0, -3.0, np.nan, np.inf])
def test_a_sum_of_weights_that_is_not_above_zero(make_analysis: Any, total: float) -> None:
    sumw = {"sig_a": total, "bkg_a": 1.0, "bkg_b": 1.0, "collisions": 0.0}
    with pytest.raises(InputError, match=r"^datasets\.sig_a\.sum_of_weights: the sum over 7 "):
        normalisation(make_analysis(), sumw, dict.fromkeys(sumw, 7))


def test_sum_of_tree(tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        file.mktree("meta/Runs", {"genEventSumw": "float64", "name": "int64"})
        file["meta/Runs"].extend({"genEventSumw": np.array([1.5, -0.5]), "name": np.arange(2)})
    assert sum_of_tree(str(path), tree="meta/Runs", branch="genEventSumw") == 1.0
    with pytest.raises(InputError, match="tree 'Runs' is missing"):
        sum_of_tree(str(path), tree="Runs", branch="genEventSumw")
    with pytest.raises(InputError, match=r"branch 'sumw' is missing in tree 'meta/Runs'"):
        sum_of_tree(str(path), tree="meta/Runs", branch="sumw")


def test_sum_of_tree_needs_numbers(tmp_path: Path, small: Any) -> None:
    path = small.write(tmp_path / "a.root", {"w": [[1.0], [2.0, 3.0]]}, tree="Runs")
    with pytest.raises(InputError, match="Runs/w must hold numbers"):
        sum_of_tree(str(path), tree="Runs", branch="w")
