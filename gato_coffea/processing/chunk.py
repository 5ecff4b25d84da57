"""One chunk of events into an output that adds: histograms, columns, cells, counts.

`collect` is what a processor calls. It keeps nothing between chunks, and what it returns for two
chunks adds, by coffea's ``accumulate``, to what it returns for both together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import hist
import numpy as np

from gato_coffea.categories import Categories
from gato_coffea.categories.axes import MASS, NOMINAL, fill_values
from gato_coffea.categories.templates import fill_templates
from gato_coffea.errors import ConfigError, InputError
from gato_coffea.events.columns import write_columns
from gato_coffea.events.samples import Cells, FloatArray, Sample, Variation, content_fold
from gato_coffea.processing.event_view import ChunkIdentity, EventView, Quotient, Source
from gato_coffea.processing.layout import Layout

FIRST_STEP, LAST_STEP = "all", "selected"
SUM_OF_WEIGHTS = "sum_of_weights"


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """What is left of a chunk after selection and the removal of what is no number."""

    view: EventView
    sample: Sample
    invalid: Mapping[str, int] = field(default_factory=dict)
    out_of_range: Mapping[str, int] = field(default_factory=dict)


def collect(
    events: Any,
    *,
    process: str,
    layout: Layout,
    discriminants: Mapping[str, Source] | None = None,
    mass: Source | None = None,
    weight: Source | Sequence[Source] = 1.0,
    variations: Mapping[str, Source | Sequence[Source] | Quotient] | None = None,
    selection: Mapping[str, Source] | None = None,
    generator_weight: Source | None = None,
    generator_variations: Mapping[str, Source | Sequence[Source] | Quotient] | None = None,
    sumw: float | None = None,
    data: bool | None = None,
    blinded: bool | None = None,
    dataset: str | None = None,
    categories: Categories | None = None,
    templates: hist.Hist[Any] | None = None,
    spool: str | Path | None = None,
) -> dict[str, dict[str, Any]]:
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
        Source of the nominal weight, or several whose product it is. Unscaled.
    variations
        For each variation, the sources whose product replaces the nominal weight.
    selection
        Masks by the name of their step of the cut flow.
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
    categories
        Trained categories, where category templates are wanted.
    templates
        Empty templates to fill for them, from `categories.templates.empty_templates`.
    spool
        Folder that columns are written to instead of being returned.

    Returns
    -------
    dict
        ``{dataset: {"histograms", "columns" or "cells", "cutflow", "sumw", "sumw_variations",
        "n_events", "varied", "invalid", "out_of_range", "data", "blinding", "templates" where
        asked}}``, which add.

    Raises
    ------
    InputError
        If a branch is missing, or is not one number an event.
    ConfigError
        If a function fails, or ``data`` is not what the analysis or the metadata say.
    """
    chunk = ChunkIdentity.of(events, dataset, process)
    data = _is_data(data, chunk, process, layout)
    if blinded is None:
        blinded = data or chunk.dataset in layout.derived
    view = EventView(events, None, chunk.place)
    factors = [1.0] if data else _listed(weight)
    total, invalid = 0.0 if data or sumw is None else sumw, {}
    sums: dict[str, float] = {}
    if not data:
        generators = {f"{SUM_OF_WEIGHTS}.{k}": v for k, v in (generator_variations or {}).items()}
        if generator_weight is not None:
            generators[SUM_OF_WEIGHTS] = generator_weight
        for key, source in generators.items():
            generated = view.product(_product(source), key)
            sums[key] = _finite_sum(generated)
            invalid[key] = int(np.count_nonzero(~np.isfinite(generated)))
        total += sums.pop(SUM_OF_WEIGHTS, 0.0)
    if discriminants is None:
        discriminants = {f.name: f.name for f in layout.features}
    hidden = _hidden(layout, discriminants, mass) if blinded else []
    early = not any(callable(h.source) for h in hidden)
    if early:
        view = _visible(view, hidden)
    n_events = len(view)
    view, cutflow = _select(view, selection or {}, [s for s in factors if not callable(s)])
    if not early:  # counts from before would tell how many events are hidden
        view = _visible(view, hidden)
        n_events, cutflow = len(view), {}
    kept = _keep(
        view,
        layout=layout,
        discriminants=discriminants,
        mass=mass,
        weight=factors,
        variations={} if data else {k: _product(v) for k, v in (variations or {}).items()},
        data=data,
        cutflow=cutflow,
    )
    sample = kept.sample
    if layout.n_folds > 1 and not data:  # data train nothing
        if hidden:  # what numbers the events would tell how many are missing between two of them
            folds = content_fold(sample, n_folds=layout.n_folds)
        else:
            folds = chunk.folds(kept.view, n_folds=layout.n_folds, event_id=layout.event_id)
        sample = replace(sample, fold=folds)
    output: dict[str, Any] = {
        "histograms": _fill_histograms(layout, sample, process),
        "cutflow": cutflow,
        "sumw": float(total),
        "sumw_variations": {k.removeprefix(f"{SUM_OF_WEIGHTS}."): v for k, v in sums.items()},
        "n_events": n_events,
        "varied": dict.fromkeys([NOMINAL, *sample.variations], len(sample)),
        "invalid": invalid | dict(kept.invalid),
        "out_of_range": dict(kept.out_of_range),
        "data": {data},
        "blinding": {layout.blinding if blinded else ()},
    }
    if layout.columns:
        block = {"key": chunk.key, "process": process, "n": len(sample)}
        output["columns"] = [_block(block, sample, spool)] if len(sample) else []
    elif not data:
        output["cells"] = {process: _cells(layout, sample)}
    if categories is not None and templates is not None:
        filled = templates.copy()
        fill_templates(filled, sample, process=process, categories=categories)
        output["templates"] = filled
    return {chunk.dataset: output}


