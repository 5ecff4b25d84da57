"""ROOT files: what they hold, or one line about what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from gato_coffea.datasets.root_files import (
    MAX_LISTED,
    inspect_file,
    is_number,
    nearest,
    open_tree,
    opened,
    reading,
)
from gato_coffea.errors import InputError


@pytest.fixture
def path(small: Any, tmp_path: Path) -> Path:
    written: Path = small.write(tmp_path / "a.root", {"x": np.arange(500.0)}, tree="in/side")
    return written


def test_every_number_that_root_writes_is_one(small: Any, tmp_path: Path) -> None:
    kinds = ("bool", *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)), "f4", "f8")
    columns: dict[str, Any] = {f"b{i}": np.ones(2, dtype=k) for i, k in enumerate(kinds)}
    columns["list"] = ak.Array([[1.0], []])
    (tree,) = inspect_file(small.write(tmp_path / "a.root", columns))
    assert tree.entries == 2
    flat = {name for name, kind in tree.branches.items() if is_number(kind)}
    assert flat - {"nlist"} == columns.keys() - {"list"}


def test_trees_are_found_in_folders_and_histograms_are_none(path: Path) -> None:
    with uproot.update(path) as file:
        file["h"] = np.histogram([1.0])
    assert [tree.path for tree in inspect_file(path)] == ["in/side"]


@pytest.mark.parametrize("left", [0, 3, 50, 200, -1])
def test_a_file_cut_at_any_place_is_one_line(path: Path, left: int) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:left])
    with (
        pytest.raises(InputError, match=r"a\.root: here: is (not a whole|truncated)") as told,
        opened(str(path), place="here"),
    ):
        pass
    assert "\n" not in str(told.value)


def test_a_file_with_more_at_its_end_is_read(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")
    with opened(str(path), place="here") as file:
        assert open_tree(file, str(path), "in/side", place="here").num_entries == 500


def test_missing_files_trees_and_what_is_none(path: Path) -> None:
    with pytest.raises(InputError, match=r"b\.root: here: no such file"):
        opened(str(path.with_name("b.root")), place="here").__enter__()
    with opened(str(path), place="here") as file:
        with pytest.raises(InputError, match=r"tree 'side' is missing \(got in/side\)"):
            open_tree(file, str(path), "side", place="here")
        with pytest.raises(InputError, match=r"here: 'in' is no tree"):
            open_tree(file, str(path), "in", place="here")


def test_damage_inside_a_basket_is_told_by_what_reads_it(path: Path) -> None:
    with uproot.open(path) as file:
        branch = file["in/side"]["x"]
        start = int(branch.member("fBasketSeek")[0])
        length = int(branch.member("fBasketBytes")[0])
    content = bytearray(path.read_bytes())
    content[start + length // 2 : start + length] = b"\xff" * (length - length // 2)
    path.write_bytes(bytes(content))
    with opened(str(path), place="here") as file:
        tree = open_tree(file, str(path), "in/side", place="here")
        with (
            pytest.raises(InputError, match=r"here: cannot be read from the file \(") as told,
            reading(str(path), place="here"),
        ):
            tree["x"].array(library="np")
    assert "\n" not in str(told.value)


def test_our_own_errors_pass_as_they_are() -> None:
    with pytest.raises(InputError, match=r"^mine$"), reading("p", place="here"):
        raise InputError("mine")


def test_hints() -> None:
    assert nearest("puileup", ["pileup", "pt"]) == "; did you mean 'pileup'?"
    assert nearest("zzz", ["b", "a"]) == " (got a, b)"
    assert nearest("zzz", []) == " (got none)"
    many = [f"a{i:02}" for i in range(MAX_LISTED + 1)]
    assert nearest("zzz", many).endswith(f"a{MAX_LISTED - 1:02}, ...)")
