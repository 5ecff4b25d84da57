"""The section ``channels``: regions that exclude each other, each with categories of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from gato_coffea.config.fields import OneOrMore, Section, about
from gato_coffea.config.observables import Discriminant

if TYPE_CHECKING:
    from gato_coffea.config.analysis import Analysis
    from gato_coffea.config.settings import Optimisation


class ChannelOptimisation(Section):
    """Settings of the optimisation that a channel has of its own."""

    n_categories: Annotated[
        int | tuple[Annotated[int, Field(ge=1)], ...] | Literal["auto"],
        about("Numbers of categories that are tried in the channel.", example=[3, 5]),
    ]


class Channel(Section):
    """A region of events: what selects it, and its scores where they are others."""

    selection: Annotated[
        OneOrMore,
        about(
            "Requirements beside those of the analysis; no event may pass those of two channels.",
            example="py:boosted",
            min_length=1,
        ),
    ]
    discriminants: Annotated[
        tuple[Discriminant, ...] | None,
        about(
            "Scores of the channel; without it those of the analysis.",
            example=[{"name": "dnn", "range": [0, 1]}],
            min_length=1,
        ),
    ] = None
    categories: Annotated[
        Literal[1] | None,
        about("1 for a control region, whose events are not split.", example=1),
    ] = None
    optimise: Annotated[
        ChannelOptimisation | None,
        about("Settings of the channel's own.", example={"n_categories": [3, 5]}),
    ] = None

    @property
    def is_control(self) -> bool:
        """Whether its events are one category, which is not optimised."""
        return self.categories is not None


def analysis_of_channel(analysis: Analysis, name: str) -> Analysis:
    """The analysis of the events of one channel, which has no channels."""
    channel = analysis.channels[name]
    changes: dict[str, object] = {
        "channels": {},
        "selection": (*analysis.requirements, *channel.selection),
        "optimise": _settings(analysis.optimise, channel),
        "systematics": {
            key: found.model_copy(update={"channels": None})
            for key, found in analysis.systematics.items()
            if found.channels is None or name in found.channels
        },
    }
    if channel.discriminants is not None:
        changes["discriminants"] = channel.discriminants
    return analysis.model_copy(update=changes)


def _settings(settings: Optimisation, channel: Channel) -> Optimisation:
    own = channel.optimise.n_categories if channel.optimise is not None else None
    if channel.is_control:
        own = 1
    if own is None:
        return settings
    counts = (own,) if isinstance(own, int) else own
    return settings.model_copy(update={"n_categories": counts, "use": None})
