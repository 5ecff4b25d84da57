"""What can go wrong, in the user's words.

Every exception carries exactly one string, ``place: problem (got value; allowed ...)``: an
exception with a second constructor argument does not survive a process pool.
"""

from importlib.util import find_spec


class GatoError(Exception):
    """Anything the user can put right; the command line prints it as one line."""


class ConfigError(GatoError):
    """The analysis file or ``analysis.py`` says something that cannot be."""


class InputError(GatoError):
    """A file, tree, branch or value that is read is not what it has to be."""


class OptimisationError(GatoError):
    """The categories that were asked for cannot be found from these events."""


class ExecutionError(GatoError):
    """A chunk, a worker or a scheduler failed."""


class OutputError(GatoError):
    """A result cannot be written."""


class NotInstalledError(GatoError, ImportError):
    """What is asked for needs a package that only an extra of this one installs."""


EXTRAS = {
    "tensorflow": ("TensorFlow", "gato"),
    "tensorflow_probability": ("TensorFlow Probability", "gato"),
    "pandas": ("pandas", "gato"),
    "distributed": ("dask.distributed", "dask"),
    "pyhf": ("pyhf", "exports"),
}
"""Modules that are imported only where they are used: their names, and the extras they are in."""


def installed(module: str) -> bool:
    """Whether a module of `EXTRAS` can be imported; it is not loaded for this."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # something keeps it from being imported
        return False


def install_hint(module: str) -> str:
    """What to do where a module of `EXTRAS` is missing."""
    name, extra = EXTRAS[module]
    return f'needs {name}; install it with pip install "gato-coffea[{extra}]"'


def require(module: str, *, place: str, otherwise: str = "") -> None:
    """Check that a module of `EXTRAS` is installed.

    Parameters
    ----------
    module
        Its name.
    place
        What the user asked for, such as ``method: gato``.
    otherwise
        What does without it.

    Raises
    ------
    NotInstalledError
        If it is not.
    """
    if not installed(module):
        alternative = f" ({otherwise})" if otherwise else ""
        raise NotInstalledError(f"{place} {install_hint(module)}{alternative}")
