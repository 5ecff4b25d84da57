"""Fingerprints of everything from outside that results depend on."""

from __future__ import annotations

import glob
import os
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gato_coffea.config import Analysis
from gato_coffea.datasets import expand, fileset
from gato_coffea.errors import InputError
from gato_coffea.workflow.code import code_fingerprint, variable_value
from gato_coffea.workflow.provenance import ALWAYS_READ, file_hash

URL_TIMEOUT_S = 20.0
"""How long a server may take to tell of a file."""

URLS_AT_ONCE = 16
"""Servers that are asked at a time: they answer slowly, and more would look like an attack."""

TOLD_BY_SERVERS = ("ETag", "Last-Modified", "Content-Length")

Fingerprint = dict[str, Any]


def input_fingerprints(analysis: Analysis) -> dict[str, Fingerprint]:
    """Fingerprint of every input file by its path.

    Raises
    ------
    InputError
        If a pattern of the analysis file matches no file, or a server does not answer.
    """
    return fingerprints(
        {path for dataset in fileset(analysis).values() for path in dataset["files"]}
    )


def fingerprints(paths: Iterable[str]) -> dict[str, Fingerprint]:
    """Fingerprint of every path or URL: size and time of a file, what a server tells of a URL."""
    ordered = sorted(paths)
    with ThreadPoolExecutor(URLS_AT_ONCE) as pool:  # started only where there is work for it
        found = pool.map(_url if any("://" in p for p in ordered) else _file, ordered)
        return dict(zip(ordered, found, strict=True))


def _file(path: str) -> Fingerprint:
    status = Path(path).stat()
    return {"size": status.st_size, "modified_ns": status.st_mtime_ns}


def _url(path: str) -> Fingerprint:
    """What tells whether the file behind a URL has changed."""
    if "://" not in path:
        return _file(path)
    if not path.startswith(("http://", "https://")):
        return _through_fsspec(path)
    answer: Any = None
    for method, headers in (("HEAD", {}), ("GET", {"Range": "bytes=0-0"})):
        request = urllib.request.Request(path, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=URL_TIMEOUT_S) as response:
                answer = response.headers
            break
        except (urllib.error.URLError, OSError, ValueError) as error:
            text = " ".join(str(error).split())[:200]
    if answer is None:
        raise InputError(f"{path}: cannot be read ({text})")
    told = {key: str(answer[key]) for key in TOLD_BY_SERVERS if answer[key] is not None}
    return told if method == "HEAD" else {**told, "Content-Range": str(answer["Content-Range"])}


def _through_fsspec(path: str) -> Fingerprint:
    """Size and time of a file that is read through fsspec, as XRootD is.

    Where its system tells nothing, or is not installed, the name alone counts: reading the events
    says what is wrong.
    """
    import fsspec

    try:
        system, inner = fsspec.core.url_to_fs(path)
        info = system.info(inner)
    except Exception:  # each system of files raises errors of its own
        return {}
    return {k: str(info[k]) for k in ("size", "ETag", "mtime", "modified") if k in info}


def further_inputs(analysis: Analysis) -> dict[str, Any]:
    """Fingerprint of ``analysis.py``, of what it imports, and of what ``depends_on`` names.

    Raises
    ------
    InputError
        If ``depends_on`` names a file that does not exist.
    """
    return {"code": code_fingerprint(analysis.module_path), "depends_on": depended(analysis)}


def depended(analysis: Analysis) -> dict[str, Any]:
    """Fingerprint of everything that ``depends_on`` names: ``$NAME`` is an environment variable.

    Raises
    ------
    InputError
        If a pattern matches no file.
    """
    found: dict[str, Any] = {}
    for i, text in enumerate(analysis.depends_on):
        if text.startswith("$") and text[1:].strip("{}").isidentifier():
            found[text] = variable_value(text[1:].strip("{}"))
            continue
        path = expand(text, place=f"depends_on[{i}]")
        if "://" in path:
            found[text] = _url(path)
            continue
        pattern = os.path.normpath(analysis.directory.resolve() / path)
        matches = [Path(p) for p in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207
        files = [inner for p in matches for inner in ([p] if p.is_file() else _files_in(p))]
        if not files:
            raise InputError(
                f"depends_on[{i}]: no file matches (got {text!r}; looked for {pattern})"
            )
        found[text] = [[p.name, _content(p)] for p in files]
    return found


def _files_in(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.rglob("*")) if p.is_file() and "__pycache__" not in p.parts]


def _content(path: Path) -> Any:
    """Hash of a file's content, or size and time of a large one."""
    return file_hash(path) if path.stat().st_size <= ALWAYS_READ else _file(str(path))
