"""Training of gato_coffea in a process of its own: the counterpart of `peer_training.py`.

It reads samples from files and optimises each with default settings, once for every list of
numbers of categories, and writes categories, significances and times. What is timed is the whole
call: starts, folds, restarts, yardsticks and the bootstrap. The first call of a kind compiles.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from samples import read_training_file

import gato_coffea
from gato_coffea.optimisation.result import Result


def described(result: Result) -> dict[str, Any]:
    """The result as JSON values, with its categories."""
    return {**result.to_dict(), "categories": result.categories.to_dict()}


def timed_call(samples: Any, *, signals: list[str], counts: list[int], seed: int) -> Any:
    """Results of a call of `gato_coffea.optimise`, and its time."""
    begin = time.perf_counter()
    results = gato_coffea.optimise(samples, signals=signals, n_categories=counts, seed=seed)
    return results, time.perf_counter() - begin


def main() -> None:
    """Optimise every sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("samples", type=Path, nargs="+")
    parser.add_argument("--results", type=Path, required=True, help="folder to write to")
    parser.add_argument("--signals", nargs="+", required=True)
    parser.add_argument(
        "--counts",
        action="append",
        required=True,
        help="numbers of categories of one call, as in 5,10,20; again for another call",
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for path in options.samples:
        samples = read_training_file(path)
        calls: list[float] = []
        for text in options.counts:
            counts = [int(n) for n in text.split(",")]
            results, call_s = timed_call(
                samples, signals=options.signals, counts=counts, seed=options.seed
            )
            output = options.results / f"{path.stem}_{len(calls)}.json"
            content = {"results": [described(r) for r in results], "call_s": call_s}
            # `finished` stands for the moment at which the process has its result on disk.
            output.write_text(json.dumps(content | {"finished": time.time()}))
            calls.append(call_s)
        print(f"  {path.stem}: {', '.join(f'{c:.2f}' for c in calls)} s", flush=True)


if __name__ == "__main__":
    main()
