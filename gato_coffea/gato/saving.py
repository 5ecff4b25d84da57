"""Models of the documented interface as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gato_coffea.errors import InputError
from gato_coffea.files import DAMAGED, write_text

FILE = "model.json"


def write_model(path: str | Path, content: Mapping[str, object]) -> None:
    """Write ``model.json`` into a folder, whole or not at all."""
    write_text(Path(path) / FILE, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _refused(constant: str) -> float:
    raise ValueError(f"holds {constant}")


def damaged(path: str | Path, problem: Exception) -> InputError:
    """The error that says what is wrong with a saved model."""
    return InputError(f"{Path(path) / FILE}: is damaged ({type(problem).__name__}: {problem})")


def read_model(path: str | Path, structure: Mapping[str, object]) -> dict[str, Any]:
    """Content of ``model.json`` of a model whose make is ``structure``.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    InputError
        If it is damaged or of another make.
    """
    file = Path(path) / FILE
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no saved model")
    try:
        content = json.loads(file.read_text(), parse_constant=_refused)
        if not isinstance(content, dict):
            raise TypeError("is no mapping")
    except DAMAGED as error:
        raise damaged(path, error) from None
    for key, wanted in structure.items():
        if content.get(key) != wanted:
            raise InputError(
                f"{file}: {key} differs from the model's (got {content.get(key)}; need {wanted})"
            )
    return content
