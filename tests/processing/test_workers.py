"""Workers: the same package on all, no port to the outside, and no waiting for ever."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import psutil
import pytest
import uproot
from coffea.nanoevents import BaseSchema
from coffea.processor import IterativeExecutor, Runner
from distributed import Client, LocalCluster

from gato_coffea.datasets import fileset
from gato_coffea.errors import ExecutionError
from gato_coffea.processing import chunks, cluster
from gato_coffea.processing import executors as run
from gato_coffea.processing.chunks import ChunkTask, close_files
from gato_coffea.processing.processor import GatoProcessor
from gato_coffea.processing.versions import here

Local = Callable[..., LocalCluster]


@pytest.fixture
def local() -> Iterator[Local]:
    """A way to start a cluster on this machine that ends with the test."""
    started = []

    def start(**options: Any) -> LocalCluster:
        options = {
            "n_workers": 0,
            "threads_per_worker": 1,
            "dashboard_address": "127.0.0.1:0",
        } | options
        found = LocalCluster(host="127.0.0.1", silence_logs=logging.CRITICAL, **options)
        started.append(found)
        return found

    yield start
    for found in started:
        found.close()


def until(condition: Callable[[], bool], *, seconds: float = 30) -> bool:
    """Whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_a_worker_with_another_package_is_named(
    make_analysis: Any, local: Local, tmp_path: Path
) -> None:
    old = tmp_path / "old" / "gato_coffea"
    old.mkdir(parents=True)
    (old / "__init__.py").write_text('__version__ = "0.0.9"\n')
    address = local().scheduler_address
    command = [sys.executable, "-P", "-m", "dask", "worker", address, "--no-nanny"]
    command += ["--host", "127.0.0.1", "--no-dashboard", "--nthreads", "1"]
    at = os.environ | {"PYTHONPATH": str(old.parent)}
    with subprocess.Popen(command, env=at, stderr=subprocess.DEVNULL) as worker:
        try:
            told = (
                r"^worker tcp://127\.0\.0\.1:\d+: has gato_coffea 0\.0\.9 \(sources .*, and this"
            )
            with pytest.raises(ExecutionError, match=told):
                run.process(make_analysis(), executor="dask", scheduler=address, progress=False)
        finally:
            worker.kill()


def items_of(analysis: Any, chunksize: int) -> list[Any]:
    runner = Runner(IterativeExecutor(), schema=BaseSchema, chunksize=chunksize, metadata_cache={})
    return list(runner.preprocess(fileset(analysis)))


def test_a_worker_that_joins_later_is_looked_at_too(make_analysis: Any) -> None:
    analysis = make_analysis()
    payload = cloudpickle.dumps(GatoProcessor(analysis))
    item = items_of(analysis, 1000)[0]
    other = ("0.0.9", here()[1])
    with pytest.raises(
        ExecutionError, match=r"has gato_coffea 0\.1\.0 .* this process has 0\.0\.9"
    ):
        ChunkTask("BaseSchema", other, payload, telling=False)(item)
    told = ChunkTask("BaseSchema", other, payload, telling=True)(item)["out"]
    assert list(told[chunks.ERRORS]) == ["ExecutionError"]


def test_a_file_is_opened_once_for_all_its_chunks(make_analysis: Any) -> None:
    analysis = make_analysis()
    payload = cloudpickle.dumps(GatoProcessor(analysis))
    task = ChunkTask("BaseSchema", here(), payload, telling=False)
    first = fileset(analysis)["sig_a"]["files"].popitem()[0]
    items = [item for item in items_of(analysis, 50) if item.filename == first]
    close_files()
    for item in items:
        task(item)
    assert len(items) > 5
    assert chunks._file.cache_info().misses == 1
    assert chunks.unpickled.cache_info().misses == 1
    with uproot.open(first) as file:
        columns = file["ntuples/Events"].arrays(library="np")
    with uproot.recreate(first) as file:
        file["ntuples/Events"] = columns
    task(items[0])
    assert chunks._file.cache_info().misses == 2  # another file by now
    close_files()


