"""One run at a time in a folder: a lock that says who holds it, and that no dead process holds.

The lock is a file with an advisory lock of the system (``flock``), which ends with the process
that took it. It says who holds it, for the message. Where folders are shared between machines
and the system's lock does not reach across, the file's time tells: who holds it sets it anew.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gato_coffea.errors import OutputError

LOCK = ".gato-coffea.lock"
REFRESH_S = 10.0
"""How often the time of the lock file is renewed: little work, and many times before its holder
counts as dead."""

DEAD_AFTER_S = 90.0
"""A holder on another machine that has not set the file's time for this long, nine times as long
as it takes, counts as dead."""

MAX_TRIES = 20
"""A lock file that others take away is looked for again; not for ever."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which must be there.

    Raises
    ------
    OutputError
        If another process that is alive holds it; it says which.
    """
    path = folder / LOCK
    descriptor = _acquire(path)
    stop = threading.Event()
    refresher = threading.Thread(target=_refresh, args=(descriptor, stop), daemon=True)
    refresher.start()
    try:
        yield
    finally:
        stop.set()
        refresher.join()
        with suppress(OSError):
            if _is(path, descriptor):
                path.unlink()  # before it is released: nobody else can have it yet
        os.close(descriptor)


def _acquire(path: Path) -> int:
    for _ in range(MAX_TRIES):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = False
        except BlockingIOError:
            held = True
        except OSError:  # a file system without such locks: the content alone tells
            held = _lives(_holder(descriptor))
        if held or _held_elsewhere(path, descriptor):
            holder = _holder(descriptor)
            os.close(descriptor)
            raise OutputError(_told(path, holder))
        if not _is(path, descriptor):  # its holder ended, and took it away, while we opened it
            os.close(descriptor)
            continue
        with suppress(OSError):  # a full disk: the lock holds, it cannot say whose it is
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_ourselves()).encode(), 0)
        return descriptor
    raise OutputError(f"{path}: cannot be locked; it is taken away again and again")


def _is(path: Path, descriptor: int) -> bool:
    with suppress(OSError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False


def _ourselves() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "start": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _holder(descriptor: int) -> dict[str, Any]:
    """Who the file says holds it; nothing where it is being written or is none of ours."""
    with suppress(ValueError, OSError, RecursionError):
        content = json.loads(os.pread(descriptor, 1 << 16, 0))
        if isinstance(content, dict):
            return content
    return {}


def _lives(holder: dict[str, Any]) -> bool:
    """Whether the process that the file names runs on this machine."""
    if holder.get("host") != socket.gethostname() or not isinstance(holder.get("pid"), int):
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is there, and another user's
        return True
    return True


def _held_elsewhere(path: Path, descriptor: int) -> bool:
    """Whether the file names another machine and its time was set not long ago.

    Both times are of the file system's own clock.
    """
    if _holder(descriptor).get("host") in (None, socket.gethostname()):
        return False
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".gato-coffea-") as probe:
        now = os.fstat(probe.fileno()).st_mtime
    return now - os.fstat(descriptor).st_mtime < DEAD_AFTER_S


def _refresh(descriptor: int, stop: threading.Event) -> None:
    while not stop.wait(REFRESH_S):
        with suppress(OSError):
            os.utime(descriptor)


def _told(path: Path, holder: dict[str, object]) -> str:
    who = (
        f"{holder.get('command')!r} (process {holder.get('pid')} on {holder.get('host')}, since "
        f"{holder.get('start')})"
        if holder
        else "another process"
    )
    return f"{path.parent}: is being written to by {who}; wait for it, or choose another --output"
