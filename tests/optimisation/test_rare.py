"""A process of which one event decides the figure is named, and the range quoted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

import gato_coffea
from gato_coffea.config import Constraints
from gato_coffea.optimisation.rare import nearby_weight
from gato_coffea.statistics.counting import signal_significances
from gato_coffea.workflow.results import read_results, write_results
from gato_coffea.workflow.tables import significance_table


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
    assert any(
        "multijets" in str(cell)
        for c in significance_table({5: result}).columns
        for cell in c.cells
    )
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
