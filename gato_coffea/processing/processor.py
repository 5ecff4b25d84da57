"""The coffea processor of an analysis: one chunk of events in, an output that adds out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from coffea.processor import ProcessorABC

from gato_coffea.categories import Categories
from gato_coffea.categories.templates import check_categories, empty_templates
from gato_coffea.config import Analysis, Dataset, SumOfWeights, function_name, load_functions
from gato_coffea.config.systematics import EventVariation
from gato_coffea.config.weights import Factors, Variation
from gato_coffea.datasets import sum_of_tree
from gato_coffea.errors import ConfigError, InputError
from gato_coffea.events.arrays import IntArray
from gato_coffea.processing.chunk import ChunkRequest, collect
from gato_coffea.processing.event_view import Quotient, Source
from gato_coffea.processing.layout import Layout
from gato_coffea.processing.output import FIRST_STEP, LAST_STEP, ChunkOutput
from gato_coffea.processing.overlap import check_overlap
from gato_coffea.processing.sources import WEIGHT, Change, Product

__all__ = ["GatoProcessor", "collect"]


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

    def request(self, name: str, *, n_categories: int | None, **common: Any) -> ChunkRequest:
        """What is asked of the chunks of a dataset, beside what is common to all datasets."""
        analysis, dataset = self.analysis, self.analysis.datasets[name]
        weight = analysis.weight.nominal if dataset.weight is None else dataset.weight
        changes = {
            label: analysis.event_variations[own]
            for label, own in analysis.variations_of(name).items()
        }
        return ChunkRequest(
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
            templates=None
            if n_categories is None
            else empty_templates(analysis, n_categories, processes=[dataset.process]),
            **common,
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


@dataclass(frozen=True, kw_only=True)
class _Channel:
    """What is asked of the chunks of every dataset in one channel."""

    requests: Mapping[str, ChunkRequest]
    sums: Mapping[str, SumOfWeights | None]

    @classmethod
    def of(
        cls,
        analysis: Analysis,
        *,
        channel: str | None,
        categories: Categories | None,
        spool: str | None,
    ) -> Self:
        if categories is not None:
            check_categories(categories, analysis)
        sources = _Sources(analysis, load_functions(analysis))
        n_categories = None if categories is None else categories.n_categories
        steps = zip(cutflow_steps(analysis), analysis.requirements, strict=True)
        common: dict[str, Any] = {
            "layout": Layout.of(analysis),
            "discriminants": {d.name: sources.one(d.expression) for d in analysis.discriminants},
            "mass": None if analysis.mass is None else sources.one(analysis.mass.source),
            "selection": {name: sources.one(text) for name, text in steps},
            "channel": channel,
            "categories": categories,
            "spool": spool,
        }
        return cls(
            requests={
                name: sources.request(name, n_categories=n_categories, **common)
                for name in analysis.datasets
            },
            sums={name: d.sum_of_weights for name, d in analysis.datasets.items()},
        )

    def output(self, name: str, events: object) -> tuple[dict[str, ChunkOutput], IntArray]:
        """Output of a chunk of a dataset, and which of its events are in it."""
        generator_weight, sumw = _sum_of_weights(events, self.sums[name])
        request = replace(self.requests[name], generator_weight=generator_weight, sumw=sumw)
        return request.output(events)


class GatoProcessor(ProcessorABC):
    """Processor of an analysis, for coffea's ``Runner`` and any of its executors.

    Nothing is kept between chunks. The functions of ``analysis.py`` travel with the processor, so
    that workers need neither the analysis folder nor TensorFlow.

    Parameters
    ----------
    analysis
        The checked analysis file.
    categories
        Trained categories, where a second pass is to fill their templates; of an analysis with
        channels, those of each channel by its name.
    spool
        Folder, seen by all workers, that columns are written to instead of being returned.

    Raises
    ------
    ConfigError
        If ``analysis.py`` lacks a function that the analysis file names.
    InputError
        If the categories were made for other discriminants, or a channel has none.
    """

    def __init__(
        self,
        analysis: Analysis,
        *,
        categories: Categories | Mapping[str, Categories] | None = None,
        spool: str | Path | None = None,
    ) -> None:
        folder = None if spool is None else str(Path(spool).resolve())
        self._event_id = analysis.event_id
        self._channels: dict[str | None, _Channel] = {
            channel: _Channel.of(
                analysis if channel is None else analysis.channel(channel),
                channel=channel,
                categories=_categories_of(channel, categories),
                spool=folder,
            )
            for channel in (analysis.channels or (None,))
        }

    def process(self, events: Any) -> dict[str, Any]:
        """Output of one chunk as `gato_coffea.collect` returns it, by channel if there are some.

        Raises
        ------
        ConfigError
            If the events belong to a dataset that the analysis does not have.
        InputError
            If a branch is missing, or is not one number an event; or two channels have an event.
        """
        name = events.metadata["dataset"]
        known = next(iter(self._channels.values())).requests
        if name not in known:
            raise ConfigError(
                f"datasets: {name!r} is not in the analysis (allowed: {', '.join(known)})"
            )
        found = {c: channel.output(name, events) for c, channel in self._channels.items()}
        if None in found:
            return dict(found[None][0])
        entries = {str(c): kept for c, (_, kept) in found.items()}
        check_overlap(events, entries, event_id=self._event_id)
        return {str(c): output for c, (output, _) in found.items()}

    def postprocess(self, accumulator: object) -> Any:
        """Nothing: weights are scaled once, where everything is merged."""
        return accumulator


def _categories_of(
    channel: str | None, categories: Categories | Mapping[str, Categories] | None
) -> Categories | None:
    if categories is None or isinstance(categories, Categories):
        if channel is not None and categories is not None:
            raise InputError(
                f"categories: the analysis has channels; give those of each by its name, as "
                f"{channel!r}"
            )
        return categories
    if channel is None:
        raise InputError("categories: the analysis has no channels; give its categories alone")
    if channel not in categories:
        raise InputError(
            f"categories: those of channel {channel!r} are missing (got {', '.join(categories)})"
        )
    return categories[channel]


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
