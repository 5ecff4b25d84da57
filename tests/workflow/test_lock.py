"""One run at a time in a folder, and none that is dead."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gato_coffea.errors import OutputError
from gato_coffea.workflow import lock
from gato_coffea.workflow.lock import LOCK, locked

HOLD = """
import sys, time
from pathlib import Path
from gato_coffea.workflow.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Any:
    """Another process that holds the lock of a folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_run_is_told_who_is_at_work_and_a_dead_one_holds_nothing(
    holder: Any, tmp_path: Path
) -> None:
    told = rf"is being written to by .*process {holder.pid} on .*, since 20.*; wait for it, or"
    with pytest.raises(OutputError, match=told), locked(tmp_path):
        pass
    holder.kill()
    holder.wait()
    assert (tmp_path / LOCK).is_file()  # left behind, and no obstacle
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_holder_on_another_machine_counts_while_it_sets_the_time(tmp_path: Path) -> None:
    path = tmp_path / LOCK
    path.write_text(json.dumps({"pid": 1, "host": "elsewhere", "command": "c", "start": "s"}))
    with pytest.raises(OutputError, match=r"'c' \(process 1 on elsewhere, since s\)"):
        locked(tmp_path).__enter__()
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))
    with locked(tmp_path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_lock_whose_folder_vanishes_is_let_go(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    with locked(folder):
        shutil.rmtree(folder)
    assert not folder.exists()


def test_the_lock_goes_with_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\x00", b'{"pid": "x", "host": 3}'])
def test_a_file_of_no_meaning_is_no_lock(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LOCK).write_bytes(content)
    if b"host" in content:  # it names another machine, and its time is now
        with pytest.raises(OutputError, match="is being written to by"), locked(tmp_path):
            pass
        return
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be written \(No such file"):
        locked(tmp_path / "missing").__enter__()


def test_a_holder_sets_the_time_of_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "REFRESH_S", 0.02)
    with locked(tmp_path):
        os.utime(tmp_path / LOCK, (1, 1))
        deadline = time.monotonic() + 5
        while (tmp_path / LOCK).stat().st_mtime == 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert time.time() - (tmp_path / LOCK).stat().st_mtime < 60
