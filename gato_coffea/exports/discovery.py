"""Expected significance of an exported model, from pyhf's likelihood."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from iminuit import Minuit

from gato_coffea.errors import installed
from gato_coffea.exports.bins import Process
from gato_coffea.exports.likelihood import counting_significance, together
from gato_coffea.exports.models import SYSTEMATIC, Channel, own_nuisance
from gato_coffea.exports.normalisations import SIDEBAND_PROCESS
from gato_coffea.exports.workspaces import pyhf_workspace, signal_strengths
from gato_coffea.optimisation.result import Significance
from gato_coffea.statistics.counting import Combination

TOLERANCE = 0.01
"""Of the minimiser, tenfold below its usual one: ``q0`` is then known to 2e-5, and a significance
of 0.2 to 1e-4."""


@dataclass(frozen=True, kw_only=True)
class ModelSignificance:
    """Expected significance of an exported model, with more and more of its uncertainties.

    Attributes
    ----------
    statistics
        With the yields known: counting statistics alone.
    background
        With the uncertainty of the background: finite simulation, or the error of its fit. None
        without pyhf, or where a fit failed.
    everything
        With all variations too: what the model gives as it is written.
    others_free
        Of several signals: that of each with the strengths of the others free, as
        ``pyhf.infer.hypotest`` has them in the file as it is opened; all other figures have them
        fixed at one. None of one signal, without pyhf, or where a fit failed.
    common_strength
        Of several signals: that of one strength for all of them, as combine's ``r`` is.
    """

    statistics: Significance
    background: Significance | None
    everything: Significance | None
    others_free: Mapping[str, float] | None = None
    common_strength: float | None = None


def can_evaluate() -> bool:
    """Whether pyhf is installed."""
    return installed("pyhf")


def evaluate_model(
    model: Sequence[Channel],
    signals: Sequence[str],
    combination: Combination,
    *,
    largest_pull: float = 0.0,
) -> ModelSignificance:
    """Expected significance of a model: each signal beside the others at their nominal yields.

    Of several signals it is also given with the strengths of the others free, and for one common
    strength.

    It is that of the discovery test of Asimov data, ``sqrt(q0)`` (Cowan et al., EPJC 71 (2011)
    1554), with all nuisance parameters profiled by pyhf's likelihood.

    Parameters
    ----------
    model
        From `channels`.
    signals
        Those to evaluate; one that no channel has gets zero.
    combination
        How their significances become one.
    largest_pull
        As in `pyhf_workspace`.
    """

    def discovery(
        channels: Sequence[Channel], tested: Sequence[str], *, others_free: bool = False
    ) -> float:
        content = pyhf_workspace(channels, largest_pull=largest_pull)
        return _discovery(content, signal_strengths(channels), tested, others_free=others_free)

    def with_pyhf(channels: Sequence[Channel]) -> Significance | None:
        if not can_evaluate():
            return None
        found = {name: discovery(channels, [name]) for name in signals}
        return None if any(map(math.isnan, found.values())) else together(found, combination)

    bare = [_background_alone(channel) for channel in model]
    background = with_pyhf(bare)
    everything = background if bare == list(model) else with_pyhf(model)
    others_free, common = None, None
    present = list(signal_strengths(model))
    if everything is not None and len(present) > 1:
        free = {name: discovery(model, [name], others_free=True) for name in present}
        others_free = None if any(map(math.isnan, free.values())) else free
        shared = discovery(model, present)
        common = None if math.isnan(shared) else shared
    return ModelSignificance(
        statistics=counting_significance(model, signals, combination),
        background=background,
        everything=everything,
        others_free=others_free,
        common_strength=common,
    )


def _background_alone(channel: Channel) -> Channel:
    """The channel with the uncertainty of its background alone: its simulation, or its fit."""
    own = [own_nuisance(channel.name, what) for what in (SIDEBAND_PROCESS, SYSTEMATIC)]

    def bare(process: Process) -> Process:
        norms = {name: pair for name, pair in process.norms.items() if name in own}
        shapes = process.shapes if process.name == SIDEBAND_PROCESS else {}
        return replace(process, shapes=shapes, norms=norms, free=())

    processes = tuple(map(bare, channel.processes))
    unchanged = all(
        len(p.shapes) == len(q.shapes) and len(p.norms) == len(q.norms) and p.free == q.free
        for p, q in zip(processes, channel.processes, strict=True)
    )
    return channel if unchanged else replace(channel, processes=processes)


def _discovery(
    content: Mapping[str, Any],
    strength: Mapping[str, str],
    signals: Sequence[str],
    *,
    others_free: bool,
) -> float:
    """Square root of ``q0`` of the Asimov data with all signals; NaN if the fit fails.

    The strengths of ``signals`` are zero in the hypothesis that is tested, those of the others
    one, or free.
    """
    import pyhf

    tested = [name for name in signals if name in strength]
    if not tested:
        return 0.0
    pdf = pyhf.Model(
        {
            "channels": content["channels"],
            "parameters": content["measurements"][0]["config"]["parameters"],
        },
        poi_name=strength[tested[0]],
        validate=False,
    )
    nominal = np.array(pdf.config.suggested_init(), dtype=np.float64)
    data = pdf.expected_data(nominal)
    at = {name: pdf.config.par_slice(parameter).start for name, parameter in strength.items()}
    fixed = [at[name] for name in (tested if others_free else at)]
    free = np.setdiff1d(np.arange(len(nominal)), fixed)
    start = nominal.copy()
    start[[at[name] for name in tested]] = 0.0

    def twice_nll(values: npt.NDArray[np.float64]) -> float:
        start[free] = values
        return -2.0 * float(np.asarray(pdf.logpdf(start, data))[0])

    best = -2.0 * float(np.asarray(pdf.logpdf(nominal, data))[0])
    if len(free) == 0:
        return math.sqrt(max(twice_nll(start[free]) - best, 0.0))
    minuit = Minuit(twice_nll, nominal[free])
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.tol = TOLERANCE
    minuit.limits = [pdf.config.suggested_bounds()[i] for i in free]
    minuit.errors = np.full(len(free), 0.1)
    minuit.migrad()
    if not minuit.valid:
        minuit.strategy = 2
        minuit.migrad()
    lowest = minuit.fval if minuit.valid else math.nan
    positions = {pdf.config.par_slice(name).start for name in _bent(content)}
    for j in np.flatnonzero(np.isin(free, list(positions))):
        for side in (1.0, -1.0):
            minuit.values = nominal[free]
            minuit.values[int(j)] = side
            minuit.migrad()
            if minuit.valid:
                lowest = float(np.fmin(lowest, minuit.fval))
    return math.sqrt(max(lowest - best, 0.0))


def _bent(content: Mapping[str, Any]) -> set[str]:
    """Variations that move the yields of some bins to the same side, up and down.

    The likelihood may have several minima along these, of which one start finds one.
    """
    return {
        modifier["name"]
        for channel in content["channels"]
        for sample in channel["samples"]
        for modifier in sample["modifiers"]
        if modifier["type"] == "histosys"
        for nominal, low, high in zip(
            sample["data"], modifier["data"]["lo_data"], modifier["data"]["hi_data"], strict=True
        )
        if (low - nominal) * (high - nominal) > 0
    }
