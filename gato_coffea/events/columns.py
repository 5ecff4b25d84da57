"""Columns of events on disk: one ``.npz`` file a sample, without pickle."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

import numpy as np
import numpy.typing as npt
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0

from gato_coffea.errors import InputError
from gato_coffea.events.samples import Sample, Variation
from gato_coffea.files import DAMAGED, replacing

VARIED = {"weight": "variation:", "x": "variation of x:", "mass": "variation of mass:"}
"""What the names of the columns of a variation begin with."""

DATA = "is_data"
INTEGERS = ("fold", "era")
"""Columns of whole numbers."""


def write_columns(path: str | Path, sample: Sample) -> None:
    """Write a sample, whole or not at all.

    Raises
    ------
    OutputError
        If the folder cannot be written to.
    """
    arrays = {"x": sample.x, "weight": sample.weight}
    if sample.mass is not None:
        arrays["mass"] = sample.mass
    for name, variation in sample.variations.items():
        arrays |= {VARIED[column] + name: array for column, array in variation.arrays()}
    optional = {"fold": sample.fold, "era": sample.era}
    integers = {name: array for name, array in optional.items() if array is not None}
    flag = {DATA: np.array(sample.data)}
    with replacing(path) as aside, aside.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays, **integers, **flag)


def read_arrays(path: str | Path) -> dict[str, npt.NDArray[Any]]:
    """Arrays of an ``.npz`` file that `numpy.savez` has written.

    Before anything is read, the file is asked how much it will be: what claims to be larger than
    the file itself is refused.

    Raises
    ------
    OSError, ValueError, EOFError, BadZipFile, NotImplementedError
        If the file is missing or damaged.
    """
    with Path(path).open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        with ZipFile(stream) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > size:
                raise ValueError("says that it holds more than the file does")
            for member in members:
                with archive.open(member) as content:
                    found = _array_bytes(content) + content.tell()
                if found != member.file_size:
                    raise ValueError(
                        f"{member.filename} says that it has {found} bytes, and has "
                        f"{member.file_size}"
                    )
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


def _array_bytes(content: IO[bytes]) -> int:
    """Bytes of the array whose header comes next."""
    version = np.lib.format.read_magic(content)
    readers = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"has arrays of version {version}")
    shape, _, dtype = readers[version](content)
    if dtype.hasobject:
        raise ValueError("holds pickled objects")
    return math.prod(shape) * int(dtype.itemsize)


def read_columns(path: str | Path) -> Sample:
    """Read a sample that `write_columns` has written.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    try:
        arrays = read_arrays(path)
        data = bool(arrays.pop(DATA))
        n = len(arrays["weight"])
        for name, array in arrays.items():
            wanted = "i" if name in INTEGERS else "f"
            wide = name == "x" or name.startswith(VARIED["x"])
            shape = (n, *arrays["x"].shape[1:2]) if wide else (n,)
            if array.shape != shape or array.dtype.kind != wanted or array.ndim > 2:
                raise ValueError(f"{name} has shape {array.shape} and type {array.dtype}")
        return Sample(
            x=arrays.pop("x"),
            weight=arrays.pop("weight"),
            mass=arrays.pop("mass", None),
            fold=arrays.pop("fold", None),
            era=arrays.pop("era", None),
            data=data,
            variations=_variations(arrays),
        )
    except (OSError, *DAMAGED) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{path}: cannot read columns ({type(error).__name__}: {text})") from None


def _variations(arrays: dict[str, npt.NDArray[Any]]) -> dict[str, Variation]:
    """The variations whose columns are left of a file."""
    found: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for key, array in arrays.items():
        for column, prefix in VARIED.items():
            if key.startswith(prefix):
                found.setdefault(key.removeprefix(prefix), {})[column] = array
    return {name: Variation(**columns) for name, columns in found.items()}
