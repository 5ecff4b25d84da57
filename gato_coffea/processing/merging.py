"""Outputs of all chunks added up by process: scaled once, in an order that is always the same.

A variation that a dataset lacks is its nominal, as long as another dataset of the process has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import hist
import numpy as np

from gato_coffea.categories.axes import NOMINAL, variation_labels
from gato_coffea.categories.templates import Templates, empty_templates
from gato_coffea.config import Analysis
from gato_coffea.datasets import normalisation
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Cells, Sample, concatenate
from gato_coffea.processing.layout import Layout
from gato_coffea.processing.output import Block, Cutflow, Outputs


@dataclass(frozen=True)
class Merger:
    """Adds what the datasets of an analysis gave, by process.

    Attributes
    ----------
    output
        Added outputs of chunks, by dataset.
    analysis
        The analysis.
    factors
        What the weights of each dataset are multiplied with.
    ratios
        What its variations are multiplied with besides, by variation; one where there is none.
    """

    output: Outputs
    analysis: Analysis
    factors: Mapping[str, float]
    ratios: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, output: Outputs, analysis: Analysis) -> Self:
        """With the normalisation that sums of weights, cross sections and luminosity give.

        Raises
        ------
        InputError
            If a sum of weights is not above zero.
        """
        sumw = {name: output[name]["sumw"] for name in analysis.datasets}
        n_events = {name: output[name]["n_events"] for name in analysis.datasets}
        factors = normalisation(analysis, sumw, n_events)
        return cls(output, analysis, factors, _ratios(output, analysis))

    def samples(self) -> dict[str, Sample]:
        """Events of each process; none where nothing is selected."""
        analysis = self.analysis
        codes = {era: i for i, era in enumerate(analysis.eras)}
        eras = {n: codes[d.era] for n, d in analysis.datasets.items() if d.era is not None}
        found = samples(self.output, factors=self.factors, ratios=self.ratios, eras=eras)
        empty = Sample(
            x=np.empty((0, len(analysis.discriminants))),
            weight=np.empty(0),
            mass=None if analysis.mass is None else np.empty(0),
            fold=np.empty(0, dtype=np.int64),
            era=np.empty(0, dtype=np.int64) if analysis.eras else None,
        )
        return {
            name: found.get(name, replace(empty, data=True, fold=None))
            if name in analysis.data_processes
            else found.get(name, empty)
            for name in analysis.all_processes
        }

    def cells(self) -> dict[str, Cells]:
        """Cells of each simulated process."""
        result: dict[str, Cells] = {}
        for name in sorted(self.analysis.datasets):
            for process, cells in self.output[name].get("cells", {}).items():
                scaled = cells.scaled(self.factors[name], ratios=self.ratios.get(name, {}))
                result[process] = result[process] + scaled if process in result else scaled
        return {name: result[name] for name in self.analysis.processes}

    def histograms(self) -> dict[str, hist.Hist[Any]]:
        """Fine histograms of all processes, by name."""
        layout = Layout.of(self.analysis)
        result = {}
        for names in layout.products:
            key = "_".join(names)
            result[key] = layout.empty(
                names,
                processes=self.analysis.all_processes,
                variations=variation_labels(self.analysis),
                eras=tuple(self.analysis.eras),
            )
            for name in sorted(self.analysis.datasets):
                if key in self.output[name]["histograms"]:
                    self._add(result[key], name, self.output[name]["histograms"][key])
        return result

    def templates(self) -> Templates | None:
        """Category templates, where the chunks have filled some."""
        parts = {
            name: self.output[name]["templates"]
            for name in sorted(self.analysis.datasets)
            if "templates" in self.output[name]
        }
        if not parts:
            return None
        n = next(iter(parts.values())).axes["category"].size
        merged = empty_templates(self.analysis, n, eras=tuple(self.analysis.eras))
        for name, part in parts.items():
            self._add(merged, name, part)
        return Templates.single(merged)

    def cutflow(self) -> dict[str, Cutflow]:
        """Events, and scaled sums of weights, of each process at each step."""
        result: dict[str, Cutflow] = {}
        for name, dataset in sorted(self.analysis.datasets.items()):
            steps = result.setdefault(dataset.process, {})
            for step, counts in self.output[name]["cutflow"].items():
                total = steps.setdefault(step, {"events": 0, "weighted": 0.0})
                total["events"] += counts["events"]
                total["weighted"] += self.factors[name] * counts["weighted"]
        return {name: result[name] for name in self.analysis.all_processes}

    def _wanted(self, process: str) -> list[str]:
        """Variations that any dataset of a process has, in the order of the axis."""
        found: set[str] = set()
        for name, dataset in self.analysis.datasets.items():
            if dataset.process == process:
                found |= set(self.output[name]["varied"])
        return [v for v in variation_labels(self.analysis) if v in found]

    def _add(self, target: hist.Hist[Any], name: str, part: hist.Hist[Any]) -> None:
        """Add a histogram of one dataset, in place, to its era where there are some."""
        into: Any = target.view(flow=True)
        era = self.analysis.datasets[name].era
        if era is not None:
            into = into[list(self.analysis.eras).index(era)]
        contents: Any = part.view(flow=True)
        variations, labels = list(target.axes["variation"]), list(part.axes["variation"])
        have, ratios = self.output[name]["varied"], self.ratios.get(name, {})
        for i, process in enumerate(part.axes["process"]):
            row = list(target.axes["process"]).index(process)
            for variation in self._wanted(process):
                source = labels.index(variation if variation in have else NOMINAL)
                if not np.isfinite(contents["variance"][i, source]).all():
                    raise InputError(
                        f"datasets.{name}: weights ({labels[source]}): are too large or "
                        "small to square and sum in float64"
                    )
                at = row, variations.index(variation)
                factor = self.factors[name] * ratios.get(variation, 1.0)
                into["value"][at] += factor * contents["value"][i, source]
                into["variance"][at] += factor**2 * contents["variance"][i, source]


def _ratios(output: Outputs, analysis: Analysis) -> dict[str, dict[str, float]]:
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


def samples(
    output: Outputs,
    *,
    factors: Mapping[str, float] | None = None,
    ratios: Mapping[str, Mapping[str, float]] | None = None,
    eras: Mapping[str, int] | None = None,
) -> dict[str, Sample]:
    """Events of each process, in an order that does not depend on the chunks.

    Parameters
    ----------
    output
        Sum of what `gato_coffea.collect` returned, by dataset.
    factors
        What the weights of each dataset are multiplied with; by default one.
    ratios
        What its variations are multiplied with besides, by variation; by default one.
    eras
        Number of the era of each dataset, where they are of eras.
    """
    factors, ratios, eras = factors or {}, ratios or {}, eras or {}
    blocks: dict[str, list[Block]] = {}
    for part in output.values():
        for block in part.get("columns", ()):
            blocks.setdefault(block.process, []).append(block)

    def scaled(block: Block) -> Sample:
        dataset = block.key[0]
        sample = block.sample().scaled(factors.get(dataset, 1.0), ratios=ratios.get(dataset, {}))
        if dataset not in eras:
            return sample
        return replace(sample, era=np.full(len(sample), eras[dataset], dtype=np.int64))

    return {
        process: concatenate([scaled(block) for block in sorted(found, key=lambda b: b.key)])
        for process, found in blocks.items()
    }
