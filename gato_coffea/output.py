"""What a pass over the events gives: chunks merged, scaled once, sorted, saved and read back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import hist
import numpy as np

from gato_coffea.axes import variation_labels
from gato_coffea.chunk import LAST_STEP, SUM_OF_WEIGHTS
from gato_coffea.columns import read_columns
from gato_coffea.config import Analysis
from gato_coffea.datasets import normalisation
from gato_coffea.errors import InputError
from gato_coffea.layout import Layout
from gato_coffea.samples import Cells, Sample, concatenate
from gato_coffea.storage import load_processed, save_processed
from gato_coffea.templates import empty_templates

logger = logging.getLogger(__name__)

Cutflow = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True, kw_only=True)
class Processed:
    """Result of one pass over all events, scaled to the luminosity.

    Attributes
    ----------
    histograms
        By name; axes process and variation (in the order of the analysis file, nominal first),
        then the fine axes. Weighted storage.
    samples
        Events of each process in an order that does not depend on the chunks, or None where no
        columns were kept.
    cells
        Cells of each simulated process, or None where columns were kept.
    templates
        Category templates, where the pass was given categories.
    cutflow
        For each process and step, ``events`` and the scaled sum of weights ``weighted``.
    sumw, n_events, factors
        Of each dataset: sum of generator weights, events read (of blinded data only those that
        are not hidden), and the factor that its weights were multiplied with.
    invalid, out_of_range
        For each dataset, how many selected events had no finite value, or one outside the
        declared range, by source.
    """

    histograms: Mapping[str, hist.Hist[Any]]
    samples: Mapping[str, Sample] | None
    cells: Mapping[str, Cells] | None
    templates: hist.Hist[Any] | None = None
    cutflow: Cutflow = field(default_factory=dict)
    sumw: Mapping[str, float] = field(default_factory=dict)
    n_events: Mapping[str, int] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)
    invalid: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    out_of_range: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def merged(cls, output: Mapping[str, Mapping[str, Any]], analysis: Analysis) -> Self:
        """Normalise, once, the added outputs of all chunks.

        Parameters
        ----------
        output
            Sum of what `GatoProcessor.process` or `gato_coffea.collect` returned, by dataset.
        analysis
            The analysis.

        Raises
        ------
        InputError
            If a dataset has no events or no positive sum of weights, too many values are not
            finite, or no event of a process passes the selection.
        """
        _check(output, analysis)
        sumw = {name: float(output[name]["sumw"]) for name in analysis.datasets}
        n_events = {name: int(output[name]["n_events"]) for name in analysis.datasets}
        factors = normalisation(analysis, sumw, n_events)
        samples, cells = None, None
        if analysis.keep_columns:
            samples = _samples(output, analysis, factors)
        else:
            cells = _cells(output, analysis, factors)
        return cls(
            histograms=_histograms(output, analysis, factors),
            samples=samples,
            cells=cells,
            templates=_templates(output, analysis, factors),
            cutflow=_cutflow(output, analysis, factors),
            sumw=sumw,
            n_events=n_events,
            factors=factors,
            invalid={name: dict(output[name]["invalid"]) for name in analysis.datasets},
            out_of_range={name: dict(output[name]["out_of_range"]) for name in analysis.datasets},
        )

    def save(self, directory: str | Path) -> None:
        """Write everything to a folder, whole or not at all, in place of what was there.

        ``process.json`` (counts), ``histograms.npz`` (what `load` reads), ``histograms.coffea``,
        ``histograms.root``, and a file for each process in ``columns/`` or ``cells/``.

        Raises
        ------
        OutputError
            If the folder cannot be written to.
        """
        save_processed(self, Path(directory))

    @classmethod
    def load(cls, directory: str | Path, analysis: Analysis) -> Self:
        """Read what `save` has written; nothing is unpickled.

        Raises
        ------
        InputError
            If a file is missing, damaged, or of another schema version.
        """
        return cls(**load_processed(Path(directory), analysis))


def _check(output: Mapping[str, Mapping[str, Any]], analysis: Analysis) -> None:
    for name in analysis.datasets:
        if name not in output:
            raise InputError(f"datasets.{name}: no chunk of it was processed")
        part = output[name]
        hidden = analysis.is_blinded and analysis.is_from_data(name)
        if part["n_events"] == 0 and not hidden:
            raise InputError(f"datasets.{name}: the tree has no entries in any of its files")
        selected = part["cutflow"][LAST_STEP]["events"]
        for source, count in part["invalid"].items():
            of = part["n_events"] if source == SUM_OF_WEIGHTS else selected
            text = f"datasets.{name}: {source}: {count} of {of} events are NaN or infinite"
            if count > analysis.max_invalid_fraction * of:
                raise InputError(
                    f"{text} (allowed: max_invalid_fraction {analysis.max_invalid_fraction:g})"
                )
            if count:
                logger.warning("%s and left out", text)
        for source, count in part["out_of_range"].items():
            if count:
                logger.warning(
                    "datasets.%s: %s: %d of %d selected events lie outside the declared range",
                    *(name, source, count, selected),
                )
    for process in analysis.all_processes:
        names = [n for n, d in analysis.datasets.items() if d.process == process]
        if not sum(output[n]["cutflow"][LAST_STEP]["events"] for n in names):
            read = f"of {sum(output[n]['n_events'] for n in names)} events read"
            if analysis.is_blinded and any(analysis.is_from_data(n) for n in names):
                read = "outside of what is blinded"
            raise InputError(f"process {process!r}: no event passes the selection ({read})")


def blocks_by_process(
    output: Mapping[str, Mapping[str, Any]],
) -> dict[str, list[Mapping[str, Any]]]:
    """Column blocks of each process, in an order that does not depend on the chunks."""
    result: dict[str, list[Mapping[str, Any]]] = {}
    for part in output.values():
        for block in part.get("columns", ()):
            result.setdefault(block["process"], []).append(block)
    return {name: sorted(blocks, key=lambda b: b["key"]) for name, blocks in result.items()}


def block_sample(block: Mapping[str, Any]) -> Sample:
    """Events of a block, read from its file if a worker has written one."""
    if "path" in block:
        return read_columns(block["path"])
    return Sample(
        x=block["x"],
        weight=block["weight"],
        mass=block.get("mass"),
        fold=block.get("fold"),
        variations=block["variations"],
        data=block["data"],
    )


def samples(
    output: Mapping[str, Mapping[str, Any]], *, factors: Mapping[str, float] | None = None
) -> dict[str, Sample]:
    """Events of each process from the added outputs of chunks.

    Parameters
    ----------
    output
        Sum of what `gato_coffea.collect` returned, by dataset.
    factors
        What the weights of each dataset are multiplied with; by default one.
    """
    factors = factors or {}
    return {
        process: concatenate(
            [block_sample(b).scaled(factors.get(b["key"][0], 1.0)) for b in blocks]
        )
        for process, blocks in blocks_by_process(output).items()
    }


def _samples(
    output: Mapping[str, Mapping[str, Any]], analysis: Analysis, factors: Mapping[str, float]
) -> dict[str, Sample]:
    found = samples(output, factors=factors)
    empty = Sample(
        x=np.empty((0, len(analysis.discriminants))),
        weight=np.empty(0),
        mass=None if analysis.mass is None else np.empty(0),
        fold=np.empty(0, dtype=np.int64),
    )
    return {
        name: found.get(name, replace(empty, data=name in analysis.data_processes))
        for name in analysis.all_processes
    }


def _cells(
    output: Mapping[str, Mapping[str, Any]], analysis: Analysis, factors: Mapping[str, float]
) -> dict[str, Cells]:
    result: dict[str, Cells] = {}
    for name in sorted(analysis.datasets):
        for process, cells in output[name].get("cells", {}).items():
            scaled = cells.scaled(factors[name])
            result[process] = result[process] + scaled if process in result else scaled
    return {name: result[name] for name in analysis.processes}


def _add(target: hist.Hist[Any], part: hist.Hist[Any], factor: float) -> None:
    """Add a scaled histogram, label by label, in place."""
    axes = [list(target.axes[i]) for i in (0, 1)]
    into: Any = target.view(flow=True)
    contents: Any = part.view(flow=True)
    for i, process in enumerate(part.axes[0]):
        for j, variation in enumerate(part.axes[1]):
            at = axes[0].index(process), axes[1].index(variation)
            into["value"][at] += factor * contents["value"][i, j]
            into["variance"][at] += factor**2 * contents["variance"][i, j]


def _histograms(
    output: Mapping[str, Mapping[str, Any]], analysis: Analysis, factors: Mapping[str, float]
) -> dict[str, hist.Hist[Any]]:
    layout = Layout.of(analysis)
    result = {}
    for names in layout.products:
        key = "_".join(names)
        merged = layout.empty(
            names, processes=analysis.all_processes, variations=variation_labels(analysis)
        )
        for name in sorted(analysis.datasets):
            _add(merged, output[name]["histograms"][key], factors[name])
        result[key] = merged
    return result


def _templates(
    output: Mapping[str, Mapping[str, Any]], analysis: Analysis, factors: Mapping[str, float]
) -> hist.Hist[Any] | None:
    parts = {
        n: output[n]["templates"] for n in sorted(analysis.datasets) if "templates" in output[n]
    }
    if not parts:
        return None
    n_categories = next(iter(parts.values())).axes["category"].size
    merged = empty_templates(analysis, n_categories)
    for name, part in parts.items():
        _add(merged, part, factors[name])
    return merged


def _cutflow(
    output: Mapping[str, Mapping[str, Any]], analysis: Analysis, factors: Mapping[str, float]
) -> Cutflow:
    result: Cutflow = {}
    for name, dataset in sorted(analysis.datasets.items()):
        steps = result.setdefault(dataset.process, {})
        for step, counts in output[name]["cutflow"].items():
            total = steps.setdefault(step, {"events": 0, "weighted": 0.0})
            total["events"] += counts["events"]
            total["weighted"] += factors[name] * counts["weighted"]
    return {name: result[name] for name in analysis.all_processes}
