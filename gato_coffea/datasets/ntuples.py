"""The toys as ROOT ntuples, so that they take the way of a real analysis."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uproot

from gato_coffea.datasets.toys import CROSS_SECTIONS_PB, Kind, toy_arrays
from gato_coffea.errors import InputError, OutputError
from gato_coffea.events.samples import FloatArray
from gato_coffea.files import replacing, write_text

TREE = "Events"
MANIFEST = "ntuples.json"
FORMAT = 1
EVENTS_PER_BLOCK = 1000
"""Events that share a luminosity block, as in samples of experiments."""

COUNTS: Mapping[Kind, tuple[int, int]] = {
    "1d": (100_000, 300_000),
    "three-class": (100_000, 500_000),
    "diphoton": (60_000, 400_000),
}
"""Default number of events of each signal, and of all backgrounds together."""

log = logging.getLogger(__name__)


def write_toy_ntuples(
    kind: Kind,
    directory: str | Path,
    *,
    seed: int = 42,
    n_signal: int | None = None,
    n_bkg: int | None = None,
    files_per_process: int = 3,
    noise_scale: float | None = None,
    means: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, list[Path]]:
    """Write a toy as ROOT files, several a process, or find it written already.

    Files are called ``<process>_<number>.root`` and hold a tree ``Events`` with the branches
    ``score`` (``1d``), or ``p1``, ``p2``, ``pB`` and for ``diphoton`` ``mass`` in GeV, and
    ``genWeight``, ``run``, ``luminosityBlock``, ``event``. Events are unweighted: scaled to
    cross section times luminosity (`CROSS_SECTIONS_PB`; 0.1 /fb) over the sum of ``genWeight``
    of all files of a process, they give the yields of `toy_arrays` with the same seed.

    Parameters
    ----------
    kind
        ``1d``, ``three-class`` or ``diphoton``.
    directory
        Where to; made if missing. Complete ntuples of the same parameters are left as they are.
    seed
        Same seed, same events.
    n_signal, n_bkg
        Events of each signal, and of all backgrounds together; `COUNTS` by default.
    files_per_process
        Number of files.
    noise_scale, means
        As in `gato_coffea.datasets.toys.toy_arrays`.

    Returns
    -------
    dict[str, list[Path]]
        Files of each process.

    Raises
    ------
    InputError
        If there is no such toy or a number is not positive.
    OutputError
        If the directory cannot be written to, or a file of another's would be replaced.
    """
    if kind not in COUNTS:
        raise InputError(f"toy: no such kind (got {kind!r}; allowed {', '.join(COUNTS)})")
    if files_per_process < 1:
        raise InputError(f"toy: files_per_process must be positive (got {files_per_process})")
    directory = Path(directory)
    each, total = COUNTS[kind]
    each = each if n_signal is None else n_signal
    total = total if n_bkg is None else n_bkg
    asked = {
        "format": FORMAT,
        "kind": kind,
        "seed": seed,
        "n_signal": each,
        "n_bkg": total,
        "files_per_process": files_per_process,
        "noise_scale": noise_scale,
        "means": None if means is None else {name: list(mean) for name, mean in means.items()},
    }
    found = complete_ntuples(directory, parameters=asked)
    if found is not None:
        log.info("%s: complete, used as it stands", directory)
        return found
    arrays = toy_arrays(
        kind,
        n_signal=each,
        n_bkg=total,
        seed=seed,
        noise_scale=noise_scale,
        means=means,
    )
    names = {p: [f"{p}_{i}.root" for i in range(files_per_process)] for p in arrays}
    _require_free(directory, [name for each in names.values() for name in each])
    nothing = {p: dict.fromkeys(each, -1) for p, each in names.items()}
    _write_manifest(directory, asked, nothing)  # from here on what is there counts as incomplete
    written = {
        process: _write_process(directory, process, number, columns, files_per_process)
        for number, (process, columns) in enumerate(arrays.items(), start=1)
    }
    sizes = {p: {f.name: f.stat().st_size for f in files} for p, files in written.items()}
    _write_manifest(directory, asked, sizes)
    return written


def _write_manifest(
    directory: Path, asked: Mapping[str, object], sizes: Mapping[str, Mapping[str, int]]
) -> None:
    content = {"toy": asked, "files": sizes}
    write_text(directory / MANIFEST, json.dumps(content, indent=1) + "\n")


def _require_free(directory: Path, names: Sequence[str]) -> None:
    """Refuse to replace files that the manifest of an earlier toy does not list."""
    try:
        files = json.loads((directory / MANIFEST).read_text())["files"]
        ours = {name for each in files.values() for name in each}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        ours = set()
    taken = [name for name in names if name not in ours and os.path.lexists(directory / name)]
    if taken:
        raise OutputError(
            f"{directory}: {taken[0]} was not written as a toy and would be replaced; choose "
            "another folder"
        )


def complete_ntuples(
    directory: str | Path, *, parameters: Mapping[str, object] | None = None
) -> dict[str, list[Path]] | None:
    """Files of each process of a complete toy; None where it is missing, partial or another.

    Parameters
    ----------
    directory
        Where `write_toy_ntuples` wrote to.
    parameters
        What the toy must have been made with, or None for any.
    """
    directory = Path(directory)
    try:
        content = json.loads((directory / MANIFEST).read_text())
        if parameters is not None and content["toy"] != dict(parameters):
            return None
        files = {p: {directory / n: s for n, s in f.items()} for p, f in content["files"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    for sizes in files.values():
        for path, size in sizes.items():
            if not path.is_file() or path.stat().st_size != size:
                return None
    return {process: list(sizes) for process, sizes in files.items()}


def _branches(process: str, number: int, columns: Mapping[str, FloatArray]) -> dict[str, Any]:
    """Branches of all events of a process; the run tells processes apart."""
    x = columns["x"]
    n = len(x)
    scores = {"score": x} if x.ndim == 1 else dict(zip(("p1", "p2", "pB"), x.T, strict=True))
    event = np.arange(n, dtype=np.uint64)
    branches: dict[str, Any] = dict(scores)
    if "mass" in columns:
        branches["mass"] = columns["mass"]
    # A constant other than one: reading the events without it is then seen in the yields.
    branches["genWeight"] = np.full(n, CROSS_SECTIONS_PB[process] * 1000, dtype=np.float32)
    branches["run"] = np.full(n, number, dtype=np.uint32)
    branches["luminosityBlock"] = (event // EVENTS_PER_BLOCK + 1).astype(np.uint32)
    branches["event"] = event + 1
    return branches


def _write_process(
    directory: Path, process: str, number: int, columns: Mapping[str, FloatArray], n_files: int
) -> list[Path]:
    branches = _branches(process, number, columns)
    n = len(branches["event"])
    paths = []
    for i, part in enumerate(np.array_split(np.arange(n), n_files)):
        path = directory / f"{process}_{i}.root"
        rows = slice(part[0], part[-1] + 1) if len(part) else slice(0, 0)
        block = {name: np.ascontiguousarray(values[rows]) for name, values in branches.items()}
        with replacing(path) as aside, uproot.recreate(aside, compression=uproot.LZ4(1)) as file:
            file.mktree(TREE, {name: values.dtype for name, values in block.items()})
            file[TREE].extend(block)
        paths.append(path)
    return paths
