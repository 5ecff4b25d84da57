"""Small ROOT ntuples and the analysis files that read them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
import yaml

from gato_coffea.config import Analysis, read_analysis

Columns = Mapping[str, Any]
MakeAnalysis = Callable[..., Analysis]

CONTENT: dict[str, Any] = {
    "name": "small",
    "tree": "ntuples/Events",
    "luminosity_per_fb": 2.0,
    "datasets": {
        "sig_a": {
            "files": ["sig_a_*.root"],
            "process": "sig",
            "cross_section_pb": 0.5,
            "sum_of_weights": {"branch": "genWeight"},
        },
        "bkg_a": {
            "files": ["bkg_a_*.root"],
            "process": "bkg",
            "cross_section_pb": 20.0,
            "sum_of_weights": {"branch": "genWeight"},
        },
        "bkg_b": {
            "files": ["bkg_b_*.root"],
            "process": "bkg",
            "cross_section_pb": 7.0,
            "sum_of_weights": {"branch": "genWeight"},
        },
        "collisions": {"files": ["data_*.root"], "process": "data", "data": True},
    },
    "weight": {
        "nominal": ["genWeight", "pileup"],
        "variations": {
            "pileupUp": ["genWeight", "pileup_up"],
            "pileupDown": ["genWeight", "py:pileup_down"],
        },
    },
    "selection": ["trigger", "py:hard"],
    "discriminants": [{"name": "score", "range": [0, 1], "bins": 40}],
    "mass": {
        "source": "m",
        "unit": "GeV",
        "range_gev": [100, 180],
        "bins": 16,
        "window_gev": [120, 130],
    },
    "optimise": {"signals": ["sig"], "n_categories": 3},
}

FUNCTIONS = """
def hard(events):
    return events.pt > 20


def pileup_down(events):
    return 2.0 - events.pileup_up
"""


def events(n: int, *, seed: int, signal: bool = False) -> dict[str, Any]:
    """Flat events; a tenth of the generator weights is negative."""
    rng = np.random.default_rng(seed)
    mass = rng.normal(125, 2, n) if signal else rng.uniform(100, 180, n)
    return {
        "score": rng.beta(4, 2, n) if signal else rng.beta(2, 4, n),
        "m": mass,
        "pt": rng.exponential(60, n).astype(np.float32),
        "genWeight": np.where(rng.random(n) < 0.1, -1.0, 1.0) * rng.uniform(0.5, 1.5, n),
        "pileup": rng.normal(1, 0.1, n),
        "pileup_up": rng.normal(1.1, 0.1, n),
        "trigger": rng.random(n) < 0.9,
        "run": np.ones(n, dtype=np.int32),
        "luminosityBlock": np.full(n, seed, dtype=np.int32),
        "event": np.arange(n, dtype=np.int64),
    }


def write_ntuple(
    path: Path, columns: Columns, *, tree: str = "ntuples/Events", rntuple: bool = False
) -> Path:
    """Write one tree; a column is a NumPy or an awkward array."""
    with uproot.recreate(path) as file:
        if rntuple:
            file.mkrntuple(tree, dict(columns))
        else:
            arrays = {name: ak.Array(column) for name, column in columns.items()}
            file.mktree(tree, {name: array.type.content for name, array in arrays.items()})
            file[tree].extend(arrays)
    return path


def write_files(directory: Path, *, n: int = 400) -> None:
    """Two files of every dataset of `CONTENT`."""
    for seed, name in enumerate(("sig_a", "bkg_a", "bkg_b", "data")):
        for part in (0, 1):
            columns = events(n + 10 * part, seed=10 * seed + part, signal=name == "sig_a")
            if name == "data":
                columns["genWeight"] = np.zeros(n + 10 * part)
            write_ntuple(directory / f"{name}_{part}.root", columns)


def write_analysis(directory: Path, content: Mapping[str, Any], functions: str) -> Analysis:
    """Write ``analysis.yaml`` and ``analysis.py`` and read them back."""
    (directory / "analysis.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    (directory / "analysis.py").write_text(functions)
    return read_analysis(directory)


def deep_update(content: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Set the values at dotted keys; None takes a key away."""
    for place, value in changes.items():
        *parents, last = place.split(".")
        section = content
        for key in parents:
            section = section[key]
        if value is None:
            section.pop(last, None)
        else:
            section[last] = value
    return content


@pytest.fixture(scope="session")
def small() -> SimpleNamespace:
    """Writers of small ntuples, for tests that need their own."""
    return SimpleNamespace(
        events=events, write=write_ntuple, content=CONTENT, functions=FUNCTIONS, update=deep_update
    )


@pytest.fixture
def make_analysis(tmp_path: Path) -> MakeAnalysis:
    """Write ntuples and an analysis of them; ``changes`` are values at dotted keys."""

    def make(
        changes: Mapping[str, Any] | None = None, *, functions: str = FUNCTIONS, n: int = 400
    ) -> Analysis:
        write_files(tmp_path, n=n)
        content = deep_update(copy.deepcopy(CONTENT), changes or {})
        return write_analysis(tmp_path, content, functions)

    return make


@pytest.fixture
def untouched_pyplot() -> Iterator[None]:
    """After the test no figure is open and no setting of matplotlib has changed."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    yield
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A dask cluster of two worker processes."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    ) as found:
        yield found
