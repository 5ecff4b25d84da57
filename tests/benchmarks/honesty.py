"""What is quoted, and what is true: significances of many samples against the population.

The exported models of the analyses are put beside what is quoted, too (`honesty_exports`).

Samples are drawn from densities that are known, so the true significance of a set of categories
is that of the population in them. Weights may be negative, or a process rare and heavy.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import honesty_exports
import numpy as np
import tables
from scipy.special import expit, ndtri
from threadpoolctl import threadpool_limits

import gato_coffea
from gato_coffea.events.samples import FloatArray
from gato_coffea.optimisation.result import Result
from gato_coffea.statistics.counting import profiled_z2

METHODS = ("exact", "gato", "lloyd")
SIZES = (2_000, 20_000)
POPULATION = 200_000
"""Quantiles that stand for the population of a process."""

FEATURE = gato_coffea.Feature("score", 0.0, 1.0, "logit")
HEADER = ("weights", "events", "method", "samples", "true Z", "over exact", "quoted / true - 1")
HEADER += ("with the sample's variance", "largest", "interval contains true Z", "kept")


@dataclass(frozen=True)
class Process:
    """A process whose logit of the score is Gaussian.

    ``events`` is how many a sample has (None: what is asked for), ``negative`` gives the share of
    negative weights at a score.
    """

    mean: float
    total: float
    events: int | None = None
    width: float = 1.0
    negative: Callable[[FloatArray], FloatArray] = field(default=lambda x: np.zeros_like(x))

    def population(self) -> FloatArray:
        """Scores that share the yield evenly."""
        quantile = (np.arange(POPULATION) + 0.5) / POPULATION
        return np.asarray(expit(self.mean + self.width * ndtri(quantile)))

    def draw(self, n: int, rng: np.random.Generator) -> dict[str, FloatArray]:
        """A sample of the process, a Poisson number of events."""
        n = n if self.events is None else self.events
        seen = max(int(rng.poisson(n)), 1)
        x = expit(self.mean + self.width * rng.normal(size=seen))
        share = self.negative(x)
        sign = np.where(rng.random(seen) < share, -1.0, 1.0)
        # On average every event has the same weight, at every score.
        return {"x": x, "weight": sign / (1.0 - 2.0 * share) * self.total / n}


def flat(share: float) -> Callable[[FloatArray], FloatArray]:
    """The same share of negative weights at every score."""
    return lambda x: np.full_like(x, share)


def rising(x: FloatArray) -> FloatArray:
    """From none at zero to 40 % at one: 30 % where the signal is."""
    return 0.4 * x


def _both(negative: Callable[[FloatArray], FloatArray]) -> dict[str, Process]:
    return {
        "signal": Process(1.0, 40.0, negative=negative),
        "continuum": Process(-1.0, 1000.0, negative=negative),
    }


PLAIN = {
    "unit": _both(flat(0.0)),
    "10 % negative": _both(flat(0.1)),
    "30 % negative": _both(flat(0.3)),
    "negative, rising": _both(rising),
}

HEAVY = {
    # A process of as much yield as the continuum, whose events weigh 20.
    "weights of 20": PLAIN["unit"] | {"heavy": Process(-0.5, 1000.0, events=50)},
    # Few multijet events that hold three quarters of the background.
    "140 multijets": PLAIN["unit"] | {"multijets": Process(-1.5, 3000.0, events=140)},
    # So few that whole categories have none of them.
    "15 multijets": PLAIN["unit"] | {"multijets": Process(-0.5, 3000.0, events=15)},
}


def true_significances(
    case: dict[str, Process], n: int, result: Result, *, simulation: bool
) -> tuple[float, float]:
    """Significance of the population in the categories of a result.

    With the variance of the simulation, where that is quoted, there are two: with what a
    simulation of this size has there on average, and with what this sample has. The first one is
    the truth. It is a property of the categories and of the size of the simulation alone, while
    the sample's sum of squared weights fluctuates with the events whose fluctuations are to be
    judged, and is zero for a process of which no event fell into a category. The second one is
    what the exported model gives once its yields are right; it is printed beside it.
    """
    categories = result.categories
    k = categories.n_categories
    yields, variance = {}, np.zeros(k)
    for name, process in case.items():
        x = process.population()
        label = categories.assign(x)
        inside = label >= 0
        size = process.total / (n if process.events is None else process.events)
        weight = size / (1.0 - 2.0 * process.negative(x[inside])) ** 2
        share = process.total / POPULATION
        yields[name] = share * np.bincount(label[inside], minlength=k)
        if name != "signal":
            variance += share * np.bincount(label[inside], weight, minlength=k)
    background = np.sum([yields[name] for name in case if name != "signal"], axis=0)
    both = (variance, result.yields.background_sumw2) if simulation else (0.0, 0.0)
    of_size, of_sample = (
        float(np.sqrt(profiled_z2(yields["signal"], background, v).sum())) for v in both
    )
    return of_size, of_sample


def contains(result: Result, true: float) -> bool:
    """Whether the quoted range holds the true significance: the spread, or where it is wider."""
    spread, rare = result.held_out.spread or 0.0, result.rare
    low = np.inf if rare is None else rare.z_range[0]
    low = min(low, result.held_out.combined - spread)
    return bool(low <= true <= result.held_out.combined + spread)


def measured(
    case: dict[str, Process], n: int, *, samples: int, k: int, simulation: bool
) -> dict[str, Any]:
    """Quoted and true significances of each method, one entry a sample."""
    found: dict[str, Any] = {method: [] for method in METHODS}
    for seed in range(samples):
        rng = np.random.default_rng([seed, n])
        drawn = {name: process.draw(n, rng) for name, process in case.items()}
        for method in METHODS:
            result = gato_coffea.optimise(
                drawn,
                signals=["signal"],
                n_categories=k,
                method=method,
                features=[FEATURE],
                mc_uncertainty=simulation,
                seed=seed,
            )
            true, of_sample = true_significances(case, n, result, simulation=simulation)
            found[method].append(
                {
                    "true": true,
                    "true_own_variance": of_sample,
                    "quoted": result.held_out.combined,
                    "spread": result.held_out.spread,
                    "training": result.training.combined,
                    "contained": contains(result, true),
                    "kept": result.n_categories,
                }
            )
    return found


def _with_error(off: FloatArray) -> str:
    error = off.std(ddof=1) / np.sqrt(len(off)) if len(off) > 1 else np.nan
    return f"{100 * off.mean():+.1f} ± {100 * error:.1f} %"


def rows_of(name: str, n: int, found: dict[str, Any]) -> list[list[str]]:
    """Lines of the table: one for each method."""
    rows = []
    best = np.array([entry["true"] for entry in found["exact"]])
    for method, entries in found.items():
        true = np.array([entry["true"] for entry in entries])
        own = np.array([entry["true_own_variance"] for entry in entries])
        quoted = np.array([entry["quoted"] for entry in entries])
        off = quoted / true - 1
        rows.append(
            [
                *(name, str(n), method, str(len(true)), f"{true.mean():.3f}"),
                f"{true.mean() / best.mean():.3f}",
                _with_error(off),
                _with_error(quoted / own - 1),
                f"{100 * off.max():+.0f} %",
                f"{100 * np.mean([entry['contained'] for entry in entries]):.0f} %",
                f"{np.mean([entry['kept'] for entry in entries]):.1f}",
            ]
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=30, help="training samples of each case")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--categories", type=int, default=5)
    parser.add_argument("--simulation", action="store_true", help="finite simulation is in Z")
    parser.add_argument("--cases", nargs="+", default=[*PLAIN, *HEAVY], choices=[*PLAIN, *HEAVY])
    parser.add_argument(
        "--analyses",
        nargs="*",
        default=list(honesty_exports.NAMES),
        choices=honesty_exports.NAMES,
        help="whose exported models are evaluated",
    )
    parser.add_argument("--output", type=Path, help="Markdown file; JSON is written beside it")
    options = parser.parse_args(arguments)
    machine = tables.machine()
    rows, values = [], {}
    with threadpool_limits(1, user_api="blas"):
        for name in options.cases:
            for n in options.sizes:
                begin = time.perf_counter()
                found = measured(
                    (PLAIN | HEAVY)[name],
                    n,
                    samples=options.samples,
                    k=options.categories,
                    simulation=options.simulation,
                )
                values[f"{name}, {n}"] = found
                new = rows_of(name, n, found)
                rows += new
                for row in new:
                    print(" | ".join(row), flush=True)
                print(f"{name}, {n} events: {time.perf_counter() - begin:.0f} s", flush=True)
    text = tables.described(machine) + "\n" + tables.markdown(HEADER, rows)
    exported, found = honesty_exports.measured(options.analyses)
    text += "\n" + tables.markdown(honesty_exports.HEADER, exported)
    values = {"machine": machine, "cases": values, "exports": found}
    tables.write(options.output, text, values)


if __name__ == "__main__":
    main()
