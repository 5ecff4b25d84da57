from __future__ import annotations

import io
import tracemalloc
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from gato_coffea.errors import InputError, OutputError
from gato_coffea.events.columns import read_columns, write_columns
from gato_coffea.events.samples import Sample, Variation

FULL = Sample(
    x=np.arange(6.0).reshape(3, 2),
    weight=np.array([1.0, -2.0, 0.1]),
    mass=np.array([110.0, 120, 130]),
    fold=np.array([0, 4, 2]),
    variations={
        "pileupUp": Variation(weight=np.ones(3)),
        "fold": Variation(weight=np.zeros(3)),
        "jesUp": Variation(x=np.ones((3, 2)), mass=np.array([1.0, np.nan, 2.0])),
    },
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
    for name, variation in sample.variations.items():
        before, after = dict(variation.arrays()), dict(again.variations[name].arrays())
        assert set(before) == set(after)
        for column, array in before.items():
            np.testing.assert_array_equal(array, after[column])
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


def header(shape: tuple[int, ...]) -> bytes:
    """An array that says that it has this shape, and holds nothing."""
    stream = io.BytesIO()
    described = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue()


@pytest.mark.parametrize("compressed", [True, False])
def test_small_files_do_not_ask_for_gigabytes(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "columns.npz"
    if compressed:
        zeros = np.zeros(4_000_000)
        np.savez_compressed(path, x=zeros[:, None], weight=zeros, is_data=np.array(False))
    else:
        with ZipFile(path, "w") as archive:
            for name in ("x", "weight", "is_data"):
                archive.writestr(f"{name}.npy", header((10**9,)))
    tracemalloc.start()
    with pytest.raises(InputError, match=r"columns\.npz: cannot read columns .* says that it"):
        read_columns(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_columns_that_do_not_fit_each_other(tmp_path: Path) -> None:
    path = tmp_path / "columns.npz"
    for wrong in (
        {"x": np.zeros((2, 1))},
        {"weight": np.zeros(3, dtype=int)},
        {"fold": [0.0] * 3},
    ):
        arrays = {"x": np.zeros((3, 1)), "weight": np.zeros(3), "is_data": np.array(False)}
        np.savez(path, **(arrays | wrong))
        with pytest.raises(InputError, match=r"cannot read columns .ValueError: .* has shape"):
            read_columns(path)
