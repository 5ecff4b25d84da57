"""Read an analysis file, or its content, into a checked value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from gato_coffea.config.analysis import Analysis
from gato_coffea.config.text import problem_of, read_yaml
from gato_coffea.errors import ConfigError


def parse_analysis(content: object, *, directory: Path, place: str = "analysis") -> Analysis:
    """Check the content of an analysis file.

    Parameters
    ----------
    content
        What the YAML holds.
    directory
        Folder that relative paths and ``analysis.py`` are looked for in.
    place
        What an error message calls the file.

    Raises
    ------
    ConfigError
        With the first thing that is wrong.
    """
    if not isinstance(content, Mapping):
        raise ConfigError(f"{place}: must be a mapping of keys (got {type(content).__name__})")
    try:
        return Analysis.model_validate({**content, "directory": directory})
    except ValidationError as error:
        told = problem_of(error, model=Analysis, content=content)
        raise ConfigError(f"{place}: {told}") from None


def read_analysis(path: str | Path) -> Analysis:
    """Read ``analysis.yaml``, or the one in a folder, into a checked value.

    Raises
    ------
    ConfigError
        If the file is missing, is not YAML, or says something that cannot be.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "analysis.yaml"
    if not path.is_file():
        raise ConfigError(f"{path}: no such analysis file")
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not valid YAML ({error})") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    return parse_analysis(content, directory=path.parent, place=str(path))
