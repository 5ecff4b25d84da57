"""Files that are written whole or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gato_coffea.errors import OutputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path aside to write to; it takes the place of ``path`` when the block ends well.

    Missing folders are made. The name aside keeps the suffix of ``path``.

    Raises
    ------
    OutputError
        If the folder cannot be written to.
    """
    path = Path(path)
    aside = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        aside.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):  # an error here would hide the one above
            aside.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as aside:
        aside.write_text(text)