@dataclass(frozen=True)
class _Hidden:
    """A closed interval of what a source gives, times a factor, that blinded events lie in."""

    source: Source
    key: str
    factor: float
    low: float
    high: float


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


def _hidden(
    layout: Layout, discriminants: Mapping[str, Source], mass: Source | None
) -> list[_Hidden]:
    """What is blinded: the signal window of the mass, and discriminants from a value on."""
    result = []
    for name, low, high in layout.blinding:
        if name == MASS:
            assert layout.mass is not None
            source = layout.mass.source if mass is None else mass
            result.append(_Hidden(source, MASS, layout.mass.to_gev, low, high))
        else:
            result.append(_Hidden(discriminants[name], f"discriminants.{name}", 1.0, low, high))
    return result


def _visible(view: EventView, hidden: Sequence[_Hidden]) -> EventView:
    """The events that are not hidden; one without a value is none of those that are."""
    for part in hidden:
        values = view.numbers(part.source, part.key) * part.factor
        view = view.where(~((values >= part.low) & (values <= part.high)))
    return view


def _listed(value: Any) -> list[Source]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _product(value: Any) -> list[Source] | Quotient:
    return value if isinstance(value, Quotient) else _listed(value)


def _finite_sum(values: FloatArray) -> float:
    return float(np.sum(values, where=np.isfinite(values)))


def _step(weight: FloatArray) -> dict[str, float]:
    return {"events": len(weight), "weighted": _finite_sum(weight)}


def _select(
    view: EventView, selection: Mapping[str, Source], weight: Sequence[Source]
) -> tuple[EventView, dict[str, dict[str, float]]]:
    """Apply the requirements one after the other; weights here are those known for all events."""
    w = view.product(weight, "weight")
    cutflow = {FIRST_STEP: _step(w)}
    for name, source in selection.items():
        mask = view.values(source, f"selection {name}")
        if mask.dtype.kind not in "bui":
            raise InputError(
                f"{view.place}: selection {name}: must be true or false (got type {mask.dtype})"
            )
        passed = mask.astype(bool)
        view, w = view.where(passed), w[passed]
        cutflow[name] = _step(w)
    return view, cutflow


