"""What each uncertainty costs, against fits of models that never had it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from gato_coffea import Free, Norm, optimise
from gato_coffea.optimisation.breakdown import SIMULATION
from gato_coffea.optimisation.methods import MAX_PROFILED_RUNS
from gato_coffea.optimisation.result import Result
from gato_coffea.optimisation.result_tables import counts, plain_text, uncertainty_table
from gato_coffea.plots.numbers import scan_numbers
from gato_coffea.plots.significance import draw_significance, scan_of
from gato_coffea.plots.style import Style
from gato_coffea.plots.uncertainties import draw_uncertainties, uncertainty_numbers
from gato_coffea.workflow.results import read_results, write_results
from gato_coffea.workflow.tables import terminal_table

LUMI = Norm("lumi", 1.05)
DY = Norm("dy_norm", up=1.3, down=0.8, processes=("dy",))


def events(seed: int = 4) -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(seed)
    signal, dy, top = rng.beta(4, 1.5, 3000), rng.beta(1.5, 3, 6000), rng.beta(2, 2, 4000)
    moved = {
        f"tilt{side}": {"weight": 0.2 + sign * 0.02 * (2 * dy - 1)}
        for side, sign in (("Up", 1), ("Down", -1))
    }
    return {
        "sig": {"x": signal, "weight": np.full(3000, 0.02)},
        "dy": {"x": dy, "weight": np.full(6000, 0.2), "variations": moved},
        "top": {"x": top, "weight": np.full(4000, 0.02)},
    }


def found(**more: Any) -> Result:
    settings: dict[str, Any] = {
        "signals": ["sig"],
        "n_categories": 3,
        "method": "exact",
        "folds": 2,
        "systematics": [LUMI, DY],
    }
    result = optimise(events(), **{**settings, **more})
    assert isinstance(result, Result)
    return result


@pytest.fixture(scope="module")
def result() -> Result:
    return found()


def test_the_figure_without_each_is_that_of_a_model_without_it(result: Result) -> None:
    costs = result.uncertainties
    assert costs is not None
    assert set(costs.without) == {"tilt", "lumi", "dy_norm", SIMULATION}
    assert costs.everything == pytest.approx(result.training.combined)
    assert min(costs.without.values()) >= costs.everything * (1 - 1e-9)
    # The same categories, judged by a model that has never known the normalisation.
    other = found(systematics=[LUMI], yardsticks={"own": list(edges_of(result))})
    own = other.yardsticks["own"].training.combined
    assert costs.without["dy_norm"] == pytest.approx(own, rel=1e-3)
    assert set(costs.pulls) == {"sig"}
    assert set(costs.pulls["sig"]) == {"tilt", "lumi", "dy_norm"}
    assert (
        costs.pulls["sig"]["dy_norm"] > 0.05
    )  # without the signal, its yield must come from there
    assert costs.bound is not None
    assert costs.reached is not None
    assert costs.bound >= costs.reached


def edges_of(result: Result) -> np.ndarray:
    x = np.linspace(1e-6, 1 - 1e-6, 1_000_000)
    label = result.categories.assign(x)
    return (0.5 * (x[1:] + x[:-1]))[np.diff(label) != 0]


def test_it_is_shown_everywhere(result: Result, tmp_path: Any) -> None:
    table = uncertainty_table(result)
    costs = [float(row[2].split()[0]) for row in table.rows]
    assert costs == sorted(costs)
    assert "with statistics only" in table.notes[0]
    found = result.uncertainties
    assert found is not None
    assert found.groups is not None
    assert 100 < found.groups <= MAX_PROFILED_RUNS
    assert table.notes[1].startswith(
        f"bound: on the densities of the training, with cuts between {found.groups} groups"
    )
    told = f"Uncertainties: Z without each, on all events: {counts(result)}"
    for text in (plain_text(result), result._repr_html_()):
        assert text.index("effective entries") < text.index(told)
    assert "3 systematic uncertainties" in plain_text(result).splitlines()[0]
    console = Console(width=150)
    with console.capture() as captured:
        console.print(terminal_table(table))
    assert "dy_norm" in captured.get()
    assert result._repr_html_().count("<table>") == 3
    write_results(tmp_path, [result])
    assert read_results(tmp_path)[3].uncertainties == result.uncertainties


@pytest.mark.parametrize("side", [-1, 1])
def test_figures_from_events_may_be_above_the_bound(result: Result, side: int) -> None:
    found = result.uncertainties
    assert found is not None
    assert found.bound is not None
    costs = replace(found, everything=found.bound * (1 + 0.1 * side))
    notes = uncertainty_table(replace(result, uncertainties=costs)).notes
    said = [note for note in notes if "events fluctuate about the densities" in note]
    assert len(said) == (side > 0)
    assert not any("need not lie in that order" in note for note in said)


@pytest.mark.usefixtures("untouched_pyplot")
def test_it_is_drawn(result: Result) -> None:
    scan = scan_of({3: result})
    assert scan.statistics is not None
    assert scan.exact_and_gap is not None
    axes = draw_significance(scan, Style()).axes[0]
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert drawn["statistics only"] == [result.held_out.statistics_only]
    assert result.uncertainties is not None
    costs, exact = result.uncertainties, result.yardsticks["exact"].training.combined
    assert costs.bound is not None
    assert costs.reached is not None
    assert drawn["exact + gap on densities"] == [exact * costs.bound / costs.reached]
    assert {"statistics_only", "exact_and_gap"} <= set(scan_numbers(scan))
    figure = draw_uncertainties(result.uncertainties, Style())
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert names == [row[0] for row in uncertainty_table(result).rows]
    numbers = uncertainty_numbers(result.uncertainties)
    assert numbers["uncertainty"].tolist() == names
    assert (np.diff(numbers["cost"].astype(float)) <= 0).all()


def test_a_counting_figure_has_none() -> None:
    plain = {name: {"x": e["x"], "weight": e["weight"]} for name, e in events().items()}
    result = optimise(plain, signals=["sig"], n_categories=2, method="exact", folds=2)
    assert isinstance(result, Result)
    assert result.uncertainties is None
    assert "Uncertainties" not in plain_text(result)


def test_a_free_normalisation_and_another_figure() -> None:
    result = found(systematics=[Free("dy_free", ("dy",))], objective="precision")
    assert result.uncertainties is not None
    assert set(result.uncertainties.without) == {"tilt", "dy_free", SIMULATION}
    assert plain_text(result).startswith("1/sigma(mu) held-out ")
