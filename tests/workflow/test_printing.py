"""Tables of an optimisation in the terminal."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from gato_coffea import optimise
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
