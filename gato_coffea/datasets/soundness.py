"""What is suspicious about the events of an analysis: pointed out, or refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import hist
import numpy as np

from gato_coffea.categories.axes import MASS, NOMINAL, of_eras
from gato_coffea.config import Analysis, Mass
from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray, Sample

MAX_TOTAL_RATIO = 2.0
"""Factor by which a variation of the weights may change a total: scales and PDFs change it by
tens of percent, and what doubles it is a wrong weight."""

RISE_BINS = 12
"""Bins in which a rise of the mass spectrum is looked for: wide, so that they hold events."""

RISE_SIGMA = 5.0
"""Significance of a rise, whose largest of some bins reaches 3 by chance."""

UNITS_GEV = {"MeV": 1e-3, "GeV": 1.0, "TeV": 1e3}

Histograms = Mapping[str, "hist.Hist[Any]"]


def remarks(histograms: Histograms, analysis: Analysis) -> Iterator[str]:
    """A line for everything that is possible, but more likely a mistake.

    Variations that change the total of a process by a factor of `MAX_TOTAL_RATIO` or more, a mass
    spectrum that rises from its lower end, and one sample as several datasets.
    """
    yield from _parts_of_a_sample(analysis)
    yield from _far_variations(of_eras(histograms[analysis.discriminants[0].name]), analysis)
    if analysis.mass is not None:
        yield from _turn_on(of_eras(histograms[MASS]), analysis.mass, analysis)


def _parts_of_a_sample(analysis: Analysis) -> Iterator[str]:
    """Each dataset is scaled to the whole luminosity: eras or extensions would add up to more."""
    seen: dict[tuple[str, float, str | None], str] = {}
    for name, dataset in analysis.datasets.items():
        if not dataset.cross_section_pb or dataset.derived_from is not None:
            continue
        sample = dataset.process, dataset.cross_section_pb, dataset.era
        first = seen.setdefault(sample, name)
        if first != name:
            yield (
                f"datasets.{name}: process {dataset.process!r} has the same cross section in "
                f"datasets.{first}, and each is scaled to the whole luminosity; files of one "
                "sample belong into one dataset"
            )


def _far_variations(histogram: hist.Hist[Any], analysis: Analysis) -> Iterator[str]:
    view: Any = histogram.view(flow=True)
    totals = view["value"].sum(axis=-1)
    filled = view["variance"].sum(axis=-1) > 0
    labels = {k: v for name in analysis.datasets for k, v in analysis.variations_of(name).items()}
    for i, process in enumerate(histogram.axes[0]):
        for j, variation in enumerate(histogram.axes[1]):
            nominal, total = float(totals[i, 0]), float(totals[i, j])
            within = nominal < MAX_TOTAL_RATIO * total < MAX_TOTAL_RATIO**2 * nominal
            if not filled[i, j] or nominal <= 0 or within:
                continue
            change = analysis.event_variations.get(labels.get(variation, NOMINAL))
            replaced = change is not None and change.weight is not None and change.weight.replace
            hint = f"; a factor is said as {{multiply: {list(replaced)}}}" if replaced else ""
            key = variation if change is None else change.key
            yield (
                f"process {process!r}: {key}: its total of {total:.6g} is "
                f"{total / nominal:.3g} times the nominal {nominal:.6g}{hint}"
            )


def _turn_on(histogram: hist.Hist[Any], mass: Mass, analysis: Analysis) -> Iterator[str]:
    """Data are looked at where there are some, as they are what is fitted, else background."""
    processes = analysis.data_processes or analysis.continuum
    if not processes:
        return
    labels = list(histogram.axes[0])
    view: Any = histogram.view()[[labels.index(p) for p in processes], 0]
    value, variance = view["value"].sum(axis=0), view["variance"].sum(axis=0)
    centres = histogram.axes[2].centers
    fitted = np.any([(centres > low) & (centres < high) for low, high in mass.sidebands], axis=0)
    group = np.minimum(np.arange(len(centres)) * RISE_BINS // len(centres), RISE_BINS - 1)

    def mean(array: FloatArray, power: int) -> FloatArray:
        """Sums over the fitted bins of a group, a bin of it."""
        bins = np.bincount(group[fitted], minlength=RISE_BINS)
        sums = np.bincount(group[fitted], array[fitted], RISE_BINS)[bins > 0]
        return np.asarray(sums / bins[bins > 0] ** power, dtype=np.float64)

    y, error2 = mean(value, 1), mean(variance, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = (y - y[0]) / np.sqrt(error2 + error2[0])
    top = int(np.argmax(y))
    if top == 0 or not rise[top] > RISE_SIGMA:
        return
    at = mean(centres, 1)
    yield (
        f"mass.range_gev: the {'data' if analysis.data_processes else 'background'} rises from "
        f"{at[0]:.4g} to {at[top]:.4g} GeV (by {rise[top]:.1f} standard deviations), where the "
        "fitted functions fall: a turn-on of the selection? A higher lower end would avoid it"
    )


def check_ranges(
    histograms: Histograms, samples: Mapping[str, Sample] | None, analysis: Analysis
) -> None:
    """Refuse a process of which no event lies in the declared range of a discriminant or the mass.

    Parameters
    ----------
    histograms
        Of each discriminant, and of the mass.
    samples
        Events, to say what there is instead, or None.
    analysis
        The analysis.

    Raises
    ------
    InputError
        With the range that there is instead, and for the mass the unit that would do.
    """
    axes = {
        d.name: f"discriminants.{d.name}: range {list(d.range)}" for d in analysis.discriminants
    }
    if analysis.mass is not None:
        axes[MASS] = f"mass.range_gev {list(analysis.mass.range_gev)}"
    for d, (name, key) in enumerate(axes.items()):
        h = of_eras(histograms[name])
        inside, everywhere = (_nominal(h, flow=flow).sum(axis=-1) for flow in (False, True))
        for i, process in enumerate(h.axes[0]):
            if everywhere[i] > 0 and inside[i] == 0:
                got = ""
                if samples is not None and name == MASS:
                    got = _masses(samples[process].mass, analysis)
                elif samples is not None:
                    x = samples[process].x[:, d]
                    got = f" (got {x.min():.4g} to {x.max():.4g})"
                raise InputError(f"process {process!r}: {key}: no event lies there{got}")


def _nominal(histogram: hist.Hist[Any], *, flow: bool) -> FloatArray:
    """Nominal variances by process."""
    view: Any = histogram.view(flow=flow)
    return np.asarray(view["variance"][: len(histogram.axes[0]), 0], dtype=np.float64)


def _masses(masses: FloatArray | None, analysis: Analysis) -> str:
    """The masses there are, and the unit in which they would lie in the range."""
    if masses is None or analysis.mass is None:
        return ""
    unit = analysis.mass.unit
    low, high = analysis.mass.range_gev
    given = {u: masses * (f / UNITS_GEV[unit]) for u, f in UNITS_GEV.items()}
    fitting = [u for u, m in given.items() if ((m >= low) & (m <= high)).any()]
    hint = f"; {fitting[0]} would do" if fitting else ""
    text = f"got {masses.min():.4g} to {masses.max():.4g} GeV with mass.unit {unit}{hint}"
    return f" ({text})"
