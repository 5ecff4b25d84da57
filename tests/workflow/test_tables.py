"""What the terminal shows: digits, order, and each note once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console

from gato_coffea.categories import EdgeCategories
from gato_coffea.events.samples import Feature
from gato_coffea.optimisation.result import Result, Significance, Yardstick, Yields
from gato_coffea.optimisation.result_tables import category_table, significance_table
from gato_coffea.rendering.tables import TextTable
from gato_coffea.workflow.tables import note_lines, terminal_table


def result(z: float, spread: float | None, **changes: Any) -> Result:
    per_signal = changes.pop("per_signal", {"ggH": z})
    values = {
        "asked": 2,
        "categories": EdgeCategories(
            features=(Feature("score", 0.0, 1.0),),
            label=np.array([0, 1]),
            edges=(np.array([0.0, 0.4, 1.0]),),
            training={"combination": "geometric"},
        ),
        "held_out": Significance(z, per_signal, spread),
        "training": Significance(1.1 * z, per_signal),
        "yields": Yields(
            processes=("ggH", "qcd"),
            signals=("ggH",),
            backgrounds=("qcd",),
            sumw=np.array([[0.0125, 16840.3], [25891.0, 108.683]]),
            sumw2=np.array([[0.1, 0.2], [100.0, 10.0]]),
            count=np.ones((2, 2)),
            factor=np.ones(2),
        ),
        "yardsticks": {"exact": Yardstick(None, Significance(1.2 * z, per_signal))},
    }
    return Result(**{**values, **changes})


def printed(table: TextTable) -> list[list[str]]:
    """Words of every line."""
    console = Console(width=200)
    with console.capture() as captured:
        console.print(terminal_table(table))
    return [line.replace("\u2502", " ").split() for line in captured.get().splitlines()]


def test_each_row_has_two_digits_of_its_own_spread() -> None:
    lines = printed(significance_table({2: result(189.62, 1.2), 4: result(190.04, 0.134)}, used=4))
    assert ["2", "2", "189.6", "±", "1.2", "(208.6)", "-", "(227.5)"] in lines
    assert ["4", "*", "2", "190.04", "±", "0.13", "(209.04)", "-", "(228.05)"] in lines
    assert lines[0][:3] == ["Expected", "significance", "Z:"]
    unknown = printed(significance_table({2: result(1.5, None)}))
    assert ["2", "2", "1.500", "(1.650)", "-", "(1.800)"] in unknown


def test_each_of_several_signals_has_a_column() -> None:
    two = result(1.5, 0.07, per_signal={"ggH": 2.25, "vbf": 1.0})
    lines = printed(significance_table({2: two}))
    assert " ".join(lines[0]).startswith("Expected significance Z, geometric mean of 2 signals:")
    assert ["2", "2", "1.500", "±", "0.070", "2.250", "1.000", "(1.650)", "-", "(1.800)"] in lines


def test_a_figure_before_the_mass_fits_is_called_so() -> None:
    title = significance_table({2: result(1.5, 0.1)}, before_fits=True).title
    assert str(title).startswith("Expected significance Z before the mass fits")
    assert "before" not in str(significance_table({2: result(1.5, 0.1)}).title)


def test_yields_are_readable_and_summed() -> None:
    lines = printed(category_table(result(1.5, 0.1)))
    assert ["0", "0.0125", "25891", "±", "10", "4.83e-07", "6703439"] in lines
    assert ["1", "16840", "108.7", "±", "3.2", "155", "1181"] in lines
    assert ["all", "16840", "26000", "±", "10", "0.648"] in lines


def test_an_extrapolated_background_is_called_so() -> None:
    plain = result(1.5, 0.1)
    moved = replace(plain, yields=replace(plain.yields, factor=np.array([0.1, 0.2])))
    told = "background of all masses, extrapolated to the window by an exponential"
    for found, extrapolated in ((plain, False), (moved, True)):
        title = str(category_table(found).title)
        assert title.endswith(f"merging; {told}" if extrapolated else "merging")
        assert (told in found.table()) == extrapolated
        for text in (" ".join(significance_table({2: found}).notes), found.table()):
            assert ("training: Z of all events, with the background extra" in text) == extrapolated
            assert ("training: Z of the yields in the templates" in text) != extrapolated


def test_notes_are_told_once() -> None:
    results = {
        2: result(1.5, 0.1, notes=("merged", "merged", "bins")),
        4: result(1.5, 0.1, notes=("bins", "alone")),
    }
    assert note_lines(results) == {None: ["bins"], 2: ["merged (2 times)"], 4: ["alone"]}
    one = {2: results[2]}
    assert note_lines(one) == {None: [], 2: ["merged (2 times)", "bins"]}


def test_finite_simulation_and_statistics_only_have_a_column_each() -> None:
    held_out, training = (
        Significance(4.32, {"s": 4.3}, 0.4, 7.34),
        Significance(4.5, {}, None, 7.9),
    )
    found = result(1.0, None, held_out=held_out, training=training)
    settings = {"mc_uncertainty": True}
    found = replace(found, categories=replace(found.categories, training=settings))
    lines = printed(significance_table({2: found}))
    assert " ".join(lines[0]).startswith("Expected significance Z with finite simulation:")
    assert ["2", "2", "4.32", "±", "0.40", "7.34", "(7.90)", "(4.50)"] in [
        line[:8] for line in lines
    ]
    assert any(line[:2] == ["exact:", "the"] for line in lines)
