"""Templates as the channels of a statistical model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gato_coffea.categories.axes import MASS, NOMINAL
from gato_coffea.categories.templates import ALL, Templates
from gato_coffea.config import Analysis
from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray
from gato_coffea.exports.bins import (
    Process,
    log_normal,
    merge,
    merged_bins,
    with_positive_yields,
    without_negative_bins,
)
from gato_coffea.exports.normalisations import SIDEBAND_PROCESS, check_names, with_normalisations
from gato_coffea.rendering.rounding import uncertainty, with_error
from gato_coffea.sidebands.categories import CategoryFit, shares
from gato_coffea.sidebands.fits import ACCEPTED_LEVEL, edge_index
from gato_coffea.statistics.declared import declared_normalisations
from gato_coffea.statistics.uncertainties import Normalisation

logger = logging.getLogger(__name__)

SYSTEMATIC = "systematic"
ENDS = ("Up", "Down")
WINDOW_ALONE = (
    "the observation is that of the signal window alone: the sidebands act through the "
    "uncertainties of the fitted background, and are not in the observation a second time"
)


def own_name(
    analysis: Analysis, category: int, what: str | None = None, *, channel: str = ALL
) -> str:
    """Name of the channel of a category, or of ``what`` belongs to it alone.

    The name of the analysis is part of it: models of two analyses that are combined share no
    channel and, but for uncertainties of one name, no nuisance parameter. So is the channel of
    the analysis, where it has several.
    """
    parts = [analysis.name, None if channel == ALL else channel, what, f"category{category}"]
    return "_".join(part for part in parts if part is not None)


def own_nuisance(name: str, what: str) -> str:
    """Name of ``what`` belongs to the category of the channel ``name`` alone."""
    before, _, category = name.rpartition("_")
    return f"{before}_{what}_{category}"


def category_names(templates: Templates, analysis: Analysis) -> list[str]:
    """Names of the categories of all channels, in the order of `channels`."""
    return [
        own_name(analysis, category, channel=channel)
        for channel in templates.channels
        for category in range(templates.of(channel).n_categories)
    ]


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One category: its processes, and what was observed or is expected without signal.

    ``edges`` are those of the bins, shape ``(bins + 1,)``; ``is_data`` tells an observation from
    the sum of the backgrounds, which stands in for data that are blinded or do not exist.
    ``notes`` say what a reader of the model should know.
    """

    name: str
    edges: FloatArray
    processes: tuple[Process, ...]
    observed: FloatArray
    is_data: bool
    notes: tuple[str, ...] = ()

    @property
    def background(self) -> FloatArray:
        """Expected yield of all backgrounds, shape ``(bins,)``."""
        none = np.zeros(len(self.observed))
        return np.asarray(sum((p.values for p in self.processes if not p.signal), none))


def channels(
    templates: Templates,
    analysis: Analysis,
    *,
    shape: bool = False,
    fits: Sequence[CategoryFit] | None = None,
    systematics: Sequence[Normalisation] | None = None,
    log: bool = True,
) -> list[Channel]:
    """One channel for each category of each channel of the analysis, ready for a likelihood.

    The rate of every process is the integral of its template. All backgrounds of a category share
    the relative error ``optimise.systematic``. Where bins are negative or without
    background, bins are merged, the other bins of a process scaled, or a negative process is made
    part of another; a category in which no background is expected is left out. All of this is
    noted in the channel and in the log.

    Parameters
    ----------
    templates
        Of one or several channels; control regions are channels like others.
    analysis
        Says which processes are signal, background and data, and what is blinded.
    shape
        Keep the bins of the templates; otherwise every category is one bin, which holds the
        signal window where there is a mass.
    fits
        Sideband fits by category; their prediction takes the place of all backgrounds that are
        not resonant, and the bins are those of the signal window alone. With ``shape`` the errors
        of a fit are variations of its own shape: one for each independent direction of the
        parameters, and one towards the farthest accepted function. A signal that is derived from
        data is what was observed less everything else. Only where there is one channel.
    systematics
        Uncertainties of normalisations beside the variations that the templates hold, by default
        those of the analysis: one nuisance parameter each, in all channels and processes that it
        acts on. The fitted background has none of them.
    log
        Whether the notes of the channels are told in the log.

    Raises
    ------
    InputError
        If fits are for other categories, no category has a signal beside a background, the window
        cuts a bin, a signal is derived from data that are blinded, a variation has one side only,
        or an uncertainty names what is not there.
    """
    if systematics is None:
        systematics = declared_normalisations(analysis)
    check_names(systematics, processes=analysis.processes, channels=templates.channels)
    if fits is not None:
        n = templates.n_categories
        if [f.category for f in fits] != list(range(n)):
            raise InputError(
                f"exports: need one sideband fit for each of {n} categories (got {len(fits)} fits)"
            )
    if fits is not None and SIDEBAND_PROCESS in analysis.processes:
        raise InputError(
            f"exports: process {SIDEBAND_PROCESS!r} is the name of the fitted background; call a "
            "process otherwise"
        )
    result = []
    window = not shape or fits is not None
    sources = [
        _Source(templates.of(name), analysis, category, shape, window=window)
        for name in templates.channels
        for category in range(templates.of(name).n_categories)
    ]
    for source in sources:
        fit = None if fits is None else fits[source.category]
        channel = _channel(source, fit, systematics)
        for note in channel.notes if log else ():
            level = logging.INFO if note == WINDOW_ALONE else logging.WARNING
            logger.log(level, "exports: %s: %s", channel.name, note)
        if channel.background.sum() > 0:
            result.append(channel)
    if not any(p.signal for channel in result for p in channel.processes):
        raise InputError(
            "exports: no category has a positive yield of both a background and "
            f"{', '.join(analysis.optimise.signals)}"
        )
    return result


