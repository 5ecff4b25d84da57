"""A rise of the mass spectrum is told from a flat or falling one that fluctuates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hist
import numpy as np
import pytest

from gato_coffea.categories.axes import mass_axis
from gato_coffea.config import Analysis, parse_analysis
from gato_coffea.datasets.soundness import remarks


def analysis_of(*, data: bool, window: tuple[float, float] = (120, 130)) -> Analysis:
    datasets: dict[str, Any] = {
        name: {"files": f"{name}.root", "process": name, "already_normalised": True}
        for name in ("sig", "bkg")
    }
    if data:
        datasets["data"] = {"files": "d.root", "process": "data", "data": True}
    content = {
        "name": "small",
        "datasets": datasets,
        "discriminants": [{"name": "score", "range": [0, 1]}],
        "mass": {
            "source": "m",
            "unit": "GeV",
            "range_gev": [100, 180],
            "bins": 80,
            "window_gev": list(window),
        },
        "optimise": {"signals": ["sig"]},
    }
    return parse_analysis(content, directory=Path())


def told(analysis: Analysis, masses: Any, *, weight: float = 1.0) -> list[str]:
    """The signal always peaks: it is not looked at."""
    assert analysis.mass is not None
    rng = np.random.default_rng(1)
    found = {}
    for axis in (hist.axis.Regular(2, 0, 1, name="score"), mass_axis(analysis.mass)):
        h: hist.Hist[Any] = hist.Hist(
            hist.axis.StrCategory(list(analysis.all_processes), name="process"),
            hist.axis.StrCategory(["nominal"], name="variation"),
            axis,
            storage=hist.storage.Weight(),
        )
        if axis.name == "mass":
            h.fill("sig", "nominal", rng.normal(125, 2, 500))
            for process in analysis.all_processes[1:]:
                h.fill(process, "nominal", masses, weight=weight)
        found[axis.name] = h
    return list(remarks(found, analysis))


def falling(rng: np.random.Generator, n: int) -> Any:
    return 100 + rng.exponential(40, 3 * n)[:n]


@pytest.mark.parametrize("data", [True, False])
def test_falling_and_flat_spectra_are_sound(data: bool) -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        assert told(analysis_of(data=data), falling(rng, 5000)) == []
        assert told(analysis_of(data=data), rng.uniform(100, 180, 5000), weight=0.1) == []


@pytest.mark.parametrize("data", [True, False])
def test_a_turn_on_is_pointed_out(data: bool) -> None:
    rng = np.random.default_rng(3)
    masses = falling(rng, 20_000)
    masses = masses[rng.random(len(masses)) < 1 / (1 + np.exp(-(masses - 108) / 3))]
    (line,) = told(analysis_of(data=data), masses, weight=0.3)
    assert line.startswith(
        f"mass.range_gev: the {'data' if data else 'background'} rises from 103.5 to 117 GeV (by "
    )


def test_the_window_is_not_looked_at() -> None:
    rng = np.random.default_rng(4)
    masses = np.concatenate([falling(rng, 5000), rng.normal(125, 1, 5000)])
    assert told(analysis_of(data=True), masses) == []
