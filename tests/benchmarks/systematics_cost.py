"""What systematic uncertainties cost, and what driving the likelihood as a black box reaches.

Time and memory of a call against the number of nuisance parameters, one process for each
configuration; and a Bayesian optimiser over the edges of one score, with pyhf as the judge of
its edges and of ours, on the same events.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tables
from scipy.special import expit, logit

import gato_coffea
from gato_coffea.categories import EdgeCategories
from gato_coffea.events.samples import FloatArray

YIELDS = {"signal": 40.0, "bkg1": 700.0, "bkg2": 300.0, "bkg3": 100.0}
MEANS = {"signal": 1.0, "bkg1": -1.2, "bkg2": -0.7, "bkg3": 0.0}
"""Expected events, and mean of the logit of the score, whose width is one."""

NORMS = {"bkg1": 1.1, "bkg2": 1.2, "bkg3": 1.3}
LUMINOSITY = 1.016
SHIFT = 0.1
SLOPE = 0.15
FEATURE = gato_coffea.Feature("score", 0.0, 1.0, "logit")
JUDGE = Path(__file__).with_name("black_box.py")
PACKAGES = ("optuna==5.0.0", "pyhf==0.7.6", "numpy", "scipy", "iminuit")


@dataclass(frozen=True)
class Configuration:
    """One row of the table of costs."""

    varied: str
    events: int
    categories: int
    nuisances: int
    method: str


def drawn(n: int, seed: int = 0) -> dict[str, dict[str, FloatArray]]:
    """Events of all processes, ``n`` in all."""
    rng = np.random.default_rng(seed)
    events = {}
    for process, total in YIELDS.items():
        size = max(n // len(YIELDS), 1)
        x = expit(MEANS[process] + rng.normal(size=size))
        events[process] = {"x": x, "weight": np.full(size, total / size)}
    return events


def varied(n: int, nuisances: int) -> tuple[dict[str, Any], list[gato_coffea.Norm]]:
    """Events with half of the nuisance parameters as weight variations, and the others."""
    samples: dict[str, Any] = drawn(n)
    norms = [gato_coffea.Norm(f"norm{i}", 1.02 + 0.01 * (i % 10)) for i in range(nuisances // 2)]
    for i in range(nuisances - len(norms)):
        # Waves of the score: no two of them move the yields alike.
        for sample in samples.values():
            wave = 0.1 * np.cos(np.pi * (i + 1) * sample["x"])
            for side, sign in (("Up", 1.0), ("Down", -1.0)):
                held = sample.setdefault("variations", {})
                held[f"wave{i}{side}"] = {"weight": sample["weight"] * (1 + sign * wave)}
    return samples, norms


def measure(c: Configuration) -> dict[str, Any]:
    """Run one configuration in this process."""
    samples, norms = varied(c.events, c.nuisances)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    call_s = []
    for _ in range(2):  # the first one imports and compiles
        begin = time.perf_counter()
        result = gato_coffea.optimise(
            samples,
            signals=["signal"],
            n_categories=c.categories,
            method=c.method,
            features=[FEATURE],
            systematics=norms,
        )
        call_s.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    held_out, counting = result.held_out.combined, result.held_out.statistics_only
    return {
        "first_s": call_s[0],
        "call_s": call_s[1],
        "before_mb": before,
        "peak_mb": peak,
        "held_out": held_out,
        "statistics_only": counting,
        "kept": result.n_categories,
    }


def configurations(options: argparse.Namespace) -> list[Configuration]:
    """Every row: one setting is varied at a time."""
    base = Configuration("", int(options.base_events), 10, 20, "")
    rows = []
    for method in options.methods:
        own = replace(base, method=method)
        rows += [replace(own, varied="nuisances", nuisances=n) for n in options.nuisances]
        rows += [replace(own, varied="categories", categories=n) for n in options.categories]
        rows += [replace(own, varied="events", events=int(n)) for n in options.events]
    return rows


def run(c: Configuration) -> dict[str, Any]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--one", json.dumps(asdict(c))]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        return {"error": found.stderr.strip().splitlines()[-1]}
    value: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return value


HEADER = ("method", "varied", "nuisances", "categories", "events", "call [s]", "first call [s]")
HEADER += ("memory before [MB]", "peak memory [MB]", "Z held-out", "by statistics")


def row_of(c: Configuration, found: dict[str, Any]) -> list[str]:
    """One line of the table of costs."""
    line = [c.method, c.varied, str(c.nuisances), str(c.categories), f"{c.events:.0e}"]
    if "error" in found:
        return [*line, found["error"], *[""] * (len(HEADER) - len(line) - 1)]
    figures = [f"{found[k]:.2f}" for k in ("call_s", "first_s")]
    figures += [f"{found[k]:.0f}" for k in ("before_mb", "peak_mb")]
    return [*line, *figures, *(f"{found[k]:.4f}" for k in ("held_out", "statistics_only"))]


def judged_events(n: int) -> tuple[dict[str, Any], list[gato_coffea.Norm], dict[str, FloatArray]]:
    """Events with the uncertainties of the comparison, for us and as arrays for the judge."""
    samples: dict[str, Any] = drawn(n, seed=1)
    arrays: dict[str, FloatArray] = {}
    for name, sample in samples.items():
        x, w = sample["x"], sample["weight"]
        sample["variations"] = {
            f"scale{side}": {"x": expit(logit(x) + sign * SHIFT)}
            for side, sign in (("Up", 1.0), ("Down", -1.0))
        }
        if name != "signal":
            for side, sign in (("Up", 1.0), ("Down", -1.0)):
                weight = w * (1 + sign * SLOPE * (2 * x - 1))
                sample["variations"][f"model{side}"] = {"weight": weight}
        arrays[f"{name} nominal x"], arrays[f"{name} nominal w"] = x, w
        for variation, own in sample["variations"].items():
            arrays[f"{name} {variation} x"] = own.get("x", x)
            arrays[f"{name} {variation} w"] = own.get("weight", w)
    norms = [gato_coffea.Norm("lumi", LUMINOSITY)]
    norms += [gato_coffea.Norm(f"{k}_norm", v, processes=[k]) for k, v in NORMS.items()]
    return samples, norms, arrays


def judge_environment(folder: Path) -> Path:
    """The Python of an environment with the optimiser and pyhf, made where it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return python


