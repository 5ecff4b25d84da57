"""What does not agree in a model is told."""

from dataclasses import replace

import numpy as np
import pytest

from gato_coffea.exports.bins import Process, log_normal
from gato_coffea.exports.checks import disagreements
from gato_coffea.exports.models import Channel

pytest.importorskip("pyhf")

SIGNAL = np.array([[5.0, 9.0, 6.0], [8.0, 2.0, 0.5]])
BACKGROUND = np.array([400.0, 60.0, 7.0])
ERROR = np.array([20.0, 9.0, 2.0])


def process(name, values, *, signal=False, errors=0.0, **shapes):
    values = np.atleast_1d(np.asarray(values, dtype=float))
    return Process(
        name=name,
        signal=signal,
        values=values,
        errors=np.broadcast_to(np.asarray(errors, dtype=float), values.shape),
        shapes={s: (values * up, values * down) for s, (up, down) in shapes.items()},
    )


def model_of(*, errors=ERROR, **shapes):
    result = []
    for k, b in enumerate(BACKGROUND):
        processes = (
            process("s1", SIGNAL[0, k], signal=True, errors=0.5),
            process("s2", SIGNAL[1, k], signal=True),
            process("b", b, errors=errors[k], **shapes),
        )
        result.append(
            Channel(
                name=f"category{k}",
                edges=np.array([0.0, 1.0]),
                processes=processes,
                observed=np.array([b]),
                is_data=False,
            )
        )
    return result


def test_an_event_that_is_counted_twice_is_told():
    channel = Channel(
        name="category0",
        edges=np.array([81.0, 101.0]),
        processes=(
            process("zmumu", 3421.0, signal=True),
            replace(process("sideband", 398.7), norms={"sideband_category0": log_normal(0.06)}),
        ),
        observed=np.array([3421.0]),
        is_data=True,
    )
    assert disagreements([channel], names=["category0"]) == [
        "category0: 3820 ± 66 events are expected with signal, 3421 are observed (+6.0 "
        "standard deviations): is one process counted twice, or one missing?"
    ]
    assert disagreements([replace(channel, is_data=False)], names=["category0"]) == []
    assert (
        disagreements([replace(channel, observed=np.array([3800.0]))], names=["category0"]) == []
    )


def test_a_variation_far_from_nominal_is_told():
    (first, *_) = model_of(scale=(3.0, 0.9), pu=(1.1, 0.9))
    assert disagreements([first], names=["category0", "category1"]) == [
        "category1 is not in the model: no background is expected there",
        "category0: scaleUp changes b from 400 to 1200 events (a factor of 3)",
    ]
