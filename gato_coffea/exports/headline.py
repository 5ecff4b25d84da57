"""The figure to quote where the exported model holds more than the optimisation knew.

The optimiser knows the background of simulation, or of the weights that it is given, in one
channel. The exported model has that of the mass fits with their errors, and all channels together
with the uncertainties that they share. What the model gives is the headline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from gato_coffea.categories.templates import Templates
from gato_coffea.config import Analysis
from gato_coffea.exports.likelihood import counting_significance, model_significance, together
from gato_coffea.exports.models import Channel, channels
from gato_coffea.optimisation.result import Significance
from gato_coffea.rendering.rounding import decimals, rounded, with_error
from gato_coffea.sidebands.categories import CategoryFit
from gato_coffea.statistics.counting import Combination
from gato_coffea.statistics.uncertainties import Normalisation

if TYPE_CHECKING:
    from gato_coffea.optimisation.result import Result


@dataclass(frozen=True, kw_only=True)
class Headline:
    """What is quoted of the exported model, and what was before.

    Attributes
    ----------
    held_out
        The figure to quote: that on events that the categories did not see.
    training
        What the exported model gives, which is made of all events.
    before
        The held-out figure of the optimisation: before the mass fits, or that of the channels
        apart, added in squares.
    before_training
        That of all events.
    together
        Whether it is that of several channels.
    cross_validated
        Whether there were folds; without them ``held_out`` is of the training events too.
    """

    held_out: Significance
    training: Significance
    before: Significance
    before_training: Significance
    cross_validated: bool = True
    together: bool = False

    @property
    def before_name(self) -> str:
        """What the figure of the optimisation is called."""
        return "channels apart, added in squares" if self.together else "before the mass fits"

    def sentence(self) -> str:
        """The figure to quote, in words."""
        digits = decimals(self.held_out.spread)
        training, before = (rounded(z.combined, digits) for z in (self.training, self.before))
        quoted = with_error(self.held_out.combined, self.held_out.spread)
        if self.cross_validated:
            quoted = f"held-out {quoted} ({training} on the training events)"
        what = "the background of the mass fits and its error"
        if self.together:
            what = "all channels, the uncertainties that they share, and control regions"
        return f"Z with {what}: {quoted}; {self.before_name}: {before}"

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON values."""
        return asdict(self)


def headline(
    templates: Templates,
    analysis: Analysis,
    result: Result | Mapping[str, Result],
    *,
    fits: Sequence[CategoryFit] | None = None,
    systematics: Sequence[Normalisation] | None = None,
) -> Headline:
    """The figure that the exported counting model gives, held out as far as it can be.

    Templates and fits are of all events, and so is what the model gives. What the categories lose
    on events that they did not see is known from the optimisation: the held-out figure is that of
    the model, less by the same factor.

    Parameters
    ----------
    templates, analysis, fits, systematics
        What the model is made of; see `channels`.
    result
        The optimisation that the categories are from, or those of several channels by name.

    Raises
    ------
    InputError
        If there is no model; see `channels`.
    OptimisationError
        If the fit of the model finds no minimum.
    """
    model = channels(templates, analysis, fits=fits, systematics=systematics, log=False)
    return headline_of(model, result, combination=analysis.optimise.combination)


def headline_of(
    model: Sequence[Channel],
    result: Result | Mapping[str, Result],
    *,
    combination: Combination,
) -> Headline:
    """The figure that a counting model gives; see `headline`."""
    several = isinstance(result, Mapping)
    results = list(result.values()) if isinstance(result, Mapping) else [result]
    signals = results[0].yields.signals
    before, training = results[0].held_out, results[0].training
    if several:
        before = _added([r.held_out for r in results], combination)
        training = _added([r.training for r in results], combination)
    everything = model_significance(model, signals, combination)
    counting = counting_significance(model, signals, combination)
    kept = {s: _ratio(before.per_signal[s], training.per_signal[s]) for s in signals}
    held_out = together({s: z * kept[s] for s, z in everything.per_signal.items()}, combination)
    spread, known = before.spread, training.statistics_only
    change = _ratio(held_out.combined, before.combined)
    return Headline(
        held_out=replace(
            held_out,
            spread=None if spread is None else spread * change,
            statistics_only=None
            if known is None or before.statistics_only is None
            else counting.combined * _ratio(before.statistics_only, known),
        ),
        training=replace(everything, statistics_only=counting.combined),
        before=before,
        before_training=training,
        cross_validated=all(r.cross_validated for r in results),
        together=several,
    )


def _added(values: Sequence[Significance], combination: Combination) -> Significance:
    """Significances of channels that share nothing: each signal's in quadrature.

    The spread is that of a sum of squares whose terms are independent.
    """
    names = values[0].per_signal
    each = {s: math.hypot(*(v.per_signal.get(s, 0.0) for v in values)) for s in names}
    found = together(each, combination)
    size = math.hypot(*(v.combined for v in values))
    spreads = [v.combined * v.spread / size for v in values if v.spread is not None and size > 0]
    known = [v.statistics_only for v in values if v.statistics_only is not None]
    return replace(
        found,
        spread=math.hypot(*spreads) if len(spreads) == len(values) else None,
        statistics_only=math.hypot(*known) if len(known) == len(values) else None,
    )


def _ratio(first: float, second: float) -> float:
    """By how much a figure is less than another; one where that is zero."""
    return first / second if second > 0 else 1.0
