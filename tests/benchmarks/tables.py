"""Tables in Markdown, and what machine the figures come from."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gato_coffea.files import write_text

PACKAGES = ("gato-coffea", "coffea", "tensorflow", "numpy", "uproot", "hist")


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def machine() -> dict[str, Any]:
    """Cores, load and versions."""
    return {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {name: version(name) for name in PACKAGES},
    }


def described(found: dict[str, Any]) -> str:
    """One line on the machine."""
    versions = ", ".join(f"{name} {v}" for name, v in found["versions"].items())
    return (
        f"{found['system']}, {found['cores']} cores, load {found['load']} at the start; "
        f"Python {found['python']}, {versions}.\n"
    )


def write(output: Path | None, text: str, values: Any) -> None:
    """Print the text; write it, and the values as JSON beside it."""
    print(text, flush=True)
    if output is not None:
        write_text(output, text)
        write_text(output.with_suffix(".json"), json.dumps(values, indent=1) + "\n")
