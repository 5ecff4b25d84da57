from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from gato_coffea.config import read_analysis
from gato_coffea.datasets import fileset
from gato_coffea.datasets.check import check_analysis, check_first_files, diagnose, inspect_file
from gato_coffea.errors import ConfigError, InputError
from gato_coffea.processing.executors import process


def test_a_sound_analysis(make_analysis: Any) -> None:
    rows = check_analysis(make_analysis())
    assert [(r.dataset, r.process, r.kind, r.files, r.entries, r.tree) for r in rows] == [
        ("sig_a", "sig", "simulation", 2, 810, "ntuples/Events"),
        ("bkg_a", "bkg", "simulation", 2, 810, "ntuples/Events"),
        ("bkg_b", "bkg", "simulation", 2, 810, "ntuples/Events"),
        ("collisions", "data", "data", 2, None, "ntuples/Events"),
    ]
    assert rows[-1].sumw is None
    assert all(not row.missing for row in rows)


def test_sums_are_those_of_the_pass(make_analysis: Any) -> None:
    from gato_coffea.processing import executors as run

    analysis = make_analysis()
    result = run.process(analysis, progress=False)
    for row in check_analysis(analysis):
        assert (row.sumw or 0.0) == pytest.approx(result.sumw[row.dataset], rel=1e-12)


def test_all_problems_of_a_dataset_at_once(make_analysis: Any, small: Any, tmp_path: Path) -> None:
    analysis = make_analysis()
    columns = small.events(30, seed=1)
    columns["puileup"] = columns.pop("pileup")
    columns["score"] = ak.unflatten(columns["score"], np.full(10, 3))
    del columns["m"]
    flat = {name: column[:10] for name, column in columns.items()}
    path = small.write(tmp_path / "bkg_a_1.root", flat)
    place = f"{path}: datasets.bkg_a"
    score, mass, weight = check_analysis(analysis)[1].missing
    assert score == (
        f"{place}: discriminants.score: branch 'score' must be one number an event "
        "(got type double[])"
    )
    assert mass.startswith(f"{place}: mass.source: branch 'm' is missing in tree 'Events' (got ")
    assert weight == (
        f"{place}: weight.nominal[1]: branch 'pileup' is missing in tree 'Events'; "
        "did you mean 'puileup'?"
    )


def test_data_need_no_weight_branches(make_analysis: Any, small: Any, tmp_path: Path) -> None:
    analysis = make_analysis()
    columns = small.events(30, seed=1)
    for name in ("genWeight", "pileup", "pileup_up"):
        del columns[name]
    small.write(tmp_path / "data_0.root", columns)
    assert not check_analysis(analysis)[-1].missing


@pytest.mark.parametrize(("weight", "sumw"), [(0.0, "0"), (-1.0, "-810")])
def test_a_sum_of_weights_that_is_not_above_zero(
    make_analysis: Any, small: Any, tmp_path: Path, weight: float, sumw: str
) -> None:
    analysis = make_analysis()
    for part in (0, 1):
        columns = small.events(400 + 10 * part, seed=part)
        columns["genWeight"][:] = weight
        small.write(tmp_path / f"sig_a_{part}.root", columns)
    (problem,) = check_analysis(analysis)[0].missing
    assert problem == (
        f"datasets.sig_a.sum_of_weights: the sum over 810 events must be above zero (got {sumw})"
    )


@pytest.mark.parametrize(("bad", "allowed"), [(5, 1), (20, 0)])
def test_generator_weights_that_are_no_numbers(
    make_analysis: Any, small: Any, tmp_path: Path, bad: int, allowed: int
) -> None:
    """The check refuses what the pass over the events refuses, and sums what it sums."""
    analysis = make_analysis()
    columns = small.events(400, seed=0, signal=True)
    columns["genWeight"][:bad] = np.nan
    small.write(tmp_path / "sig_a_0.root", columns)
    row = check_analysis(analysis)[0]
    if allowed:
        analysis = analysis.model_copy(
            update={"weight": analysis.weight.model_copy(update={"nominal": (), "variations": {}})}
        )
        assert row.missing == ()
        assert row.sumw == pytest.approx(process(analysis, progress=False).sumw["sig_a"])
        return
    with pytest.raises(InputError) as caught:
        process(analysis, progress=False)
    assert row.missing == (str(caught.value),)