def _keep(
    view: EventView,
    *,
    layout: Layout,
    discriminants: Mapping[str, Source],
    mass: Source | None,
    weight: Sequence[Source],
    variations: Mapping[str, Sequence[Source] | Quotient],
    data: bool,
    cutflow: dict[str, dict[str, float]],
) -> _Kept:
    w = view.product(weight, "weight")
    cutflow[LAST_STEP] = _step(w)
    columns: dict[str, FloatArray] = {}
    if layout.mass is not None:
        values = view.numbers(layout.mass.source if mass is None else mass, "mass")
        columns["mass"] = values * layout.mass.to_gev
    for f in layout.features:
        columns[f.name] = view.numbers(discriminants[f.name], f"discriminants.{f.name}")
    columns["weight"] = w
    varied = {k: view.product(v, f"weight.variations.{k}") for k, v in variations.items()}
    columns |= {f"weight.variations.{k}": v for k, v in varied.items()}
    good = np.ones(len(view), dtype=bool)
    invalid = {}
    for name, values in columns.items():
        finite = np.isfinite(values)
        invalid[name] = int(np.count_nonzero(~finite))
        good &= finite
    if not good.all():
        columns = {name: values[good] for name, values in columns.items()}
    sample = Sample(
        x=np.stack([columns[f.name] for f in layout.features], axis=-1),
        weight=columns["weight"],
        mass=columns.get("mass"),
        variations={k: Variation(weight=columns[f"weight.variations.{k}"]) for k in varied},
        data=data,
    )
    outside = {
        f.name: int(np.count_nonzero(~f.inside(sample.x[:, d])))
        for d, f in enumerate(layout.features)
    }
    if layout.mass is not None and sample.mass is not None:
        low, high = layout.mass.range_gev
        outside[MASS] = int(np.count_nonzero((sample.mass < low) | (sample.mass > high)))
    return _Kept(view=view.where(good), sample=sample, invalid=invalid, out_of_range=outside)


def _fill_histograms(layout: Layout, sample: Sample, process: str) -> dict[str, hist.Hist[Any]]:
    variations = [NOMINAL, *sample.variations]
    result = {
        "_".join(names): layout.empty(
            names, processes=[process], variations=variations, growth=True
        )
        for names in layout.products
    }
    for variation in variations:
        events = sample.varied(variation)
        columns = {f.name: events.x[:, d] for d, f in enumerate(layout.features)}
        if events.mass is not None:
            columns[MASS] = events.mass
        values = {name: fill_values(x, layout.axes[name]) for name, x in columns.items()}
        for names in layout.products:
            at = [values[name] for name in names]
            result["_".join(names)].fill(process, variation, *at, weight=events.weight)
    return result


def _cells(layout: Layout, sample: Sample) -> Cells:
    window = layout.mass.window_gev if layout.mass is not None and layout.moments else None
    limits = layout.mass.range_gev if layout.mass is not None and layout.moments else None
    return Cells.fill(
        layout.grid, sample, n_folds=layout.n_folds, window=window, mass_range=limits
    )


def _block(block: dict[str, Any], sample: Sample, spool: str | Path | None) -> dict[str, Any]:
    if spool is None:
        columns = {"x": sample.x, "weight": sample.weight, "data": sample.data}
        columns["variations"] = dict(sample.variations)
        optional = {"mass": sample.mass, "fold": sample.fold}
        return block | columns | {k: v for k, v in optional.items() if v is not None}
    identity = "|".join(map(str, (*block["key"], block["process"])))
    name = hashlib.sha256(identity.encode()).hexdigest()[:24]
    path = Path(spool) / block["key"][0] / f"{name}.npz"
    write_columns(path, sample)
    return {**block, "path": str(path)}
