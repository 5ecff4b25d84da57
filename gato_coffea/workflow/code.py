"""What a Python file of the user depends on, as far as it can be read off its source.

That is what it imports from its own folder, and the environment variables that it names.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from gato_coffea.datasets import DATA_VARIABLE, data_folder
from gato_coffea.errors import InputError


def code_fingerprint(script: Path) -> dict[str, str | None]:
    """Hashes of a Python file and of those of its folder that it imports, and what they read.

    Files are called by their path below the folder, environment variables by ``$NAME``; the value
    of one that is not set is None. A file that does not exist gives nothing.

    Parameters
    ----------
    script
        Such as ``analysis.py``.
    """
    found: dict[str, str | None] = {}
    waiting = [script]
    while waiting:
        path = waiting.pop()
        name = path.relative_to(script.parent).as_posix()
        if name in found or not path.is_file():
            continue
        source = path.read_bytes()
        found[name] = hashlib.sha256(source).hexdigest()
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):
            continue  # told where it is imported
        for variable in _variables(tree):
            found[f"${variable}"] = variable_value(variable)
        for module in _imports(tree, path.parent.relative_to(script.parent).parts):
            waiting += _files(module, script.parent)
    return dict(sorted(found.items()))


def variable_value(name: str) -> str | None:
    """Value of an environment variable; None where it has none.

    That of the folder of real data is the folder that is found.
    """
    if name == DATA_VARIABLE:
        try:
            return str(data_folder())
        except InputError:
            return os.environ.get(name)
    return os.environ.get(name)


def _imports(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Modules that are imported anywhere in a file, as parts of their dotted names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            yield module
            for alias in node.names:
                yield (*module, alias.name)


def _files(module: tuple[str, ...], folder: Path) -> Iterator[Path]:
    """Files of a folder that the import of a module runs: its packages, and the module."""
    for n in range(1, len(module) + 1):
        path = folder.joinpath(*module[:n])
        yield path.with_name(f"{path.name}.py")
        yield path / "__init__.py"


def _variables(tree: ast.AST) -> Iterator[str]:
    """Names of environment variables in ``os.environ[...]``, ``.get(...)`` and ``getenv(...)``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and _ends(node.value, "environ"):
            yield from _text(node.slice)
        elif isinstance(node, ast.Call) and node.args:
            function = node.func
            of_environ = isinstance(function, ast.Attribute) and _ends(function.value, "environ")
            if of_environ or _ends(function, "getenv"):
                yield from _text(node.args[0])
        if _ends(node, "data_folder"):
            yield DATA_VARIABLE


def _ends(node: ast.AST, name: str) -> bool:
    """Whether an expression is a name, or an attribute of that name."""
    return (isinstance(node, ast.Name) and node.id == name) or (
        isinstance(node, ast.Attribute) and node.attr == name
    )


def _text(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
