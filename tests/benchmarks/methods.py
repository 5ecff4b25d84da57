"""Analyses of real data and official simulation, optimised with every method.

The events are read once; everything else of the analysis file stays as it is.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from pathlib import Path
from typing import Any

import tables

import gato_coffea
from gato_coffea.optimisation.result import Result, Yardstick
from gato_coffea.workflow.stages import Job, load_results, run_ntuples, run_optimise, run_process

ANALYSES = Path(__file__).resolve().parents[2] / "analyses"
METHODS = ("gato", "exact", "lloyd")
HEADER = ("analysis", "categories asked", "method", "kept", "Z held-out", "Z training")
HEADER += ("equidistant", "50 categories", "time of all counts [s]")


def optimised(name: str) -> dict[str, tuple[dict[int, Result], float]]:
    """For each method, the results by number of categories and the time of the call."""
    analysis = gato_coffea.read_analysis(ANALYSES / name)
    importlib.import_module(
        "gato_coffea.optimisation.training.descent"
    )  # loads TensorFlow, which is not timed
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        first = Job.of(analysis, output=Path(folder), progress=False)
        run_ntuples(first)
        run_process(first)
        for method in METHODS:
            settings = analysis.optimise.model_copy(update={"method": method})
            changed = analysis.model_copy(update={"optimise": settings})
            job = Job.of(changed, output=Path(folder), progress=False)
            begin = time.perf_counter()
            run_optimise(job)
            found[method] = load_results(job), time.perf_counter() - begin
            print(f"{name}: {method}: {found[method][1]:.1f} s", flush=True)
    return found


def _held_out(yardstick: Yardstick | None) -> str:
    if yardstick is None or yardstick.held_out is None:
        return "-"
    return f"{yardstick.held_out.combined:.4g}"


def rows_of(name: str, found: dict[str, tuple[dict[int, Result], float]]) -> list[list[str]]:
    """Lines of the table, methods of one number of categories together."""
    rows = []
    for asked in sorted(next(iter(found.values()))[0]):
        for method, (results, seconds) in found.items():
            result = results[asked]
            spread = result.held_out.spread
            error = "" if spread is None else f" ± {spread:.2g}"
            rows.append(
                [
                    name,
                    str(asked),
                    method,
                    str(result.n_categories),
                    f"{result.held_out.combined:.4g}{error}",
                    f"{result.training.combined:.4g}",
                    _held_out(result.yardsticks.get("equidistant")),
                    _held_out(result.yardsticks.get("50 categories")),
                    f"{seconds:.1f}",
                ]
            )
    return rows


def values_of(found: dict[str, tuple[dict[int, Result], float]]) -> dict[str, Any]:
    """The results as JSON values."""
    return {
        method: {"seconds": seconds, "results": {n: r.to_dict() for n, r in results.items()}}
        for method, (results, seconds) in found.items()
    }


def main() -> None:
    """Optimise the analyses and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--analyses", nargs="+", default=["higgsml", "dimuon_2012"])
    parser.add_argument("--output", type=Path, help="Markdown file; JSON is written beside it")
    options = parser.parse_args()
    machine = tables.machine()
    rows, values = [], {}
    for name in options.analyses:
        found = optimised(name)
        rows += rows_of(name, found)
        values[name] = values_of(found)
    note = "Yardsticks are held out too. Times are those of a whole stage, with compilation.\n\n"
    text = tables.described(machine) + "\n" + note + tables.markdown(HEADER, rows)
    tables.write(options.output, text, {"machine": machine, "analyses": values})


if __name__ == "__main__":
    main()
