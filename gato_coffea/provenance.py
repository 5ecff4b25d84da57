"""Where results come from: versions, inputs, and what was done, stage by stage."""

from __future__ import annotations

import hashlib
import json
import platform
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gato_coffea.errors import OutputError
from gato_coffea.files import write_text

PROVENANCE = "provenance.json"
PACKAGES = (
    "gato-coffea",
    "coffea",
    "awkward",
    "uproot",
    "hist",
    "numpy",
    "iminuit",
    "tensorflow",
    "dask",
    "mplhep",
)
_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class StageRecord:
    """What is remembered of a stage that has ended well.

    Attributes
    ----------
    key
        Fingerprint of everything that the stage depends on.
    files
        Size in bytes of every file that it wrote, by path below the results directory.
    wall_s, peak_mb
        Wall time, and the largest resident memory of the driver meanwhile.
    """

    key: str
    files: Mapping[str, int]
    wall_s: float
    peak_mb: float


@dataclass
class Measurement:
    """Wall time and peak memory of a block; complete when the block has ended."""

    wall_s: float = 0.0
    peak_mb: float = 0.0


@dataclass(frozen=True)
class Provenance:
    """The record of a results directory; stages by name."""

    stages: Mapping[str, StageRecord] = field(default_factory=dict)

    @classmethod
    def read(cls, output: Path) -> Provenance:
        """The record in a results directory; empty where there is none, or a damaged one."""
        try:
            content = json.loads((output / PROVENANCE).read_text())
            return cls({name: StageRecord(**r) for name, r in content["stages"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def is_current(self, stage: str, *, key: str, output: Path) -> bool:
        """Whether a stage has ended well with this key and its files are still as it left them."""
        record = self.stages.get(stage)
        if record is None or record.key != key:
            return False
        return all(_size(output / name) == size for name, size in record.files.items())

    def without(self, stages: Sequence[str]) -> Provenance:
        """The record less some stages."""
        return Provenance({n: r for n, r in self.stages.items() if n not in stages})

    def with_stage(self, stage: str, record: StageRecord) -> Provenance:
        """The record with a stage added."""
        return Provenance({**self.stages, stage: record})

    def write(self, output: Path, *, seed: int, inputs: Mapping[str, Any]) -> None:
        """Write ``provenance.json`` with versions, seed and input fingerprints."""
        content = {
            "versions": versions(),
            "seed": seed,
            "inputs": dict(inputs),
            "stages": {name: asdict(record) for name, record in self.stages.items()},
        }
        write_text(output / PROVENANCE, json.dumps(content, indent=1) + "\n")


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def sizes(paths: Sequence[Path], *, output: Path) -> dict[str, int]:
    """Size of each file, by its path below the results directory."""
    return {str(path.relative_to(output)): path.stat().st_size for path in sorted(paths)}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on; none is imported."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def file_fingerprint(path: str) -> dict[str, Any]:
    """Size and time of modification of a file; nothing for a URL, whose name alone counts."""
    if "://" in path:
        return {}
    status = Path(path).stat()
    return {"size": status.st_size, "modified_ns": status.st_mtime_ns}


@cache
def source_hashes(package: Path) -> Mapping[str, str]:
    """Short hash of every Python file in a folder by its path there; read once a process."""
    return {
        path.relative_to(package).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in sorted(package.rglob("*.py"))
    }


def digest(*parts: Any) -> str:
    """SHA-256 of JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@contextmanager
def measured() -> Iterator[Measurement]:
    """Measure the wall time and the peak resident memory of a block.

    Where the system cannot start the peak afresh, it is that of the process so far.
    """
    result = Measurement()
    if _CLEAR_REFS.exists():
        with suppress(OSError):  # not allowed in some containers
            _CLEAR_REFS.write_text("5")
    start = time.perf_counter()
    try:
        yield result
    finally:
        result.wall_s = time.perf_counter() - start
        result.peak_mb = _peak_mb()


def _peak_mb() -> float:
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def require_writable(output: Path) -> None:
    """Make a results directory, and make sure that files can be written there.

    Raises
    ------
    OutputError
        If they cannot.
    """
    probe = output / ".writable"
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"{output}: cannot be written to ({error.strerror or error}); choose another --output"
        ) from None
