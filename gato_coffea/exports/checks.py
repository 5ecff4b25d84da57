"""What does not agree in a statistical model, found before it is handed on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gato_coffea.exports.models import Channel
from gato_coffea.rendering.rounding import amount, with_error

MAX_PULL = 4.0
"""Standard deviations between expectation and observation: with ten categories, chance exceeds
them in one analysis of 1500."""

MIN_DIFFERENCE = 0.01
"""A relative difference of less is not told, however many events make it significant."""

MAX_VARIATION = 2.0
"""Factor by which a variation may change the yield of a process: more is a wrong weight."""


def disagreements(model: Sequence[Channel], *, names: Sequence[str]) -> list[str]:
    """One line for each category and process in which a model does not agree with itself.

    Where data are in the observation, the total of all processes is compared with them; each
    variation is compared with its nominal yield; categories that are no channel are named.

    Parameters
    ----------
    model
        From `channels`.
    names
        What the channels are called if no category is left out.
    """
    known = {channel.name for channel in model}
    left_out = [
        f"{name} is not in the model: no background is expected there"
        for name in names
        if name not in known
    ]
    found = [line for channel in model for line in (*_totals(channel), *_variations(channel))]
    return left_out + found


def _totals(channel: Channel) -> list[str]:
    if not channel.is_data:
        return []
    expected = sum(p.rate for p in channel.processes)
    observed = float(channel.observed.sum())
    variance = expected + sum(float((p.errors**2).sum()) for p in channel.processes)
    if any(p.free for p in channel.processes):
        return []  # whatever is observed, a free normalisation may describe it
    for nuisance in {name for p in channel.processes for name in p.norms}:
        pairs = ((p.rate, p.norms.get(nuisance, (1.0, 1.0))) for p in channel.processes)
        variance += sum(0.5 * rate * (up - down) for rate, (up, down) in pairs) ** 2
    for process in channel.processes:
        variance += sum((0.5 * float((u - d).sum())) ** 2 for u, d in process.shapes.values())
    error = float(np.sqrt(variance))
    difference = expected - observed
    if abs(difference) <= max(MAX_PULL * error, MIN_DIFFERENCE * observed):
        return []
    return [
        f"{channel.name}: {with_error(expected, error)} events are expected with signal, "
        f"{amount(observed)} are observed ({difference / error:+.1f} standard deviations): is one "
        "process counted twice, or one missing?"
    ]


def _variations(channel: Channel) -> list[str]:
    found = []
    for process in channel.processes:
        for source, pair in process.shapes.items():
            for side, values in zip(("Up", "Down"), pair, strict=True):
                factor = float(values.sum()) / process.rate
                if not 1 / MAX_VARIATION <= factor <= MAX_VARIATION:
                    found.append(
                        f"{channel.name}: {source}{side} changes {process.name} from "
                        f"{amount(process.rate)} to {amount(values.sum())} events (a factor of "
                        f"{amount(factor, digits=3)})"
                    )
    return found
