from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import uproot
from coffea.nanoevents import BaseSchema
from coffea.processor import IterativeExecutor, Runner

from gato_coffea.config import read_analysis
from gato_coffea.datasets import fileset
from gato_coffea.errors import ConfigError, InputError
from gato_coffea.processing.processor import GatoProcessor, cutflow_steps


def run(analysis: Any, processor: Any, **options: Any) -> Any:
    runner = Runner(IterativeExecutor(retries=0), schema=BaseSchema, metadata_cache={}, **options)
    return runner(fileset(analysis), processor)


def test_coffeas_own_runner(make_analysis: Any) -> None:
    analysis = make_analysis()
    output = run(analysis, GatoProcessor(analysis), chunksize=150)
    assert set(output) == {"sig_a", "bkg_a", "bkg_b", "collisions"}
    part = output["sig_a"]
    assert part["n_events"] == 810
    assert list(part["cutflow"]) == ["all", "trigger", "hard", "selected"]
    assert sum(block.n for block in part["columns"]) == part["cutflow"]["selected"]["events"]


def test_yields_against_plain_uproot(make_analysis: Any, tmp_path: Path) -> None:
    analysis = make_analysis()
    output = run(analysis, GatoProcessor(analysis))
    files = {str(p): "ntuples/Events" for p in tmp_path.glob("bkg_a_*.root")}
    e = uproot.concatenate(files, library="np")
    passed = e["trigger"] & (e["pt"] > 20)
    weights = {
        "nominal": e["genWeight"] * e["pileup"],
        "pileupUp": e["genWeight"] * e["pileup_up"],
        "pileupDown": e["genWeight"] * (2 - e["pileup_up"]),
    }
    part = output["bkg_a"]
    assert part["sumw"] == pytest.approx(e["genWeight"].sum(), rel=1e-12)
    for name, w in weights.items():
        expected, _ = np.histogram(e["score"][passed], 40, (0, 1), weights=w[passed])
        values = part["histograms"]["score"]["bkg", name, :].values()
        np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-12)


def test_two_passes_with_one_processor_are_the_same(make_analysis: Any) -> None:
    analysis = make_analysis()
    processor = GatoProcessor(analysis)
    before = cloudpickle.dumps(processor)
    first, second = run(analysis, processor), run(analysis, processor)
    assert first["bkg_a"]["histograms"] == second["bkg_a"]["histograms"]
    assert len(cloudpickle.dumps(processor)) == len(before)


