"""The figure to quote for categories whose background is fitted in mass sidebands.

The optimiser knows the background of simulation, or of the weights that it is given. The exported
model has that of the mass fits, with their errors. What the model gives is the headline.
"""

from __future__ import annotations

from collections.abc import Sequence
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

if TYPE_CHECKING:
    from gato_coffea.optimisation.result import Result


@dataclass(frozen=True, kw_only=True)
class Headline:
    """What is quoted of categories with the mass fits, and what was before them.

    Attributes
    ----------
    held_out
        The figure to quote: that on events that the categories did not see.
    training
        What the exported model gives, which is made of all events.
    before
        The held-out figure of the optimisation, before the mass fits.
    before_training
        That of all events.
    cross_validated
        Whether there were folds; without them ``held_out`` is of the training events too.
    """

    held_out: Significance
    training: Significance
    before: Significance
    before_training: Significance
    cross_validated: bool = True

    def sentence(self) -> str:
        """The figure to quote, in words."""
        digits = decimals(self.held_out.spread)
        training, before = (rounded(z.combined, digits) for z in (self.training, self.before))
        quoted = with_error(self.held_out.combined, self.held_out.spread)
        if self.cross_validated:
            quoted = f"held-out {quoted} ({training} on the training events)"
        return (
            f"Z with the background of the mass fits and its error: {quoted}; {before} before the "
            "mass fits"
        )

    def to_dict(self) -> dict[str, Any]:
        """Content as JSON values."""
        return asdict(self)


def headline(
    templates: Templates, analysis: Analysis, fits: Sequence[CategoryFit], result: Result
) -> Headline:
    """The figure that the exported counting model gives, held out as far as it can be.

    Templates and fits are of all events, and so is what the model gives. What the categories lose
    on events that they did not see is known from the optimisation: the held-out figure is that of
    the model, less by the same factor.

    Parameters
    ----------
    templates, analysis, fits
        What the model is made of; see `channels`.
    result
        The optimisation that the categories are from.

    Raises
    ------
    InputError
        If there is no model; see `channels`.
    OptimisationError
        If the fit of the model finds no minimum.
    """
    model = channels(templates, analysis, fits=fits, log=False)
    return headline_of(model, result, combination=analysis.optimise.combination)


def headline_of(model: Sequence[Channel], result: Result, *, combination: Combination) -> Headline:
    """The figure that a counting model gives; see `headline`."""
    signals = result.yields.signals
    everything = model_significance(model, signals, combination)
    counting = counting_significance(model, signals, combination)
    before, training = result.held_out, result.training
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
        cross_validated=result.cross_validated,
    )


def _ratio(first: float, second: float) -> float:
    """By how much a figure is less than another; one where that is zero."""
    return first / second if second > 0 else 1.0
