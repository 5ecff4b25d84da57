"""Columns of events on disk: one ``.npz`` file a sample, without pickle."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from gato_coffea.errors import InputError
from gato_coffea.files import replacing
from gato_coffea.samples import Sample

VARIATION = "variation:"
DATA = "is_data"


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
    arrays |= {VARIATION + name: w for name, w in sample.variations.items()}
    integers = {} if sample.fold is None else {"fold": sample.fold}
    flag = {DATA: np.array(sample.data)}
    with replacing(path) as aside, aside.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays, **integers, **flag)


def read_columns(path: str | Path) -> Sample:
    """Read a sample that `write_columns` has written.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return Sample(
            x=arrays.pop("x"),
            weight=arrays.pop("weight"),
            mass=arrays.pop("mass", None),
            fold=arrays.pop("fold", None),
            data=bool(arrays.pop(DATA)),
            variations={name.removeprefix(VARIATION): w for name, w in arrays.items()},
        )
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{path}: cannot read columns ({type(error).__name__}: {text})") from None
