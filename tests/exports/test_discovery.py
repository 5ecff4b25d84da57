"""What pyhf makes of a model, against closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest

from gato_coffea.exports.bins import Process
from gato_coffea.exports.discovery import evaluate_model
from gato_coffea.exports.models import Channel
from gato_coffea.statistics.counting import profiled_z2, signal_significances

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


def test_without_uncertainties_pyhf_gives_the_closed_form():
    found = evaluate_model(model_of(errors=0 * ERROR), ["s1", "s2"], "geometric")
    assert found.everything == found.background
    z = signal_significances(SIGNAL, BACKGROUND)
    assert list(found.statistics.per_signal.values()) == pytest.approx(z.tolist())
    assert found.everything.per_signal == pytest.approx(found.statistics.per_signal, rel=1e-6)
    assert found.everything.combined == pytest.approx(math.sqrt(z.prod()), rel=1e-6)


def test_finite_simulation_is_the_gaussian_of_the_quoted_figure():
    found = evaluate_model(model_of(), ["s1"], "geometric").background
    # The other signal is there too, and known.
    wanted = profiled_z2(SIGNAL[0], BACKGROUND + SIGNAL[1], ERROR**2)
    assert found.combined == pytest.approx(math.sqrt(wanted.sum()), rel=1e-4)


def test_variations_cost_and_an_absent_signal_gives_nothing():
    found = evaluate_model(model_of(pu=(1.1, 0.9)), ["s1", "s3"], "quadrature")
    values = (found.statistics, found.background, found.everything)
    z = [value.per_signal["s1"] for value in values]
    assert z[0] > z[1] > z[2] > 0
    assert [value.per_signal["s3"] for value in values] == [0, 0, 0]


@pytest.mark.parametrize("signals", [["s1"], ["s1", "s2"]])
def test_a_variation_may_have_the_name_of_a_strength(signals):
    model = [
        replace(c, processes=tuple(p for p in c.processes if p.name in (*signals, "b")))
        for c in model_of(mu=(1.1, 0.9), mu_s1=(1.1, 0.9))
    ]
    twins = [
        replace(c, processes=tuple(p for p in c.processes if p.name in (*signals, "b")))
        for c in model_of(muon=(1.1, 0.9), other=(1.1, 0.9))
    ]
    found, wanted = (evaluate_model(m, signals, "geometric").everything for m in (model, twins))
    assert found.combined == pytest.approx(wanted.combined, rel=1e-6)