def refuse_poor_fits(fits: Sequence[CategoryFit], *, accepted: Sequence[int]) -> None:
    """Stop where no function describes the sidebands of a category, unless it is accepted.

    The level of the goodness of fit, 0.01, is shared by the categories: one good analysis in a
    hundred is stopped, whatever their number. A category between the two levels has the error of
    a poor fit, and is noted.

    Raises
    ------
    InputError
        With the first such category, or an accepted one that does not exist.
    """
    for category in accepted:
        if category >= len(fits):
            raise InputError(
                f"exports.accept_poor_fits: there is no category {category} (allowed: 0 to "
                f"{len(fits) - 1})"
            )
    level = ACCEPTED_LEVEL / max(len(fits), 1)
    poor = [f for f in fits if not f.estimate.described and (f.fit.p_value or 0.0) <= level]
    for fit in poor:
        if fit.category not in accepted:
            raise InputError(
                f"exports: category {fit.category}: no function describes the sidebands (the "
                f"best: {fit.fit.family}, p = {uncertainty(fit.fit.p_value or 0.0)}; background "
                f"{with_error(fit.estimate.window_yield, fit.error)}); change mass.range_gev, "
                "mass.sidebands_gev or mass.functions, or take it as it is with exports: "
                f"{{accept_poor_fits: {[f.category for f in poor]}}}"
            )


@dataclass(frozen=True)
class _Source:
    """Templates of one category: its bins, in the window or all, apart or as one."""

    templates: Templates
    analysis: Analysis
    category: int
    shape: bool
    window: bool

    @property
    def channel(self) -> str:
        """The channel of the analysis that the templates are of."""
        (channel,) = self.templates.channels
        return channel

    def own_name(self, what: str | None = None) -> str:
        """Name of the category, or of ``what`` belongs to it alone."""
        return own_name(self.analysis, self.category, what, channel=self.channel)

    @property
    def fine_edges(self) -> FloatArray:
        """Edges of the template's bins."""
        return self.templates.edges

    @property
    def bins(self) -> slice:
        """The template's bins that are used."""
        mass = self.analysis.mass
        if not self.window or mass is None or self.templates.binned_in != MASS:
            return slice(None)
        return slice(
            *(edge_index(e, self.fine_edges, place="mass.window_gev") for e in mass.window_gev)
        )

    @property
    def edges(self) -> FloatArray:
        """Edges of the channel's bins."""
        used = self.fine_edges[:-1][self.bins], self.fine_edges[1:][self.bins]
        edges = np.append(used[0], used[1][-1])
        return edges if self.shape else edges[[0, -1]]

    def contents(self, process: str, variation: str = NOMINAL) -> tuple[FloatArray, FloatArray]:
        """Yields and variances in the bins of the channel."""
        found = self.templates.contents(process, self.category, variation=variation)
        value, variance = (part[self.bins] for part in found)
        if self.shape:
            return value, variance
        return value.sum(keepdims=True), variance.sum(keepdims=True)

    def process(self, name: str) -> Process:
        """A process as the templates hold it, negative bins included."""
        found = self.templates.variations_of(name)
        sources = {v.removesuffix(end) for v in found for end in ENDS if v.endswith(end)}
        wanted = [f"{source}{end}" for source in sorted(sources) for end in ENDS]
        lacking = [variation for variation in wanted if variation not in found]
        if lacking:
            raise InputError(
                f"exports: {name}: variation {lacking[0]} has no events, and its other side has "
                "some; a variation needs both sides"
            )
        values, variances = self.contents(name)
        return Process(
            name=name,
            signal=name in self.analysis.optimise.signals,
            values=values,
            errors=np.sqrt(variances),
            shapes={
                s: (self.contents(name, f"{s}Up")[0], self.contents(name, f"{s}Down")[0])
                for s in sorted(sources)
            },
        )

    def observed(self) -> FloatArray | None:
        """Collision data in the bins of the channel, or None if there are none or blinded."""
        data = self.analysis.data_processes
        if not data or self.analysis.is_blinded:
            return None
        return np.asarray(np.sum([self.contents(d)[0] for d in data], axis=0))


