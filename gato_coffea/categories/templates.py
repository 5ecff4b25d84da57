"""Category histograms: process, variation, category and mass (or the first discriminant).

The same templates come from event columns, from fine histograms whose bins the category edges
lie on, and from a second pass over the events; one function fills them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import hist
import numpy as np

from gato_coffea.categories import Categories, EdgeCategories
from gato_coffea.categories.axes import MASS, NOMINAL, fill_values, template_axis, variation_labels
from gato_coffea.config import Analysis
from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray, IntArray, Sample, bin_index

EDGE_TOLERANCE = 1e-6
"""How far a category edge may lie from a fine edge, in units of the fine bin's width."""


class _HasHistograms(Protocol):
    @property
    def histograms(self) -> Mapping[str, hist.Hist[Any]]: ...


def empty_templates(
    analysis: Analysis,
    n_categories: int,
    *,
    processes: Sequence[str] | None = None,
    variations: Sequence[str] | None = None,
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

    Returns
    -------
    hist.Hist
        Weighted storage; axes process, variation, category (``0 .. K - 1``, underflow for
        unassigned events) and the mass in GeV or the first discriminant.
    """
    if processes is None:
        processes = (*analysis.processes, *analysis.data_processes)
    return hist.Hist(
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
        If a label is not on its axis, or the templates need a mass that the sample lacks.
    """
    axis = templates.axes[3]
    in_score = axis.name == categories.features[0].name
    variations = [NOMINAL, *sample.variations]
    _check_labels(templates, 0, [process])
    _check_labels(templates, 1, variations)
    nominal = categories.assign(sample.x)
    for variation in variations:
        events = sample.varied(variation)
        values = events.x[:, 0] if in_score else events.mass
        if values is None:
            raise InputError(f"templates: {process}: the events have no mass")
        category = nominal if events.x is sample.x else categories.assign(events.x)
        at = fill_values(values, axis)
        templates.fill(process, variation, category, at, weight=events.weight)


def templates_from_samples(
    samples: Mapping[str, Sample], categories: Categories, analysis: Analysis
) -> hist.Hist[Any]:
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
    templates = empty_templates(analysis, categories.n_categories)
    for process, sample in samples.items():
        fill_templates(templates, sample, process=process, categories=categories)
    return templates


def templates_from_histograms(
    processed: _HasHistograms, categories: Categories, analysis: Analysis
) -> hist.Hist[Any]:
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
    n_features = len(categories.features)
    table = _category_table(categories, fine.axes[2 : 2 + n_features])
    templates = empty_templates(analysis, categories.n_categories)
    _check_labels(templates, 0, fine.axes[0])
    _check_labels(templates, 1, fine.axes[1])
    target = [_positions(templates, i, fine.axes[i]) for i in (0, 1)]
    source: Any = fine.view(flow=True)
    result: Any = templates.view(flow=True)
    for name in ("value", "variance"):
        contents = source[name][: len(target[0]), : len(target[1])]
        result[name][np.ix_(*target)] = _sum_categories(
            contents, table, categories.n_categories, in_score=analysis.mass is None
        )
    return templates


def check_categories(categories: Categories, analysis: Analysis) -> None:
    """Refuse categories that were made for other discriminants than the analysis has."""
    names = [f.name for f in categories.features]
    wanted = [d.name for d in analysis.discriminants]
    if names != wanted:
        raise InputError(f"categories: made for discriminants {names} (the analysis has {wanted})")


def _check_labels(templates: hist.Hist[Any], axis: int, labels: Any) -> None:
    """A label unknown to the axis would vanish into its flow bin without a word."""
    known = list(templates.axes[axis])
    for label in labels:
        if label not in known:
            raise InputError(
                f"templates: unknown {templates.axes[axis].name} (got {label!r}; "
                f"allowed: {', '.join(known)})"
            )


def _positions(templates: hist.Hist[Any], axis: int, labels: Any) -> list[int]:
    known = list(templates.axes[axis])
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
    nearest = np.abs(fine[:, None] - edges[None, :]).argmin(axis=0)
    width = np.diff(fine)[np.clip(nearest - 1, 0, len(fine) - 2)]
    off = np.abs(edges - fine[nearest]) > EDGE_TOLERANCE * width
    if off.any():
        raise InputError(
            f"templates: {name}: category edge {edges[off][0]:.6g} lies inside a bin of the fine "
            f"histogram (nearest edge {fine[nearest[off][0]]:.6g}, {len(fine) - 1} bins)"
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
