"""Events per second of `gato_coffea.process` against plain coffea and against plain uproot.

All read the same branches of the same files and fill the same histograms with the same
weights; gato_coffea also keeps columns or cells, counts, checks values, and deals events into
folds. The ways take turns, and every histogram is compared.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import awkward as ak
import boost_histogram as bh
import hist
import numpy as np
import tables
import uproot
import yaml
from coffea.nanoevents import BaseSchema
from coffea.processor import ProcessorABC, Runner

import gato_coffea
from gato_coffea.config import Analysis
from gato_coffea.processing.executors import QuietIterativeExecutor
from gato_coffea.processing.layout import Layout

TREE = "Events"
SHARES = {"signal": 0.2, "background_a": 0.5, "background_b": 0.3}
VARIATIONS = {"nominal": "pileup", "pileupUp": "pileup_up", "pileupDown": "pileup_down"}
"""Branch that the generator weight is multiplied with in each."""

BRANCHES = ("score_a", "score_b", "mass", "genWeight", "pileup", "pileup_up", "pileup_down")
IDENTITY = ("run", "luminosityBlock", "event")
MIN_SCORE = 0.05
"""Cut on the first score."""

FILES = 4
Histograms = dict[str, dict[str, Any]]


def content(keep_columns: bool) -> dict[str, Any]:
    """The analysis file."""
    datasets = {
        name: {
            "files": [f"{name}_*.root"],
            "process": name,
            "cross_section_pb": 1.0,
            "sum_of_weights": {"branch": "genWeight"},
        }
        for name in SHARES
    }
    return {
        "name": "speed",
        "tree": TREE,
        "luminosity_per_fb": 1.0,
        "datasets": datasets,
        "weight": {
            "nominal": ["genWeight", "pileup"],
            "variations": {
                "pileupUp": ["genWeight", "pileup_up"],
                "pileupDown": ["genWeight", "pileup_down"],
            },
        },
        "selection": ["py:scored"],
        "discriminants": [
            {"name": "score_a", "range": [0, 1], "bins": 200},
            {"name": "score_b", "range": [0, 1], "bins": 200},
        ],
        "mass": {
            "source": "mass",
            "unit": "GeV",
            "range_gev": [100, 180],
            "bins": 80,
            "window_gev": [120, 130],
        },
        "keep_columns": keep_columns,
        "optimise": {"signals": ["signal"], "n_categories": 5},
    }


def write_files(directory: Path, *, n_events: int) -> None:
    """Flat ntuples, four files a dataset."""
    for d, (name, share) in enumerate(SHARES.items()):
        for part in range(FILES):
            n = round(n_events * share / FILES)
            rng = np.random.default_rng([d, part])
            pileup = rng.normal(1, 0.1, n)
            columns = {
                "score_a": rng.beta(4, 2, n) if name == "signal" else rng.beta(2, 4, n),
                "score_b": rng.beta(2, 3, n),
                "mass": rng.uniform(100, 180, n),
                "genWeight": np.where(rng.random(n) < 0.1, -1.0, 1.0) * rng.uniform(0.5, 1.5, n),
                "pileup": pileup,
                "pileup_up": pileup * 1.1,
                "pileup_down": pileup * 0.9,
                "run": np.full(n, d + 1, dtype=np.uint32),
                "luminosityBlock": np.full(n, part, dtype=np.uint32),
                "event": np.arange(n, dtype=np.uint64),
            }
            with uproot.recreate(directory / f"{name}_{part}.root") as file:
                file.mktree(TREE, {key: column.dtype for key, column in columns.items()})
                file[TREE].extend(columns)


def axes(layout: Layout) -> dict[str, Any]:
    """Axis of every histogram."""
    return {names[0]: layout.axes[names[0]] for names in layout.products if len(names) == 1}


class BareProcessor(ProcessorABC):
    """What one would write by hand: read, select, fill."""

    def __init__(self, layout: Layout) -> None:
        self.axes = axes(layout)

    def process(self, events: Any) -> Any:
        keep = ak.to_numpy(events.score_a) > MIN_SCORE
        column = {name: ak.to_numpy(events[name])[keep] for name in BRANCHES}
        for name in IDENTITY:
            ak.to_numpy(events[name])
        generated = column["genWeight"]
        weights = {v: generated * column[branch] for v, branch in VARIATIONS.items()}
        name = events.metadata["dataset"]
        result = {}
        for key, axis in self.axes.items():
            h = hist.Hist(
                hist.axis.StrCategory([name], name="process", growth=True),
                hist.axis.StrCategory(list(weights), name="variation", growth=True),
                axis,
                storage=hist.storage.Weight(),
            )
            for variation, w in weights.items():
                h.fill(name, variation, column[key], weight=w)
            result[key] = h
        sumw = float(np.sum(ak.to_numpy(events.genWeight)))
        return {name: {"histograms": result, "sumw": sumw, "n_events": len(events)}}

    def postprocess(self, accumulator: Any) -> Any:
        return accumulator


def bare_coffea(directory: Path, layout: Layout, chunksize: int) -> Histograms:
    """A processor of one's own, run as `gato_coffea.process` runs its own."""
    files = {
        name: {
            "files": {str(p): TREE for p in sorted(directory.glob(f"{name}_*.root"))},
            "metadata": {"process": name},
        }
        for name in SHARES
    }
    runner = Runner(
        QuietIterativeExecutor(), chunksize=chunksize, schema=BaseSchema, metadata_cache={}
    )
    output = runner(files, BareProcessor(layout))
    return {name: _values(part["histograms"], name) for name, part in output.items()}


