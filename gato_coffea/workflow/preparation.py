"""Ntuples that are made on first use: the toys, or what an analysis prepares for itself."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path

from gato_coffea.config import Analysis
from gato_coffea.config.functions import importable
from gato_coffea.errors import ConfigError
from gato_coffea.files import write_text
from gato_coffea.version import __version__
from gato_coffea.workflow.code import code_fingerprint
from gato_coffea.workflow.folder import require_writable
from gato_coffea.workflow.inputs import depended
from gato_coffea.workflow.lock import LOCK, locked
from gato_coffea.workflow.provenance import digest, marks_below

TOYS = ("1d", "three-class", "diphoton")
NTUPLES = "ntuples"
MARKER = ".prepared.json"
"""What prepared ntuples were made from, and their files."""

log = logging.getLogger(__name__)


def make_ntuples(analysis: Analysis) -> bool:
    """Make the ntuples that the key ``ntuples`` names, unless they are there.

    It names a toy, or a Python file beside the analysis file with a function
    ``prepare(directory)``. They are made in ``ntuples`` beside the analysis file, and again when
    that file, what it imports, or what ``depends_on`` names has changed.

    Returns
    -------
    bool
        Whether any were made.

    Raises
    ------
    ConfigError
        If it names neither, or makes no file.
    OutputError
        If they cannot be written, or another process is making them.
    """
    if analysis.ntuples is None:
        return False
    directory = analysis.directory / NTUPLES
    if analysis.ntuples in TOYS:
        from gato_coffea.datasets.ntuples import complete_ntuples, write_toy_ntuples

        found = complete_ntuples(directory)
        return write_toy_ntuples(analysis.ntuples, directory) != found  # type: ignore[arg-type]
    script = analysis.directory / analysis.ntuples
    if script.suffix != ".py" or not script.is_file():
        raise ConfigError(
            f"ntuples: is neither a toy nor a Python file that exists (got {analysis.ntuples!r}; "
            f"allowed: {', '.join(TOYS)}, or a file with a function prepare(directory))"
        )
    return _prepare(script, directory, analysis)


def _prepare(script: Path, directory: Path, analysis: Analysis) -> bool:
    key = digest(code_fingerprint(script), depended(analysis), __version__)
    if _is_complete(directory, key):
        log.info("%s: complete, used as it stands", directory)
        return False
    require_writable(directory)
    with locked(directory):
        if _is_complete(directory, key):
            return False  # another process has made them meanwhile
        spec = importlib.util.spec_from_file_location("gato_coffea_prepare", script)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        with importable(script.parent):
            spec.loader.exec_module(module)
        prepare = getattr(module, "prepare", None)
        if not callable(prepare):
            raise ConfigError(f"{script}: has no function prepare(directory)")
        marker = directory / MARKER
        marker.unlink(missing_ok=True)
        with importable(script.parent):
            prepare(directory)
        files = {name: mark.size for name, mark in marks_below(directory).items() if name != LOCK}
        if not files:
            raise ConfigError(f"{script}: prepare(directory) has made no file in {directory}")
        write_text(marker, json.dumps({"key": key, "files": files}, indent=1) + "\n")
    return True


def _is_complete(directory: Path, key: str) -> bool:
    """Whether ntuples were prepared from the same, and their files are still there."""
    try:
        content = json.loads((directory / MARKER).read_text())
        sizes = {directory / name: size for name, size in content["files"].items()}
        return content["key"] == key and all(p.stat().st_size == n for p, n in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