def _channel(
    source: _Source, fit: CategoryFit | None, systematics: Sequence[Normalisation]
) -> Channel:
    analysis, observed = source.analysis, source.observed()
    notes = [WINDOW_ALONE] if fit is not None and source.shape else []
    notes += [] if fit is None else fit.cautions
    backgrounds = analysis.backgrounds if fit is None else analysis.resonant
    processes = [source.process(name) for name in (*analysis.optimise.signals, *backgrounds)]
    if fit is not None:
        nuisance = source.own_name(SIDEBAND_PROCESS)
        drawn = _drawn(fit, source.edges, nuisance) if source.shape else _predicted(fit, nuisance)
        processes.append(drawn)
        processes = _from_data(processes, analysis, observed)
    processes = _with_systematic(processes, source)
    processes = with_normalisations(processes, systematics, channel=source.channel)
    processes, more = with_positive_yields(processes)
    notes += more
    name = source.own_name()
    if not any(not p.signal for p in processes):
        notes.append("no background is expected: left out of the model")
        return Channel(
            name=name,
            edges=source.edges,
            processes=(),
            observed=np.zeros(len(source.edges) - 1),
            is_data=False,
            notes=tuple(notes),
        )
    edges = source.edges
    group = merged_bins(processes)
    if group[-1] + 1 < len(group):
        notes.append(
            f"{len(group)} bins merged to {group[-1] + 1}: each needs a positive background, "
            "worth ten effective entries where it is simulated"
        )
        edges = np.append(edges[:-1][np.diff(group, prepend=-1) > 0], edges[-1])
        processes = [merge(p, group) for p in processes]
        observed = None if observed is None else np.bincount(group, observed).astype(np.float64)
    positive = [without_negative_bins(p) for p in processes]
    for _, more in positive:
        notes += more
    channel = Channel(
        name=name,
        edges=edges,
        processes=tuple(p for p, _ in positive),
        observed=np.zeros(len(edges) - 1) if observed is None else observed,
        is_data=observed is not None,
        notes=tuple(notes),
    )
    return channel if channel.is_data else replace(channel, observed=channel.background)


def _with_systematic(processes: list[Process], source: _Source) -> list[Process]:
    """The processes with the systematic error that every category's background is given."""
    error = source.analysis.optimise.systematic
    if not error:
        return processes
    more = {source.own_name(SYSTEMATIC): log_normal(error)}
    return [p if p.signal else replace(p, norms={**p.norms, **more}) for p in processes]


def _from_data(
    processes: list[Process], analysis: Analysis, observed: FloatArray | None
) -> list[Process]:
    """The processes with signals that are derived from data as what others leave of the data.

    Their weights describe the signal in all of the mass range; in the window they are the data
    themselves, background included.
    """
    own = [p for p in processes if p.signal and p.name in analysis.from_data]
    if not own:
        return processes
    if observed is None:
        raise InputError(
            f"exports: {own[0].name} is derived from data of the signal window, which are "
            "blinded; set mass.blinded: false, or take the signal from simulation"
        )
    left = observed - np.sum([p.values for p in processes if p not in own], axis=0)
    share = shares([p.rate for p in own])
    new = {
        p.name: replace(p, values=part * left, errors=part * np.sqrt(observed), shapes={})
        for p, part in zip(own, share, strict=True)
    }
    return [new.get(p.name, p) for p in processes]


def _predicted(fit: CategoryFit, nuisance: str) -> Process:
    value = fit.estimate.window_yield
    return Process(
        name=SIDEBAND_PROCESS,
        signal=False,
        values=np.array([value]),
        errors=np.zeros(1),
        shapes={},
        norms={nuisance: log_normal(fit.estimate.error / value)} if value > 0 else {},
    )


def _drawn(fit: CategoryFit, edges: FloatArray, nuisance: str) -> Process:
    """The fitted function in the bins of the mass, with its variations."""
    values = fit.estimate.expected(edges)
    variations = fit.estimate.variations(edges)
    shapes = {f"{nuisance}_{source}": pair for source, pair in variations.items()}
    return Process(
        name=SIDEBAND_PROCESS, signal=False, values=values, errors=0.0 * values, shapes=shapes
    )