def compared(options: argparse.Namespace) -> tuple[list[list[str]], dict[str, Any]]:
    """Ours and the black box, both as pyhf judges their edges."""
    samples, norms, arrays = judged_events(int(options.judged_events))
    begin = time.perf_counter()
    result = gato_coffea.optimise(
        samples,
        signals=["signal"],
        n_categories=options.judged_categories,
        method="exact",
        kind="edges",
        features=[FEATURE],
        systematics=norms,
        folds=1,
    )
    ours_s = time.perf_counter() - begin
    assert isinstance(result.categories, EdgeCategories)
    edges = result.categories.edges[0][1:-1].tolist()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "events.npz", **arrays)
        setting = {
            "ours": edges,
            "categories": options.judged_categories,
            "seconds": [60 * m for m in options.minutes],
            "norms": {"lumi": [LUMINOSITY, None]}
            | {k + "_norm": [v, k] for k, v in NORMS.items()},
            "min_effective": 10.0,
        }
        (folder / "setting.json").write_text(json.dumps(setting))
        python = judge_environment(options.environment)
        done = subprocess.run(
            [python, JUDGE, folder], stdout=subprocess.PIPE, text=True, check=True
        )
    found = json.loads(done.stdout.splitlines()[-1])
    rows = [["gato_coffea, exact", f"{ours_s:.1f} s", "-", f"{found['ours']:.4f}"]]
    for entry in found["black_box"]:
        tried = str(entry["trials"])
        rows.append(["optuna, TPE", f"{entry['seconds']:.0f} s", tried, f"{entry['z']:.4f}"])
    return rows, found | {"ours_s": ours_s, "quoted": result.training.combined, "edges": edges}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all configurations, and the comparison where minutes are given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--methods", nargs="*", default=["exact"])
    parser.add_argument("--nuisances", type=int, nargs="*", default=[0, 5, 20, 50])
    parser.add_argument("--categories", type=int, nargs="*", default=[5, 20, 50])
    parser.add_argument("--events", type=float, nargs="*", default=[1e5, 1e6])
    parser.add_argument("--base-events", type=float, default=2e5)
    parser.add_argument(
        "--minutes",
        type=float,
        nargs="*",
        default=[1.0],
        help="for the black box; none: leave out",
    )
    parser.add_argument("--judged-events", type=float, default=4e5)
    parser.add_argument("--judged-categories", type=int, default=10)
    parser.add_argument(
        "--environment",
        type=Path,
        default=Path(tempfile.gettempdir()) / "gato_coffea_black_box",
        help="folder of the environment with optuna and pyhf; made where it is not there",
    )
    parser.add_argument("--output", type=Path, help="Markdown file; JSON is written beside it")
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(measure(Configuration(**json.loads(options.one)))))
        return
    machine, values, rows = tables.machine(), [], []
    for c in configurations(options):
        found = run(c)
        values.append(asdict(c) | found)
        rows.append(row_of(c, found))
        print("  ".join(rows[-1]), flush=True)
    text = tables.described(machine) + "\n" + tables.markdown(HEADER, rows)
    result: dict[str, Any] = {"machine": machine, "rows": values}
    if options.minutes:
        lines, result["black_box"] = compared(options)
        text += "\n" + tables.markdown(("optimiser", "time", "trials", "Z by pyhf"), lines)
    tables.write(options.output, text, result)


if __name__ == "__main__":
    main()
