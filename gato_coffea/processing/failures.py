"""What executors and workers raise, told in one line with the file and the dataset."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator

from gato_coffea import errors
from gato_coffea.datasets import Fileset
from gato_coffea.datasets.check import diagnose
from gato_coffea.errors import ExecutionError, GatoError, InputError

FAILED = "The error was: "
WORK_ITEM = re.compile(
    r"WorkItem\(dataset='(?P<dataset>[^']*)', filename=(?P<filename>'[^']*'|\"[^\"]*\").*?"
    r"entrystart=(?P<start>\d+), entrystop=(?P<stop>\d+).*?preload=[^)]*\)"
)
FILE_META = re.compile(r"FileMeta\((?P<dataset>\w+):(?P<filename>.+?):[^:)]*\)")
"""A file that coffea looks into before the first chunk, as it writes it."""

KILLED = "KilledWorker"
"""What dask raises when several workers have died of one task; dask need not be installed."""

EXCEPTION = re.compile(r"(?P<name>\w+)\((?P<text>'.*'|\".*\"),?\)", re.DOTALL)


@contextlib.contextmanager
def one_line(files: Fileset) -> Iterator[None]:
    """Turn what a worker raises into one of our errors, with the file and the dataset."""
    try:
        yield
    except GatoError:
        raise
    except Exception as error:  # coffea raises bare Exception; nothing is swallowed here
        raise translated(error, files) from error


def translated(error: BaseException, files: Fileset) -> GatoError:
    """The error of ours that caused another one, or one that says the same in one line.

    Executors keep at most the text of what a worker raised, so the text is read.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, GatoError):
            return seen
        seen = seen.__cause__ or seen.__context__
    text = str(error)
    item = WORK_ITEM.search(text)
    told = text.rpartition(FAILED)[2].removesuffix(".") if FAILED in text else ""
    name, message = _named(told)
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, GatoError):
        return kind(message)
    told = f"{name}: {message}" if name else told
    problem = diagnose(files)
    if problem is not None:
        return problem
    if type(error).__name__ == KILLED:
        return _killed(text, item)
    cause = " ".join((told or f"{type(error).__name__}: {WORK_ITEM.sub('', text)}").split())[:300]
    if item is None:
        return ExecutionError(f"processing failed ({cause})")
    place = _chunk_place(item)
    if told:
        return InputError(f"{place}: cannot be processed ({cause})")
    return ExecutionError(f"{place}: the worker failed ({cause})")


def _killed(text: str, item: re.Match[str] | None) -> ExecutionError:
    """What to say where worker after worker died of the same piece of work."""
    file = FILE_META.search(text)
    place, what = "processing failed", "a file that they looked into"
    if item is not None:
        place, what = _chunk_place(item), "this chunk"
    elif file is not None:
        place, what = f"{file['filename']}: datasets.{file['dataset']}", "looking into this file"
    return ExecutionError(
        f"{place}: worker after worker died of {what}; give them more memory, or make chunks "
        "smaller (--chunksize)"
    )


def _chunk_place(item: re.Match[str]) -> str:
    return (
        f"{ast.literal_eval(item['filename'])}: datasets.{item['dataset']}: entries "
        f"{item['start']} to {item['stop']}"
    )


def _named(text: str) -> tuple[str, str]:
    """Name and message of an exception from its ``repr``; no name where it is written otherwise.

    >>> _named("OSError('truncated')"), _named("OSError(2, 'missing')")
    (('OSError', 'truncated'), ('', "OSError(2, 'missing')"))
    """
    quoted = EXCEPTION.fullmatch(text)
    if quoted:
        with contextlib.suppress(SyntaxError, ValueError):
            return quoted["name"], str(ast.literal_eval(quoted["text"]))
    return "", text
