from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from gato_coffea.config import Analysis, parse_analysis
from gato_coffea.errors import ConfigError

DNN = {"name": "dnn", "range": [0, 1]}
JES = {"kind": "shape", "up": {"score": "up"}, "down": {"score": "down"}}
CHANNELS = {
    "resolved": {"selection": "is_resolved", "optimise": {"n_categories": [2, 4]}},
    "boosted": {"selection": ["is_boosted", "py:tight"], "discriminants": [DNN]},
    "control": {"selection": "is_control", "categories": 1},
}


def analysis(small: Any, changes: dict[str, Any] | None = None) -> Analysis:
    content = small.update(copy.deepcopy(small.content), {"channels": copy.deepcopy(CHANNELS)})
    return parse_analysis(small.update(content, changes or {}), directory=Path())


def test_each_channel_is_an_analysis_of_its_own(small: Any) -> None:
    whole = analysis(small)
    resolved, boosted, control = (whole.channel(name) for name in CHANNELS)
    assert resolved.requirements == ("trigger", "py:hard", "is_resolved")
    assert resolved.optimise.counts == (2, 4)
    assert boosted.requirements[2:] == ("is_boosted", "py:tight")
    assert [d.name for d in boosted.discriminants] == ["dnn"]
    assert boosted.optimise.counts == (3,)
    assert control.optimise.counts == (1,)
    assert [whole.channels[name].is_control for name in CHANNELS] == [False, False, True]
    assert not any(part.channels for part in (resolved, boosted, control))
    sources = whole.sources()
    assert sources["channels.boosted.selection[1]"] == "py:tight"
    assert sources["channels.boosted.discriminants.dnn"] == "dnn"


def test_uncertainties_act_where_they_are_said_to(small: Any) -> None:
    limited = {**JES, "channels": "boosted"}
    whole = analysis(small, {"systematics": {"jes": JES, "btag": limited}})
    assert set(whole.channel("resolved").systematics) == {"jes"}
    boosted = whole.channel("boosted")
    assert set(boosted.systematics) == {"jes", "btag"}
    assert boosted.event_variations["btagUp"].values == {"dnn": "up"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"channels.boosted.selection": None}, "channels.boosted.selection: is missing"),
        ({"channels.control.categories": 2}, "channels.control.categories: "),
        (
            {"systematics": {"jes": {**JES, "up": {"dnn": "up"}}}},
            "channels.resolved: systematics.jes.up: a shape changes discriminants or the mass "
            "(got dnn",
        ),
        (
            {"systematics": {"jes": {**JES, "channels": ["merged"]}}},
            "systematics.jes.channels: is not there (got 'merged'; allowed: resolved, boosted, "
            "control)",
        ),
        (
            {"channels.boosted.discriminants": [DNN, DNN]},
            "channels.boosted: discriminants: names must differ",
        ),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], told: str, small: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        analysis(small, changes)
    assert told in str(caught.value)
