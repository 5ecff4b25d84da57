"""Fingerprints of files, URLs and what the analysis file says that it depends on."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gato_coffea.errors import InputError
from gato_coffea.workflow.inputs import depended, fingerprints, input_fingerprints
from gato_coffea.workflow.pipeline import stage_keys


def process_key(analysis: Any) -> str:
    return stage_keys(analysis, {})["process"]


def test_what_the_analysis_file_says_it_depends_on_counts(
    make_analysis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis = make_analysis({"depends_on": ["sf.json", "$SMALL_ERA"]})
    path = analysis.directory / "sf.json"
    with pytest.raises(InputError, match=r"depends_on\[0\]: no file matches \(got 'sf.json'; loo"):
        process_key(analysis)
    path.write_text("1.0")
    first = process_key(analysis)
    path.write_text("1.1")
    second = process_key(analysis)
    monkeypatch.setenv("SMALL_ERA", "2023")
    assert len({first, second, process_key(analysis)}) == 3
    monkeypatch.delenv("SMALL_ERA")
    path.write_text("1.0")
    assert process_key(analysis) == first  # its content, and not its time
    assert process_key(make_analysis({"depends_on": "sf.json"})) != first


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of a server of the files of the test's folder."""
    handler = partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_changed_file_behind_a_url_is_seen(server: str, tmp_path: Path) -> None:
    url = f"{server}/a.root"
    (tmp_path / "a.root").write_text("one")
    first = fingerprints([url])
    assert fingerprints([url]) == first
    (tmp_path / "a.root").write_text("other")
    assert fingerprints([url]) != first
    with pytest.raises(InputError, match=r"/b\.root: cannot be read \(HTTP Error 404: File not f"):
        fingerprints([f"{server}/b.root"])


def test_files_go_by_size_and_time(make_analysis: Any, tmp_path: Path) -> None:
    analysis = make_analysis(n=1)
    first = input_fingerprints(analysis)
    assert [Path(p).name for p in first] == sorted(Path(p).name for p in first)
    assert {Path(p).name for p in first} == {
        f"{name}_{part}.root" for name in ("sig_a", "bkg_a", "bkg_b", "data") for part in (0, 1)
    }
    path = tmp_path / "sig_a_0.root"
    content = path.read_bytes()
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    assert input_fingerprints(analysis) != first
    path.unlink()
    (tmp_path / "sig_a_1.root").unlink()
    with pytest.raises(InputError, match=r"datasets\.sig_a\.files"):
        input_fingerprints(analysis)


def test_folders_count_with_all_their_files_but_what_python_makes(
    make_analysis: Any, tmp_path: Path
) -> None:
    analysis = make_analysis({"depends_on": ["tables"]}, n=1)
    for name in ("tables/a.txt", "tables/in/b.txt", "tables/__pycache__/c.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    first = depended(analysis)
    assert [name for name, _ in first["tables"]] == ["a.txt", "b.txt"]
    (tmp_path / "tables/__pycache__/c.pyc").write_text("2")
    assert depended(analysis) == first
    (tmp_path / "tables/in/b.txt").write_text("2")
    assert depended(analysis) != first


def test_what_no_server_answers_for_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^http://127\.0\.0\.1:1/a\.root: cannot be read \("):
        fingerprints(["http://127.0.0.1:1/a.root"])
    assert fingerprints(["strange://nowhere/a.root"]) == {"strange://nowhere/a.root": {}}
