"""Time of an epoch and peak memory against events, categories, discriminants and restarts.

Every configuration runs in a process of its own. Toy: Gaussian signals and background, squeezed
into scores between 0 and 1; each signal is shifted along another discriminant.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tables
from scipy.special import expit

import gato_coffea
from gato_coffea.events.samples import Cells, Feature, FloatArray, Grid, Sample, event_fold

SHARES = {"signal1": 0.15, "signal2": 0.15, "background": 0.7}
YIELDS = {"signal1": 500.0, "signal2": 300.0, "background": 1e5}
SHIFT = 1.5
BLOCK = 1_000_000
FOLDS = 5


@dataclass(frozen=True)
class Configuration:
    """One row: what varies, and what is asked."""

    varied: str
    events: int = 1_000_000
    held_as: str = "events"
    categories: int = 10
    dimensions: int = 2
    restarts: int = 2
    epochs: int = 60


def blocks(process: str, configuration: Configuration) -> Iterator[Sample]:
    """Events of a process, a million at a time."""
    total = round(configuration.events * SHARES[process])
    rng = np.random.default_rng([configuration.dimensions, list(SHARES).index(process)])
    for begin in range(0, total, BLOCK):
        n = min(BLOCK, total - begin)
        z = rng.standard_normal((n, configuration.dimensions))
        if process == "signal1":
            z[:, 0] += SHIFT
        elif process == "signal2":
            z[:, -1] += SHIFT if configuration.dimensions > 1 else -SHIFT
        x: FloatArray = expit(z)
        fold = event_fold([np.arange(begin, begin + n)], n_folds=FOLDS)
        yield Sample(x=x, weight=np.full(n, YIELDS[process] / total), fold=fold)


def held(configuration: Configuration) -> dict[str, Any]:
    """All processes as events, or as cells that were summed block by block."""
    features = tuple(Feature(f"x{d}", 0.0, 1.0, "logit") for d in range(configuration.dimensions))
    grid = Grid.fine(features)
    found: dict[str, Any] = {}
    for process in SHARES:
        for block in blocks(process, configuration):
            if configuration.held_as == "cells":
                part: Any = Cells.fill(grid, block, n_folds=FOLDS)
                found[process] = found[process] + part if process in found else part
            else:
                found.setdefault(process, []).append({"x": block.x, "weight": block.weight})
    if configuration.held_as == "cells":
        return found
    return {
        process: {key: np.concatenate([p[key] for p in parts]) for key in ("x", "weight")}
        for process, parts in found.items()
    }


def measure(configuration: Configuration) -> dict[str, Any]:
    """Run one configuration in this process."""
    from clocks import batches_timed, peak_memory_mb  # loads TensorFlow

    samples = held(configuration)
    before = peak_memory_mb()
    call_s = []
    with batches_timed() as batches:
        for _ in range(2):  # the first compiles
            begin = time.perf_counter()
            result = gato_coffea.optimise(
                samples,
                signals=["signal1", "signal2"],
                n_categories=configuration.categories,
                restarts=configuration.restarts,
                folds=FOLDS,
                epochs=configuration.epochs,
            )
            call_s.append(time.perf_counter() - begin)
    batch = batches[-1]
    return {
        "points": batch.points,
        "trained_restarts": batch.restarts,
        "epoch_ms": 1e3 * batch.epoch_s,
        "compile_s": call_s[0] - call_s[1],
        "call_s": call_s[1],
        "before_mb": before,
        "peak_mb": peak_memory_mb(),
        "held_out": result.held_out.combined,
    }


def configurations(options: argparse.Namespace) -> list[Configuration]:
    """Every row of the table."""
    base = Configuration("", events=int(options.base_events), epochs=options.epochs)
    rows = []
    for way in ("events", "cells"):
        for n in options.events:
            rows.append(replace(base, varied=f"events, held as {way}", events=int(n), held_as=way))
    rows += [replace(base, varied="categories", categories=n) for n in options.categories]
    rows += [replace(base, varied="discriminants", dimensions=n) for n in options.dimensions]
    rows += [replace(base, varied="restarts", restarts=n) for n in options.restarts]
    return rows


def run(configuration: Configuration, log: Path) -> dict[str, Any]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--one", json.dumps(asdict(configuration))]
    with log.open("w") as file:
        process = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=file, text=True, check=False
        )
    if process.returncode:
        message = log.read_text().strip().splitlines()[-1:]
        return {"error": message[0] if message else f"exit code {process.returncode}"}
    found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return found


HEADER = ("varied", "events", "categories", "discriminants", "restarts", "points")
HEADER += ("epoch [ms]", "compilation [s]", "call, compiled [s]", "memory before [MB]")
HEADER += ("peak memory [MB]", "Z held-out")


def row_of(c: Configuration, found: dict[str, Any]) -> list[str]:
    """One line of the table."""
    restarts = str(c.restarts)
    if found.get("trained_restarts", c.restarts) != c.restarts:
        restarts += f" ({found['trained_restarts']} trained)"
    line = [c.varied, f"{c.events:.0e}", str(c.categories), str(c.dimensions), restarts]
    if "error" in found:
        return [*line, found["error"], *[""] * (len(HEADER) - len(line) - 1)]
    return [
        *line,
        str(found["points"]),
        f"{found['epoch_ms']:.1f}",
        f"{found['compile_s']:.1f}",
        f"{found['call_s']:.1f}",
        f"{found['before_mb']:.0f}",
        f"{found['peak_mb']:.0f}",
        f"{found['held_out']:.3f}",
    ]


def main() -> None:
    """Run all configurations and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--events", type=float, nargs="*", default=[1e5, 1e6, 1e7])
    parser.add_argument("--categories", type=int, nargs="*", default=[2, 5, 10, 20, 50])
    parser.add_argument("--dimensions", type=int, nargs="*", default=[1, 2, 3, 4, 6])
    parser.add_argument("--restarts", type=int, nargs="*", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--base-events", type=float, default=1e6)
    parser.add_argument("--epochs", type=int, default=60, help="at most, in every configuration")
    parser.add_argument("--output", type=Path, help="Markdown file; JSON is written beside it")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(Configuration(**json.loads(options.one)))))
        return
    machine, values, rows = tables.machine(), [], []
    with tempfile.TemporaryDirectory() as folder:
        for c in configurations(options):
            found = run(c, Path(folder) / "log")
            values.append(asdict(c) | found)
            rows.append(row_of(c, found))
            print("  ".join(rows[-1]), flush=True)
    text = (
        tables.described(machine)
        + f"\nTwo signals, {FOLDS} folds (so {FOLDS + 1} trainings for each restart). An epoch is "
        "that of the whole batch. Memory is the largest resident size of the process, before: "
        "with Python, TensorFlow and the events in it.\n\n" + tables.markdown(HEADER, rows)
    )
    tables.write(options.output, text, {"machine": machine, "rows": values})


if __name__ == "__main__":
    main()
