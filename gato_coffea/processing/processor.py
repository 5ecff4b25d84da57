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
from gato_coffea.config.systematics import EventVariation
from gato_coffea.config.weights import Factors, Variation
from gato_coffea.datasets import sum_of_tree
from gato_coffea.errors import ConfigError
from gato_coffea.processing.chunk import collect
from gato_coffea.processing.event_view import Quotient, Source
from gato_coffea.processing.layout import Layout
from gato_coffea.processing.output import FIRST_STEP, LAST_STEP, ChunkOutput
from gato_coffea.processing.sources import WEIGHT, Change, Product

__all__ = ["GatoProcessor", "collect"]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What is done with the events of one dataset."""

    process: str
    data: bool
    blinded: bool
    weight: tuple[Source, ...]
    variations: Mapping[str, Change]
    generator_variations: Mapping[str, tuple[Source, ...] | Quotient]
    sum_of_weights: SumOfWeights | None
    templates: hist.Hist[Any] | None


@dataclass(frozen=True)
class _Sources:
    """Sources of an analysis with its functions in place of their names."""

    analysis: Analysis
    functions: Mapping[str, Callable[[Any], Any]]

    def one(self, text: str) -> Source:
        """A branch by its name, or the function that ``py:NAME`` names."""
        name = function_name(text)
        return text if name is None else self.functions[name]

    def product(self, factors: Factors) -> tuple[Source, ...] | Quotient:
        """A product of sources, over another where the weight is divided by something."""
        above, below = (tuple(map(self.one, part)) for part in factors)
        return Quotient(above, below) if below else above

    def plan(self, name: str, *, n_categories: int | None) -> _Plan:
        """What is done with the events of a dataset."""
        analysis, dataset = self.analysis, self.analysis.datasets[name]
        weight = analysis.weight.nominal if dataset.weight is None else dataset.weight
        changes = {
            label: analysis.event_variations[own]
            for label, own in analysis.variations_of(name).items()
        }
        return _Plan(
            process=dataset.process,
            data=dataset.data,
            blinded=analysis.is_from_data(name),
            weight=tuple(map(self.one, weight)),
            variations={label: self._change(c, dataset) for label, c in changes.items()},
            generator_variations={
                label: self.product(_generated(analysis, dataset, change.weight))
                for label, change in changes.items()
                if change.weight is not None and change.weight.normalise
            },
            sum_of_weights=dataset.sum_of_weights,
            templates=None
            if n_categories is None
            else empty_templates(analysis, n_categories, processes=[dataset.process]),
        )

    def _change(self, change: EventVariation, dataset: Dataset) -> Change:
        whole: dict[str, Product] = {key: self.one(text) for key, text in change.values.items()}
        if change.weight is not None:
            factors = self.analysis.weight.varied(change.weight, dataset.weight)
            whole[WEIGHT] = self.product(factors)
        elif change.factor != 1.0:
            nominal = self.analysis.weight.nominal if dataset.weight is None else dataset.weight
            whole[WEIGHT] = [*map(self.one, nominal), change.factor]
        return whole


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
        if categories is not None:
            check_categories(categories, analysis)
        sources = _Sources(analysis, load_functions(analysis))
        self._layout = Layout.of(analysis)
        self._categories = categories
        self._spool = None if spool is None else str(Path(spool).resolve())
        self._selection = {
            name: sources.one(text)
            for name, text in zip(cutflow_steps(analysis), analysis.requirements, strict=True)
        }
        self._discriminants = {d.name: sources.one(d.expression) for d in analysis.discriminants}
        self._mass = None if analysis.mass is None else sources.one(analysis.mass.source)
        n_categories = None if categories is None else categories.n_categories
        self._plans: Mapping[str, _Plan] = {
            name: sources.plan(name, n_categories=n_categories) for name in analysis.datasets
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


def _generated(analysis: Analysis, dataset: Dataset, variation: Variation) -> Factors:
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