def _values(histograms: Mapping[str, Any], process: str) -> dict[str, Any]:
    """Bins of one process, for each of `VARIATIONS`."""
    return {
        key: np.stack([h[process, variation, :].values() for variation in VARIATIONS])
        for key, h in histograms.items()
    }


def plain_uproot(directory: Path, layout: Layout, chunksize: int) -> Histograms:
    """A loop over chunks with uproot and boost-histogram, nothing else."""
    found: Histograms = {}
    edges = {key: np.asarray(axis.edges) for key, axis in axes(layout).items()}
    for name in SHARES:
        filled = {
            (key, v): bh.Histogram(bh.axis.Variable(e), storage=bh.storage.Weight())
            for key, e in edges.items()
            for v in VARIATIONS
        }
        paths = [f"{p}:{TREE}" for p in sorted(directory.glob(f"{name}_*.root"))]
        for column in uproot.iterate(
            paths, [*BRANCHES, *IDENTITY], step_size=chunksize, library="np"
        ):
            keep = column["score_a"] > MIN_SCORE
            generated = column["genWeight"][keep]
            for variation, branch in VARIATIONS.items():
                w = generated * column[branch][keep]
                for key in edges:
                    filled[key, variation].fill(column[key][keep], weight=w)
        found[name] = {
            key: np.stack([filled[key, variation].values() for variation in VARIATIONS])
            for key in edges
        }
    return found


def our_way(directory: Path, chunksize: int, *, keep_columns: bool) -> Histograms:
    """`gato_coffea.process`, its weights scaled back."""
    analysis = read_analysis(directory, keep_columns=keep_columns)
    processed = gato_coffea.process(analysis, chunksize=chunksize, progress=False)
    return {
        name: {
            key: values / processed.factors[name]
            for key, values in _values(processed.histograms, name).items()
        }
        for name in SHARES
    }


def read_analysis(directory: Path, *, keep_columns: bool) -> Analysis:
    """Write the analysis file and read it."""
    (directory / "analysis.py").write_text(
        f"def scored(events):\n    return events.score_a > {MIN_SCORE}\n"
    )
    (directory / "analysis.yaml").write_text(yaml.safe_dump(content(keep_columns)))
    return gato_coffea.read_analysis(directory / "analysis.yaml")


def same(first: Histograms, second: Histograms) -> bool:
    """Whether all histograms agree."""
    return all(
        np.allclose(values, second[name][key], rtol=1e-9, atol=1e-9)
        for name, part in first.items()
        for key, values in part.items()
    )


def main() -> None:
    """Run all ways by turns and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=float, default=1e6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunksize", type=int, default=100_000)
    parser.add_argument("--output", type=Path, help="Markdown file; JSON is written beside it")
    options = parser.parse_args()
    machine = tables.machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, n_events=int(options.events))
        layout = Layout.of(read_analysis(folder, keep_columns=True))
        chunk = options.chunksize
        ways: dict[str, Callable[[], Histograms]] = {
            "gato_coffea, columns kept": lambda: our_way(folder, chunk, keep_columns=True),
            "gato_coffea, cells kept": lambda: our_way(folder, chunk, keep_columns=False),
            "bare coffea processor": lambda: bare_coffea(folder, layout, chunk),
            "uproot and boost-histogram": lambda: plain_uproot(folder, layout, chunk),
        }
        times = take_turns(ways, rounds=options.rounds)
    rows = []
    for way, seconds in times.items():
        ratios = [
            [s / other for s, other in zip(seconds, times[reference], strict=True)]
            for reference in ("bare coffea processor", "uproot and boost-histogram")
        ]
        rate = options.events / median(seconds) / 1e6
        rows.append([way, f"{median(seconds):.2f}", f"{rate:.2f}"])
        rows[-1] += [f"{median(r):.2f} ({min(r):.2f} to {max(r):.2f})" for r in ratios]
    header = ["way", "time [s]", "10^6 events / s", "time / bare coffea", "time / plain uproot"]
    text = (
        tables.described(machine)
        + f"\n{options.events:.3g} events in {FILES * len(SHARES)} files, chunks of {chunk}, one "
        f"process; medians of {options.rounds} rounds in which all take turns, ratios within a "
        "round. All histograms agree.\n\n" + tables.markdown(header, rows)
    )
    tables.write(options.output, text, {"machine": machine, "seconds": times})


def take_turns(
    ways: Mapping[str, Callable[[], Histograms]], *, rounds: int
) -> dict[str, list[float]]:
    """Wall times of every way in every round, after one round that is not counted."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    for i in range(rounds + 1):
        found = {}
        for way, run in ways.items():
            begin = time.perf_counter()
            found[way] = run()
            if i:
                times[way].append(time.perf_counter() - begin)
        reference = found["uproot and boost-histogram"]
        for way, histograms in found.items():
            if not same(histograms, reference):
                raise SystemExit(f"{way}: its histograms differ from those of plain uproot")
        if i:
            print("  ".join(f"{way} {t[-1]:.2f} s" for way, t in times.items()), flush=True)
    return times


if __name__ == "__main__":
    main()
