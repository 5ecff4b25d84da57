"""The folder that holds the result of a pass over the events."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hist
import numpy as np

from gato_coffea.categories.axes import of_eras, variation_labels
from gato_coffea.categories.templates import Templates, empty_templates
from gato_coffea.config import Analysis
from gato_coffea.errors import InputError, OutputError
from gato_coffea.events.columns import read_arrays, read_columns, write_columns
from gato_coffea.events.samples import Cells, Sample
from gato_coffea.files import DAMAGED, is_damaged, read_json
from gato_coffea.processing.layout import Layout

if TYPE_CHECKING:
    from gato_coffea.processing.processed import Processed

SCHEMA_VERSION = 2
COUNTS = ("cutflow", "sumw", "n_events", "factors", "invalid", "out_of_range")
TEMPLATES = "templates"
CELLS = ("key", "sums", "sum_x")
"""Arrays of cells."""

MISSING = "missing"
"""Number of events that leave a variation; without it none."""

OWN = re.compile(r"process\.json|histograms\.(npz|coffea|root)|(columns|cells)/[^/]+\.npz")
"""Files of the folder."""


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """An empty folder aside; it takes the place of ``path`` when the block ends well.

    Of a link, it takes the place of the folder behind.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path = path.resolve()
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    old = path.with_name(f"{aside.name}.old")
    try:
        aside.mkdir(parents=True)
        yield aside
        if path.exists():
            path.replace(old)
        aside.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _require_own(folder: Path) -> None:
    """Refuse to replace what is not, file by file, the result of a pass over events."""
    if not folder.exists():
        return
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()]
    others = sorted(name for name in names if not OWN.fullmatch(name))
    if folder.is_file() or others or (names and "process.json" not in names):
        raise OutputError(
            f"{folder}: holds other files, which would be replaced "
            f"({', '.join((others or names)[:3])}); choose another folder"
        )


def save_processed(processed: Processed, directory: Path) -> None:
    """Write a result to a folder, whole or not at all, in place of what was there.

    ``process.json`` holds the counts, ``histograms.npz`` the bin contents that are read back,
    ``histograms.coffea`` and ``histograms.root`` the same for others, and ``columns/`` or
    ``cells/`` one file a process.

    Raises
    ------
    OutputError
        If the folder cannot be written to, or holds other files.
    """
    from coffea.util import save as save_coffea

    _require_own(directory)
    histograms = dict(processed.histograms)
    if processed.templates is not None:
        histograms[TEMPLATES] = processed.templates.histogram
    with replacing_folder(directory) as aside:
        np.savez(aside / "histograms.npz", allow_pickle=False, **_contents(histograms))
        save_coffea(histograms, aside / "histograms.coffea")
        write_root(aside / "histograms.root", histograms)
        for process, sample in (processed.samples or {}).items():
            write_columns(aside / "columns" / f"{process}.npz", sample)
        for process, cells in (processed.cells or {}).items():
            write_cells(aside / "cells" / f"{process}.npz", cells)
        content = {
            "schema_version": SCHEMA_VERSION,
            "histograms": list(processed.histograms),
            "n_categories": None
            if processed.templates is None
            else processed.templates.n_categories,
            "columns": None if processed.samples is None else list(processed.samples),
            "cells": None if processed.cells is None else list(processed.cells),
            **{key: getattr(processed, key) for key in COUNTS},
        }
        (aside / "process.json").write_text(json.dumps(content, indent=1) + "\n")


