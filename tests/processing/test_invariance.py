"""The result does not depend on how the events were cut into chunks, or on who worked on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from coffea.nanoevents import BaseSchema
from coffea.processor import FuturesExecutor, IterativeExecutor, ProcessorABC, Runner, accumulate

from gato_coffea.config import Analysis, Discriminant
from gato_coffea.datasets import fileset
from gato_coffea.processing import executors as run
from gato_coffea.processing.chunk import collect
from gato_coffea.processing.layout import Layout
from gato_coffea.processing.merging import samples
from gato_coffea.processing.processed import Processed
from gato_coffea.processing.processor import GatoProcessor

# sums of some thousand float64 in another order differ by a few times 1e-16 of their magnitude
RTOL, ATOL = 1e-12, 1e-9


def same_histogram(first: Any, second: Any) -> None:
    assert first.axes == second.axes
    for name in ("value", "variance"):
        np.testing.assert_allclose(
            first.view(flow=True)[name], second.view(flow=True)[name], rtol=RTOL, atol=ATOL
        )


def same(first: Processed, second: Processed) -> None:
    for name, h in first.histograms.items():
        same_histogram(h, second.histograms[name])
    assert (first.samples is None) == (second.samples is None)
    for process, sample in (first.samples or {}).items():
        assert second.samples is not None
        other = second.samples[process]
        np.testing.assert_array_equal(sample.x, other.x)
        np.testing.assert_array_equal(sample.mass, other.mass)
        np.testing.assert_array_equal(sample.fold, other.fold)
        np.testing.assert_allclose(sample.weight, other.weight, rtol=RTOL)
        assert set(sample.variations) == set(other.variations)
        for name in sample.variations:
            own, others = sample.varied(name), other.varied(name)
            np.testing.assert_allclose(own.weight, others.weight, rtol=RTOL)
            np.testing.assert_array_equal(own.x, others.x)
    for process, cells in (first.cells or {}).items():
        assert second.cells is not None
        np.testing.assert_array_equal(cells.key, second.cells[process].key)
        np.testing.assert_allclose(cells.sums, second.cells[process].sums, rtol=1e-10, atol=ATOL)
    assert first.n_events == second.n_events
    assert first.invalid == second.invalid
    assert first.out_of_range == second.out_of_range
    for process, steps in first.cutflow.items():
        for step, counts in steps.items():
            assert counts == pytest.approx(second.cutflow[process][step], rel=RTOL)


def test_a_chunk_is_a_function_that_adds() -> None:
    rng = np.random.default_rng(3)
    events = ak.Array(
        {
            "score": rng.uniform(-0.1, 1.1, 500),
            "w": rng.normal(0.5, 1, 500),
            "run": np.ones(500, int),
            "event": np.arange(500),
        }
    )
    layout = Layout(discriminants=(Discriminant(name="score", range=(0, 1), bins=10),))

    def process(part: Any) -> Any:
        return collect(
            part,
            process="p",
            layout=layout,
            weight="w",
            selection={"positive": lambda e: e.score > 0},
            generator_weight="w",
        )["p"]

    whole = process(events)
    sum_ = accumulate([process(events[:123]), process(events[123:])])
    same_histogram(whole["histograms"]["score"], sum_["histograms"]["score"])
    for name in ("n_events", "invalid", "out_of_range"):
        assert whole[name] == sum_[name]
    assert whole["sumw"] == pytest.approx(sum_["sumw"], rel=RTOL)
    for step, counts in whole["cutflow"].items():
        assert counts == pytest.approx(sum_["cutflow"][step], rel=RTOL)
    for name in ("x", "weight", "fold"):
        parts = [getattr(block.events, name) for block in sum_["columns"]]
        np.testing.assert_array_equal(
            getattr(whole["columns"][0].events, name), np.concatenate(parts)
        )


@pytest.mark.parametrize("keep_columns", [True, False])
def test_chunk_size(make_analysis: Any, keep_columns: bool) -> None:
    analysis = make_analysis(
        {"keep_columns": keep_columns, "optimise.extrapolate_from_sidebands": True}
    )
    whole = run.process(analysis, progress=False)
    same(whole, run.process(analysis, progress=False, chunksize=37))


def test_order_of_merging(make_analysis: Any) -> None:
    analysis = make_analysis()
    runner = Runner(
        run.QuietIterativeExecutor(), schema=BaseSchema, metadata_cache={}, chunksize=100
    )
    work = list(runner.preprocess(fileset(analysis)))
    processor = GatoProcessor(analysis)
    forward = runner.run(work, processor)["out"]
    backward = runner.run(work[::-1], processor)["out"]
    same(Processed.merged(forward, analysis), Processed.merged(backward, analysis))


@pytest.mark.parametrize("executor", ["futures", "dask"])
def test_executors(make_analysis: Any, tmp_path: Path, executor: str, cluster: Any) -> None:
    where = {"scheduler": cluster.scheduler_address} if executor == "dask" else {"workers": 2}
    options = {"executor": executor, "chunksize": 150, **where}
    analysis = make_analysis()
    expected = run.process(analysis, progress=False)
    same(expected, run.process(analysis, progress=False, **options))
    spool = tmp_path / "spool"
    same(expected, run.process(analysis, progress=False, spool=spool, **options))
    assert list(spool.rglob("*.npz"))


class Foreign(ProcessorABC):  # type: ignore[misc]
    """A processor that somebody has already, and that calls `collect` on the way."""

    def __init__(self, analysis: Analysis) -> None:
        self.layout = Layout.of(analysis)

    def process(self, events: Any) -> Any:
        data = events.metadata["is_data"]
        selected = events[events.trigger & (events.pt > 20)]
        ours = collect(
            selected,
            process=events.metadata["process"],
            layout=self.layout,
            discriminants={"score": selected.score},
            mass=selected.m,
            weight=selected.genWeight * selected.pileup,
            variations={
                "pileupUp": selected.genWeight * selected.pileup_up,
                "pileupDown": lambda e: e.genWeight * (2 - e.pileup_up),
            },
            sumw=0.0 if data else float(ak.sum(events.genWeight)),
            data=data,
        )
        return {"mine": {events.metadata["dataset"]: len(events)}, "gato": ours}

    def postprocess(self, accumulator: Any) -> Any:
        return accumulator


def test_a_foreign_processor(make_analysis: Any) -> None:
    analysis = make_analysis()
    executor = FuturesExecutor(workers=2, status=False, retries=0)
    runner = Runner(
        executor,
        pre_executor=IterativeExecutor(retries=0),
        schema=BaseSchema,
        metadata_cache={},
        chunksize=150,
    )
    output = runner(fileset(analysis), Foreign(analysis))
    assert output["mine"]["sig_a"] == 810
    ours = run.process(analysis, progress=False)
    theirs = Processed.merged(output["gato"], analysis)
    for name, h in ours.histograms.items():
        same_histogram(h, theirs.histograms[name])
    unscaled = samples(output["gato"])
    for process, sample in (ours.samples or {}).items():
        np.testing.assert_array_equal(sample.x, unscaled[process].x)
        np.testing.assert_array_equal(sample.fold, unscaled[process].fold)


def test_events_written_again_have_the_same_folds(
    make_analysis: Any, small: Any, tmp_path: Path
) -> None:
    """Without branches that identify them; ROOT gives every file an identifier of its own."""
    analysis = make_analysis()
    ids = ("run", "luminosityBlock", "event")

    def write(directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        for seed, part in ((0, 0), (1, 1)):
            columns = small.events(400 + 10 * part, seed=seed, signal=True)
            kept = {name: c for name, c in columns.items() if name not in ids}
            small.write(directory / f"sig_a_{part}.root", kept)

    found = []
    for folder in (".", ".", "elsewhere"):
        write(tmp_path / folder)
        dataset = analysis.datasets["sig_a"]
        moved = dataset.model_copy(update={"files": (f"{folder}/sig_a_*.root",)})
        datasets = {**analysis.datasets, "sig_a": moved}
        found.append(
            run.process(
                analysis.model_copy(update={"datasets": datasets}), progress=False, chunksize=150
            )
        )
    for other in found[1:]:
        same(found[0], other)


def test_the_order_of_datasets_changes_no_figure(make_analysis: Any) -> None:
    analysis = make_analysis()
    turned = analysis.model_copy(
        update={"datasets": dict(reversed(list(analysis.datasets.items())))}
    )
    first, second = (run.process(a, progress=False, chunksize=150) for a in (analysis, turned))
    for name, h in first.histograms.items():
        for process in h.axes[0]:
            mine, other = h[process, ...], second.histograms[name][process, ...]
            np.testing.assert_array_equal(mine.view(flow=True), other.view(flow=True))
    for process, sample in (first.samples or {}).items():
        assert second.samples is not None
        np.testing.assert_array_equal(sample.x, second.samples[process].x)
        np.testing.assert_array_equal(sample.weight, second.samples[process].weight)
    assert first.cutflow == second.cutflow


def test_rntuples_and_trees(make_analysis: Any, small: Any, tmp_path: Path) -> None:
    analysis = make_analysis()
    expected = run.process(analysis, progress=False)
    columns = small.events(400, seed=0, signal=True)
    small.write(tmp_path / "sig_a_0.root", columns, rntuple=True)
    found = run.process(analysis, progress=False)
    same_histogram(expected.histograms["score"], found.histograms["score"])
