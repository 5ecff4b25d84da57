"""What a pass over the events gives: chunks merged, scaled once, sorted, saved and read back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import hist
import numpy as np

from gato_coffea.categories.axes import NOMINAL, variation_labels
from gato_coffea.categories.templates import Templates, empty_templates
from gato_coffea.config import Analysis
from gato_coffea.datasets import normalisation
from gato_coffea.datasets.soundness import check_ranges, remarks
from gato_coffea.errors import InputError
from gato_coffea.events.columns import read_columns
from gato_coffea.events.samples import Cells, Sample, concatenate
from gato_coffea.processing.chunk import LAST_STEP, SUM_OF_WEIGHTS
from gato_coffea.processing.layout import Layout
from gato_coffea.processing.storage import load_processed, save_processed

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
    templates: Templates | None = None
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
            finite, or no event of a process passes the selection or lies in a declared range.
        """
        _check(output, analysis)
        sumw = {name: float(output[name]["sumw"]) for name in analysis.datasets}
        n_events = {name: int(output[name]["n_events"]) for name in analysis.datasets}
        factors = normalisation(analysis, sumw, n_events)
        ratios = _ratios(output, analysis)
        samples, cells = None, None
        if analysis.keep_columns:
            samples = _samples(output, analysis, factors, ratios)
        else:
            cells = _cells(output, analysis, factors)
        merger = _Merger(output, analysis, factors, ratios)
        histograms = _histograms(merger)
        check_ranges(histograms, samples, analysis)
        for line in remarks(histograms, analysis):
            logger.warning("%s", line)
        return cls(
            histograms=histograms,
            samples=samples,
            cells=cells,
            templates=_templates(merger),
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
            If the folder cannot be written to, or holds other files.
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
        _check_data(name, part, analysis)
        strange = {p for h in part["histograms"].values() for p in h.axes[0]} - {
            analysis.datasets[name].process
        }
        if strange:
            raise InputError(
                f"datasets.{name}: events are of process {min(strange)!r} (the analysis file has "
                f"{analysis.datasets[name].process!r})"
            )
        unknown = _variations(part) - {NOMINAL, *analysis.weight.variations}
        if unknown:
            raise InputError(
                f"datasets.{name}: variation {min(unknown)!r} is not in weight.variations of the "
                f"analysis file (allowed: {', '.join(analysis.weight.variations) or 'none'})"
            )
        for variation, count in part["varied"].items():
            if count != part["varied"][NOMINAL]:
                raise InputError(
                    f"datasets.{name}: variation {variation!r} was given for {count} of "
                    f"{part['varied'][NOMINAL]} events; it must be given for all or none"
                )
        if part["n_events"] == 0 and not hidden:
            raise InputError(f"datasets.{name}: the tree has no entries in any of its files")
        selected = part["cutflow"][LAST_STEP]["events"]
        for source, count in part["invalid"].items():
            of = part["n_events"] if source.startswith(SUM_OF_WEIGHTS) else selected
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


def _check_data(name: str, part: Mapping[str, Any], analysis: Analysis) -> None:
    """Refuse chunks that were not collected as the data, or blinded, that the analysis has."""
    wanted = analysis.datasets[name].data
    if part["data"] != {wanted}:
        got = " and ".join(str(value) for value in sorted(part["data"]))
        raise InputError(
            f"datasets.{name}: data is {str(wanted).lower()} in the analysis file, but chunks "
            f"were collected with data={got} (Layout.of(analysis) tells collect)"
        )
    blinding = Layout.of(analysis).blinding
    if analysis.is_from_data(name) and part["blinding"] != {blinding} and blinding:
        raise InputError(
            f"datasets.{name}: chunks were collected without the blinding of the analysis file "
            f"({', '.join(f'{key} {low:g} to {high:g}' for key, low, high in blinding)})"
        )


def _ratios(
    output: Mapping[str, Mapping[str, Any]], analysis: Analysis
) -> dict[str, dict[str, float]]:
    """Nominal sum of generator weights over that of a variation, by dataset and variation."""
    result: dict[str, dict[str, float]] = {}
    for name, dataset in analysis.datasets.items():
        part = output[name]
        for variation, total in part["sumw_variations"].items():
            if dataset.cross_section_pb is None:
                continue
            if not total > 0:
                raise InputError(
                    f"datasets.{name}: weight.variations.{variation}.normalise: the sum of "
                    f"weights over {part['n_events']} events must be above zero (got {total:g})"
                )
            result.setdefault(name, {})[variation] = part["sumw"] / total
    return result


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
    output: Mapping[str, Mapping[str, Any]],
    *,
    factors: Mapping[str, float] | None = None,
    ratios: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Sample]:
    """Events of each process from the added outputs of chunks.

    Parameters
    ----------
    output
        Sum of what `gato_coffea.collect` returned, by dataset.
    factors
        What the weights of each dataset are multiplied with; by default one.
    ratios
        What its variations are multiplied with besides, by variation; by default one.
    """
    factors, ratios = factors or {}, ratios or {}

    def scaled(block: Mapping[str, Any]) -> Sample:
        dataset = block["key"][0]
        sample = block_sample(block).scaled(factors.get(dataset, 1.0))
        found = ratios.get(dataset, {})
        varied = {
            k: replace(v, weight=sample.varied(k).weight * found[k]) if k in found else v
            for k, v in sample.variations.items()
        }
        return replace(sample, variations=varied)

    return {
        process: concatenate([scaled(block) for block in blocks])
        for process, blocks in blocks_by_process(output).items()
    }


