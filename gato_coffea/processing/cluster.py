"""A dask cluster: connected to, looked at before the first chunk, and watched until the last.

Dask waits for ever where nothing can be done: without a worker, with workers that are paused for
want of memory, or that are killed and started again. All that is told after a while, and ends.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any

from gato_coffea.errors import ExecutionError, require
from gato_coffea.processing.versions import here, look, require_same

SCHEDULER_TIMEOUT_S = 10.0
"""How long a scheduler may take to answer: one that runs does within a second."""

LOOPBACK = "127.0.0.1"
PATIENCE = "GATO_COFFEA_PATIENCE_S"
PATIENCE_S = 120.0
"""How long no worker may be at hand; for a slow batch system the variable says more."""

DASK_LOGGERS = ("distributed", "bokeh", "tornado")
"""What dask and what it is built on log goes through these; levels below them come and go."""

TOLD_AFTER_S = 10.0
"""How long no worker may be at hand before it is told: they take a few seconds to start."""

LOOK_S = 0.5
"""How often the cluster is looked at: soon enough for a person, and no load."""

MAX_LOST = 8
"""Workers that may be lost with no chunk finished in between. Dask gives a chunk up when four
have died of it; of workers that die before they take one it never tires."""

logger = logging.getLogger(__name__)


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep dask's own log off the terminal, tracebacks among it: one line tells what matters."""
    loggers = [logging.getLogger(name) for name in DASK_LOGGERS]
    before = [(found.propagate, found.handlers[:]) for found in loggers]
    for found in loggers:
        found.propagate, found.handlers[:] = False, [logging.NullHandler()]
    try:
        yield
    finally:
        for found, (propagate, handlers) in zip(loggers, before, strict=True):
            found.propagate, found.handlers[:] = propagate, handlers


@contextmanager
def dask_client(client: Any, *, scheduler: str | None, workers: int) -> Iterator[Any]:
    """The user's client, or one that is closed again; a cluster of our own is local in all ways.

    Raises
    ------
    ExecutionError
        If the scheduler does not answer.
    """
    if client is not None:
        yield client
        return
    require("distributed", place="executor: dask", otherwise="iterative and futures need none")
    import distributed  # noqa: F401  (sets up its loggers when it is imported)

    with _hushed(), _own_client(scheduler, workers) as connected:
        yield connected


@contextmanager
def _own_client(scheduler: str | None, workers: int) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            connected = Client(scheduler, timeout=SCHEDULER_TIMEOUT_S, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            text = " ".join(str(error).split())[:200]
            raise ExecutionError(
                f"scheduler {scheduler}: does not answer ({type(error).__name__}: {text})"
            ) from None
        with connected:
            yield connected
        return
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host=LOOPBACK,
            dashboard_address=f"{LOOPBACK}:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as connected,
    ):
        yield connected


def patience_s() -> float:
    """How long to wait for workers, in seconds.

    Raises
    ------
    ExecutionError
        If the environment variable does not hold a number above zero.
    """
    text = os.environ.get(PATIENCE)
    if text is None:
        return PATIENCE_S
    with suppress(ValueError):
        if float(text) > 0:
            return float(text)
    raise ExecutionError(f"{PATIENCE}: must be a number of seconds above zero (got {text!r})")


def require_same_workers(client: Any) -> None:
    """Wait for a worker, and compare the package on all there are with that of this process.

    Raises
    ------
    ExecutionError
        If none joins, or one has another version.
    """
    waiting = _Waiting(_address(client), patience_s())
    while True:
        if client.status != "running":
            raise ExecutionError(f"scheduler {_address(client)}: is lost")
        problem = waiting.problem(running=len(client.nthreads()), paused=0)
        if problem is not None:
            raise ExecutionError(problem)
        found = client.run(look(), on_error="return") if client.nthreads() else {}
        answers = {worker: a for worker, a in found.items() if isinstance(a, tuple)}
        for worker, answer in sorted(answers.items()):
            require_same(answer, wanted=here(), worker=worker)
        if answers:
            return
        time.sleep(LOOK_S)


def _address(client: Any) -> str:
    scheduler = client.scheduler
    return str(scheduler.address) if scheduler is not None else "of dask"


class _Waiting:
    """Since when there has been no worker at hand, and whether that was told."""

    def __init__(self, scheduler: str, patience: float) -> None:
        self._scheduler, self._patience = scheduler, patience
        self._since: float | None = None
        self._told = False

    def problem(self, *, running: int, paused: int) -> str | None:
        """What is to be said when patience has ended; before that, a warning is given once."""
        if running:
            self._since = None
            return None
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        waited = now - self._since
        what = (
            f"all {paused} workers are paused, they have too little memory"
            if paused
            else "has no worker"
        )
        if waited >= self._patience:
            return (
                f"scheduler {self._scheduler}: {what} (waited for {self._patience:g} s; "
                f"{PATIENCE} sets another time)"
            )
        if waited >= TOLD_AFTER_S and not self._told:
            self._told = True
            logger.warning(
                "scheduler %s: %s; waiting for one, %g s at most (%s sets another time)",
                *(self._scheduler, what, self._patience, PATIENCE),
            )
        return None


@contextmanager
def watched(client: Any) -> Iterator[None]:
    """End the work in the block where it cannot go on, and say why.

    Raises
    ------
    ExecutionError
        If there is no worker for too long, workers die again and again, or the scheduler is lost.
    """
    watch = _Watch(client)
    thread = threading.Thread(target=watch.until_stopped, daemon=True)
    thread.start()
    try:
        yield
    except CancelledError as error:
        lost = f"scheduler {watch.address}: is lost ({' '.join(str(error).split())[:200]})"
        raise ExecutionError(watch.problem or lost) from None
    finally:
        watch.stop.set()
        thread.join(timeout=LOOK_S)


class _Watch:
    """Looks at the workers of a client while there is work of its."""

    def __init__(self, client: Any) -> None:
        self.stop = threading.Event()
        self.problem: str | None = None
        self.address = _address(client)
        self._client = client
        self._before = set(client.futures)
        self._waiting = _Waiting(self.address, patience_s())
        self._seen: dict[str, str] = {}
        self._lost = self._finished = 0

    def until_stopped(self) -> None:
        """Look again and again."""
        while not self.stop.wait(LOOK_S):
            try:
                workers = self._client.scheduler_info(n_workers=-1)["workers"]
            except Exception:  # the connection is lost: the client says so where it waits
                continue
            self.problem = self._look(workers)
            if self.problem is not None:
                self._cancel()
                return

    def _look(self, workers: dict[str, dict[str, Any]]) -> str | None:
        states = [info.get("status", "running") for info in workers.values()]
        finished = sum(state.status == "finished" for _, state in self._ours())
        if finished != self._finished:
            self._finished, self._lost = finished, 0
        for address, info in workers.items():
            nanny = info.get("nanny")  # starts the worker anew, and has the same address then
            if nanny is not None:
                self._lost += self._seen.get(nanny, address) != address
                self._seen[nanny] = address
        if self._lost >= MAX_LOST:
            return (
                f"scheduler {self.address}: {self._lost} workers died one after the other and no "
                "chunk was finished; give them more memory, or make chunks smaller (--chunksize)"
            )
        paused = states.count("paused")
        return self._waiting.problem(running=len(states) - paused, paused=paused)

    def _ours(self) -> list[tuple[str, Any]]:
        return [(k, s) for k, s in list(self._client.futures.items()) if k not in self._before]

    def _cancel(self) -> None:
        from distributed import Future

        self._client.cancel([Future(key, self._client) for key, _ in self._ours()], force=True)
