"""A results folder: files come in when they are complete, and only files of ours are touched.

A stage writes into a folder aside, and its files are moved to their places when it has ended.
Nothing is replaced or removed that the record of the folder does not list with this very content,
and nothing through a link. A file of ours that was edited since is set aside under another name.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from gato_coffea.errors import OutputError
from gato_coffea.files import replacing
from gato_coffea.workflow.provenance import PROVENANCE, FileMark, Provenance

log = logging.getLogger(__name__)

CONFIG = "config.json"
SHOWN = 3
"""Names that an error lists before it goes over to three dots."""

_ASIDE = re.compile(r"\.(stage|provenance\.json|config\.json)\.[0-9a-f]{32}\.part")
"""Folders that a killed run leaves behind."""


def require_writable(output: Path) -> None:
    """Make a folder, and make sure that files can be written there.

    Raises
    ------
    OutputError
        If they cannot.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=output, prefix=".gato-coffea-"):
            pass
    except OSError as error:
        raise OutputError(
            f"{output}: cannot be written to ({error.strerror or error}); choose another --output"
        ) from None


def require_ours(output: Path, names: Iterable[str]) -> None:
    """Refuse a folder without a record of ours that holds anything under names we write.

    Parameters
    ----------
    output
        The results folder.
    names
        Files and folders that are written there.

    Raises
    ------
    OutputError
        If it holds a file of another's under such a name.
    """
    if Provenance.exists(output):
        return
    found = []
    for name in (PROVENANCE, *names):
        path = output / name
        if path.is_dir():
            found += [str(inner.relative_to(output)) for inner in _entries(path)]
        elif os.path.lexists(path):
            found.append(name)
    if found and _looks_damaged(output):
        raise OutputError(
            f"{output / PROVENANCE}: the record of this results folder is damaged, so it is not "
            "known which files are gato-coffea's; remove the folder or choose another --output"
        )
    if found:
        raise OutputError(
            f"{output}: is no results folder of gato-coffea, and holds {_listed(found)} under "
            "names that are written; choose another --output"
        )


def _looks_damaged(output: Path) -> bool:
    """Whether a record that cannot be read begins as those that are written here."""
    try:
        start = (output / PROVENANCE).read_bytes()[:200]
    except OSError:
        return False
    return b'"versions"' in start


def _entries(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_symlink() or path.is_file()]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def sweep(output: Path) -> None:
    """Take away the folders aside that a killed run has left; no other run may be at work."""
    for path in output.iterdir():
        if _ASIDE.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def stage_aside(output: Path) -> Iterator[Path]:
    """A folder that a stage writes into; it is gone when the block ends.

    Raises
    ------
    OutputError
        If it cannot be made.
    """
    aside = output / f".stage.{uuid.uuid4().hex}.part"
    try:
        try:
            aside.mkdir(parents=True)
        except OSError as error:
            raise OutputError(f"{output}: cannot be written ({error.strerror or error})") from None
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def require_free(output: Path, files: Iterable[str], owned: Mapping[str, FileMark]) -> None:
    """Refuse to replace files that the record does not list, and to write through a link.

    Raises
    ------
    OutputError
        If a file of another's has one of the names, or what stands there under a name of ours is
        a link or lies behind one, unless it is still what a stage has written there.
    """
    there = [name for name in files if os.path.lexists(output / name)]
    taken = [name for name in there if name not in owned]
    if taken:
        raise OutputError(
            f"{output}: {_listed(taken)}: was not written by gato-coffea and would be replaced; "
            "move it away or choose another --output"
        )
    linked = [n for n in there if _behind_link(output, n) and not owned[n].holds(output / n)]
    if linked:
        raise OutputError(
            f"{output}: {_listed(linked)}: is behind a link and was changed since gato-coffea "
            "wrote it; move it away or choose another --output"
        )


def set_edited_aside(output: Path, files: Iterable[str], owned: Mapping[str, FileMark]) -> None:
    """Rename files of ours that were edited since, so that what replaces them loses nothing.

    ``summary.json`` becomes ``summary.json.edited``, or ``summary.json.edited2`` and so on where
    that name is taken.

    Raises
    ------
    OutputError
        If one cannot be renamed.
    """
    for name in files:
        path = output / name
        if not os.path.lexists(path) or owned[name].holds(path):
            continue
        names = (path.with_name(f"{path.name}.edited{n or ''}") for n in (0, *range(2, 1000)))
        kept = next(p for p in names if not os.path.lexists(p))
        try:
            path.rename(kept)
        except OSError as error:
            raise OutputError(f"{path}: cannot be renamed ({error.strerror or error})") from None
        log.warning(
            "%s: was edited, and is made again; the edited file is now %s", path, kept.name
        )


def move_in(aside: Path, output: Path, files: Iterable[str]) -> None:
    """Move the files of a stage to their places, each whole.

    Raises
    ------
    OutputError
        If one cannot be written.
    """
    for name in files:
        target = output / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            (aside / name).replace(target)
        except OSError:  # another file system behind a linked folder, or no space
            with replacing(target) as path:
                shutil.copy2(aside / name, path)


def remove_stale(output: Path, stale: Mapping[str, FileMark]) -> None:
    """Remove files of an earlier run, where they are still as it left them.

    A file that was edited since stays, and so does everything behind a link.
    """
    for name, mark in stale.items():
        path = output / name
        if _behind_link(output, name) or not mark.holds(path):
            continue
        path.unlink()
        for folder in path.relative_to(output).parents[:-1]:
            with suppress(OSError):  # holds other files
                (output / folder).rmdir()


def _behind_link(output: Path, name: str) -> bool:
    """Whether a path below the results folder leads through a link, or is one."""
    parts = Path(name).parts
    return any((output / Path(*parts[:n])).is_symlink() for n in range(1, len(parts) + 1))
