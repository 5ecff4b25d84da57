"""Worker processes of this machine, which end with the process that started them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import loky

LOOK_AT_PARENT_S = 1.0
"""How often a worker looks whether its parent lives."""


@contextmanager
def worker_pool(workers: int) -> Iterator[loky.ProcessPoolExecutor]:
    """Worker processes for files and chunks alike; after a failure they do not go on."""
    pool = loky.ProcessPoolExecutor(
        max_workers=workers, initializer=end_with_parent, initargs=(os.getpid(),)
    )
    failed = True
    try:
        yield pool
        failed = False
    finally:
        pool.shutdown(kill_workers=failed)


def end_with_parent(parent: int) -> None:
    """End this process when the one that started it is gone, even where that one was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_AT_PARENT_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
