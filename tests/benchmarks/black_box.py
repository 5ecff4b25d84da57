"""A Bayesian optimiser over the edges of one score, with pyhf as judge. Knows nothing of ours.

``systematics_cost.py`` runs it, in an environment of its own, on a folder with events.npz and
setting.json; the last line that it prints is JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
import pyhf

FloatArray = npt.NDArray[np.float64]
Sorted = dict[tuple[str, str], tuple[FloatArray, FloatArray, FloatArray]]


def by_score(arrays: Any) -> Sorted:
    """Scores in order, and the sums of weights and of squared weights up to each."""
    found = {}
    for key in arrays:
        process, variation, column = key.split()
        if column == "x":
            order = np.argsort(arrays[key])
            w = arrays[f"{process} {variation} w"][order]
            sums = (np.concatenate([[0], np.cumsum(v)]) for v in (w, w * w))
            found[process, variation] = (arrays[key][order], *sums)
    return found


def binned(events: Sorted, edges: FloatArray) -> dict[tuple[str, str], tuple[FloatArray, ...]]:
    """Yields and variances in bins, of every process and variation."""
    result = {}
    for key, (x, *sums) in events.items():
        at = np.concatenate([[0], np.searchsorted(x, edges), [len(x)]])
        result[key] = tuple(np.diff(s[at]) for s in sums)
    return result


def significance(events: Sorted, edges: FloatArray, setting: dict[str, Any]) -> float:
    """Expected discovery significance by pyhf; zero where a bin has too few entries."""
    found = binned(events, np.sort(edges))
    processes = list(dict.fromkeys(process for process, _ in found))
    total, variance = (
        sum(found[p, "nominal"][i] for p in processes if p != "signal") for i in (0, 1)
    )
    if (total**2 < setting["min_effective"] * (1 - 1e-9) * variance).any():
        return 0.0
    error = np.sqrt(variance) / total
    samples = []
    for p in processes:
        nominal = found[p, "nominal"][0]
        modifiers = [
            {"name": name, "type": "normsys", "data": {"hi": k, "lo": 1 / k}}
            for name, (k, only) in setting["norms"].items()
            if only in (None, p)
        ]
        for source in dict.fromkeys(v[:-2] for q, v in found if q == p and v.endswith("Up")):
            data = {
                side: found[p, source + end][0].tolist()
                for side, end in (("hi_data", "Up"), ("lo_data", "Down"))
            }
            modifiers.append({"name": source, "type": "histosys", "data": data})
        if p == "signal":
            modifiers.append({"name": "mu", "type": "normfactor", "data": None})
        else:
            absolute = (error * nominal).tolist()
            modifiers.append({"name": "staterror", "type": "staterror", "data": absolute})
        samples.append({"name": p, "data": nominal.tolist(), "modifiers": modifiers})
    model = pyhf.Model(
        {"channels": [{"name": "score", "samples": samples}]},
        poi_name="mu",
        modifier_settings={
            "histosys": {"interpcode": "code4p"},
            "normsys": {"interpcode": "code4"},
        },
    )
    at_one = model.config.suggested_init()
    at_one[model.config.poi_index] = 1.0
    data = model.expected_data(at_one)
    best = -2 * float(model.logpdf(at_one, data)[0])
    _, without = pyhf.infer.mle.fixed_poi_fit(0.0, data, model, return_fitted_val=True)
    return float(np.sqrt(max(float(without) - best, 0.0)))


def search(events: Sorted, setting: dict[str, Any]) -> list[dict[str, Any]]:
    """The best significance after each of the times; edges are quantiles of the signal."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    signal, n = events["signal", "nominal"][0], setting["categories"] - 1

    def objective(trial: optuna.Trial) -> float:
        at = [trial.suggest_float(f"q{i}", 0.001, 0.999) for i in range(n)]
        return significance(events, np.quantile(signal, at), setting)

    # All edges are told to be alike by their order alone: a start at even quantiles helps.
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.enqueue_trial({f"q{i}": (i + 1) / (n + 1) for i in range(n)})
    found, spent = [], 0.0
    for seconds in setting["seconds"]:
        begin = time.perf_counter()
        study.optimize(objective, timeout=seconds - spent)
        spent += time.perf_counter() - begin
        found.append({"seconds": spent, "trials": len(study.trials), "z": study.best_value})
    return found


def main() -> None:
    """Judge our edges, and search."""
    folder = Path(sys.argv[1])
    setting = json.loads((folder / "setting.json").read_text())
    pyhf.set_backend("numpy", "minuit")
    with np.load(folder / "events.npz") as arrays:
        events = by_score(arrays)
    ours = significance(events, np.array(setting["ours"]), setting)
    print(json.dumps({"ours": ours, "black_box": search(events, setting)}))


if __name__ == "__main__":
    main()
