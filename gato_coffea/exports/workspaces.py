"""A statistical model as a pyhf workspace."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gato_coffea.errors import InputError
from gato_coffea.exports.bins import Process
from gato_coffea.exports.models import Channel
from gato_coffea.exports.normalisations import SIDEBAND_PROCESS
from gato_coffea.files import write_text

OF_DATA = "observation_is_data"
OF_NO_DATA = "observation_is_sum_of_backgrounds"


DEFAULT_RANGE = 5.0
"""Standard deviations that pyhf lets a nuisance parameter move; combine's range is 7."""

LARGEST_STRENGTH = 10.0
"""Largest strength of a signal: the default of pyhf."""

POSITIVE = 0.9
"""Part of the background that a negative strength may take away: a tenth is left for nuisance
parameters that lower it."""

DEFAULT_FACTOR = 10.0
"""Largest factor of finite simulation on a bin that pyhf allows."""


def pyhf_workspace(model: Sequence[Channel], *, largest_pull: float = 0.0) -> dict[str, Any]:
    """A pyhf workspace (HistFactory JSON, version 1.0.0).

    Each signal has a strength (`signal_strengths`), of which the first is the parameter of
    interest. Variations are ``histosys`` of one name over all channels; finite simulation of the
    backgrounds is a ``staterror`` of each channel, a log-normal uncertainty a ``normsys``, as the
    error of a sideband prediction and the systematic error of a category's backgrounds of their
    own; a free normalisation is a ``normfactor``. A signal's own error is
    left out: pyhf would add it to the total's at every strength, and dilute that of the
    background where there is no signal. The name of the measurement says whether the observation
    is data. The errors of a fitted function move its yield by a log-normal factor, as in combine,
    and its shape beside it.

    Parameters
    ----------
    model
        From `channels`.
    largest_pull
        Standard deviations that a nuisance parameter may be pulled where there is no signal: the
        significance of the model is enough. Where it is beyond the default range of pyhf, a wider
        one stands in the file; at the end of its range a parameter would make a significance
        that depends on the tool.

    Raises
    ------
    InputError
        If a variation has the name of a parameter that the model makes itself.
    """
    refuse_taken_names(model)
    strength = signal_strengths(model)
    poi = next(iter(strength.values()))
    measurement = OF_DATA if all(channel.is_data for channel in model) else OF_NO_DATA
    return {
        "version": "1.0.0",
        "channels": [
            {
                "name": channel.name,
                "samples": [_pyhf_sample(p, channel.name, strength) for p in channel.processes],
            }
            for channel in model
        ],
        "observations": [{"name": c.name, "data": c.observed.tolist()} for c in model],
        "measurements": [
            {
                "name": measurement,
                "config": {
                    "poi": poi,
                    "parameters": [*_strength_ranges(model), *_ranges(model, largest_pull)],
                },
            }
        ],
    }


def _strength_ranges(model: Sequence[Channel]) -> list[dict[str, Any]]:
    """Ranges of the strengths, which may be negative as long as all bins expect events.

    Where they end at zero, a fit to an observation without signal ends there: it has no error,
    and no ranking of nuisance parameters can be made of it. pyhf's limits with ``qtilde`` want
    zero all the same, and say so.
    """
    lowest = -LARGEST_STRENGTH
    for channel in model:
        signal = np.sum([p.values for p in channel.processes if p.signal], axis=0)
        ratio = channel.background / np.where(signal > 0, signal, np.nan)
        lowest = max(lowest, -POSITIVE * float(np.nanmin([*ratio, np.inf])))
    names = signal_strengths(model).values()
    return [{"name": n, "inits": [1.0], "bounds": [[lowest, LARGEST_STRENGTH]]} for n in names]


