"""Files that are written whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gato_coffea.errors import OutputError


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
