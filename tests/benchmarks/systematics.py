"""The toy with systematic uncertainties: categories are judged on an independent sample.

``python tests/benchmarks/systematics.py`` prints, for every method and number of categories, the
profiled significance on an independent sample of 10^7 background events, the counting
significance there, and what the training with uncertainties costs over that without.

Reference figures (an independent evaluator on the population's densities, which agrees with pyhf):
the best profiled significance is 1.3575, 1.4226 and 1.4363 for 5, 10 and 20 categories, and 1.089
was reached for 3; categories that are trained on counting have 1.209, 1.377, 1.424 and 0.905.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gato_coffea import Constraints, Norm, optimise
from gato_coffea.datasets.toys import toy_arrays
from gato_coffea.events.samples import Feature, FloatArray
from gato_coffea.statistics.figures import significance
from gato_coffea.statistics.likelihood import Likelihood
from gato_coffea.statistics.yields import BinnedYields

BEST = {3: 1.089, 5: 1.3575, 10: 1.4226, 20: 1.4363}
"""Best profiled significance by number of categories; for 3 the best that was found."""

SIMULATED = 300_000
"""Background events whose finite number is an uncertainty."""

LOGIT_SHIFT = 0.10
"""The shape uncertainty: by how much the logit of every score moves."""

WEIGHT_SLOPE = 0.15
"""The weight uncertainty: background weights times 1 +- this times (2 x - 1)."""

NORMS = (
    Norm("lumi", 1.016),
    Norm("norm1", 1.1, processes=["bkg1"]),
    Norm("norm2", 1.2, processes=["bkg2"]),
    Norm("norm3", 1.2, processes=["bkg3"]),
    Norm("norm4", 1.3, processes=["bkg4"]),
    Norm("norm5", 1.5, processes=["bkg5"]),
    Norm("theory", 1.05, processes=["signal"]),
)

SCORE = Feature("score", 0.0, 1.0, "logit")


def moved(x: FloatArray, by: float) -> FloatArray:
    """Scores whose logit is moved."""
    return np.asarray(1.0 / (1.0 + (1.0 - x) / x * np.exp(-by)))


def samples(
    n_background: int = SIMULATED, n_signal: int = 100_000, *, seed: int = 1, extra: int = 0
) -> dict[str, dict[str, Any]]:
    """Events of the toy with their variations.

    Parameters
    ----------
    n_background, n_signal, seed
        Of the toy.
    extra
        Further weight uncertainties, each with a wave of its own, for measurements of the cost.
    """
    arrays = toy_arrays("1d", n_signal=n_signal, n_bkg=n_background, seed=seed)
    result = {}
    for name, columns in arrays.items():
        x, w = np.asarray(columns["x"]).reshape(-1), np.asarray(columns["weight"])
        x = np.clip(x, 1e-12, 1 - 1e-12)
        variations: dict[str, Any] = {
            "scaleUp": {"x": moved(x, LOGIT_SHIFT)},
            "scaleDown": {"x": moved(x, -LOGIT_SHIFT)},
        }
        if name != "signal":
            tilt = WEIGHT_SLOPE * (2 * x - 1)
            variations |= {
                "tiltUp": {"weight": w * (1 + tilt)},
                "tiltDown": {"weight": w * (1 - tilt)},
            }
        for i in range(extra):
            wave = 0.03 * np.cos((i + 1) * np.pi * x)
            variations |= {
                f"wave{i}Up": {"weight": w * (1 + wave)},
                f"wave{i}Down": {"weight": w * (1 - wave)},
            }
        result[name] = {"x": x, "weight": w, "variations": variations}
    return result


def yields_in(events: Mapping[str, Any], categories: Any, *, n_background: int) -> BinnedYields:
    """Yields of an independent sample, with the finite simulation of `SIMULATED` events."""
    names, n = list(events), categories.n_categories
    variations = sorted(
        {v.removesuffix("Up") for v in events["bkg1"]["variations"] if v.endswith("Up")}
    )

    def filled(sample: Mapping[str, Any], varied: Mapping[str, Any]) -> FloatArray:
        label = categories.assign(np.asarray(varied.get("x", sample["x"]))[:, None])
        return np.bincount(label + 1, varied.get("weight", sample["weight"]), n + 1)[1:]

    def each(side: str) -> FloatArray:
        return np.array(
            [
                [filled(s, s["variations"].get(v + side, {})) for s in events.values()]
                for v in variations
            ]
        )

    squares = [
        filled(s, {"weight": s["weight"] ** 2}) for name, s in events.items() if name != "signal"
    ]
    return BinnedYields(
        processes=tuple(names),
        signals=("signal",),
        nominal=np.array([filled(s, {}) for s in events.values()]),
        sumw2=np.sum(squares, axis=0) * n_background / SIMULATED,
        variations=tuple(variations),
        up=each("Up"),
        down=each("Down"),
    )


def judge(events: Mapping[str, Any], categories: Any, *, n_background: int) -> tuple[float, float]:
    """Profiled and counting significance of categories on an independent sample."""
    yields = yields_in(events, categories, n_background=n_background)
    profiled = significance(Likelihood(yields=yields, normalisations=NORMS), "signal")
    rows = yields.is_signal
    s, b = yields.nominal[rows][0], yields.nominal[~rows].sum(axis=0)
    counting = np.sqrt((2 * ((s + b) * np.log1p(s / b) - s)).sum())
    return float(profiled.value), float(counting)


def main(methods: Sequence[str], counts: Sequence[int], n_test: int, epochs: int) -> None:
    """Print the table."""
    train = samples()
    bare = {k: {c: v for c, v in s.items() if c != "variations"} for k, s in train.items()}
    test = samples(n_test, n_test // 3, seed=2)
    common: dict[str, Any] = {
        "signals": ["signal"],
        "features": [SCORE],
        "n_categories": list(counts),
        "constraints": Constraints(min_effective=10),
        "epochs": epochs,
    }
    for method in methods:
        start = time.perf_counter()
        counting = optimise(bare, method=method, **common)
        middle = time.perf_counter()
        profiled = optimise(train, method=method, systematics=NORMS, **common)
        end = time.perf_counter()
        before, after = middle - start, end - middle
        print(f"{method}: {before:.1f} s counting, {after:.1f} s profiled: {after / before:.2f}")
        for n, one, other in zip(counts, counting, profiled, strict=True):
            z, c = judge(test, other.categories, n_background=n_test)
            z0, c0 = judge(test, one.categories, n_background=n_test)
            quoted = other.held_out
            print(
                f"  {n:3d}: profiled Z {z:.4f} ({z / BEST.get(n, np.nan):.4f} of the best), "
                f"counting {c:.3f}; trained on counting: {z0:.4f}, counting {c0:.3f}; held out "
                f"{quoted.combined:.4f} +- {quoted.spread:.4f} (statistics only "
                f"{quoted.statistics_only:.3f}); kept {other.n_categories}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=["exact", "lloyd", "gato"])
    parser.add_argument("--counts", nargs="+", type=int, default=[3, 5, 10, 20])
    parser.add_argument("--test", type=int, default=10_000_000)
    parser.add_argument("--epochs", type=int, default=250)
    given = parser.parse_args()
    main(given.methods, given.counts, given.test, given.epochs)
