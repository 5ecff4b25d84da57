"""Files that are written whole or not at all, and what reading a damaged one raises."""

from __future__ import annotations

import json
import shutil
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from gato_coffea.errors import InputError, OutputError

DAMAGED = (
    ArithmeticError,
    AttributeError,
    BadZipFile,
    EOFError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    zlib.error,
)
"""What making a value of the content of a file raises, where the file is not what it should be."""


def read_json(
    path: str | Path,
    *,
    what: str = "results",
    object_hook: Callable[[dict[str, Any]], Any] | None = None,
) -> Any:
    """Content of a JSON file.

    Parameters
    ----------
    path
        The file.
    what
        What it should hold, for the message.
    object_hook
        As `json.loads` takes it.

    Raises
    ------
    InputError
        If it is missing, is no JSON, or is nested too deeply.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"), object_hook=object_hook)
    except (OSError, *DAMAGED) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{path}: cannot read {what} ({text})") from None


def is_damaged(path: str | Path, error: Exception) -> InputError:
    """The error that says that the content of a file is not what it has to be."""
    text = " ".join(str(error).split())[:300]
    return InputError(f"{path}: is damaged ({type(error).__name__}: {text})")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path aside to write to; it takes the place of ``path`` when the block ends well.

    Missing folders are made. The path aside has the name of ``path``, in a hidden folder beside
    it: what a killed process leaves behind matches no pattern such as ``*.root`` there.

    Raises
    ------
    OutputError
        If the folder cannot be written to.
    """
    path = Path(path)
    folder = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        folder.mkdir(parents=True)
        yield folder / path.name
        (folder / path.name).replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as aside:
        aside.write_text(text)
