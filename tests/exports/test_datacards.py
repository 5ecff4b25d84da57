"""Combine cards, read with the rules of combine's own parser (``DatacardParser.py``)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import uproot

from gato_coffea.errors import InputError
from gato_coffea.exports import write_combine, write_pyhf
from gato_coffea.exports.bins import Process, log_normal
from gato_coffea.exports.datacards import datacard
from gato_coffea.exports.models import Channel


def process(name, values, *, signal=False, shapes=(), errors=()):
    values = np.array(values)
    return Process(
        name=name,
        signal=signal,
        values=values,
        errors=0.1 * values,
        shapes=dict.fromkeys(shapes, (1.1 * values, 0.9 * values)),
        norms={name: log_normal(error) for name, error in dict(errors).items()},
    )


def model_of(signal="s", background="b", channels=("category0", "category1"), source="pu"):
    return [
        Channel(
            name=name,
            edges=np.array([120.0, 130.0]),
            processes=(
                process(signal, [3.25 + k], signal=True, shapes=[source]),
                process(
                    background,
                    [44118.825 * (k + 1)],
                    errors={f"{background}_{name}": 0.012, f"all_{name}": 0.1},
                ),
            ),
            observed=np.array([44118.825 if k == 0 else 3756.69]),
            is_data=True,
        )
        for k, name in enumerate(channels)
    ]


@pytest.mark.parametrize("length", range(1, 61))
def test_a_card_is_read_whatever_the_length_of_its_names(length, parse):
    signal, background, source = ("sbv"[i] * length for i in range(3))
    channels = tuple(("c" + f"{i}" * 60)[: max(length, 2)] for i in range(2))
    card = parse(datacard(model_of(signal, background, channels, source), shapes="x.root"))
    assert card.observed == dict(zip(channels, (44118.825, 3756.69), strict=True))
    assert card.rates == {
        (channels[0], signal): 3.25,
        (channels[0], background): 44118.825,
        (channels[1], signal): 4.25,
        (channels[1], background): 88237.65,
    }
    assert card.signal == {signal: True, background: False}
    assert card.systematics[source, "shape"][channels[1], signal] == 1.0
    for channel in channels:
        found = card.systematics[f"{background}_{channel}", "lnN"]
        assert {at for at, value in found.items() if value} == {(channel, background)}
        assert found[channel, background] == 1.012
    assert card.simulation == dict.fromkeys(channels, 10.0)
    assert card.shapes == [
        "*",
        "*",
        "x.root",
        "$CHANNEL/$PROCESS",
        "$CHANNEL/$PROCESS_$SYSTEMATIC",
    ]


def test_a_variation_with_the_name_of_the_signal_strength_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="variation 'r' has the name of combine's"):
        write_combine(model_of(source="r"), tmp_path)


@pytest.mark.parametrize("source", ["staterror_category0", "b_category1", "all_category0"])
def test_a_variation_with_the_name_of_another_parameter_is_refused(source, tmp_path: Path):
    told = f"exports: variation '{source}' has the name of a nuisance parameter"
    model = model_of(source=source)
    with pytest.raises(InputError, match=told):
        write_combine(model, tmp_path)
    with pytest.raises(InputError, match=told):
        write_pyhf(model, tmp_path / "workspace.json")
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_agree_stands_at_the_head_of_the_card(parse):
    model = [replace(c, notes=("a note",)) for c in model_of()]
    text = datacard(model, shapes="x.root", warnings=["bin observation 3 of 5"])
    assert text.splitlines()[:5] == [
        "#" * 40,
        "# WARNING: bin observation 3 of 5",
        "#" * 40,
        "# category0: a note",
        "# category1: a note",
    ]
    assert parse(text) == parse(datacard(model_of(), shapes="x.root"))


def test_the_file_of_a_card_holds_its_rates(tmp_path: Path, parse):
    card, shapes = write_combine(model_of(), tmp_path)
    found = parse(card.read_text())
    with uproot.open(shapes) as file:
        for (channel, name), rate in found.rates.items():
            assert file[f"{channel}/{name}"].values().sum() == pytest.approx(rate, rel=1e-7)
        for channel, observed in found.observed.items():
            assert file[f"{channel}/data_obs"].values().sum() == pytest.approx(observed, rel=1e-7)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({"background": "data_obs"}, "category0/data_obs"),
        ({"background": "s_puUp"}, "category0/s_puUp"),
    ],
)
def test_two_histograms_of_one_name_are_refused(names, told, tmp_path: Path):
    with pytest.raises(InputError, match=f"^exports: {told}: two histograms of the card"):
        write_combine(model_of(**names), tmp_path)
    assert list(tmp_path.iterdir()) == []
