"""What a statistics tool makes of an exported model: its expected significance, from pyhf."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from gato_coffea.errors import install_hint
from gato_coffea.exports.discovery import ModelSignificance, can_evaluate, evaluate_model
from gato_coffea.exports.headline import Headline
from gato_coffea.exports.likelihood import counting_significance, together
from gato_coffea.exports.models import Channel
from gato_coffea.optimisation.result import Significance
from gato_coffea.rendering.rounding import NONE, decimals, rounded, with_error
from gato_coffea.rendering.tables import Column, TextTable
from gato_coffea.statistics.counting import COMBINATIONS, Combination, signal_significances

if TYPE_CHECKING:
    from gato_coffea.optimisation.result import Result

AGREEMENT = 0.01
"""Significances that differ by less are called equal; a factor nearer to 1 is not named."""

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
        Where the optimisation did not know all of the model, as mass fits or other channels: what
        it has quoted.
    before_name, quote
        What that is called, and the headline in words.
    cross_validated
        Whether there were folds; without them the headline is of the training events too.
    """

    quoted: Significance
    training: Significance
    statistics: Significance
    models: Mapping[str, ModelSignificance]
    combination: Combination = "geometric"
    before: Significance | None = None
    before_name: str = ""
    quote: str | None = None
    cross_validated: bool = True

    def ratio(self, name: str) -> float | None:
        """What a model gives in units of the quoted significance; None if it is unknown."""
        found = self.models[name].everything
        return None if found is None else _ratio(found, self.quoted)

    def factors(self, name: str) -> dict[str, float]:
        """Why a model does not give the quoted significance: factors whose product is `ratio`.

        ``all events``: the categories on the events they were trained on. ``background
        estimate``: other expected yields. ``background uncertainty`` and ``variations``:
        uncertainties that the quoted figure is without. Where it has them all, ``evaluation`` is
        what pyhf makes of it. ``shape of the mass``: information that counting
        has not.
        """
        counting, model = self.models["counting"], self.models[name]
        if counting.background is None or counting.everything is None or model.everything is None:
            return {}
        found = {"all events": _ratio(self.training, self.quoted)}
        evaluated = _ratio(counting.everything, self.training)
        if self.before is None and _differs(evaluated):
            known = _ratio(self.statistics, self.training)
            found |= {
                "background estimate": _ratio(counting.statistics, self.statistics),
                "background uncertainty": known * _ratio(counting.background, counting.statistics),
                "variations": _ratio(counting.everything, counting.background),
            }
        else:
            found["evaluation"] = evaluated
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
        further = [self.quote, *(self.strengths(name) for name in self.models)]
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
        rows.append((f"{content['before_name']}, {basis}", NONE, NONE, figure(before), NONE))
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


def evaluate(
    models: Mapping[str, Sequence[Channel]],
    quoted: Result | Headline,
    *,
    combination: Combination,
) -> Evaluation:
    """Evaluate exported models, and put them beside what is quoted.

    Parameters
    ----------
    models
        From `channels`, by name; one is called ``counting``.
    quoted
        The optimisation whose categories the templates were made with, or what is quoted in its
        place.
    combination
        How the significances of several signals become one.
    """
    if isinstance(quoted, Headline):
        signals = tuple(quoted.training.per_signal)
        statistics = counting_significance(models["counting"], signals, combination)
    else:
        yields = quoted.yields
        signals = yields.signals
        z = signal_significances(yields.signal_stack, yields.background)
        statistics = together(dict(zip(signals, z.tolist(), strict=True)), combination)
    pull = largest_z(quoted.training)
    found = Evaluation(
        quoted=quoted.held_out,
        training=quoted.training,
        statistics=statistics,
        models={
            name: evaluate_model(m, signals, combination, largest_pull=pull)
            for name, m in models.items()
        },
        combination=combination,
        cross_validated=quoted.cross_validated,
    )
    if not isinstance(quoted, Headline):
        return found
    return replace(
        found, before=quoted.before, before_name=quoted.before_name, quote=quoted.sentence()
    )
