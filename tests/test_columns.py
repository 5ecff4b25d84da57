from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gato_coffea.columns import read_columns, write_columns
from gato_coffea.errors import InputError, OutputError
from gato_coffea.samples import Sample

FULL = Sample(
    x=np.arange(6.0).reshape(3, 2),
    weight=np.array([1.0, -2.0, 0.1]),
    mass=np.array([110.0, 120, 130]),
    fold=np.array([0, 4, 2]),
    variations={"pileupUp": np.ones(3), "fold": np.zeros(3)},
)


@pytest.mark.parametrize(
    "sample", [FULL, Sample(x=np.empty((0, 1)), weight=np.empty(0)), replace(FULL, data=True)]
)
def test_a_round_trip_is_exact(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "new" / "columns.npz"
    write_columns(path, sample)
    again = read_columns(path)
    for name in ("x", "weight", "mass", "fold"):
        before, after = getattr(sample, name), getattr(again, name)
        assert (before is None) == (after is None)
        if before is not None:
            np.testing.assert_array_equal(before, after)
            assert before.dtype == after.dtype
    assert again.data is sample.data
    assert set(again.variations) == set(sample.variations)
    for name, weight in sample.variations.items():
        np.testing.assert_array_equal(weight, again.variations[name])
    assert [p.name for p in path.parent.iterdir()] == ["columns.npz"]


def test_pickles_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "columns.npz"
    np.savez(path, x=np.array([object()]), weight=np.zeros(1))
    with pytest.raises(InputError, match="cannot read columns"):
        read_columns(path)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 half a zip"])
def test_damaged_and_missing_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "columns.npz"
    with pytest.raises(InputError, match=r"columns\.npz: cannot read columns"):
        read_columns(path)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"columns\.npz: cannot read columns"):
        read_columns(path)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_columns(tmp_path / "file" / "columns.npz", FULL)