@pytest.mark.parametrize("part", [0, 1], ids=["first file", "second file"])
def test_a_truncated_file(make_analysis: Any, tmp_path: Path, part: int) -> None:
    analysis = make_analysis()
    path = tmp_path / f"sig_a_{part}.root"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 10])
    with pytest.raises(InputError, match="is truncated") as caught:
        check_analysis(analysis)
    assert str(caught.value) == (
        f"{path}: datasets.sig_a: is truncated (got {len(whole) - 10} bytes; its header says "
        f"{len(whole)})"
    )


def test_empty_trees(
    make_analysis: Any, small: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    analysis = make_analysis()
    empty = {name: column[:0] for name, column in small.events(3, seed=1).items()}
    small.write(tmp_path / "sig_a_0.root", empty)
    assert not check_analysis(analysis)[0].missing
    assert "sig_a_0.root: datasets.sig_a: tree 'ntuples/Events' is empty" in caplog.text
    small.write(tmp_path / "sig_a_1.root", empty)
    (problem,) = check_analysis(analysis)[0].missing
    assert problem == "datasets.sig_a: the tree has no entries in any of its files"


@pytest.mark.parametrize("rntuple", [True, False])
def test_inspect_file(small: Any, tmp_path: Path, rntuple: bool) -> None:
    columns = {"x": np.ones(3), "n": np.ones(3, dtype=np.int32), "v": [[1.0], [], [2.0]]}
    columns["v"] = ak.Array(columns["v"])
    path = small.write(tmp_path / "a.root", columns, tree="in/side", rntuple=rntuple)
    (tree,) = inspect_file(path)
    assert (tree.path, tree.entries) == ("in/side", 3)
    assert tree.branches["x"] == "double"
    assert tree.branches["n"].removeprefix("std::") == "int32_t"


@pytest.mark.parametrize("content", [b"", b"not root at all", b"root but then nonsense" * 30])
def test_files_that_are_not_root(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.root"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.root: inspect: is not a whole ROOT file") as caught:
        inspect_file(path)
    assert "\n" not in str(caught.value)


def test_first_files_and_diagnosis(make_analysis: Any, small: Any, tmp_path: Path) -> None:
    analysis = make_analysis()
    files = fileset(analysis)
    check_first_files(analysis, files)
    assert diagnose(files) is None
    small.write(tmp_path / "bkg_b_1.root", small.events(3, seed=1), tree="other")
    check_first_files(analysis, files)
    assert "tree 'ntuples/Events' is missing (got other)" in str(diagnose(files))
    (tmp_path / "bkg_b_0.root").unlink()
    with pytest.raises(InputError, match=r"bkg_b_0\.root: datasets\.bkg_b: no such file"):
        check_first_files(analysis, files)


def test_what_is_called_a_tree_but_is_none(make_analysis: Any, tmp_path: Path) -> None:
    import uproot

    analysis = make_analysis({"tree": "ntuples"})
    with pytest.raises(InputError, match=r"sig_a_0\.root: datasets\.sig_a: 'ntuples' is no tree"):
        check_analysis(analysis)
    with uproot.recreate(tmp_path / "sig_a_0.root") as file:
        file["ntuples"] = np.histogram([1.0])
    with pytest.raises(InputError, match=r"'ntuples' is no tree \(got TH1"):
        check_analysis(analysis)


def test_functions_are_checked_too(make_analysis: Any) -> None:
    with pytest.raises(ConfigError, match="has no function 'hard'"):
        check_analysis(make_analysis(functions="def pileup_down(events): return 1\n"))


def test_missing_analysis_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such analysis file"):
        read_analysis(tmp_path)
