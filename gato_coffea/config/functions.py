"""Functions of ``analysis.py``, which the analysis file refers to as ``py:NAME``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gato_coffea.errors import ConfigError

if TYPE_CHECKING:
    from gato_coffea.config.analysis import Analysis

FUNCTION_PREFIX = "py:"


def function_name(source: str) -> str | None:
    """Name of the function that a source refers to, or None for a branch.

    >>> function_name("py:dimuon_mass"), function_name("score")
    ('dimuon_mass', None)
    """
    return source.removeprefix(FUNCTION_PREFIX) if source.startswith(FUNCTION_PREFIX) else None


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Modules of a folder can be imported in the block, and are forgotten when it ends.

    Another analysis may then have a module of the same name, and functions travel to workers
    together with the modules that they use, as those cannot be imported there.
    """
    place, before = str(folder.resolve()), set(sys.modules)
    sys.path.insert(0, place)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(place)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and Path(file).is_relative_to(place):
                del sys.modules[name]


def load_functions(analysis: Analysis) -> dict[str, Callable[..., Any]]:
    """Functions of ``analysis.py`` that the analysis file refers to, by name.

    It may import modules beside it, at its top.

    Raises
    ------
    ConfigError
        If the module is missing, does not import, or has no such function.
    """
    wanted = {
        name: key
        for key, source in analysis.sources().items()
        if (name := function_name(source)) is not None
    }
    if not wanted:
        return {}
    path = analysis.module_path
    if not path.is_file():
        key = next(iter(wanted.values()))
        raise ConfigError(f"{path}: file is missing, and {key} refers to a function of it")
    spec = importlib.util.spec_from_file_location(f"gato_coffea_analysis_{analysis.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        with _importable(path.parent):
            spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's module raises is told as one line
        raise ConfigError(f"{path}: does not import ({type(error).__name__}: {error})") from error
    found = {}
    for name, key in wanted.items():
        function = getattr(module, name, None)
        if not callable(function):
            raise ConfigError(f"{path}: has no function {name!r}, which {key} refers to")
        found[name] = function
    return found
