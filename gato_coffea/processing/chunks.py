"""What a worker does with one chunk.

A file stays open from one of its chunks to the next, and the processor is unpickled once: both
cost more than the work on a small chunk.
"""

from __future__ import annotations

import socket
import threading
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cloudpickle
import uproot
from coffea import nanoevents
from coffea.processor import ProcessorABC

from gato_coffea.errors import GatoError
from gato_coffea.processing.versions import Installed, here, require_same

OPEN_FILES = 4
"""Files that a process keeps open: one a thread, of a worker with a few threads."""

TIMEOUT_S = 60.0
"""How long a remote file may take to answer; coffea's own value."""

ERRORS = "errors of gato_coffea"
"""Key of the errors that workers tell of; no dataset can be called so."""


@dataclass(frozen=True)
class ChunkTask:
    """A function of one work item, or of one and the pickled processor.

    Attributes
    ----------
    schema
        Name of a schema class of coffea's.
    package
        What the process that sends the work has installed.
    processor
        The pickled processor; None where it comes with every item.
    telling
        Errors of ours come back as values: dask would try the chunk again, and coffea's progress
        bar would print the traceback.
    """

    schema: str
    package: Installed
    processor: bytes | None
    telling: bool

    def __call__(self, item: Any) -> dict[str, Any]:
        """Output of the chunk under ``out``, and the item under ``processed``."""
        payload = self.processor
        if payload is None:
            item, payload = item
        try:
            require_same(here(), wanted=self.package, worker=socket.gethostname())
            out = _processed(item, payload, getattr(nanoevents, self.schema))
        except GatoError as error:
            if not self.telling:
                raise
            out = {ERRORS: {type(error).__name__: [str(error)]}}
        return {"out": out, "processed": {item}}


def _processed(item: Any, payload: bytes, schema: type) -> Any:
    """Output of a chunk; errors that are not ours carry the item, as coffea writes it."""
    try:
        events = _events(item, schema)
    except Exception as error:
        raise Exception(f"Failed to open file: {item!r}. The error was: {error!r}.") from error
    processor = unpickled(payload)
    try:
        return (
            processor.process(events) if isinstance(processor, ProcessorABC) else processor(events)
        )
    except GatoError:
        raise
    except Exception as error:
        raise Exception(f"Failed processing file: {item!r}. The error was: {error!r}.") from error


def _events(item: Any, schema: type) -> Any:
    metadata = {
        "dataset": item.dataset,
        "filename": item.filename,
        "treename": item.treename,
        "entrystart": item.entrystart,
        "entrystop": item.entrystop,
        "fileuuid": str(uuid.UUID(bytes=item.fileuuid)) if item.fileuuid else "",
        **(item.usermeta or {}),
    }
    return nanoevents.NanoEventsFactory.from_root(
        _opened(item.filename),
        treepath=item.treename,
        schemaclass=schema,
        metadata=metadata,
        mode="virtual",
        entry_start=item.entrystart,
        entry_stop=item.entrystop,
    ).events()


@lru_cache(maxsize=1)
def unpickled(payload: bytes) -> Any:
    """The processor; it keeps nothing between chunks."""
    return cloudpickle.loads(payload)


def _opened(path: str) -> Any:
    """An open file, the same for all chunks of a thread while it does not change on disk."""
    written = None
    if "://" not in path:
        status = Path(path).stat()
        written = (status.st_size, status.st_mtime_ns)
    return _file(path, written, threading.get_ident())


@lru_cache(maxsize=OPEN_FILES)
def _file(path: str, written: tuple[int, int] | None, thread: int) -> Any:
    # what is read of a chunk is not read again: a cache of arrays would only take memory
    return uproot.open({path: None}, timeout=TIMEOUT_S, array_cache=None)


def close_files() -> None:
    """Let go of the files that this process has kept open."""
    _file.cache_clear()
    unpickled.cache_clear()