def test_travels_without_the_analysis_folder_and_tensorflow(
    make_analysis: Any, tmp_path: Path
) -> None:
    analysis = make_analysis()
    pickled = cloudpickle.dumps(GatoProcessor(analysis))
    assert len(pickled) < 20_000
    (tmp_path / "p.pkl").write_bytes(pickled)
    (tmp_path / "analysis.py").unlink()
    script = (
        "import pickle, sys, awkward as ak\n"
        "processor = pickle.load(open(sys.argv[1], 'rb'))\n"
        "events = ak.Array({'pt': [10., 30.]})\n"
        "assert processor._selection['hard'](events).tolist() == [False, True]\n"
        "assert not {'tensorflow', 'matplotlib'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "p.pkl")]
    subprocess.run(command, check=True, timeout=60)


def test_a_dataset_of_another_analysis(make_analysis: Any) -> None:
    analysis = make_analysis()
    other = make_analysis({"datasets.bkg_b": None})
    with pytest.raises(Exception, match=r"datasets: 'bkg_b' is not in the analysis \(allowed: "):
        run(analysis, GatoProcessor(other))


def test_a_function_that_is_missing(make_analysis: Any) -> None:
    with pytest.raises(ConfigError, match=r"has no function 'hard', which selection\[1\] refers"):
        GatoProcessor(make_analysis(functions="def pileup_down(events): return 1\n"))


def test_categories_of_other_discriminants(make_analysis: Any) -> None:
    from gato_coffea.categories import EdgeCategories
    from gato_coffea.events.samples import Feature

    edges = (np.array([0, 0.5, 1]),)
    categories = EdgeCategories(
        features=(Feature("other", 0, 1),), label=np.arange(2), edges=edges
    )
    with pytest.raises(InputError, match=r"made for discriminants \['other'\]"):
        GatoProcessor(make_analysis(), categories=categories)


def test_names_in_the_cut_flow(make_analysis: Any) -> None:
    analysis = make_analysis({"selection": ["trigger", "py:trigger", "py:hard", "py:selected"]})
    assert cutflow_steps(analysis) == ("trigger", "py:trigger", "hard", "py:selected")
    assert cutflow_steps(make_analysis({"selection": "py:select"})) == ("select",)
    assert cutflow_steps(make_analysis({"selection": None})) == ()


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ({"count_events": True}, 810.0),
        ({"branch": "pileup"}, None),
        ({"tree": "meta/Runs", "entry": "sumw"}, 30.0),
    ],
)
def test_sums_of_weights(
    make_analysis: Any, small: Any, tmp_path: Path, way: Any, expected: Any
) -> None:
    make_analysis()
    total = 0.0
    for part in (0, 1):
        columns = small.events(400 + 10 * part, seed=part)
        total += columns["pileup"].sum()
        with uproot.recreate(tmp_path / f"sig_a_{part}.root") as file:
            file.mktree("ntuples/Events", {k: v.dtype for k, v in columns.items()})
            file["ntuples/Events"].extend(columns)
            file.mktree("meta/Runs", {"sumw": "float64"})
            file["meta/Runs"].extend({"sumw": np.array([5.0, 10.0])})
    content = small.update(
        {**small.content, "datasets": dict(small.content["datasets"])},
        {"datasets.sig_a": {**small.content["datasets"]["sig_a"], "sum_of_weights": way}},
    )
    import yaml

    (tmp_path / "analysis.yaml").write_text(yaml.safe_dump(content))
    analysis = read_analysis(tmp_path)
    output = run(analysis, GatoProcessor(analysis), chunksize=100)
    assert output["sig_a"]["sumw"] == pytest.approx(total if expected is None else expected)


def test_dataset_weights_replace_those_of_the_analysis(make_analysis: Any) -> None:
    analysis = make_analysis(
        {
            "datasets.sig_a": {
                "files": ["sig_a_*.root"],
                "process": "sig",
                "already_normalised": True,
                "weight": "pileup",
            }
        }
    )
    output = run(analysis, GatoProcessor(analysis))
    weights = np.concatenate([b.events.weight for b in output["sig_a"]["columns"]])
    assert output["sig_a"]["sumw"] == 0.0
    assert weights.min() > 0.5  # a pileup weight, without the sign of genWeight


def test_variations_compose_with_the_weight_of_a_dataset(make_analysis: Any) -> None:
    changes = {
        "datasets.bkg_a.weight": ["genWeight", "py:half_more"],
        "datasets.bkg_b.weight": ["genWeight", "pileup", "py:half_more"],
        "weight": {
            "nominal": ["genWeight", "pileup"],
            "variations": {
                "pileupUp": ["genWeight", "py:higher"],
                "pileupDown": ["genWeight", "pileup"],
                "scaleUp": {"multiply": ["py:tenth_more"]},
                "scaleDown": {"multiply": "py:tenth_more"},
            },
        },
        "selection": None,
    }
    functions = """
def half_more(events):
    return 1.5


def tenth_more(events):
    return 1.1


def higher(events):
    return 1.2 * events.pileup
"""
    analysis = make_analysis(changes, functions=functions, n=50)
    output = run(analysis, GatoProcessor(analysis))
    for name in ("sig_a", "bkg_a", "bkg_b"):
        h = output[name]["histograms"]["score"][0, ...]
        nominal = h["nominal", :].values()
        np.testing.assert_allclose(h["pileupUp", :].values(), 1.2 * nominal, rtol=1e-12)
        np.testing.assert_allclose(h["scaleUp", :].values(), 1.1 * nominal, rtol=1e-12)


def test_variations_of_what_is_derived_from_data_are_not_asked_for(make_analysis: Any) -> None:
    derived = {
        "files": ["data_*.root"],
        "process": "continuum",
        "already_normalised": True,
        "weight": "pileup",
        "derived_from": "collisions",
    }
    analysis = make_analysis({"datasets.continuum": derived}, n=50)
    output = run(analysis, GatoProcessor(analysis))
    assert list(output["continuum"]["histograms"]["score"].axes[1]) == ["nominal"]
