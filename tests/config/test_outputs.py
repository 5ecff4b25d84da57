"""Sections for exports and plots."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gato_coffea.config.outputs import Exports, Plots


def test_nothing_needs_to_be_said() -> None:
    assert Exports().accept_poor_fits == ()
    assert (Plots().style, Plots().label, Plots().com_tev) == ("plain", None, None)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (Exports, {"accept_poor_fits": [-1]}),
        (Exports, {"accept_poor_fits": 2}),
        (Exports, {"accept_poor_fits": [True]}),
        (Plots, {"com_tev": 0}),
        (Plots, {"signal_scale": -3}),
        (Plots, {"style": "cms"}),
        (Plots, {"label": 3}),
        (Plots, {"colour": "red"}),
    ],
)
def test_what_is_refused(section: Any, values: Any) -> None:
    with pytest.raises(ValidationError):
        section.model_validate(values)


def test_styles_are_those_that_can_be_drawn() -> None:
    from gato_coffea.plots.style import Style

    for style in ("CMS", "ATLAS", "LHCb", "plain"):
        assert Style(experiment=Plots(style=style).style)
