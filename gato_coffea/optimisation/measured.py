"""Uncertainties where the sidebands of a mass measure the continuum background.

What is extrapolated from the sidebands is as large as it is there, whatever simulation says: in
the model of the signal window uncertainties act on signals and on resonant backgrounds alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from gato_coffea.events.samples import Cells, Sample
from gato_coffea.statistics.uncertainties import Normalisation

Held = TypeVar("Held", Sample, Cells)


def without_variations(samples: Mapping[str, Held], processes: Collection[str]) -> dict[str, Held]:
    """The samples, those of some processes as if nothing varied them."""
    return {
        name: replace(sample, variations={}) if name in processes else sample
        for name, sample in samples.items()
    }


def acting_on(
    systematics: Sequence[Normalisation], processes: Sequence[str]
) -> tuple[Normalisation, ...]:
    """The normalisations that act on some of the processes, limited to these."""
    limited = (
        replace(
            each,
            processes=tuple(p for p in processes if each.processes is None or p in each.processes),
        )
        for each in systematics
        if each.processes is None or set(each.processes) & set(processes)
    )
    return tuple(limited)


def measured_note(
    samples: Mapping[str, Sample] | Mapping[str, Cells],
    systematics: Sequence[Normalisation],
    continuum: Collection[str],
) -> list[str]:
    """In a sentence, which uncertainties would act on the continuum; nothing where none would."""
    varied = dict.fromkeys(name for p in continuum for name in samples[p].variations)
    named = [n.name for n in systematics if n.processes is None or set(n.processes) & {*continuum}]
    if not (varied or named):
        return []
    return [
        f"the sidebands measure {', '.join(continuum)}: {', '.join([*varied, *named])} act on "
        "signals and resonant backgrounds only, as in the exported model"
    ]
