"""A line where a step takes longer than somebody who sees nothing likes to wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

PATIENCE_S = 30.0
"""Seconds without a word after which people begin to wonder whether a program still works."""


@contextmanager
def told_if_long(
    step: str, *, unless: bool = False, patience_s: float | None = None
) -> Iterator[None]:
    """Say once what is being waited for, if the block takes longer than `PATIENCE_S`.

    Parameters
    ----------
    step
        What is being done, and how much of it.
    unless
        Whether something else, such as a progress bar, shows that it goes on.
    patience_s
        Other number of seconds.
    """
    if unless:
        yield
        return
    seconds = PATIENCE_S if patience_s is None else patience_s
    timer = threading.Timer(
        seconds, logger.warning, ("%s: still running after %g s", step, seconds)
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
