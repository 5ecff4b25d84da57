"""The coffea processor of an analysis: one chunk of events in, an output that adds out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hist
from coffea.processor import ProcessorABC

from gato_coffea.categories import Categories
from gato_coffea.categories.templates import check_categories, empty_templates
from gato_coffea.config import Analysis, Dataset, SumOfWeights, function_name, load_functions
from gato_coffea.config.weights import Factors
from gato_coffea.datasets import sum_of_tree
from gato_coffea.errors import ConfigError
from gato_coffea.processing.chunk import collect
from gato_coffea.processing.event_view import Quotient, Source
from gato_coffea.processing.layout import Layout
from gato_coffea.processing.output import FIRST_STEP, LAST_STEP, ChunkOutput

__all__ = ["GatoProcessor", "collect"]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What is done with the events of one dataset."""

    process: str
    data: bool
    blinded: bool
    weight: tuple[Source, ...]
    variations: Mapping[str, tuple[Source, ...] | Quotient]
    generator_variations: Mapping[str, tuple[Source, ...] | Quotient]
    sum_of_weights: SumOfWeights | None
    templates: hist.Hist[Any] | None


class GatoProcessor(ProcessorABC):
    """Processor of an analysis, for coffea's ``Runner`` and any of its executors.

    Nothing is kept between chunks. The functions of ``analysis.py`` travel with the processor, so
    that workers need neither the analysis folder nor TensorFlow.

    Parameters
    ----------
    analysis
        The checked analysis file.
    categories
        Trained categories, where a second pass is to fill their templates.
    spool
        Folder, seen by all workers, that columns are written to instead of being returned.

    Raises
    ------
    ConfigError
        If ``analysis.py`` lacks a function that the analysis file names.
    InputError
        If the categories were made for other discriminants.
    """

    def __init__(
        self,
        analysis: Analysis,
        *,
        categories: Categories | None = None,
        spool: str | Path | None = None,
    ) -> None:
        functions = load_functions(analysis)

        def source(text: str) -> Source:
            name = function_name(text)
            return text if name is None else functions[name]

        self._layout = Layout.of(analysis)
        self._categories = categories
        self._spool = None if spool is None else str(Path(spool).resolve())
        self._selection = {
            name: source(text)
            for name, text in zip(cutflow_steps(analysis), analysis.requirements, strict=True)
        }
        self._discriminants = {d.name: source(d.expression) for d in analysis.discriminants}
        self._mass = None if analysis.mass is None else source(analysis.mass.source)

        def sources(factors: Factors) -> tuple[Source, ...] | Quotient:
            above, below = (tuple(map(source, part)) for part in factors)
            return Quotient(above, below) if below else above

        if categories is not None:
            check_categories(categories, analysis)
        self._plans: Mapping[str, _Plan] = {
            name: _Plan(
                process=dataset.process,
                data=dataset.data,
                blinded=analysis.is_from_data(name),
                weight=tuple(
                    map(
                        source,
                        analysis.weight.nominal if dataset.weight is None else dataset.weight,
                    )
                ),
                variations={
                    key: sources(analysis.weight.varied(key, dataset.weight))
                    for key in analysis.weight.variations
                    if not analysis.is_from_data(name)
                },
                generator_variations={
                    key: sources(_generated(analysis, dataset, key))
                    for key, variation in analysis.weight.variations.items()
                    if variation.normalise and not analysis.is_from_data(name)
                },
                sum_of_weights=dataset.sum_of_weights,
                templates=None
                if categories is None
                else empty_templates(
                    analysis, categories.n_categories, processes=[dataset.process]
                ),
            )
            for name, dataset in analysis.datasets.items()
        }

    def process(self, events: Any) -> dict[str, ChunkOutput]:
        """Output of one chunk, as `gato_coffea.collect` returns it.

        Raises
        ------
        ConfigError
            If the events belong to a dataset that the analysis does not have.
        InputError
            If a branch is missing, or is not one number an event.
        """
        name = events.metadata["dataset"]
        if name not in self._plans:
            raise ConfigError(
                f"datasets: {name!r} is not in the analysis (allowed: {', '.join(self._plans)})"
            )
        plan = self._plans[name]
        generator_weight, sumw = _sum_of_weights(events, plan.sum_of_weights)
        return collect(
            events,
            process=plan.process,
            layout=self._layout,
            discriminants=self._discriminants,
            mass=self._mass,
            weight=plan.weight,
            variations=plan.variations,
            selection=self._selection,
            generator_weight=generator_weight,
            generator_variations=plan.generator_variations,
            sumw=sumw,
            data=plan.data,
            blinded=plan.blinded,
            categories=self._categories,
            templates=plan.templates,
            spool=self._spool,
        )

    def postprocess(self, accumulator: Any) -> Any:
        """Nothing: weights are scaled once, where everything is merged."""
        return accumulator


def cutflow_steps(analysis: Analysis) -> tuple[str, ...]:
    """Names of the requirements in the cut flow; the full source where a bare name would clash."""
    bare = [function_name(s) or s for s in analysis.requirements]
    taken = {FIRST_STEP, LAST_STEP}
    return tuple(
        source if name in taken or bare.count(name) > 1 else name
        for name, source in zip(bare, analysis.requirements, strict=True)
    )


def _generated(analysis: Analysis, dataset: Dataset, variation: str) -> Factors:
    """The generator weight of a dataset as a variation changes it."""
    way, change = dataset.sum_of_weights, analysis.weight.change(variation)
    assert way is not None
    if way.branch is None:
        return change
    if way.branch in change.divided:
        left = list(change.divided)
        left.remove(way.branch)
        return Factors(change.multiplied, tuple(left))
    return Factors((way.branch, *change.multiplied), change.divided)


def _sum_of_weights(
    events: Any, way: SumOfWeights | None
) -> tuple[Callable[[Any], Any] | str | None, float | None]:
    if way is None:
        return None, None
    if way.branch is not None:
        return way.branch, None
    if way.count_events:
        return None, float(len(events))
    assert way.tree is not None
    assert way.entry is not None
    if events.metadata["entrystart"] != 0:
        return None, 0.0  # the first chunk of a file answers for the file
    return None, sum_of_tree(events.metadata["filename"], tree=way.tree, branch=way.entry)
