from __future__ import annotations

import numpy as np
import pytest

from gato_coffea import optimise
from gato_coffea.config import Discriminant, Mass
from gato_coffea.events.samples import Cells, Sample
from gato_coffea.processing.layout import Layout
from gato_coffea.rendering.rounding import amount, with_error
from gato_coffea.statistics.counting import asimov_z2

WINDOW, RANGE = (122.0, 128.0), (100.0, 180.0)
LAYOUT = Layout(
    discriminants=(Discriminant(name="score", range=(0, 1), bins=50),),
    mass=Mass(source="m", unit="GeV", range_gev=RANGE, window_gev=WINDOW),
)


def with_background(mass, *, seed=1):
    rng = np.random.default_rng(seed)
    n = len(mass)
    signal = Sample(
        x=rng.beta(4, 2, (5000, 1)), weight=np.full(5000, 0.05), mass=rng.normal(125, 1.5, 5000)
    )
    background = Sample(x=rng.beta(2, 3, (n, 1)), weight=np.full(n, 0.5), mass=mass)
    return {"sig": signal, "bkg": background}


def run(samples, **options):
    settings = {"signals": ["sig"], "n_categories": 2, "method": "exact", "mc_uncertainty": False}
    mass = {"window_gev": WINDOW, "mass_range_gev": RANGE}
    return optimise(samples, **(settings | mass | options))


def turn_on(n=40_000):
    rng = np.random.default_rng(6)
    return np.concatenate(
        [rng.normal(128, 8, n // 2).clip(100, 180), rng.uniform(110, 180, n // 2)]
    )


def notes(result):
    return [note for note in result.notes if note.startswith("mass window: ")]


def by_hand(result, samples):
    """Background counted in the window, its error, and Z with it, category by category."""
    s, b = samples["sig"], samples["bkg"]
    counts = []
    for sample in (s, b):
        inside = (sample.mass >= WINDOW[0]) & (sample.mass <= WINDOW[1])
        label = result.categories.assign(sample.x[inside])
        counts.append(np.bincount(label, sample.weight[inside], 2))
    return counts[1], np.sqrt(0.5 * counts[1]), np.sqrt(asimov_z2(*counts).sum())


@pytest.mark.parametrize("as_cells", [False, True])
def test_a_spectrum_that_is_no_exponential(as_cells):
    samples = with_background(turn_on())
    held = samples
    if as_cells:
        held = {
            name: Cells.fill(LAYOUT.grid, s, n_folds=1, window=WINDOW, mass_range=RANGE)
            for name, s in samples.items()
        }
    result = run(held)
    (note,) = notes(result)
    counted, error, z = by_hand(result, samples)
    ratio = z / result.training.combined
    assert ratio < 0.8
    for k in range(2):
        estimate = result.yields.background[k]
        text = f"{amount(estimate)} estimated, {with_error(counted[k], error[k])} counted"
        assert f"category {k}: {text}" in note
    told = float(note.split("as counted is ")[1].split()[0])
    assert told == pytest.approx(ratio * result.held_out.combined, rel=0.01)
    assert note in result.table()
    assert note in result.to_dict()["notes"]


def test_an_exponential_is_what_it_is():
    rng = np.random.default_rng(5)
    mass = 100 + rng.exponential(30, 60_000)
    assert notes(run(with_background(mass))) == []


def test_no_mass_window_and_no_events_in_it():
    samples = with_background(turn_on())
    assert notes(run(samples, window_gev=None, mass_range_gev=None)) == []
    mass = turn_on()
    hidden = mass[(mass < WINDOW[0]) | (mass > WINDOW[1])]  # as of what is derived from data
    assert notes(run(with_background(hidden))) == []


def test_a_resonant_background_is_counted_in_any_case():
    samples = with_background(100 + np.random.default_rng(5).exponential(30, 60_000))
    peak = with_background(np.random.default_rng(7).normal(125, 1.5, 2000))["bkg"]
    assert notes(run(samples | {"peak": peak}, resonant=["peak"])) == []
    assert len(notes(run(samples | {"peak": peak}))) == 1
