"""Functions of ``analysis.py`` that the analysis file names, with the modules that they use."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
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
def importable(folder: Path) -> Iterator[None]:
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
            if _lies_in(sys.modules[name], place):
                del sys.modules[name]


def _lies_in(module: ModuleType, place: str) -> bool:
    """Whether a module is one of a folder, and of no Python that is installed in there."""
    file = getattr(module, "__file__", None)
    if file is None or not Path(file).is_relative_to(place):
        return False
    return not Path(file).is_relative_to(sys.prefix) and "site-packages" not in Path(file).parts


def load_functions(analysis: Analysis) -> dict[str, Callable[..., Any]]:
    """Functions of ``analysis.py`` that the analysis file refers to, by name.

    It may import modules beside it, at its top or inside a function.

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
        with importable(path.parent):
            spec.loader.exec_module(module)
            later = _imported_later(path, wanted)
    except Exception as error:  # whatever the user's module raises is told as one line
        raise ConfigError(f"{path}: does not import ({type(error).__name__}: {error})") from error
    found = {}
    for name, key in wanted.items():
        function = getattr(module, name, None)
        if not callable(function):
            raise ConfigError(f"{path}: has no function {name!r}, which {key} refers to")
        found[name] = _WithModules(function, later) if later else function
    return found


_ONE_AT_A_TIME = threading.RLock()
"""Held while modules of an analysis can be imported, which another may call by the same names."""


class _WithModules:
    """A function that imports modules of its own folder when it is called, wherever that is."""

    def __init__(self, function: Callable[..., Any], modules: Mapping[str, ModuleType]) -> None:
        functools.update_wrapper(self, function)
        self._function, self._modules = function, dict(modules)

    def __call__(self, events: object) -> Any:
        """What the function gives."""
        with _ONE_AT_A_TIME:
            hidden = {name: sys.modules.get(name) for name in self._modules}
            sys.modules.update(self._modules)
            try:
                return self._function(events)
            finally:
                for name, module in hidden.items():
                    if module is None:
                        del sys.modules[name]
                    else:
                        sys.modules[name] = module


def _imported_later(path: Path, functions: Sequence[str] | Mapping[str, str]) -> dict[str, Any]:
    """Modules of the folder, if functions import some when they are called; else none.

    Looked at are the functions themselves, what else of the file they name, and all of the
    modules that are found.
    """
    tree = ast.parse(path.read_bytes())
    named = {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    waiting, used = list(functions), set[str]()
    while waiting:
        name = waiting.pop()
        if name in named and name not in used:
            used.add(name)
            waiting += [n.id for n in ast.walk(named[name]) if isinstance(n, ast.Name)]
    later = [_import_from(path.parent, named[name]) for name in used]
    place, seen = str(path.parent.resolve()), set[str]()
    while True:
        local = {name: m for name, m in sys.modules.items() if _lies_in(m, place)}
        if local.keys() == seen:
            return local if any(later) else {}
        for name in local.keys() - seen:
            seen.add(name)
            file = Path(str(local[name].__file__))
            if file.suffix == ".py":
                inner = ast.parse(file.read_bytes())
                package = local[name].__package__ or ""
                later += [
                    _import_from(path.parent, node, package)
                    for node in ast.walk(inner)
                    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                ]


def _import_from(folder: Path, part: ast.AST, package: str = "") -> bool:
    """Import what a piece of code, of a package, imports from a folder; whether it is anything."""
    found = False
    for node in ast.walk(part):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            of = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names = [of, *(f"{of}.{alias.name}" for alias in node.names)]
        for name in names:
            at = folder.joinpath(*name.split("."))
            if at.with_name(f"{at.name}.py").is_file() or (at / "__init__.py").is_file():
                importlib.import_module(name)
                found = True
    return found
