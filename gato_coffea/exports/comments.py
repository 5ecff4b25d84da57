"""What a reader of a datacard must know beside its numbers, one line each."""

from __future__ import annotations

from collections.abc import Sequence

from gato_coffea.config import Analysis
from gato_coffea.exports.models import Channel
from gato_coffea.exports.normalisations import SIDEBAND_PROCESS
from gato_coffea.exports.workspaces import nuisances, signal_strengths
from gato_coffea.sidebands.categories import CategoryFit
from gato_coffea.statistics.counting import COMBINATIONS

COMBINE_RANGE = 7.0
"""Standard deviations that combine lets a nuisance parameter move, where nothing else is said."""


def model_comments(
    model: Sequence[Channel],
    analysis: Analysis,
    *,
    fits: Sequence[CategoryFit] | None = None,
    largest_pull: float = 0.0,
) -> list[str]:
    """Where a model comes from, what its observation is, and how to get the quoted figure of it.

    Parameters
    ----------
    model
        From `channels`.
    analysis
        What it is a model of.
    fits
        The sideband fits that it was made with.
    largest_pull
        As in `pyhf_workspace`.
    """
    return [
        _origin(model, analysis),
        _observation(model, analysis),
        *_sidebands(fits or ()),
        *_several_signals(model, analysis),
        *_ranges(model, largest_pull),
    ]


def _origin(model: Sequence[Channel], analysis: Analysis) -> str:
    text = f"analysis {analysis.name}"
    if analysis.total_luminosity_per_fb is not None:
        text += f", {analysis.total_luminosity_per_fb:g} /fb"
    if analysis.mass is None:
        return text
    low, high = model[0].edges[[0, -1]]
    inside = (low, high) == analysis.mass.window_gev
    where = "signal window" if inside else "whole range"
    return f"{text}; {where} of the mass, {low:g} to {high:g} GeV"


def _observation(model: Sequence[Channel], analysis: Analysis) -> str:
    if all(channel.is_data for channel in model):
        return "observation: data"
    why = "data are blinded" if analysis.data_processes else "there are no data"
    return f"observation: not data but the sum of the backgrounds; {why}"


def _sidebands(fits: Sequence[CategoryFit]) -> list[str]:
    lines = []
    if any(fit.source != "data" for fit in fits):
        lines.append(
            f"{SIDEBAND_PROCESS}: fitted to the sidebands of simulation, for there are no data; "
            "its error is that of data of the fitted yield, and that of the simulation"
        )
    lines += [
        f"category {fit.category}: {SIDEBAND_PROCESS} fit: {fit.fit.status}"
        f" ({'; '.join(fit.fit.notes) or 'no further note'})"
        for fit in fits
        if fit.fit.status != "ok"
    ]
    return lines


def _several_signals(model: Sequence[Channel], analysis: Analysis) -> list[str]:
    signals = list(signal_strengths(model))
    if len(signals) < 2:
        return []
    maps = " ".join(f"--PO 'map=.*/{name}:r_{name}[1,0,10]'" for name in signals)
    ones = ",".join(f"r_{name}=1" for name in signals)
    others = ",".join(f"r_{name}" for name in signals[1:])
    return [
        f"{len(signals)} signals: the quoted Z is the "
        f"{COMBINATIONS[analysis.optimise.combination]} of each signal's with the strengths of "
        "the others fixed at one; combine's default r is one strength of all signals",
        f"to reproduce it: text2workspace.py datacard.txt -o model.root "
        f"-P HiggsAnalysis.CombinedLimit.PhysicsModel:multiSignalModel {maps}",
        f"and for each signal, as {signals[0]}: combine -M Significance model.root -t -1 "
        f"--setParameters {ones} --redefineSignalPOIs r_{signals[0]} --freezeParameters {others} "
        "(without the last option the others are free)",
    ]


def _ranges(model: Sequence[Channel], largest_pull: float) -> list[str]:
    if largest_pull <= COMBINE_RANGE or not nuisances(model):
        return []
    limit = int(largest_pull) + 2
    ranges = ":".join(f"{name}=-{limit},{limit}" for name in nuisances(model))
    return [
        f"without signal, nuisance parameters may be pulled by up to {largest_pull:.0f} standard "
        f"deviations, beyond combine's range of {COMBINE_RANGE:g}: --setParameterRanges {ranges}"
    ]
