"""Uncertainties of normalisations as the section ``systematics`` of an analysis file has them."""

from __future__ import annotations

from gato_coffea.config import Analysis
from gato_coffea.config.systematics import FreeUncertainty, NormUncertainty
from gato_coffea.statistics.uncertainties import Free, Norm, Normalisation


def declared_normalisations(analysis: Analysis) -> tuple[Normalisation, ...]:
    """Those that act on yields alone, for `gato_coffea.optimise` and the exported models.

    Uncertainties of kind weight and shape are variations of the events, which samples, cells and
    templates carry; so is a normalisation of some eras only, as the categories are shared by all.

    >>> from gato_coffea.config import parse_analysis
    >>> from pathlib import Path
    >>> content = {
    ...     "name": "a",
    ...     "datasets": {n: {"files": n, "process": n, "already_normalised": True} for n in "sb"},
    ...     "discriminants": [{"name": "score", "range": [0, 1]}],
    ...     "systematics": {"lumi": {"kind": "norm", "value": 1.016}},
    ...     "optimise": {"signals": ["s"]},
    ... }
    >>> declared_normalisations(parse_analysis(content, directory=Path()))[0].factors[0]
    1.016
    """
    result: list[Normalisation] = []
    for name, found in analysis.systematics.items():
        if isinstance(found, NormUncertainty) and found.eras is None:
            result.append(
                Norm(
                    name,
                    found.value,
                    up=found.up,
                    down=found.down,
                    processes=found.processes,
                    channels=found.channels,
                )
            )
        elif isinstance(found, FreeUncertainty):
            assert found.processes is not None
            result.append(Free(name, found.processes, channels=found.channels))
    return tuple(result)
