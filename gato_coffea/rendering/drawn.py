"""A figure as files, with what a page says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DrawnPlot:
    """Files of a figure, with the section that it belongs to and its caption."""

    section: str
    caption: str
    files: tuple[Path, ...]
