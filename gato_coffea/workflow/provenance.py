"""Where results come from: versions, inputs, and what was done, stage by stage."""

from __future__ import annotations

import hashlib
import json
import platform
import resource
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gato_coffea.errors import OutputError
from gato_coffea.files import DAMAGED, write_text

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
SOURCES = (".py", ".jinja")
ALWAYS_READ = 16 << 20
"""Files up to this size in bytes, most results, are read to see whether they have changed."""

_DAMAGED = (OSError, *DAMAGED)
_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class FileMark:
    """What a file held when it was written, and how that is seen quickly."""

    size: int
    modified_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileMark:
        """The mark of a file."""
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns, file_hash(path))

    def holds(self, path: Path) -> bool:
        """Whether a file is there and has this content.

        A large file counts as unchanged where its size and time are.
        """
        try:
            status = path.stat()
            if status.st_size != self.size or not path.is_file():
                return False
            same_time = status.st_mtime_ns == self.modified_ns
            return (same_time and self.size > ALWAYS_READ) or file_hash(path) == self.sha256
        except OSError:
            return False


@dataclass(frozen=True)
class StageRecord:
    """What is remembered of a stage that has ended well.

    Attributes
    ----------
    key
        Fingerprint of everything that the stage depends on.
    files
        Every file that it wrote, by path below the results directory.
    wall_s, peak_mb
        Wall time, and the largest resident memory of the driver meanwhile.
    above
        Fingerprints of the files of the stages that it read from, by stage.
    """

    key: str
    files: Mapping[str, FileMark]
    wall_s: float
    peak_mb: float
    above: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> str:
        """Fingerprint of the content of its files."""
        return digest({name: mark.sha256 for name, mark in self.files.items()})


@dataclass
class Measurement:
    """Wall time and peak memory of a block; complete when the block has ended."""

    wall_s: float = 0.0
    peak_mb: float = 0.0


@dataclass(frozen=True)
class Provenance:
    """The record of a results directory.

    Attributes
    ----------
    stages
        Stages that have ended well and are not forgotten, by name.
    left
        Further files that are ours: those of forgotten stages.
    """

    stages: Mapping[str, StageRecord] = field(default_factory=dict)
    left: Mapping[str, FileMark] = field(default_factory=dict)

    @classmethod
    def read(cls, output: Path) -> Provenance:
        """The record in a results directory; empty where there is none, or a damaged one."""
        try:
            content = json.loads((output / PROVENANCE).read_text())
            stages = {
                str(name): StageRecord(
                    key=str(r["key"]),
                    files=_marks(r["files"]),
                    wall_s=float(r["wall_s"]),
                    peak_mb=float(r["peak_mb"]),
                    above={str(k): str(v) for k, v in r.get("above", {}).items()},
                )
                for name, r in content["stages"].items()
            }
            return cls(stages, _marks(content.get("left", {})))
        except _DAMAGED:
            return cls()

    @classmethod
    def exists(cls, output: Path) -> bool:
        """Whether a directory holds a record of ours that can be read."""
        try:
            content = json.loads((output / PROVENANCE).read_text())
            return "gato-coffea" in content["versions"] and isinstance(content["stages"], dict)
        except _DAMAGED:
            return False

    @property
    def owned(self) -> dict[str, FileMark]:
        """Every file that a stage has written, by path below the results directory."""
        files = dict(self.left)
        for record in self.stages.values():
            files |= record.files
        return files

    def is_current(self, stage: str, *, key: str, output: Path, needs: Sequence[str] = ()) -> bool:
        """Whether a stage has ended well with this key, and nothing of it has changed since.

        Its files must be there as it left them, and so must those that it was made from: the
        stages ``needs`` have not run again since with another outcome.
        """
        record = self.stages.get(stage)
        if record is None or record.key != key or not record.files:
            return False
        if record.above != self.contents(needs):
            return False
        return all(mark.holds(output / name) for name, mark in record.files.items())

    def contents(self, stages: Sequence[str]) -> dict[str, str]:
        """Fingerprints of the files of those stages that have ended well."""
        return {name: self.stages[name].content for name in stages if name in self.stages}

    def without(self, stages: Sequence[str]) -> Provenance:
        """The record less some stages, whose files are still known as ours."""
        left = dict(self.left)
        for name in stages:
            if name in self.stages:
                left |= self.stages[name].files
        return Provenance({n: r for n, r in self.stages.items() if n not in stages}, left)

    def with_left(self, files: Mapping[str, FileMark]) -> Provenance:
        """The record with files that are ours, or about to be."""
        return Provenance(self.stages, {**self.left, **files})

    def less(self, names: Collection[str]) -> Provenance:
        """The record less files that were left over and are gone."""
        return Provenance(self.stages, {n: m for n, m in self.left.items() if n not in names})

    def with_stage(self, stage: str, record: StageRecord) -> Provenance:
        """The record with a stage added, and no file left over of what that stage wrote before."""
        left = {n: m for n, m in self.left.items() if n not in record.files}
        return Provenance({**self.stages, stage: record}, left)

    def write(self, output: Path, *, seed: int, inputs: Mapping[str, object]) -> None:
        """Write ``provenance.json`` with versions, seed and input fingerprints."""
        content = {
            "versions": versions(),
            "seed": seed,
            "inputs": dict(inputs),
            "stages": {name: asdict(record) for name, record in self.stages.items()},
            "left": {name: asdict(mark) for name, mark in self.left.items()},
        }
        write_text(output / PROVENANCE, json.dumps(content, indent=1) + "\n")


def _marks(content: Mapping[str, Any]) -> dict[str, FileMark]:
    """Marks of files; of a record that an older version wrote, the size alone.

    Raises
    ------
    ValueError
        If a path leads out of the results directory: such a record is none of ours.
    """
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in content):
        raise ValueError("a path leads out of the results directory")
    return {
        str(name): FileMark(mark, 0, "") if isinstance(mark, int) else FileMark(**mark)
        for name, mark in content.items()
    }


def marks_below(folder: Path) -> dict[str, FileMark]:
    """Mark of every file in a folder and in its folders, by path there.

    Raises
    ------
    OutputError
        If one cannot be read, or vanishes meanwhile.
    """
    try:
        return {
            path.relative_to(folder).as_posix(): FileMark.of(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
    except OSError as error:
        raise OutputError(f"{folder}: cannot be read ({error.strerror or error})") from None


def file_hash(path: Path) -> str:
    """SHA-256 of the content of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on; none is imported."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@cache
def source_hashes(package: Path) -> Mapping[str, str]:
    """Short hash of every source in a folder by its path there; read once a process."""
    return {
        path.relative_to(package).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in sorted(package.rglob("*"))
        if path.suffix in SOURCES
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
