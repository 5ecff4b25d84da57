"""Systematic variations of a stack: what its band and its ratio panel show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import hist
import numpy as np

from gato_coffea.categories.axes import NOMINAL
from gato_coffea.events.arrays import FloatArray
from gato_coffea.events.variations import DOWN, UP, uncertainties
from gato_coffea.plots.contents import Stack, process_contents, rebinned
from gato_coffea.statistics.uncertainties import Norm, Normalisation


def with_variations(
    stack: Stack,
    histogram: hist.Hist[Any],
    *,
    axis: str,
    normalisations: Sequence[Normalisation] = (),
    outside: tuple[float, float] | None = None,
) -> Stack:
    """A stack with its total background as each uncertainty has it.

    A process is as nominal in a variation that is not filled for it. Free normalisations have no
    size, and those of some channels are left out.

    Parameters
    ----------
    stack
        From `stack_of` of the same histogram and axis.
    histogram
        With an axis of variations, whose names end in Up and Down.
    axis, outside
        As in `stack_of`.
    normalisations
        Uncertainties that act on yields alone.
    """
    fine = np.asarray(histogram.axes[axis].edges, dtype=np.float64)
    labels = [name for name in histogram.axes["variation"] if name != NOMINAL]

    def total(variation: str) -> FloatArray:
        result = np.zeros(len(stack.edges) - 1)
        for process, nominal in stack.backgrounds.items():
            contents = nominal
            if variation in labels:
                found = process_contents(
                    histogram, process, axis=axis, variation=variation, outside=outside
                )
                filled = bool(found.variances.any())
                contents = rebinned(found, fine, stack.edges) if filled else nominal
            result = result + contents.values
        return result

    paired = [name for name in uncertainties(labels) if {name + UP, name + DOWN} & set(labels)]
    varied = {name: (total(name + UP), total(name + DOWN)) for name in paired}
    for one in normalisations:
        if not isinstance(one, Norm) or one.channels is not None:
            continue
        own = [
            contents.values
            for process, contents in stack.backgrounds.items()
            if one.processes is None or process in one.processes
        ]
        if own:
            up, down = (stack.total.values + (f - 1.0) * sum(own) for f in one.factors)
            varied[one.name] = (np.asarray(up), np.asarray(down))
    return replace(stack, varied=varied)