def load_processed(directory: Path, analysis: Analysis) -> dict[str, Any]:
    """Fields of a `gato_coffea.processing.processed.Processed` that `save_processed` has written.

    Raises
    ------
    InputError
        If a file is missing, damaged, of another schema version, or was made with other axes
        than the analysis has.
    """
    path = directory / "process.json"
    if not path.is_file():
        raise InputError(f"{path}: no such file; process the events first")
    content = read_json(path, what="counts")
    try:
        if content["schema_version"] != SCHEMA_VERSION:
            raise InputError(
                f"{path}: schema_version must be {SCHEMA_VERSION} "
                f"(got {content['schema_version']!r})"
            )
        histograms = _read_histograms(directory / "histograms.npz", content, analysis)
        cells, columns = content["cells"], content["columns"]
        return {
            "templates": Templates.single(histograms.pop(TEMPLATES))
            if TEMPLATES in histograms
            else None,
            "histograms": histograms,
            "samples": _read_samples(directory / "columns", columns),
            "cells": None
            if cells is None
            else {p: _read_cells(directory / "cells" / f"{p}.npz", analysis) for p in cells},
            **{key: content[key] for key in COUNTS},
        }
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: no such file; process the events first") from None
    except (OSError, *DAMAGED) as error:
        raise is_damaged(directory, error) from None


def write_root(path: str | Path, histograms: Mapping[str, hist.Hist[Any]]) -> None:
    """Write every process and variation of every histogram as ``NAME/PROCESS/VARIATION``."""
    import uproot

    with uproot.recreate(path) as file:
        for name, of_all in histograms.items():
            h = of_eras(of_all)
            for process in h.axes[0]:
                for variation in h.axes[1]:
                    file[f"{name}/{process}/{variation}"] = h[process, variation, ...]


def write_cells(path: Path, cells: Cells) -> None:
    """Write cells and their variations; their grid follows from the analysis."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = {"": cells, **{f"{name}:": part for name, part in cells.variations.items()}}
    arrays = {
        f"{name}{column}": getattr(part, column)
        for name, part in parts.items()
        for column in (*CELLS, MISSING)
    }
    np.savez(path, allow_pickle=False, **arrays)


def _contents(histograms: Mapping[str, hist.Hist[Any]]) -> dict[str, Any]:
    views: dict[str, Any] = {name: h.view(flow=True) for name, h in histograms.items()}
    return {f"{k}:{name}": v[k] for name, v in views.items() for k in ("value", "variance")}


def _read_histograms(
    path: Path, content: Mapping[str, Any], analysis: Analysis
) -> dict[str, hist.Hist[Any]]:
    layout = Layout.of(analysis)
    names = {"_".join(product): product for product in layout.products}
    result = {}
    file = read_arrays(path)
    for name in (*content["histograms"], *([TEMPLATES] if content["n_categories"] else [])):
        if name == TEMPLATES:
            n = content["n_categories"]
            if not isinstance(n, int) or not 1 <= n <= file[f"value:{name}"].size:
                raise ValueError(f"n_categories {n!r} does not fit the templates")
            h = empty_templates(analysis, n, eras=tuple(analysis.eras))
        elif name in names:
            h = layout.empty(
                names[name],
                processes=analysis.all_processes,
                variations=variation_labels(analysis),
                eras=tuple(analysis.eras),
            )
        else:
            raise InputError(f"{path}: histogram {name!r} is not in the analysis file")
        view: Any = h.view(flow=True)
        for key in ("value", "variance"):
            array = file[f"{key}:{name}"]
            if array.shape != view.shape:
                raise InputError(
                    f"{path}: {name} was made with other processes, variations or bins than "
                    f"the analysis file has (got {array.shape}; needs {view.shape})"
                )
            view[key] = array
        result[name] = h
    return result


def _read_samples(directory: Path, processes: list[str] | None) -> dict[str, Sample] | None:
    if processes is None:
        return None
    return {p: read_columns(directory / f"{p}.npz") for p in processes}


def _read_cells(path: Path, analysis: Analysis) -> Cells:
    file, grid = read_arrays(path), Layout.of(analysis).grid
    names = dict.fromkeys(name.partition(":")[0] for name in file if ":" in name)

    def cells(prefix: str, variations: Mapping[str, Cells]) -> Cells:
        key, sums, sum_x = (file[prefix + column] for column in CELLS)
        missing = int(file[prefix + MISSING]) if prefix + MISSING in file else 0
        return Cells(grid, key, sums, sum_x, variations, missing)

    return cells("", {name: cells(f"{name}:", {}) for name in names})
