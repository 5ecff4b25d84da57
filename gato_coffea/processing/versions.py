"""Whether a worker has the same package as the process that sends it work."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from gato_coffea.errors import ExecutionError

Installed = tuple[str, str]
"""Version of the package, and a short hash of its sources."""


def look() -> Callable[[], Installed]:
    """A function that says what is installed where it runs.

    It travels to a worker by its value, and asks nothing of the package there, which may be of
    any version or missing. The sources that count are those of the first call: modules that are
    loaded stay as they were.
    """

    def installed() -> Installed:
        import hashlib
        import importlib
        import pathlib

        try:
            package = importlib.import_module("gato_coffea")
        except ImportError:
            return "no version", "none"
        known = vars(package).get("_sources_at_first_look")
        if known is None:
            folder = pathlib.Path(package.__path__[0])
            total = hashlib.sha256()
            for path in sorted(folder.rglob("*.py")):
                total.update(path.relative_to(folder).as_posix().encode())
                total.update(path.read_bytes())
            known = total.hexdigest()[:12]
            vars(package)["_sources_at_first_look"] = known
        return str(getattr(package, "__version__", "of no version")), str(known)

    return installed


@cache
def here() -> Installed:
    """What is installed in this process."""
    return look()()


def require_same(found: Installed, *, wanted: Installed, worker: str) -> None:
    """Refuse a worker whose package differs: its figures would be those of another version.

    Raises
    ------
    ExecutionError
        If it differs; it names the worker and both versions.
    """
    if found != wanted:
        there, ours = (f"{version} (sources {sources})" for version, sources in (found, wanted))
        raise ExecutionError(
            f"worker {worker}: has gato_coffea {there}, and this process has {ours}; install the "
            "same on all workers and restart them"
        )
