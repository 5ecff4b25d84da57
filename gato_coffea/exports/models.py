"""Templates as the channels of a statistical model."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hist
import numpy as np

from gato_coffea.axes import MASS, NOMINAL
from gato_coffea.config import Analysis
from gato_coffea.errors import InputError
from gato_coffea.exports.histograms import variations_of
from gato_coffea.samples import FloatArray
from gato_coffea.sidebands.categories import CategoryFit
from gato_coffea.sidebands.fits import edge_index

logger = logging.getLogger(__name__)

SIDEBAND_PROCESS = "sideband"
TINY = 1e-6
"""Background put into a bin without any, in events: a fit needs an expectation everywhere."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """Expectation of one process in one channel.

    Attributes
    ----------
    name
        Process.
    signal
        Whether a signal strength multiplies it.
    values, errors
        Expected yield and its error from finite simulation, shape ``(bins,)``.
    shapes
        Up and down yields by source of variation.
    relative_error
        Error of the whole yield that this channel alone has, or None.
    """

    name: str
    signal: bool
    values: FloatArray
    errors: FloatArray
    shapes: Mapping[str, tuple[FloatArray, FloatArray]]
    relative_error: float | None = None


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One category: its processes, and what was observed or is expected without signal.

    ``edges`` are those of the bins, shape ``(bins + 1,)``; ``is_data`` tells an observation from
    the sum of the backgrounds, which stands in for data that are blinded or do not exist.
    """

    name: str
    edges: FloatArray
    processes: tuple[Process, ...]
    observed: FloatArray
    is_data: bool


def channels(
    templates: hist.Hist[Any],
    analysis: Analysis,
    *,
    shape: bool = False,
    fits: Sequence[CategoryFit] | None = None,
) -> list[Channel]:
    """One channel for each category, ready for a likelihood.

    Negative expectations become zero, and a bin without background gets a millionth of an event;
    both are reported in the log.

    Parameters
    ----------
    templates
        Axes process, variation, category and mass or discriminant.
    analysis
        Says which processes are signal, background and data, and what is blinded.
    shape
        Keep the bins of the templates; otherwise every category is one bin, which holds the
        signal window where there is a mass.
    fits
        Sideband fits by category; their prediction takes the place of all simulated backgrounds.
        With ``shape`` its errors are variations of its own shape: one for each independent
        direction of the parameters, and one towards the farthest accepted function.

    Raises
    ------
    InputError
        If fits are for other categories, no category has a signal, or the window cuts a bin.
    """
    n = len(templates.axes[2])
    if fits is not None and [f.category for f in fits] != list(range(n)):
        raise InputError(
            f"exports: need one sideband fit for each of {n} categories (got {len(fits)} fits)"
        )
    result = [
        _channel(
            templates,
            analysis,
            category,
            shape=shape,
            fit=None if fits is None else fits[category],
        )
        for category in range(n)
    ]
    if not any(p.signal for channel in result for p in channel.processes):
        raise InputError(
            f"exports: no category has a positive yield of {', '.join(analysis.optimise.signals)}"
        )
    return result


def _channel(
    templates: hist.Hist[Any],
    analysis: Analysis,
    category: int,
    *,
    shape: bool,
    fit: CategoryFit | None,
) -> Channel:
    simulated = (*analysis.optimise.signals, *(() if fit else analysis.backgrounds))
    processes = [_process(templates, analysis, name, category, shape=shape) for name in simulated]
    if fit is not None:
        processes.append(
            _drawn(fit, _edges(templates, analysis, shape=True)) if shape else _predicted(fit)
        )
    expected = np.sum([p.values for p in processes if not p.signal], axis=0)
    processes, observed = _filled(processes, expected, f"category{category}")
    data = analysis.data_processes
    is_data = bool(data) and not analysis.is_blinded
    if is_data:
        seen = [_contents(templates, analysis, d, NOMINAL, category, shape)[0] for d in data]
        observed = np.sum(seen, axis=0)
    return Channel(
        name=f"category{category}",
        edges=_edges(templates, analysis, shape=shape),
        processes=tuple(p for p in processes if p.values.sum() > 0),
        observed=observed,
        is_data=is_data,
    )


