"""One chunk of events into an output that adds: histograms, columns, cells, counts.

`collect` is what a processor calls. It keeps nothing between chunks, and what it returns for two
chunks adds, by coffea's ``accumulate``, to what it returns for both together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import hist
import numpy as np
from coffea.analysis_tools import PackedSelection, Weights

from gato_coffea.categories import Categories
from gato_coffea.categories.axes import MASS, NOMINAL, fill_values
from gato_coffea.categories.templates import fill_templates
from gato_coffea.errors import ConfigError
from gato_coffea.events.arrays import BoolArray, FloatArray, IntArray
from gato_coffea.events.samples import Cells, Sample, Variation, content_fold
from gato_coffea.processing.event_view import ChunkIdentity, EventView, Source
from gato_coffea.processing.layout import Layout
from gato_coffea.processing.output import LAST_STEP, SUM_OF_WEIGHTS, Block, ChunkOutput
from gato_coffea.processing.selection import Selected, finite_sum, hidden_intervals, step
from gato_coffea.processing.sources import Change, Product, Sources, Varied, product


def collect(
    events: object,
    *,
    process: str,
    layout: Layout,
    discriminants: Mapping[str, Source] | None = None,
    mass: Source | None = None,
    weight: Source | Sequence[Source] | Weights = 1.0,
    variations: Mapping[str, Change] | None = None,
    selection: Mapping[str, Source] | PackedSelection | None = None,
    generator_weight: Source | None = None,
    generator_variations: Mapping[str, Product] | None = None,
    sumw: float | None = None,
    data: bool | None = None,
    blinded: bool | None = None,
    dataset: str | None = None,
    era: str | None = None,
    channel: str | None = None,
    categories: Categories | None = None,
    templates: hist.Hist[Any] | None = None,
    spool: str | Path | None = None,
) -> dict[str, ChunkOutput]:
    """Output of one chunk of events, to be returned by a coffea processor or merged into its own.

    A source is the name of a branch, a function, a number for all events, or an array with one
    value for each of ``events``. Functions, other than those of the selection, are called with
    the events that pass the selection; a requirement is called with those that passed the ones
    before it.

    Parameters
    ----------
    events
        Events as coffea hands them to ``process``, or any awkward record array.
    process
        Physics process of the events, such as ``ggH``.
    layout
        Axes and what to keep, the same for every chunk.
    discriminants
        Source of each discriminant; by default the branches of their names.
    mass
        Source of the mass, in the unit of ``layout.mass``.
    weight
        Source of the nominal weight, or several whose product it is; or a coffea ``Weights``,
        whose variations count too. Unscaled.
    variations
        For each variation, the sources whose product replaces the nominal weight; or a mapping of
        what differs: discriminants by their names, ``mass``, ``weight``. Where values differ
        events move between bins and categories; one whose value is NaN leaves all of them.
    selection
        Masks by the name of their step of the cut flow, or a coffea ``PackedSelection``, of which
        all are required.
    generator_weight
        What is summed over all events, before the selection, as the sum of weights.
    generator_variations
        For variations that are to keep the normalisation, such as those of scales and PDFs, the
        sources whose product is summed in place of ``generator_weight``. They may be of all
        events: functions among them are called before the selection.
    sumw
        The sum of generator weights itself, where it is known otherwise.
    data
        Whether these are collision data: weight one, no variations, no sum of weights, whatever
        is said of them. By default as the layout's analysis says of the process, else as
        ``is_data`` of ``events.metadata`` does.
    blinded
        Whether events in the signal window, or above a blinded score, are left out and counted
        nowhere; by default if they are data, or derived from data. Where a function gives the
        mass or the score, the steps of the cut flow before the last one are left out with them.
    dataset
        Name that the output is filed under; by default that of ``events.metadata``.
    era
        Era of the events; by default that of ``events.metadata``. Variations that the analysis
        does not correlate between eras are kept by the name of the era, as jes_2022Up.
    channel
        Channel that the selection is of. Outputs of different channels are kept apart, in a
        mapping of your own, and merged one by one with ``analysis.channel(name)``.
    categories
        Trained categories, where category templates are wanted.
    templates
        Empty templates to fill for them, from `categories.templates.empty_templates`.
    spool
        Folder that columns are written to instead of being returned.

    Returns
    -------
    dict
        By dataset a `gato_coffea.processing.output.ChunkOutput`, a mapping of things that add.

    Raises
    ------
    InputError
        If a branch is missing, or is not one number an event.
    ConfigError
        If a function fails, ``data`` is not what the analysis or the metadata say, or a variation
        changes what the layout does not have.
    """
    request = ChunkRequest(
        process=process,
        layout=layout,
        discriminants=discriminants,
        mass=mass,
        weight=weight,
        variations=variations,
        selection=selection,
        generator_weight=generator_weight,
        generator_variations=generator_variations,
        sumw=sumw,
        data=data,
        blinded=blinded,
        dataset=dataset,
        era=era,
        channel=channel,
        categories=categories,
        templates=templates,
        spool=spool,
    )
    return request.output(events)[0]


@dataclass(frozen=True, kw_only=True)
class ChunkRequest:
    """What `collect` is asked for, by the names of its parameters."""

    process: str
    layout: Layout
    discriminants: Mapping[str, Source] | None = None
    mass: Source | None = None
    weight: Source | Sequence[Source] | Weights = 1.0
    variations: Mapping[str, Change] | None = None
    selection: Mapping[str, Source] | PackedSelection | None = None
    generator_weight: Source | None = None
    generator_variations: Mapping[str, Product] | None = None
    sumw: float | None = None
    data: bool | None = None
    blinded: bool | None = None
    dataset: str | None = None
    era: str | None = None
    channel: str | None = None
    categories: Categories | None = None
    templates: hist.Hist[Any] | None = None
    spool: str | Path | None = None

    def output(self, events: object) -> tuple[dict[str, ChunkOutput], IntArray]:
        """Output of a chunk by dataset, and which of its events are in it."""
        layout, process = self.layout, self.process
        chunk = ChunkIdentity.of(events, self.dataset, process)
        data = _is_data(self.data, chunk, process, layout)
        blinded = self.blinded
        if blinded is None:
            blinded = data or chunk.dataset in layout.derived
        era = chunk.era if self.era is None else self.era
        sources = Sources.of(
            layout,
            discriminants=self.discriminants,
            mass=self.mass,
            weight=self.weight,
            variations=self.variations,
            selection=self.selection,
            data=data,
            era=era,
            place=chunk.place,
        )
        view = EventView(events, None, chunk.place)
        generated = _Generated()
        if not data:
            own = self.generator_variations or {}
            generated = _Generated.of(view, self.sumw, self.generator_weight, own)
        hidden = hidden_intervals(layout, sources) if blinded else []
        selected = Selected.of(view, sources, hidden)
        kept = _Kept.of(selected.view, layout, sources, data=data)
        sample = _with_folds(kept, layout, chunk, data=data, hidden=bool(hidden))
        output: ChunkOutput = {
            "histograms": _fill_histograms(layout, sample, process),
            "cutflow": selected.cutflow | {LAST_STEP: step(kept.selected_weight)},
            "sumw": generated.sumw,
            "sumw_variations": dict(generated.varied),
            "n_events": selected.n_events,
            "varied": dict.fromkeys([NOMINAL, *sample.variations], len(sample)),
            "invalid": {**generated.invalid, **kept.invalid},
            "out_of_range": dict(kept.out_of_range),
            "data": {data},
            "era": {era},
            "channel": {self.channel},
            "blinding": {layout.blinding if blinded else ()},
        }
        if layout.columns:
            options: dict[str, Any] = {"spool": self.spool, "channel": self.channel}
            blocks = [Block.of(sample, chunk.key, process, **options)] if len(sample) else []
            output["columns"] = blocks
        elif not data:
            output["cells"] = {process: _cells(layout, sample)}
        if self.categories is not None and self.templates is not None:
            filled = self.templates.copy()
            fill_templates(filled, sample, process=process, categories=self.categories)
            output["templates"] = filled
        return {chunk.dataset: output}, kept.view.entries


def _with_folds(
    kept: _Kept, layout: Layout, chunk: ChunkIdentity, *, data: bool, hidden: bool
) -> Sample:
    """The events with their folds; data train nothing and have none."""
    if layout.n_folds == 1 or data:
        return kept.sample
    if hidden:  # what numbers the events would tell how many are missing between two of them
        folds = content_fold(kept.sample, n_folds=layout.n_folds)
    else:
        folds = chunk.folds(kept.view, n_folds=layout.n_folds, event_id=layout.event_id)
    return replace(kept.sample, fold=folds)


def _is_data(said: bool | None, chunk: ChunkIdentity, process: str, layout: Layout) -> bool:
    """Whether a chunk is collision data; what the caller and the others say must agree."""
    known = {
        "events.metadata has is_data": chunk.is_data,
        "the analysis file has data": layout.is_data.get(process),
    }
    for who, value in known.items():
        if value is not None and said is not None and value != said:
            raise ConfigError(
                f"{chunk.place}: collect: data must be {value} for process {process!r}, as "
                f"{who}: {str(value).lower()} (got {said})"
            )
        said = value if said is None else said
    return bool(said)


@dataclass(frozen=True)
class _Generated:
    """Sums of generator weights over all events: nominal, and of variations that are normalised.

    ``invalid`` counts those that are no number.
    """

    sumw: float = 0.0
    varied: Mapping[str, float] = field(default_factory=dict)
    invalid: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        view: EventView,
        known: float | None,
        nominal: Source | None,
        varied: Mapping[str, Product],
    ) -> Self:
        total, sums = 0.0 if known is None else known, {}
        invalid = {}
        for name, source in varied.items():
            key = f"{SUM_OF_WEIGHTS}.{name}"
            values = view.product(product(source), key)
            sums[name] = finite_sum(values)
            invalid[key] = int(np.count_nonzero(~np.isfinite(values)))
        if nominal is not None:
            values = view.product(product(nominal), SUM_OF_WEIGHTS)
            total += finite_sum(values)
            invalid[SUM_OF_WEIGHTS] = int(np.count_nonzero(~np.isfinite(values)))
        return cls(float(total), sums, invalid)


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """What is left of the selected events without those of which a nominal value is no number.

    ``invalid`` and ``out_of_range`` count by source; ``selected_weight`` is that of all that were
    selected.
    """

    view: EventView
    sample: Sample
    selected_weight: FloatArray
    invalid: Mapping[str, int]
    out_of_range: Mapping[str, int]

    @classmethod
    def of(cls, view: EventView, layout: Layout, sources: Sources, *, data: bool) -> Self:
        weight = view.product(sources.weight, "weight")
        columns: dict[str, FloatArray] = {}
        if layout.mass is not None:
            assert sources.mass is not None
            columns[MASS] = view.numbers(sources.mass, MASS) * layout.mass.to_gev
        for f in layout.features:
            columns[f.name] = view.numbers(
                sources.discriminants[f.name], f"discriminants.{f.name}"
            )
        columns["weight"] = weight
        varied = {
            k: _variation(view, k, v, columns, layout) for k, v in sources.variations.items()
        }
        for name, variation in varied.items():
            if variation.weight is not None:
                columns[f"weight.variations.{name}"] = variation.weight
        finite = {name: np.isfinite(values) for name, values in columns.items()}
        good = np.logical_and.reduce(list(finite.values()))
        sample = Sample(
            x=np.stack([columns[f.name] for f in layout.features], axis=-1),
            weight=weight,
            mass=columns.get(MASS),
            variations=varied,
            data=data,
        )
        if not good.all():
            sample = sample.where(good)
        return cls(
            view=view.where(good),
            sample=sample,
            selected_weight=weight,
            invalid={name: int(np.count_nonzero(~ok)) for name, ok in finite.items()},
            out_of_range=_out_of_range(layout, sample),
        )


def _variation(
    view: EventView, name: str, varied: Varied, nominal: Mapping[str, FloatArray], layout: Layout
) -> Variation:
    """A variation of the selected events; a value that is no number takes an event out of it."""

    def own(key: str, factor: float) -> FloatArray:
        values = view.numbers(varied.values[key], f"variations.{name}.{key}") * factor
        return np.where(np.isfinite(values), values, np.nan)

    features = [f.name for f in layout.features]
    x = mass = weight = None
    if set(varied.values) & set(features):
        x = np.stack(
            [own(f, 1.0) if f in varied.values else nominal[f] for f in features], axis=-1
        )
    if MASS in varied.values:
        assert layout.mass is not None
        mass = own(MASS, layout.mass.to_gev)
    if varied.weight is not None:
        weight = view.product(varied.weight, f"weight.variations.{name}")
    return Variation(x=x, weight=weight, mass=mass)


def _out_of_range(layout: Layout, sample: Sample) -> dict[str, int]:
    """How many events lie outside the range of each discriminant, and of the mass."""

    def count(outside: BoolArray) -> int:
        return int(np.count_nonzero(outside))

    result = {f.name: count(~f.inside(sample.x[:, d])) for d, f in enumerate(layout.features)}
    if layout.mass is not None and sample.mass is not None:
        low, high = layout.mass.range_gev
        result[MASS] = count((sample.mass < low) | (sample.mass > high))
    return result


def _fill_histograms(layout: Layout, sample: Sample, process: str) -> dict[str, hist.Hist[Any]]:
    variations = [NOMINAL, *sample.variations]
    result = {
        "_".join(names): layout.empty(
            names, processes=[process], variations=variations, growth=True
        )
        for names in layout.products
    }
    nominal = _axis_values(layout, sample)
    for variation in variations:
        events = sample.varied(variation)
        moved = variation != NOMINAL and sample.variations[variation].is_shape
        values = _axis_values(layout, events) if moved else nominal
        for names in layout.products:
            at = [values[name] for name in names]
            result["_".join(names)].fill(process, variation, *at, weight=events.weight)
    return result


def _axis_values(layout: Layout, events: Sample) -> dict[str, FloatArray]:
    """What every axis is filled with."""
    columns = {f.name: events.x[:, d] for d, f in enumerate(layout.features)}
    if events.mass is not None:
        columns[MASS] = events.mass
    return {name: fill_values(x, layout.axes[name]) for name, x in columns.items()}


def _cells(layout: Layout, sample: Sample) -> Cells:
    window = layout.mass.window_gev if layout.mass is not None and layout.moments else None
    limits = layout.mass.range_gev if layout.mass is not None and layout.moments else None
    return Cells.fill(
        layout.grid, sample, n_folds=layout.n_folds, window=window, mass_range=limits
    )
