"""The figure of a model by our own likelihood, against pyhf and closed forms."""

from dataclasses import replace

import numpy as np
import pytest

from gato_coffea.exports.bins import Process, log_normal
from gato_coffea.exports.discovery import evaluate_model
from gato_coffea.exports.likelihood import (
    counting_significance,
    likelihood_of,
    model_significance,
)
from gato_coffea.exports.models import Channel
from gato_coffea.statistics.counting import signal_significances


def random_model(seed, *, bins=1):
    """Channels with finite simulation, variations of some processes, and errors of their own."""
    rng = np.random.default_rng(seed)
    model = []
    for k in range(4):
        processes = []
        for name, size in (("s1", 4.0), ("s2", 2.0), ("tt", 60.0), ("dy", 20.0)):
            values = size * rng.uniform(0.5, 2.0, bins)
            varied = ("pu", "jes") if name != "dy" else ("jes",)
            processes.append(
                Process(
                    name=name,
                    signal=name[0] == "s",
                    values=values,
                    errors=values * rng.uniform(0.02, 0.1),
                    shapes={
                        source: (
                            values * rng.uniform(0.9, 1.2, bins),
                            values * rng.uniform(0.9, 1.1, bins),
                        )
                        for source in varied
                    },
                    norms={} if name[0] == "s" else {f"systematic_c{k}": log_normal(0.1)},
                )
            )
        if k == 2:  # a process that a category does not have
            del processes[3]
        processes[2] = replace(
            processes[2], norms={**processes[2].norms, f"fit_c{k}": log_normal(0.2)}
        )
        edges, observed = np.linspace(0.0, 1.0, bins + 1), np.zeros(bins)
        channel = Channel(
            name=f"c{k}",
            edges=edges,
            processes=tuple(processes),
            observed=observed,
            is_data=False,
        )
        model.append(channel)
    return model


@pytest.mark.parametrize("bins", [1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_what_pyhf_makes_of_the_file(seed, bins):
    pytest.importorskip("pyhf")
    model = random_model(seed, bins=bins)
    ours = model_significance(model, ["s1", "s2", "s3"], "quadrature")
    theirs = evaluate_model(model, ["s1", "s2", "s3"], "quadrature").everything
    assert ours.per_signal["s3"] == theirs.per_signal["s3"] == 0
    # Finite simulation moves with other uncertainties in pyhf: 1e-3; the minimiser stops at 1e-4.
    assert ours.per_signal == pytest.approx(theirs.per_signal, rel=1e-3)
    assert ours.combined == pytest.approx(theirs.combined, rel=1e-3)


def test_without_uncertainties_it_is_counting():
    model = [
        replace(
            channel,
            processes=tuple(
                replace(p, errors=0 * p.errors, shapes={}, norms={}) for p in channel.processes
            ),
        )
        for channel in random_model(3)
    ]
    found = model_significance(model, ["s1", "s2"], "geometric")
    assert found == counting_significance(model, ["s1", "s2"], "geometric")
    yields = likelihood_of(model).yields
    signal = yields.nominal[[0, 1]]
    z = signal_significances(signal, yields.nominal[[2, 3]].sum(axis=0))
    assert list(found.per_signal.values()) == pytest.approx(z.tolist())


def test_names_and_channels_are_kept():
    likelihood = likelihood_of(random_model(0, bins=2))
    assert likelihood.yields.channels == ("c0", "c0", "c1", "c1", "c2", "c2", "c3", "c3")
    assert likelihood.yields.signals == ("s1", "s2")
    assert likelihood.names[:2] == ("pu", "jes")
    own = {n.name: n for n in likelihood.normalisations}
    assert own["systematic_c0"].processes == ("tt", "dy")
    assert own["systematic_c2"].processes == ("tt",)
    assert own["fit_c1"].channels == ("c1",)
