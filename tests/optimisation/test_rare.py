"""A process of which one event decides the figure is named, and the range quoted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

import gato_coffea
from gato_coffea.config import Constraints
from gato_coffea.optimisation.rare import nearby_weight
from gato_coffea.optimisation.result_tables import significance_table
from gato_coffea.statistics.counting import profiled_z2, signal_significances
from gato_coffea.workflow.results import read_results, write_results


def events(heavy=15, total=3000.0):
    """A signal, a continuum, and a few events that hold most of the background."""
    rng = np.random.default_rng(1)
    shapes = {"signal": (1.0, 2000, 40.0), "continuum": (-1.0, 2000, 1000.0)}
    shapes["multijets"] = (-2.0, heavy, total)
    return {
        name: {"x": expit(rng.normal(mean, 1.0, n)), "weight": np.full(n, sumw / n)}
        for name, (mean, n, sumw) in shapes.items()
    }


FREE = Constraints(min_effective_per_process=0)


@pytest.fixture(scope="module")
def result():
    return gato_coffea.optimise(
        events(), signals=["signal"], n_categories=5, method="exact", constraints=FREE, folds=2
    )


def test_the_process_and_the_range(result):
    rare = result.rare
    assert rare.process == "multijets"
    y = result.yields
    row = y.processes.index("multijets")
    assert y.count[row, rare.category] <= 1
    low, high = rare.z_range
    assert high == result.held_out.combined
    # By hand: an event of 200 more in the category.
    background, sumw2 = y.background.copy(), y.background_sumw2.copy()
    background[rare.category] += 200.0
    sumw2[rare.category] += 200.0**2
    now = signal_significances(y.signal_stack, y.background, y.background_sumw2)
    then = signal_significances(y.signal_stack, background, sumw2)
    assert low / high == pytest.approx(float((then / now)[0]))
    assert high - low > result.held_out.spread


def test_the_figure_is_marked_everywhere(result, tmp_path):
    assert "one event of multijets" in result.table().splitlines()[0]
    assert "one more event of multijets" in result.notes[0]
    assert any("multijets" in cell for cell in significance_table({5: result}).rows[0])
    write_results(tmp_path, [result])
    assert read_results(tmp_path)[5].rare == result.rare


def test_nothing_is_said_where_no_event_decides():
    safe = events(heavy=2000, total=1000.0)
    found = gato_coffea.optimise(safe, signals=["signal"], n_categories=2, method="exact", folds=2)
    assert found.rare is None


def test_the_weight_is_that_of_the_nearest_events():
    sumw, sumw2 = np.array([6.0, 0.0, 0.0, 0.0, 4.0]), np.array([12.0, 0.0, 0.0, 0.0, 16.0])
    np.testing.assert_array_equal(nearby_weight(sumw, sumw2), [2, 2, 2, 4, 4])
    np.testing.assert_array_equal(nearby_weight(np.zeros(2), np.zeros(2)), 0)


def test_an_event_of_a_resonant_background_counts_whole() -> None:
    # In the window its events are not scaled down like those of the continuum.
    rng = np.random.default_rng(2)
    n = {"sig": 10_000, "cont": 80_000, "peak": 60}
    total = {"sig": 60.0, "cont": 1500.0, "peak": 400.0}
    scores = {"sig": (6, 2), "cont": (2, 4), "peak": (2, 4)}
    events = {
        name: {
            "x": rng.beta(*scores[name], k),
            "weight": np.full(k, total[name] / k),
            "mass": rng.uniform(100, 180, k) if name == "cont" else rng.normal(125, 1.0, k),
        }
        for name, k in n.items()
    }
    found = gato_coffea.optimise(
        events,
        signals=["sig"],
        resonant=["peak"],
        n_categories=6,
        method="exact",
        window_gev=(122.0, 128.0),
        mass_range_gev=(100.0, 180.0),
    )
    assert found.rare is not None
    assert found.rare.process == "peak"
    y, k = found.yields, found.rare.category
    s = y.sumw[y.processes.index("sig")]
    peak = y.processes.index("peak")
    weight = nearby_weight(y.sumw[peak], y.sumw2[peak])[k] * np.eye(len(s))[k]
    z = [
        np.sqrt(profiled_z2(s, y.background + w, y.background_sumw2 + w**2).sum())
        for w in (0 * weight, weight)
    ]
    assert found.rare.z_range[0] == pytest.approx(found.held_out.combined * z[1] / z[0], rel=0.01)
