"""Category histograms: process, variation, category and mass (or the first discriminant).

The same templates come from event columns, from fine histograms whose bins the category edges
lie on, and from a second pass over the events; one function fills them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

import hist
import numpy as np

from gato_coffea.categories import Categories, EdgeCategories
from gato_coffea.categories.axes import (
    ERA,
    MASS,
    NOMINAL,
    era_axes,
    fill_values,
    of_eras,
    template_axis,
    variation_labels,
)
from gato_coffea.config import Analysis
from gato_coffea.errors import InputError
from gato_coffea.events.arrays import BoolArray, FloatArray, IntArray
from gato_coffea.events.features import bin_index, edge_positions
from gato_coffea.events.samples import Sample

ALL = "all"
"""What the one channel is called where the analysis names none."""


class Contents(NamedTuple):
    """Sums of weights and their variances, one a bin."""

    values: FloatArray
    variances: FloatArray


@dataclass(frozen=True)
class Templates:
    """Category histograms of every channel, read by the names of processes and variations.

    A question about processes, categories or bins is one about the only channel: of several,
    `of` picks one.

    Attributes
    ----------
    histograms
        By channel, in weighted storage. Axes ``era`` (in an analysis with eras), ``process``,
        ``variation`` (nominal first), ``category`` (``0 .. K - 1``, underflow for unassigned
        events) and the mass in GeV or the first discriminant.
    """

    histograms: Mapping[str, hist.Hist[Any]]

    def __repr__(self) -> str:
        first = next(iter(self.histograms.values()))
        shape = ", ".join(f"{axis.size} {axis.name}" for axis in first.axes)
        channels = "" if len(self.histograms) == 1 else f"{', '.join(self.channels)}: "
        return f"Templates({channels}{shape})"

    def _repr_html_(self) -> str:
        from gato_coffea.categories.tables import yield_table

        return "".join(yield_table(self.of(channel)).html() for channel in self.channels)

    @classmethod
    def single(cls, histogram: hist.Hist[Any]) -> Self:
        """The templates of an analysis without channels."""
        return cls({ALL: histogram})

    @classmethod
    def joined(cls, parts: Mapping[str, Templates]) -> Self:
        """The templates of several channels, each of which has one."""
        return cls({name: part.histogram for name, part in parts.items()})

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return tuple(self.histograms)

    def of(self, channel: str) -> Self:
        """The templates of one channel alone.

        Raises
        ------
        InputError
            If there is no such channel.
        """
        if channel not in self.histograms:
            raise InputError(
                f"templates: there is no channel {channel!r} (allowed: {', '.join(self.channels)})"
            )
        return type(self)({channel: self.histograms[channel]})

    @property
    def histogram(self) -> hist.Hist[Any]:
        """The histogram of the only channel.

        Raises
        ------
        InputError
            If there are several channels.
        """
        if len(self.histograms) != 1:
            raise InputError(
                f"templates: are of several channels ({', '.join(self.channels)}); pick one"
            )
        return next(iter(self.histograms.values()))

    @property
    def eras(self) -> tuple[str, ...]:
        """Names of the eras; none in an analysis without."""
        h = self.histogram
        return tuple(h.axes[ERA]) if ERA in h.axes.name else ()

    @property
    def processes(self) -> tuple[str, ...]:
        """Names of the processes, data last."""
        return tuple(self.histogram.axes["process"])

    @property
    def variations(self) -> tuple[str, ...]:
        """Names of the variations, nominal first."""
        return tuple(self.histogram.axes["variation"])

    @property
    def n_categories(self) -> int:
        """Number of categories ``K``."""
        return int(self.histogram.axes["category"].size)

    @property
    def binned_in(self) -> str:
        """Name of what the bins are of: the mass, or the first discriminant."""
        return str(self.histogram.axes[-1].name)

    @property
    def edges(self) -> FloatArray:
        """Edges of the bins, shape ``(bins + 1,)``."""
        return np.asarray(self.histogram.axes[-1].edges, dtype=np.float64)

    def contents(
        self,
        processes: str | Sequence[str],
        category: int,
        *,
        variation: str = NOMINAL,
        era: str | None = None,
    ) -> Contents:
        """Contents of the bins of a category, summed over processes; shape ``(bins,)``.

        They are those of one era, or of all of them.

        Raises
        ------
        InputError
            If a process, the variation or the era is unknown.
        """
        h = of_eras(self.histogram, era)
        names = [processes] if isinstance(processes, str) else list(processes)
        rows = positions(h, "process", names)
        (column,) = positions(h, "variation", [variation])
        view: Any = h.view(flow=False)[:, column, category]
        return Contents(*(view[k][rows].sum(axis=0) for k in ("value", "variance")))

    def variations_of(self, process: str) -> list[str]:
        """Variations that a process has: the nominal one, and those that were filled."""
        h = of_eras(self.histogram)
        view: Any = h.view(flow=True)
        (row,) = positions(h, "process", [process])
        return [
            name
            for i, name in enumerate(self.variations)
            if name == NOMINAL or view["variance"][row, i].any()
        ]


class _HasHistograms(Protocol):
    @property
    def histograms(self) -> Mapping[str, hist.Hist[Any]]: ...


def empty_templates(
    analysis: Analysis,
    n_categories: int,
    *,
    processes: Sequence[str] | None = None,
    variations: Sequence[str] | None = None,
    eras: Sequence[str] = (),
) -> hist.Hist[Any]:
    """Templates without entries.

    Parameters
    ----------
    analysis
        Says the processes, the variations and what the templates are binned in.
    n_categories
        Number of categories ``K``.
    processes, variations
        Labels of the axes; by default all processes of the analysis (simulation, then data) and
        all its variations (nominal first).
    eras
        Labels of an axis of eras; without any there is none.

    Returns
    -------
    hist.Hist
        Weighted storage; axes era where asked, process, variation, category (``0 .. K - 1``,
        underflow for unassigned events) and the mass in GeV or the first discriminant.
    """
    if processes is None:
        processes = (*analysis.processes, *analysis.data_processes)
    return hist.Hist(
        *era_axes(eras),
        hist.axis.StrCategory(list(processes), name="process"),
        hist.axis.StrCategory(list(variations or variation_labels(analysis)), name="variation"),
        hist.axis.Integer(0, n_categories, name="category", label="Category"),
        template_axis(analysis),
        storage=hist.storage.Weight(),
    )


def fill_templates(
    templates: hist.Hist[Any], sample: Sample, *, process: str, categories: Categories
) -> None:
    """Add the events of a sample, nominal and all its variations.

    Parameters
    ----------
    templates
        What `empty_templates` made; changed in place.
    sample
        Events of one process. A variation that it lacks stays empty.
    process
        Label on the process axis.
    categories
        Give the category of each event; unassigned events go to the underflow.

    Raises
    ------
    InputError
        If a label is not on its axis, the templates need a mass that the sample lacks, or have
        eras that the sample does not know.
    """
    axis = templates.axes[-1]
    in_score = axis.name == categories.features[0].name
    variations = [NOMINAL, *sample.variations]
    positions(templates, "process", [process])
    positions(templates, "variation", variations)
    by_era = _by_era(templates, sample, process)
    nominal = categories.assign(sample.x)
    for variation in variations:
        events = sample.varied(variation)
        values = events.x[:, 0] if in_score else events.mass
        if values is None:
            raise InputError(f"templates: {process}: the events have no mass")
        category = nominal if events.x is sample.x else categories.assign(events.x)
        at = fill_values(values, axis)
        for era, here in by_era:
            templates.fill(
                *era, process, variation, category[here], at[here], weight=events.weight[here]
            )


def _by_era(
    templates: hist.Hist[Any], sample: Sample, process: str
) -> list[tuple[tuple[str, ...], BoolArray | slice]]:
    """Label on the axis of eras, if there is one, and the events that it is for."""
    if ERA not in templates.axes.name:
        return [((), slice(None))]
    if sample.era is None:
        raise InputError(f"templates: {process}: the events have no era")
    return [((era,), sample.era == i) for i, era in enumerate(templates.axes[ERA])]


def templates_from_samples(
    samples: Mapping[str, Sample], categories: Categories, analysis: Analysis
) -> Templates:
    """Templates from the events of each process.

    Parameters
    ----------
    samples
        Events by process; a process that is missing has empty templates.
    categories, analysis
        The categories and the analysis that they were made for.

    Raises
    ------
    InputError
        If the categories were made for other discriminants, or a process is unknown.
    """
    check_categories(categories, analysis)
    templates = empty_templates(analysis, categories.n_categories, eras=tuple(analysis.eras))
    for process, sample in samples.items():
        fill_templates(templates, sample, process=process, categories=categories)
    return Templates.single(templates)


def templates_from_histograms(
    processed: _HasHistograms, categories: Categories, analysis: Analysis
) -> Templates:
    """Templates from fine histograms, without going back to the events.

    Parameters
    ----------
    processed
        Carries ``histograms`` by name, each with axes process, variation and fine bins. With a
        mass, the histogram ``<discriminant>_mass`` is read, with two discriminants
        ``<first>_<second>``, else ``<discriminant>``.
    categories
        Rectangular ones whose edges lie on the edges of the fine bins.
    analysis
        The analysis that the histograms and the categories were made for.

    Raises
    ------
    InputError
        If the categories are not rectangular, an edge lies inside a fine bin, or the histogram
        that is needed was not kept.
    """
    check_categories(categories, analysis)
    if not isinstance(categories, EdgeCategories):
        raise InputError(
            f"templates: categories of kind {categories.kind!r} cannot be read off histograms; "
            "use kind edges, keep columns, or make a second pass"
        )
    fine = _fine_histogram(processed.histograms, analysis)
    table = _category_table(categories, [fine.axes[f.name] for f in categories.features])
    templates = empty_templates(analysis, categories.n_categories, eras=tuple(analysis.eras))
    target = [positions(templates, name, fine.axes[name]) for name in ("process", "variation")]
    source: Any = fine.view(flow=True)
    result: Any = templates.view(flow=True)
    for era in range(len(analysis.eras)) if analysis.eras else (...,):
        for name in ("value", "variance"):
            contents = source[name][era][: len(target[0]), : len(target[1])]
            result[name][era][np.ix_(*target)] = _sum_categories(
                contents, table, categories.n_categories, in_score=analysis.mass is None
            )
    return Templates.single(templates)


def check_categories(categories: Categories, analysis: Analysis) -> None:
    """Refuse categories that were made for other discriminants than the analysis has."""
    names = [f.name for f in categories.features]
    wanted = [d.name for d in analysis.discriminants]
    if names != wanted:
        raise InputError(f"categories: made for discriminants {names} (the analysis has {wanted})")


def positions(histogram: hist.Hist[Any], axis: str, labels: Iterable[str]) -> list[int]:
    """Where labels stand on an axis of names.

    Raises
    ------
    InputError
        If one is not there: it would vanish into the flow bin without a word.
    """
    known = list(histogram.axes[axis])
    for label in labels:
        if label not in known:
            raise InputError(
                f"templates: unknown {axis} (got {label!r}; allowed: {', '.join(known)})"
            )
    return [known.index(label) for label in labels]


def _fine_histogram(
    histograms: Mapping[str, hist.Hist[Any]], analysis: Analysis
) -> hist.Hist[Any]:
    names = [d.name for d in analysis.discriminants]
    if analysis.mass is not None:
        names.append(MASS)
    if len(names) > 2:
        raise InputError(
            f"templates: {' x '.join(names)} has no fine histogram, only one or two axes have; "
            "keep columns, or make a second pass"
        )
    key = "_".join(names)
    if key not in histograms:
        raise InputError(
            f"templates: histogram {key!r} was not kept (set histograms_2d: true); "
            f"got {', '.join(histograms)}"
        )
    return histograms[key]


def _category_table(categories: EdgeCategories, axes: Sequence[Any]) -> IntArray:
    """Category of every fine bin with flow, -1 in the flow; one dimension a discriminant."""
    bins = []
    for feature, edges, axis in zip(categories.features, categories.edges, axes, strict=True):
        _check_on_grid(feature.name, edges, axis.edges)
        centre = bin_index(axis.centers, edges)
        bins.append(np.concatenate([[-1], centre, [-1]]))
    shape = tuple(len(e) - 1 for e in categories.edges)
    index = np.meshgrid(*bins, indexing="ij")
    table = categories.label.reshape(shape)[tuple(index)]
    return np.where(np.min(index, axis=0) < 0, -1, table).astype(np.int64)


def _check_on_grid(name: str, edges: FloatArray, fine: FloatArray) -> None:
    off = edges[edge_positions(edges, fine) < 0]
    if len(off):
        nearest = fine[np.abs(fine - off[0]).argmin()]
        raise InputError(
            f"templates: {name}: category edge {off[0]:.6g} lies inside a bin of the fine "
            f"histogram (nearest edge {nearest:.6g}, {len(fine) - 1} bins)"
        )


def _sum_categories(
    contents: FloatArray, table: IntArray, n: int, *, in_score: bool
) -> FloatArray:
    """Sums over the fine bins of each category, with flow.

    Parameters
    ----------
    contents
        Shape ``(process, variation, first, ...)``, flow included in the fine axes.
    table
        Category of the fine bins of the discriminants, -1 for none.
    n
        Number of categories.
    in_score
        Whether templates are binned in the first discriminant; else in the last axis.
    """
    last = contents.shape[2] if in_score else contents.shape[-1]
    result = np.zeros((*contents.shape[:2], n + 2, last))
    for k in range(-1, n):
        inside = table == k
        if not in_score:
            result[:, :, k + 1] = contents[:, :, inside].sum(axis=2)
        elif table.ndim == 1:
            result[:, :, k + 1] = contents * inside
        else:
            result[:, :, k + 1] = np.einsum("pvij,ij->pvi", contents, inside)
    return result
