"""The sections ``exports`` and ``plots``: what is made of the results."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gato_coffea.config.fields import Positive, Section, Whole, about


class Exports(Section):
    """Categories that are exported though no function describes their mass sidebands."""

    accept_poor_fits: Annotated[
        tuple[Annotated[Whole, Field(ge=0)], ...],
        about(
            "Numbers of the categories that are exported though no function describes their "
            "sidebands.",
            example=[2],
        ),
    ] = ()


class Plots(Section):
    """How plots look: an experiment's style and what stands beside its name.

    Without a label it is ``Simulation``, and nothing where there are data.
    """

    style: Annotated[
        Literal["CMS", "ATLAS", "LHCb", "plain"],
        about("Style of an experiment, which names it in every plot.", example="CMS"),
    ] = "plain"
    label: Annotated[
        str | None,
        about(
            "What stands beside the experiment's name. Without it Simulation, and nothing where "
            "there are data.",
            example="Open Data",
        ),
    ] = None
    com_tev: Annotated[
        Positive | None,
        about(
            "Centre-of-mass energy, written on every plot. Without it none is.",
            example=13.6,
            unit="TeV",
        ),
    ] = None
    signal_scale: Annotated[
        Positive | None,
        about(
            "Factor that signals are drawn with. Without it a round one is chosen.", example=100
        ),
    ] = None
