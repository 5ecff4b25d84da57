"""What a pass over the events gives: chunks merged, scaled once, sorted, saved and read back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import hist

from gato_coffea.categories.templates import Templates
from gato_coffea.config import Analysis
from gato_coffea.datasets.soundness import check_ranges, remarks
from gato_coffea.events.samples import Cells, Sample
from gato_coffea.processing.checks import check_outputs
from gato_coffea.processing.cutflow import cutflow_table
from gato_coffea.processing.merging import Merger
from gato_coffea.processing.output import Cutflow, Outputs
from gato_coffea.processing.storage import load_processed, save_processed

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Processed:
    """Result of one pass over all events, scaled to the luminosity.

    Attributes
    ----------
    histograms
        By name; axes era (in an analysis with eras), process and variation (in the order of the
        analysis file, nominal first), then the fine axes. Weighted storage.
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
    cutflow: Mapping[str, Cutflow] = field(default_factory=dict)
    sumw: Mapping[str, float] = field(default_factory=dict)
    n_events: Mapping[str, int] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)
    invalid: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    out_of_range: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __repr__(self) -> str:
        kept = "columns" if self.samples is not None else "cells"
        events = sum(self.n_events.values())
        return f"Processed({events} events of {len(self.n_events)} datasets, {kept} kept)"

    def _repr_html_(self) -> str:
        return cutflow_table(self.cutflow).html()

    @classmethod
    def merged(cls, output: Outputs, analysis: Analysis) -> Self:
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
        check_outputs(output, analysis)
        merger = Merger.of(output, analysis)
        samples = merger.samples() if analysis.keep_columns else None
        histograms = merger.histograms()
        check_ranges(histograms, samples, analysis)
        for line in remarks(histograms, analysis):
            logger.warning("%s", line)
        parts = {name: output[name] for name in analysis.datasets}
        return cls(
            histograms=histograms,
            samples=samples,
            cells=None if analysis.keep_columns else merger.cells(),
            templates=merger.templates(),
            cutflow=merger.cutflow(),
            sumw={name: part["sumw"] for name, part in parts.items()},
            n_events={name: part["n_events"] for name, part in parts.items()},
            factors=merger.factors,
            invalid={name: dict(part["invalid"]) for name, part in parts.items()},
            out_of_range={name: dict(part["out_of_range"]) for name, part in parts.items()},
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
