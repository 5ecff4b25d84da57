from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import uproot
from coffea.nanoevents import BaseSchema, NanoEventsFactory
from coffea.processor import IterativeExecutor, Runner

from gato_coffea.categories import EdgeCategories
from gato_coffea.categories.templates import Templates
from gato_coffea.config import read_analysis
from gato_coffea.datasets import fileset
from gato_coffea.errors import ConfigError, InputError
from gato_coffea.events.samples import Feature
from gato_coffea.processing.executors import process, process_channels
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
        "request = processor._channels[None].requests['sig_a']\n"
        "assert request.selection['hard'](events).tolist() == [False, True]\n"
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


CHANNEL_FUNCTIONS = """
def hard(events):
    return events.pt > 20


def pileup_down(events):
    return 2.0 - events.pileup_up


def low(events):
    return events.score < 0.3


def high(events):
    return events.score > 0.6


def flipped(events):
    return 1.0 - events.score


def up(events):
    return events.score * 0.9
"""
CHANNELS: dict[str, Any] = {
    "low": {"selection": "py:low"},
    "high": {
        "selection": "py:high",
        "discriminants": [{"name": "dnn", "source": "py:flipped", "range": [0, 1], "bins": 20}],
    },
}
SHAPE = {"kind": "shape", "up": {"score": "py:up"}, "down": {"score": "score"}}


def test_channels_are_those_of_analyses_of_their_own(make_analysis: Any, tmp_path: Path) -> None:
    changes = {"channels": CHANNELS, "systematics": {"jes": SHAPE}}
    analysis = make_analysis(changes, functions=CHANNEL_FUNCTIONS, n=150)
    categories = {
        name: EdgeCategories(
            features=(Feature(feature, 0, 1),),
            label=np.arange(2),
            edges=(np.array([0.0, cut, 1.0]),),
        )
        for name, feature, cut in (("low", "score", 0.1), ("high", "dnn", 0.2))
    }
    both = process_channels(
        analysis,
        progress=False,
        chunksize=70,
        categories=categories,
        spool=tmp_path / "spool",
    )
    assert list(both) == ["low", "high"]
    for name, found in both.items():
        alone = process(
            analysis.channel(name), progress=False, chunksize=70, categories=categories[name]
        )
        assert found.cutflow == alone.cutflow
        assert list(found.cutflow["sig"])[-2] == name
        assert found.sumw == alone.sumw
        assert found.histograms == alone.histograms
        assert found.templates == alone.templates
        for process_name, sample in found.samples.items():
            wanted = alone.samples[process_name]
            np.testing.assert_array_equal(sample.x, wanted.x)
            np.testing.assert_array_equal(sample.fold, wanted.fold)
            assert set(sample.variations) == set(wanted.variations)
    templates = Templates.joined({name: found.templates for name, found in both.items()})
    assert templates.of("high").binned_in == "mass"
    assert set(both["high"].samples["sig"].variations) >= {"jesUp", "jesDown"}


def test_a_chunk_is_read_once_for_all_channels(make_analysis: Any) -> None:
    analysis = make_analysis({"channels": CHANNELS}, functions=CHANNEL_FUNCTIONS, n=150)
    read: list[Any] = []
    path = analysis.directory / "sig_a_0.root"
    events = NanoEventsFactory.from_root(
        {str(path): "ntuples/Events"},
        schemaclass=BaseSchema,
        mode="virtual",
        metadata={"dataset": "sig_a", "is_data": False},
        access_log=read,
    ).events()
    GatoProcessor(analysis).process(events)
    scores = [str(entry) for entry in read if "score" in str(entry)]
    assert len(scores) == len(set(scores)) > 0


def test_an_event_in_two_channels_is_refused(make_analysis: Any) -> None:
    overlapping = {**CHANNELS, "high": {"selection": "py:hard"}}
    analysis = make_analysis({"channels": overlapping}, functions=CHANNEL_FUNCTIONS, n=50)
    with pytest.raises(InputError, match=r"channels 'low' and 'high' overlap: \d+ of ") as caught:
        process_channels(analysis, progress=False)
    assert re.search(r"the first: run 1, luminosityBlock \d+, event \d+", str(caught.value))


def test_one_or_several_channels_are_asked_for_by_name(make_analysis: Any) -> None:
    channels = make_analysis({"channels": CHANNELS}, functions=CHANNEL_FUNCTIONS, n=1)
    with pytest.raises(ConfigError, match=r"has low, high; gato_coffea\.process_channels gives"):
        process(channels, progress=False)
    categories = EdgeCategories(
        features=(Feature("score", 0, 1),), label=np.arange(1), edges=(np.array([0.0, 1.0]),)
    )
    with pytest.raises(InputError, match="has channels; give those of each by its name"):
        GatoProcessor(channels, categories=categories)
    with pytest.raises(InputError, match="those of channel 'high' are missing"):
        GatoProcessor(channels, categories={"low": categories})
    with pytest.raises(ConfigError, match=r"small has none; gato_coffea\.process reads it"):
        process_channels(make_analysis(n=1), progress=False)