def _samples(
    output: Mapping[str, Mapping[str, Any]],
    analysis: Analysis,
    factors: Mapping[str, float],
    ratios: Mapping[str, Mapping[str, float]],
) -> dict[str, Sample]:
    found = samples(output, factors=factors, ratios=ratios)
    empty = Sample(
        x=np.empty((0, len(analysis.discriminants))),
        weight=np.empty(0),
        mass=None if analysis.mass is None else np.empty(0),
        fold=np.empty(0, dtype=np.int64),
    )
    return {
        name: found.get(name, replace(empty, data=True, fold=None))
        if name in analysis.data_processes
        else found.get(name, empty)
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


def _variations(part: Mapping[str, Any]) -> set[str]:
    """Variations that a dataset has, nominal included."""
    return set(part["varied"])


@dataclass(frozen=True)
class _Merger:
    """Adds histograms of datasets: what a dataset counts for each variation of its process.

    A variation that a dataset lacks is its nominal, as long as another dataset of the process
    has it; else it stays empty.
    """

    output: Mapping[str, Mapping[str, Any]]
    analysis: Analysis
    factors: Mapping[str, float]
    ratios: Mapping[str, Mapping[str, float]]

    def wanted(self, process: str) -> list[str]:
        """Variations that any dataset of a process has, in the order of the axis."""
        found: set[str] = set()
        for name, dataset in self.analysis.datasets.items():
            if dataset.process == process:
                found |= _variations(self.output[name])
        return [v for v in variation_labels(self.analysis) if v in found]

    def add(self, target: hist.Hist[Any], key: str, *, of: str | None = None) -> None:
        """Add the histograms ``key`` (in the mapping ``of``) of all datasets, in place."""
        into: Any = target.view(flow=True)
        variations = list(target.axes[1])
        for name in sorted(self.analysis.datasets):
            part = self.output[name] if of is None else self.output[name][of]
            if key not in part:
                continue
            h, ratios = part[key], self.ratios.get(name, {})
            contents: Any = h.view(flow=True)
            labels, have = list(h.axes[1]), _variations(self.output[name])
            for i, process in enumerate(h.axes[0]):
                row = list(target.axes[0]).index(process)
                for variation in self.wanted(process):
                    source = labels.index(variation if variation in have else NOMINAL)
                    if not np.isfinite(contents["variance"][i, source]).all():
                        raise InputError(
                            f"datasets.{name}: weights ({labels[source]}): are of no size that "
                            "can be squared and summed"
                        )
                    at = row, variations.index(variation)
                    factor = self.factors[name] * ratios.get(variation, 1.0)
                    into["value"][at] += factor * contents["value"][i, source]
                    into["variance"][at] += factor**2 * contents["variance"][i, source]


def _histograms(merger: _Merger) -> dict[str, hist.Hist[Any]]:
    analysis = merger.analysis
    layout = Layout.of(analysis)
    result = {}
    for names in layout.products:
        key = "_".join(names)
        result[key] = layout.empty(
            names, processes=analysis.all_processes, variations=variation_labels(analysis)
        )
        merger.add(result[key], key, of="histograms")
    return result


def _templates(merger: _Merger) -> Templates | None:
    parts = [part["templates"] for part in merger.output.values() if "templates" in part]
    if not parts:
        return None
    merged = empty_templates(merger.analysis, parts[0].axes["category"].size)
    merger.add(merged, "templates")
    return Templates.single(merged)


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
