"""Tables of an optimisation in the terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from rich.console import Console

from gato_coffea import Norm, optimise
from gato_coffea.optimisation.result import Yardstick
from gato_coffea.optimisation.result_tables import significance_table
from gato_coffea.workflow.printing import print_optimised


def test_results_are_printed_with_what_is_recommended() -> None:
    rng = np.random.default_rng(1)
    samples = {
        "sig": {"x": rng.beta(4, 2, 900), "weight": np.full(900, 0.1)},
        "bkg[1]": {"x": rng.beta(2, 4, 900), "weight": np.ones(900)},
    }
    results = optimise(samples, signals=["sig"], n_categories=[2, 3], method="exact")
    console = Console(markup=False, record=True, width=160, file=io.StringIO())
    print_optimised({result.asked: result for result in results}, console)
    told = console.export_text()
    assert told.startswith("signals: sig\nbackgrounds: bkg[1]\n")
    assert "recommended: " in told
    for asked in (2, 3):
        assert f"{asked} categories requested" in told


def test_names_and_figures_are_not_broken_in_a_narrow_terminal() -> None:
    rng = np.random.default_rng(1)
    samples = {
        "sig": {"x": rng.beta(4, 2, 900), "weight": np.full(900, 0.1)},
        "bkg": {"x": rng.beta(2, 4, 900), "weight": np.ones(900)},
    }
    systematics = [Norm("lumi", 1.016), Norm("shape", 1.2, processes=["bkg"])]
    result = optimise(
        samples, signals=["sig"], n_categories=3, method="exact", folds=2, systematics=systematics
    )
    result = replace(
        result,
        yardsticks={
            name: Yardstick(result.held_out, result.training)
            for name in ("equidistant", "TransfoD", "TransfoF", "signal quantiles", "exact")
        },
    )
    table = significance_table({3: result})
    told = {}
    for width in (80, 200):
        console = Console(markup=False, record=True, width=width, file=io.StringIO())
        print_optimised({3: result}, console)
        told[width] = console.export_text()
        assert "\u2026" not in told[width]
        for cell in (*table.rows[0], "requested", "equidistant", "TransfoF"):
            assert cell in told[width]
    narrow = [line for line in told[80].splitlines() if "requested " in line and "\u2503" in line]
    first, second = narrow[:2]
    assert "(training)" in first
    assert "equidistant" not in first
    assert "equidistant" in second
    assert "(continued)" not in told[200]
    # what the uncertainties cost follows the yields that they are of
    words = " ".join(told[200].split())
    assert words.index("Expected yields: 3") < words.index("Uncertainties: Z without each")
