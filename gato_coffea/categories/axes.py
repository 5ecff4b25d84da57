"""Axes of the fine histograms and of the templates, and values that fill them.

All declared ranges are closed: a value equal to the upper end of an axis belongs to its last bin,
where plain histograms would count it as overflow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import hist
import numpy as np

from gato_coffea.config import Analysis, Discriminant, Mass
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature, FloatArray

MASS = "mass"
NOMINAL = "nominal"
ERA = "era"
PROCESS_AXES = ("process", "dataset", "sample")
VARIATION_AXES = ("variation", "systematic", "syst")
DATA_NAME = re.compile(r"(pseudo_?)?data(_obs)?|observed|asimov", re.IGNORECASE)
"""What collision data and what stands for them are called in histogram files."""
Axis = hist.axis.Variable | hist.axis.Regular


def named_data(process: str) -> bool:
    """Whether a name, or what follows its last ``/``, is one of collision data.

    >>> named_data("sr/data_obs"), named_data("datadriven_qcd")
    (True, False)
    """
    return DATA_NAME.fullmatch(process.rpartition("/")[2]) is not None


def discriminant_axis(discriminant: Discriminant) -> hist.axis.Variable:
    """Fine bins of a discriminant, equally wide in its stretched coordinate.

    Bins are found by comparison with the edges also where they are equally wide, so that a
    category edge on this grid and the bin edge agree on every event.
    """
    return hist.axis.Variable(
        Feature.of(discriminant).edges(discriminant.bins),
        name=discriminant.name,
        label=discriminant.label or discriminant.name,
    )


def mass_axis(mass: Mass) -> hist.axis.Regular:
    """Bins of the mass in GeV."""
    return hist.axis.Regular(mass.bins, *mass.range_gev, name=MASS, label=f"{mass.label} [GeV]")


def era_axes(eras: Sequence[str]) -> tuple[hist.axis.StrCategory, ...]:
    """The axis of eras, which stands before all others; none where there are no eras."""
    return (hist.axis.StrCategory(list(eras), name=ERA, label="Era"),) if eras else ()


def of_eras(histogram: hist.Hist[Any], era: str | None = None) -> hist.Hist[Any]:
    """A histogram of one era, or of all of them together, without an axis of eras.

    Raises
    ------
    InputError
        If there is no such era.
    """
    known = list(histogram.axes[ERA]) if ERA in histogram.axes.name else []
    if era is not None and era not in known:
        raise InputError(
            f"histogram: there is no era {era!r} (allowed: {', '.join(known) or 'none'})"
        )
    if not known:
        return histogram
    where: Any = {ERA: sum if era is None else era}
    chosen: Any = histogram[where]
    result: hist.Hist[Any] = chosen
    return result


def template_axis(analysis: Analysis) -> Axis:
    """What templates are binned in: the mass if there is one, else the first discriminant."""
    if analysis.mass is not None:
        return mass_axis(analysis.mass)
    return discriminant_axis(analysis.discriminants[0])


def variation_labels(analysis: Analysis) -> list[str]:
    """Names on the variation axis: nominal, then the variations in alphabetical order."""
    return [NOMINAL, *analysis.variation_labels]


def fill_values(values: FloatArray, axis: Axis) -> FloatArray:
    """Values to fill an axis with: the upper end of the range moves into the last bin.

    >>> fill_values(np.array([0.5, 1.0, 1.5]), hist.axis.Regular(4, 0, 1))
    array([0.5  , 0.875, 1.5  ])
    """
    return np.where(values == axis.edges[-1], axis.centers[-1], values)


def by_process(name: str, histogram: Any) -> Iterator[tuple[str, Any]]:
    """Nominal histograms, one for each label of a process axis; the whole one without such.

    A category axis is one of processes if it is called process, dataset or sample, and one of
    variations if it is called variation, systematic or syst; where no variation is called nominal
    the first one counts as that. Names are those of the labels, below ``name`` if it is not empty.

    Raises
    ------
    InputError
        If the first variation, of several, ends in up or down and none is called nominal.
    """
    if ERA in [getattr(axis, "name", "") for axis in histogram.axes]:
        histogram = of_eras(histogram)
    for axis in histogram.axes:
        if getattr(axis, "name", "") in VARIATION_AXES:
            labels = [str(label) for label in axis]
            label = NOMINAL if NOMINAL in labels else labels[0]
            if label.lower().endswith(("up", "down")):
                raise InputError(
                    f"histogram {name or '(one alone)'}: axis {axis.name!r} has no nominal entry "
                    f"(got {', '.join(labels)})"
                )
            yield from by_process(name, histogram[{axis.name: label}])
            return
    for axis in histogram.axes:
        if getattr(axis, "name", "") in PROCESS_AXES:
            for label in axis:
                joined = f"{name}/{label}" if name else str(label)
                yield joined, histogram[{axis.name: label}]
            return
    yield name or "histogram", histogram