def test_a_scheduler_without_workers(
    make_analysis: Any,
    local: Local,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(cluster, "TOLD_AFTER_S", 0.2)
    monkeypatch.setenv(cluster.PATIENCE, "1.5")
    where = {"executor": "dask", "scheduler": local().scheduler_address, "progress": False}
    with pytest.raises(
        ExecutionError, match=r"has no worker \(waited for 1\.5 s; GATO_COFFEA_PAT"
    ):
        run.process(make_analysis(), **where)
    assert [r.getMessage() for r in caplog.records if "waiting for one, 1.5 s" in r.getMessage()]
    monkeypatch.setenv(cluster.PATIENCE, "soon")
    with pytest.raises(
        ExecutionError, match=r"must be a number of seconds above zero \(got 'soon"
    ):
        run.process(make_analysis(), **where)


SLOW = """
import time
def hard(events):
    time.sleep(20)
    return events.pt > 20
def pileup_down(events): return 1
"""
KILLED = """
import os, signal
def hard(events): os.kill(os.getpid(), signal.SIGKILL)
def pileup_down(events): return 1
"""


def test_workers_that_all_leave_during_the_run(
    make_analysis: Any, local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cluster.PATIENCE, "1")
    running = local(n_workers=1)
    threading.Timer(4, lambda: running.scale(0)).start()
    with pytest.raises(ExecutionError, match=r"has no worker \(waited for 1 s"):
        run.process(
            make_analysis(functions=SLOW),
            executor="dask",
            scheduler=running.scheduler_address,
            progress=False,
        )


def test_workers_that_are_started_again_and_again(
    make_analysis: Any, local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "MAX_LOST", 1)
    with pytest.raises(ExecutionError, match=r"1 workers died one after the other and no chunk"):
        run.process(
            make_analysis(functions=KILLED),
            executor="dask",
            scheduler=local(n_workers=1).scheduler_address,
            progress=False,
        )


def test_a_lost_scheduler_is_one_line(
    make_analysis: Any, caplog: pytest.LogCaptureFixture
) -> None:
    code = (
        "from distributed import LocalCluster; import logging, time\n"
        "if __name__ == '__main__':\n"
        "    c = LocalCluster(n_workers=1, processes=False, protocol='tcp', host='127.0.0.1',"
        " dashboard_address='127.0.0.1:0', silence_logs=logging.CRITICAL)\n"
        "    print(c.scheduler_address, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as scheduler:
        assert scheduler.stdout is not None
        address = scheduler.stdout.readline().strip()
        threading.Timer(4, scheduler.kill).start()
        with pytest.raises(ExecutionError, match=rf"^scheduler {address}: is lost") as caught:
            run.process(
                make_analysis(functions=SLOW), executor="dask", scheduler=address, progress=False
            )
    assert "\n" not in str(caught.value)
    assert [r for r in caplog.records if r.name.startswith("distributed")] == []


def listening() -> set[tuple[int, str, int]]:
    """Process, address and port of all that this process and those below it listen to."""
    this = psutil.Process()
    return {
        (process.pid, *connection.laddr)
        for process in (this, *this.children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_a_cluster_of_our_own_listens_to_this_machine_alone() -> None:
    before = listening()
    with cluster.dask_client(None, scheduler=None, workers=1) as client:
        assert isinstance(client, Client)
        found = listening() - before
    assert len(found) >= 3
    assert {ip for _, ip, _ in found} == {"127.0.0.1"}


def test_workers_end_with_a_driver_that_is_killed(make_analysis: Any) -> None:
    analysis = make_analysis(functions=SLOW)
    code = (
        "import sys; from gato_coffea import process, read_analysis\n"
        "process(read_analysis(sys.argv[1]), executor='futures', workers=2,"
        " progress=False)"
    )
    command = [sys.executable, "-c", code, str(analysis.directory)]
    with subprocess.Popen(command) as driver:
        parent = psutil.Process(driver.pid)

        def working() -> list[psutil.Process]:
            return [p for p in parent.children() if p.num_threads() > 2]

        assert until(lambda: len(working()) >= 2)
        workers = parent.children()
        os.kill(driver.pid, signal.SIGKILL)
    assert until(lambda: not any(p.is_running() and p.status() != "zombie" for p in workers))


HELPED = """
import helper
from package.inner import limit

def hard(events):
    return (events.score > helper.cut()) & (events.score < limit())
"""


HELPED_LATER = """
def hard(events):
    import package.inner
    return above(events) & (events.score < package.inner.limit())

def above(events):
    from helper import cut
    return events.score > cut()
"""


@pytest.mark.parametrize("functions", [HELPED, HELPED_LATER])
def test_functions_import_modules_beside_them(
    make_analysis: Any, tmp_path: Path, functions: str
) -> None:
    analysis = make_analysis({"weight.variations": {}}, functions=functions, n=40)
    (tmp_path / "package").mkdir()
    (tmp_path / "package/__init__.py").write_text("")
    (tmp_path / "package/numbers.py").write_text("two = 2.0\n")
    (tmp_path / "package/inner.py").write_text(
        "def limit():\n    from . import numbers\n    return numbers.two\n"
        if functions == HELPED_LATER
        else "def limit():\n    return 2.0\n"
    )
    found = []
    for text in ("0.5", "0.25"):  # as two analyses in one process, with helpers of one name
        (tmp_path / "helper.py").write_text(f"value = {text}\n\ndef cut():\n    return value\n")
        for executor in ("iterative", "futures"):
            done = run.process(analysis, executor=executor, workers=1, progress=False)
            found.append(done.cutflow["sig"]["hard"]["events"])
        assert "helper" not in sys.modules
    assert found[0] == found[1] < found[2] == found[3]
