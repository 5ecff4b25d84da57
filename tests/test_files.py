"""Files are written whole or not at all, also when the writer is killed."""

import os
import signal
import subprocess
import sys
import time

import pytest

from gato_coffea.errors import OutputError
from gato_coffea.files import replacing, write_text


def test_text_is_written_into_new_folders(tmp_path):
    path = tmp_path / "a" / "b.json"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as aside:
            assert aside.name == "a.txt"
            aside.write_text("half")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError) as caught:
        write_text(blocked / "a.txt", "text")
    assert str(caught.value).startswith(f"{blocked / 'a.txt'}: cannot be written (")
    assert "\n" not in str(caught.value)


def test_a_folder_in_the_way_is_refused(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OutputError, match=r"a.txt: cannot be written"):
        write_text(tmp_path / "a.txt", "text")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.txt"]


WRITER = """
import pathlib, sys, time
from gato_coffea.files import replacing
target, started = map(pathlib.Path, sys.argv[1:])
with replacing(target) as aside, aside.open("w") as file:
    file.write("half of the new")
    file.flush()
    started.write_text("")
    time.sleep(60)
"""


@pytest.mark.parametrize("old", [None, "old"])
def test_a_killed_process_leaves_nothing_half_written(tmp_path, old):
    target, started = tmp_path / "results" / "a.json", tmp_path / "started"
    if old is not None:
        write_text(target, old)
    with subprocess.Popen([sys.executable, "-c", WRITER, target, started]) as process:
        deadline = time.monotonic() + 30
        while not started.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert started.exists()
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert (target.read_text() if target.exists() else None) == old
    # What the dead process left matches no pattern, and is no obstacle.
    assert list(target.parent.glob("*.json")) == ([] if old is None else [target])
    write_text(target, "new")
    assert target.read_text() == "new"
