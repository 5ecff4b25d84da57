"""Uncertainties of normalisations on the processes of an exported model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gato_coffea.errors import InputError
from gato_coffea.exports.bins import Process
from gato_coffea.statistics.uncertainties import Free, Normalisation

SIDEBAND_PROCESS = "sideband"
"""Name of the fitted background, which is measured: it moves with its own errors alone."""


def with_normalisations(
    processes: Sequence[Process], systematics: Sequence[Normalisation], *, channel: str
) -> list[Process]:
    """The processes of one category with the uncertainties that act on them.

    Parameters
    ----------
    processes
        Of the category.
    systematics
        Uncertainties of the analysis.
    channel
        Channel of the analysis that the category is of.
    """
    result = []
    for process in processes:
        acting = [u for u in systematics if _acts(u, process.name, channel)]
        free = tuple(u.name for u in acting if isinstance(u, Free))
        norms = {u.name: u.factors for u in acting if not isinstance(u, Free)}
        new = replace(process, norms={**process.norms, **norms}, free=(*process.free, *free))
        result.append(process if process.name == SIDEBAND_PROCESS else new)
    return result


def _acts(uncertainty: Normalisation, process: str, channel: str) -> bool:
    limits = ((uncertainty.processes, process), (uncertainty.channels, channel))
    return all(known is None or name in known for known, name in limits)


def check_names(
    systematics: Sequence[Normalisation], *, processes: Sequence[str], channels: Sequence[str]
) -> None:
    """Refuse uncertainties of what is not there, and two of one name.

    Raises
    ------
    InputError
        With the first of them.
    """
    names = [u.name for u in systematics]
    for uncertainty in systematics:
        if names.count(uncertainty.name) > 1:
            raise InputError(f"systematics.{uncertainty.name}: is given twice; names must differ")
        for key, known in (("processes", processes), ("channels", channels)):
            for name in getattr(uncertainty, key) or ():
                if name not in known:
                    raise InputError(
                        f"systematics.{uncertainty.name}.{key}: is not there (got {name!r}; "
                        f"allowed: {', '.join(known)})"
                    )
