"""ROOT files: what they hold, or one clear line about what is wrong with them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uproot
from uproot.deserialization import DeserializationError

from gato_coffea.errors import GatoError, InputError

MAX_LISTED = 20
"""Names that are listed in a message: more would hide the message."""

NO_ROOT_FILE = "not a ROOT file"
"""What uproot says of a file that does not begin like one."""

NUMBERS = {
    *("bool", "float", "double", "Float16_t", "Double32_t"),
    *(f"{u}int{n}_t" for u in ("", "u") for n in (8, 16, 32, 64)),
}


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A tree of a file: its path, its entries, and the type of each branch."""

    path: str
    entries: int
    branches: Mapping[str, str]


@contextmanager
def opened(path: str, *, place: str) -> Iterator[Any]:
    """A ROOT file, or one clear line.

    Raises
    ------
    InputError
        If it is missing, not a ROOT file, or truncated.
    """
    if "://" not in path and not Path(path).is_file():
        raise InputError(f"{path}: {place}: no such file")
    try:
        file = uproot.open({path: None})
    except Exception as error:  # uproot raises many kinds for a file that is not whole
        raise _damaged(path, place, error) from error
    with file:
        end, size = int(file.file.fEND), _size(path)
        if size is not None and size < end:
            raise InputError(
                f"{path}: {place}: is truncated (got {size} bytes; its header says {end})"
            )
        yield file


def _size(path: str) -> int | None:
    return None if "://" in path else Path(path).stat().st_size


@contextmanager
def reading(path: str, *, place: str) -> Iterator[None]:
    """Values of an open file, or one clear line: each compression has errors of its own.

    Raises
    ------
    InputError
        If they cannot be read.
    """
    try:
        yield
    except GatoError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: {place}: cannot be read from the file ({type(error).__name__}: {text})"
        ) from error


def _damaged(path: str, place: str, error: Exception) -> InputError:
    text = " ".join(str(error).split())[:200]
    remote = "://" in path and not isinstance(error, DeserializationError)
    unread = isinstance(error, PermissionError) or (remote and NO_ROOT_FILE not in text)
    what = "cannot be read" if unread else "is not a whole ROOT file"
    return InputError(f"{path}: {place}: {what} ({type(error).__name__}: {text})")


def is_number(kind: str) -> bool:
    """Whether a branch of this type, as uproot names it, holds one number an event.

    >>> is_number("float"), is_number("std::int64_t"), is_number("float[]")
    (True, True, False)
    """
    return kind.removeprefix("std::") in NUMBERS


def inspect_file(path: str | Path) -> tuple[Tree, ...]:
    """Trees of a ROOT file, in folders too.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    with opened(str(path), place="inspect") as file:
        found = []
        for name, kind in file.classnames(cycle=False, recursive=True).items():
            if "TTree" in kind or "RNTuple" in kind or "TNtuple" in kind:
                tree = file[name]
                found.append(
                    Tree(path=name, entries=int(tree.num_entries), branches=tree.typenames())
                )
    return tuple(found)


def open_tree(file: Any, path: str, tree: str, *, place: str) -> Any:
    """A tree of an open file.

    Raises
    ------
    InputError
        If it is missing, or is no tree.
    """
    try:
        if tree not in file:
            names = [n for n, kind in file.classnames(cycle=False).items() if "TDir" not in kind]
            raise InputError(
                f"{path}: {place}: tree {tree!r} is missing (got {', '.join(names) or 'nothing'})"
            )
        found = file[tree]
        entries = getattr(found, "num_entries", None)
    except (OSError, ValueError, DeserializationError) as error:
        raise _damaged(path, place, error) from error
    if entries is None:
        kind = file.classname_of(tree)
        raise InputError(f"{path}: {place}: {tree!r} is no tree (got {kind})")
    return found


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint at the name that was perhaps meant, else the names there are."""
    names = sorted(names)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    more = ", ..." if len(names) > MAX_LISTED else ""
    return f" (got {', '.join(names[:MAX_LISTED]) or 'none'}{more})"
