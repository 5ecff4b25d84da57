"""Ntuples that are made on first use: the toys, or what an analysis prepares for itself."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path

from gato_coffea import __version__
from gato_coffea.config import Analysis
from gato_coffea.errors import ConfigError
from gato_coffea.files import write_text
from gato_coffea.provenance import digest

TOYS = ("1d", "three-class", "diphoton")
NTUPLES = "ntuples"

log = logging.getLogger(__name__)


def make_ntuples(analysis: Analysis) -> bool:
    """Make the ntuples that the key ``ntuples`` names, unless they are there.

    It names a toy, or a Python file beside the analysis file with a function
    ``prepare(directory)``. They are made in ``ntuples`` beside the analysis file.

    Returns
    -------
    bool
        Whether any were made.

    Raises
    ------
    ConfigError
        If it names neither.
    """
    if analysis.ntuples is None:
        return False
    directory = analysis.directory / NTUPLES
    if analysis.ntuples in TOYS:
        from gato_coffea.ntuples import complete_ntuples, write_toy_ntuples

        found = complete_ntuples(directory)
        return write_toy_ntuples(analysis.ntuples, directory) != found  # type: ignore[arg-type]
    script = analysis.directory / analysis.ntuples
    if script.suffix != ".py" or not script.is_file():
        raise ConfigError(
            f"ntuples: is neither a toy nor a Python file that exists (got {analysis.ntuples!r}; "
            f"allowed: {', '.join(TOYS)}, or a file with a function prepare(directory))"
        )
    return _prepare(script, directory)


def _prepare(script: Path, directory: Path) -> bool:
    marker = directory / ".prepared.json"
    key = digest(script.read_text(), __version__)
    if marker.is_file() and json.loads(marker.read_text()) == key:
        log.info("%s: complete, used as it stands", directory)
        return False
    spec = importlib.util.spec_from_file_location("gato_coffea_prepare", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    prepare = getattr(module, "prepare", None)
    if not callable(prepare):
        raise ConfigError(f"{script}: has no function prepare(directory)")
    marker.unlink(missing_ok=True)
    prepare(directory)
    write_text(marker, json.dumps(key))
    return True