def _window(templates: hist.Hist[Any], analysis: Analysis) -> slice:
    axis = templates.axes[3]
    if analysis.mass is None or axis.name != MASS:
        return slice(None)
    edges = np.asarray(axis.edges, dtype=np.float64)
    return slice(
        *(edge_index(e, edges, place="mass.window_gev") for e in analysis.mass.window_gev)
    )


def _edges(templates: hist.Hist[Any], analysis: Analysis, *, shape: bool) -> FloatArray:
    edges = np.asarray(templates.axes[3].edges, dtype=np.float64)
    if shape:
        return edges
    return np.array(analysis.mass.window_gev) if analysis.mass is not None else edges[[0, -1]]


def _contents(
    templates: hist.Hist[Any],
    analysis: Analysis,
    process: str,
    variation: str,
    category: int,
    shape: bool,
) -> tuple[FloatArray, FloatArray]:
    """Yields and variances in the bins of a channel."""
    at = [list(templates.axes[i]).index(v) for i, v in ((0, process), (1, variation))]
    view: Any = templates.view(flow=False)[at[0], at[1], category]
    if not shape:
        window = _window(templates, analysis)
        value, variance = (view[name][window].sum(keepdims=True) for name in ("value", "variance"))
        return value, variance
    return view["value"].copy(), view["variance"].copy()


def _process(
    templates: hist.Hist[Any], analysis: Analysis, name: str, category: int, *, shape: bool
) -> Process:
    def values(variation: str) -> FloatArray:
        raw = _contents(templates, analysis, name, variation, category, shape)[0]
        if (raw < 0).any():
            logger.warning(
                "exports: category%d: %s %s: %d negative bins set to zero (sum %.3g)",
                category,
                name,
                variation,
                int((raw < 0).sum()),
                raw[raw < 0].sum(),
            )
        return np.maximum(raw, 0.0)

    found = variations_of(templates, name)
    sources = [v.removesuffix("Up") for v in found if v.endswith("Up")]
    variances = _contents(templates, analysis, name, NOMINAL, category, shape)[1]
    return Process(
        name=name,
        signal=name in analysis.optimise.signals,
        values=values(NOMINAL),
        errors=np.sqrt(variances),
        shapes={s: (values(f"{s}Up"), values(f"{s}Down")) for s in sources if f"{s}Down" in found},
    )


def _predicted(fit: CategoryFit) -> Process:
    value = max(fit.fit.window_yield, TINY)
    return Process(
        name=SIDEBAND_PROCESS,
        signal=False,
        values=np.array([value]),
        errors=np.zeros(1),
        shapes={},
        relative_error=fit.error / value,
    )


def _drawn(fit: CategoryFit, edges: FloatArray) -> Process:
    """The fitted function in the bins of the mass, with its variations."""
    values = fit.fit.expected(edges)
    place = f"{SIDEBAND_PROCESS}_category{fit.category}"
    shapes = {f"{place}_{i}": pair for i, pair in enumerate(fit.fit.variations(edges))}
    accepted = [f for f in fit.alternatives if f.accepted]
    if accepted:
        farthest = max(accepted, key=lambda f: abs(f.window_yield - fit.fit.window_yield))
        other = farthest.expected(edges)
        shapes[f"{place}_function"] = (other, np.maximum(2 * values - other, 0.0))
    return Process(
        name=SIDEBAND_PROCESS, signal=False, values=values, errors=0.0 * values, shapes=shapes
    )


def _filled(
    processes: list[Process], expected: FloatArray, place: str
) -> tuple[list[Process], FloatArray]:
    """The processes with a trace of background in bins that have none."""
    empty = expected <= 0
    if not empty.any():
        return processes, expected
    logger.warning(
        "exports: %s: %d of %d bins have no background; %g is put there",
        place,
        int(empty.sum()),
        len(expected),
        TINY,
    )
    first = next(i for i, p in enumerate(processes) if not p.signal)
    old = processes[first]
    filled = Process(
        name=old.name,
        signal=False,
        values=np.where(empty, TINY, old.values),
        errors=np.where(empty, TINY, old.errors),
        shapes={
            source: (np.where(empty, TINY, up), np.where(empty, TINY, down))
            for source, (up, down) in old.shapes.items()
        },
        relative_error=old.relative_error,
    )
    return [*processes[:first], filled, *processes[first + 1 :]], np.where(empty, TINY, expected)
