"""A statistical model as a pyhf workspace."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gato_coffea.exports.bins import Process
from gato_coffea.exports.models import Channel
from gato_coffea.files import write_text


def pyhf_workspace(model: Sequence[Channel]) -> dict[str, Any]:
    """A pyhf workspace (HistFactory JSON, version 1.0.0).

    Each signal has a strength: ``mu`` if there is one, else ``mu_<process>`` with the first as
    parameter of interest. Variations are ``histosys`` of one name over all channels; finite
    simulation of the backgrounds is a ``staterror`` of each channel, the error of a sideband
    prediction a ``normsys`` of its own. A signal's own error is left out: pyhf would add it to
    the total's at every strength, and dilute that of the background where there is no signal.

    Parameters
    ----------
    model
        From `channels`.
    """
    signals = list(dict.fromkeys(p.name for c in model for p in c.processes if p.signal))
    strength = {name: "mu" if len(signals) == 1 else f"mu_{name}" for name in signals}
    poi = strength[signals[0]]
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
        "measurements": [{"name": "measurement", "config": {"poi": poi, "parameters": []}}],
    }


def _pyhf_sample(process: Process, channel: str, strength: Mapping[str, str]) -> dict[str, Any]:
    modifiers: list[dict[str, Any]] = []
    if process.signal:
        modifiers.append({"name": strength[process.name], "type": "normfactor", "data": None})
    if process.errors.any() and not process.signal:
        name = f"staterror_{channel}"
        data = process.errors.tolist()
        modifiers.append({"name": name, "type": "staterror", "data": data})
    for source, (up, down) in process.shapes.items():
        data_up_down = {"hi_data": up.tolist(), "lo_data": down.tolist()}
        modifiers.append({"name": source, "type": "histosys", "data": data_up_down})
    if process.relative_error is not None:
        high, low = 1 + process.relative_error, 1 / (1 + process.relative_error)
        name = f"{process.name}_{channel}"
        modifiers.append({"name": name, "type": "normsys", "data": {"hi": high, "lo": low}})
    return {"name": process.name, "data": process.values.tolist(), "modifiers": modifiers}


def write_pyhf(model: Sequence[Channel], path: str | Path) -> None:
    """Write the workspace of `pyhf_workspace`, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    write_text(path, json.dumps(pyhf_workspace(model), indent=1, allow_nan=False) + "\n")
