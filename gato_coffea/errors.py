"""What can go wrong, in the user's words.

Every exception carries exactly one string, ``place: problem (got value; allowed ...)``: an
exception with a second constructor argument does not survive a process pool.
"""


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
