"""What a statistics tool makes of an exported model: its expected significance, from pyhf."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from iminuit import Minuit

from gato_coffea.errors import install_hint, installed
from gato_coffea.exports.bins import Process
from gato_coffea.exports.likelihood import counting_significance, together
from gato_coffea.exports.models import SYSTEMATIC, Channel, own_nuisance
from gato_coffea.exports.normalisations import SIDEBAND_PROCESS
from gato_coffea.exports.workspaces import pyhf_workspace, signal_strengths
from gato_coffea.optimisation.result import Significance
from gato_coffea.rendering.rounding import NONE, decimals, rounded, with_error
from gato_coffea.rendering.tables import Column, TextTable
from gato_coffea.statistics.counting import COMBINATIONS, Combination, signal_significances

if TYPE_CHECKING:
    from gato_coffea.exports.headline import Headline
    from gato_coffea.optimisation.result import Result

AGREEMENT = 0.01
"""Significances that differ by less are called equal; a factor nearer to 1 is not named."""

TOLERANCE = 0.01
"""Of the minimiser, tenfold below its usual one: ``q0`` is then known to 2e-5, and a significance
of 0.2 to 1e-4."""

COLUMNS = (
    Column("model", "the figure that is quoted, and each exported model", is_text=True),
    Column("statistics only", "with the yields known"),
    Column("background uncertain", "with finite simulation, or the error of the sidebands' fit"),
    Column("everything", "with all uncertainties of the model: what it gives as it is written"),
    Column("over quoted", "everything, over the quoted held-out figure"),
)

RATIO_DECIMALS = 3
"""Decimals of a ratio of significances: a tenth of the difference that is called equal."""


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


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The exported models beside the significance that is quoted for the categories.

    Attributes
    ----------
    quoted
        The headline: on events that the categories were not trained on.
    training
        The same figure on all events, which the templates are made of.
    statistics
        That of the same yields with counting statistics alone.
    models
        By name: ``counting``, and ``shape`` where there is a mass.
    combination
        How the significances of several signals become one.
    before
        Where the headline is that with the mass fits: what the optimisation has quoted, which
        did not have them.
    cross_validated
        Whether there were folds; without them the headline is of the training events too.
    """

    quoted: Significance
    training: Significance
    statistics: Significance
    models: Mapping[str, ModelSignificance]
    combination: Combination = "geometric"
    before: Significance | None = None
    cross_validated: bool = True

    def ratio(self, name: str) -> float | None:
        """What a model gives in units of the quoted significance; None if it is unknown."""
        found = self.models[name].everything
        return None if found is None else _ratio(found, self.quoted)

    def factors(self, name: str) -> dict[str, float]:
        """Why a model does not give the quoted significance: factors whose product is `ratio`.

        ``all events``: the categories on the events they were trained on. ``background
        estimate``: other expected yields. ``background uncertainty`` and ``variations``:
        uncertainties that the quoted figure is without; with the mass fits it has them all, and
        ``evaluation`` is what pyhf makes of it. ``shape of the mass``: information that counting
        has not.
        """
        counting, model = self.models["counting"], self.models[name]
        if counting.background is None or counting.everything is None or model.everything is None:
            return {}
        found = {"all events": _ratio(self.training, self.quoted)}
        if self.before is None:
            known = _ratio(self.statistics, self.training)
            found |= {
                "background estimate": _ratio(counting.statistics, self.statistics),
                "background uncertainty": known * _ratio(counting.background, counting.statistics),
                "variations": _ratio(counting.everything, counting.background),
            }
        else:
            found["evaluation"] = _ratio(counting.everything, self.training)
        if name != "counting":
            found["shape of the mass"] = _ratio(model.everything, counting.everything)
        return found

    def explanation(self, name: str) -> str:
        """One line: what the model gives, and which factors make the difference."""
        ratio, found = self.ratio(name), self.models[name].everything
        if ratio is None or found is None:
            missing = "the fit did not converge" if can_evaluate() else install_hint("pyhf")
            return f"{name}: was not evaluated ({missing})"
        digits = decimals(self.quoted.spread)
        text = (
            f"{name}: Z {rounded(found.combined, digits)}, {rounded(ratio, RATIO_DECIMALS)} of "
            f"the quoted {rounded(self.quoted.combined, digits)}"
        )
        named = [
            f"{k} x {rounded(v, RATIO_DECIMALS)}"
            for k, v in self.factors(name).items()
            if _differs(v)
        ]
        return f"{text}: {', '.join(named)}" if named else text

    def change(self) -> str | None:
        """One line: what the mass fits make of the figure of the optimisation."""
        if self.before is None:
            return None
        digits = decimals(self.quoted.spread)
        quoted, before = (rounded(z.combined, digits) for z in (self.quoted, self.before))
        return (
            f"quoted: Z {quoted} with the background of the mass fits and its error; {before} "
            f"before them (x {rounded(_ratio(self.quoted, self.before), RATIO_DECIMALS)})"
        )

    def strengths(self, name: str) -> str | None:
        """One line of a model of several signals: what is assumed of the others' strengths."""
        found = self.models[name]
        if found.everything is None or found.others_free is None or found.common_strength is None:
            return None
        digits = decimals(self.quoted.spread)
        each = (
            f"{signal} {rounded(z, digits)} ({rounded(found.others_free[signal], digits)} with "
            "the others free)"
            for signal, z in found.everything.per_signal.items()
            if signal in found.others_free
        )
        return (
            f"{name}: the {COMBINATIONS[self.combination]} of each signal's Z with the strengths "
            f"of the others fixed at one: {', '.join(each)}; one common strength of all signals: "
            f"{rounded(found.common_strength, digits)}"
        )

    def warnings(self) -> list[str]:
        """What to say where the counting model is not what is quoted, beyond its spread."""
        ratio = self.ratio("counting")
        if ratio is None or not _differs(ratio):
            return []
        spread = self.quoted.spread or 0.0
        beyond = abs(ratio - 1) * self.quoted.combined > spread
        return [self.explanation("counting")] if beyond else []

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON values, with the ratios and factors."""
        further = [self.change(), *(self.strengths(name) for name in self.models)]
        return asdict(self) | {
            "ratios": {name: self.ratio(name) for name in self.models},
            "factors": {name: self.factors(name) for name in self.models},
            "explanations": [
                *(self.explanation(name) for name in self.models),
                *(line for line in further if line is not None),
            ],
        }


def evaluation_table(content: Mapping[str, Any]) -> TextTable:
    """Expected significance of the models beside the quoted one, from `Evaluation.to_dict`."""
    quoted = content["quoted"]
    digits = decimals(quoted["spread"])

    def figure(value: Mapping[str, Any] | None) -> str:
        return NONE if value is None else rounded(value["combined"], digits)

    known, training = figure(content["statistics"]), figure(content["training"])
    headline = with_error(quoted["combined"], quoted["spread"])
    basis = "held out" if content["cross_validated"] else "training"
    rows: list[tuple[str, ...]] = [
        (f"quoted, {basis}", NONE, NONE, headline, NONE),
        ("quoted, all events", known, NONE, training, NONE),
    ]
    before = content["before"]
    if before is not None:
        rows.append((f"before the mass fits, {basis}", NONE, NONE, figure(before), NONE))
    for name, model in content["models"].items():
        ratio = content["ratios"][name]
        cells = [figure(model[key]) for key in ("statistics", "background", "everything")]
        rows.append((name, *cells, rounded(ratio, RATIO_DECIMALS)))
    title = "Expected significance Z of the exported models"
    return TextTable(title=title, columns=COLUMNS, rows=rows)


def largest_z(value: Significance) -> float:
    """Largest significance of a signal: no nuisance parameter is pulled by more."""
    return max(value.per_signal.values(), default=0.0)


def _ratio(first: Significance, second: Significance) -> float:
    return first.combined / second.combined if second.combined > 0 else math.nan


def _differs(factor: float) -> bool:
    return not abs(factor - 1) <= AGREEMENT


def can_evaluate() -> bool:
    """Whether pyhf is installed."""
    return installed("pyhf")


def evaluate(
    models: Mapping[str, Sequence[Channel]],
    result: Result,
    *,
    combination: Combination,
    headline: Headline | None = None,
) -> Evaluation:
    """Evaluate exported models, and put them beside what is quoted.

    Parameters
    ----------
    models
        From `channels`, by name; one is called ``counting``.
    result
        The optimisation whose categories the templates were made with.
    combination
        How the significances of several signals become one.
    headline
        What is quoted with the mass fits, where there are fits.
    """
    yields = result.yields
    signals = yields.signals
    if headline is None:
        z = signal_significances(yields.signal_stack, yields.background)
        statistics = together(dict(zip(signals, z.tolist(), strict=True)), combination)
    else:
        statistics = counting_significance(models["counting"], signals, combination)
    quoted = result if headline is None else headline
    pull = largest_z(quoted.training)
    return Evaluation(
        quoted=quoted.held_out,
        training=quoted.training,
        statistics=statistics,
        models={
            name: evaluate_model(m, signals, combination, largest_pull=pull)
            for name, m in models.items()
        },
        combination=combination,
        before=None if headline is None else headline.before,
        cross_validated=quoted.cross_validated,
    )


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
    return math.sqrt(max(minuit.fval - best, 0.0)) if minuit.valid else math.nan