def _ranges(model: Sequence[Channel], largest_pull: float) -> list[dict[str, Any]]:
    """Ranges of parameters for which the default ones are too narrow."""
    found: list[dict[str, Any]] = []
    if largest_pull > DEFAULT_RANGE:
        limit = float(np.ceil(largest_pull)) + 1.0
        found += [{"name": n, "bounds": [[-limit, limit]]} for n in nuisances(model)]
    for channel in model:
        simulated = any(p.errors.any() for p in channel.processes if not p.signal)
        signal = np.sum([p.values for p in channel.processes if p.signal], axis=0)
        factor = 1.0 + signal / np.where(channel.background > 0, channel.background, np.inf)
        if simulated and factor.max() > DEFAULT_FACTOR / 2:
            limits = np.maximum(DEFAULT_FACTOR, 2.0 * factor).tolist()
            bounds = [[1e-10, limit] for limit in limits]
            found.append({"name": staterror_name(channel.name), "bounds": bounds})
    return found


def nuisances(model: Sequence[Channel]) -> list[str]:
    """Names of the parameters with a Gaussian prior, those of finite simulation aside."""
    each = [name for c in model for p in c.processes for name in (*p.shapes, *p.norms)]
    return list(dict.fromkeys(each))


def refuse_taken_names(model: Sequence[Channel]) -> None:
    """Refuse a variation with the name of a nuisance parameter that the model makes itself.

    pyhf and combine would take the two for one, or not read the file.
    """
    processes = [p for channel in model for p in channel.processes]
    own = {staterror_name(channel.name) for channel in model}
    own |= {name for p in processes for name in (*p.norms, *p.free)}
    own |= {source for p in processes if p.name == SIDEBAND_PROCESS for source in p.shapes}
    for process in processes:
        taken = [s for s in process.shapes if s in own and process.name != SIDEBAND_PROCESS]
        if taken:
            raise InputError(
                f"exports: variation {taken[0]!r} has the name of a nuisance parameter that the "
                "model makes itself; call it otherwise"
            )


def staterror_name(channel: str) -> str:
    """Name of the parameters of finite simulation in a channel."""
    return f"staterror_{channel}"


def signal_strengths(model: Sequence[Channel]) -> dict[str, str]:
    """Name of the strength of each signal.

    ``mu`` for one signal, else ``mu_<process>``; a variation that has such a name already, as one
    of the muon efficiency may, makes it ``strength``.
    """
    signals = list(dict.fromkeys(p.name for c in model for p in c.processes if p.signal))
    taken = {source for c in model for p in c.processes for source in p.shapes}

    def named(word: str) -> dict[str, str]:
        return {name: word if len(signals) == 1 else f"{word}_{name}" for name in signals}

    found = named("mu")
    return named("strength") if taken & set(found.values()) else found


def _pyhf_sample(process: Process, channel: str, strength: Mapping[str, str]) -> dict[str, Any]:
    modifiers: list[dict[str, Any]] = []
    if process.signal:
        modifiers.append({"name": strength[process.name], "type": "normfactor", "data": None})
    if process.errors.any() and not process.signal:
        name = staterror_name(channel)
        data = process.errors.tolist()
        modifiers.append({"name": name, "type": "staterror", "data": data})
    for source, (up, down) in process.shapes.items():
        if process.name == SIDEBAND_PROCESS:
            factors = (float(varied.sum()) / process.rate for varied in (up, down))
            data_factors = dict(zip(("hi", "lo"), factors, strict=True))
            modifiers.append({"name": source, "type": "normsys", "data": data_factors})
            up, down = (varied * (process.rate / varied.sum()) for varied in (up, down))
        data_up_down = {"hi_data": up.tolist(), "lo_data": down.tolist()}
        modifiers.append({"name": source, "type": "histosys", "data": data_up_down})
    for name, (above, below) in process.norms.items():
        data_factors = {"hi": above, "lo": below}
        modifiers.append({"name": name, "type": "normsys", "data": data_factors})
    modifiers += [{"name": name, "type": "normfactor", "data": None} for name in process.free]
    return {"name": process.name, "data": process.values.tolist(), "modifiers": modifiers}


def write_pyhf(model: Sequence[Channel], path: str | Path, *, largest_pull: float = 0.0) -> None:
    """Write the workspace of `pyhf_workspace`, whole or not at all.

    The parameters are those of `pyhf_workspace`.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    content = pyhf_workspace(model, largest_pull=largest_pull)
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
