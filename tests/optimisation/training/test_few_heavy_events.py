"""Training where 140 events of large weight carry nearly all of the background's variance.

The population is known, so significances are true ones: yields of the population, and, as in
every quoted figure, the variance of the simulation.
"""

from __future__ import annotations

import numpy as np
import pytest

from gato_coffea import optimise
from gato_coffea.events.samples import Feature
from gato_coffea.statistics.counting import profiled_z2

FEATURES = [Feature("met", 1.0, 300.0, scale="log"), Feature("jet_pt", 20.0, 500.0, scale="log")]
PLAIN = {  # events, yield, means and widths of the logarithms
    "signal": (3000, 310.0, (3.8, 4.3), (0.65, 0.47)),
    "ww": (2000, 155.0, (3.65, 4.05), (0.65, 0.44)),
    "wz": (1500, 47.0, (3.45, 4.13), (0.8, 0.46)),
    "zz": (1000, 12.0, (2.9, 4.12), (0.8, 0.45)),
}
MULTIJET_EVENTS, MULTIJET_YIELD = 140, 20_000.0
LARGE = 30
"""How many times larger the sample is that stands for the population."""


def sample(seed, *, size=1):
    """Processes with ``size`` times the usual number of events, and the same yields."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, (n, total, mean, width) in PLAIN.items():
        x = np.exp(rng.normal(mean, width, (n * size, 2)))
        found[name] = {"x": x, "weight": np.full(n * size, total / (n * size))}
    n = MULTIJET_EVENTS * size  # generated evenly in slices of the momentum
    log_pt = rng.uniform(3.1, 6.0, n)
    density = np.exp(-0.5 * ((log_pt - 3.8) / 0.34) ** 2) / (0.34 * np.sqrt(2 * np.pi)) * 2.9
    weight = MULTIJET_YIELD / n * density * rng.gamma(2.0, 0.5, n)
    log_met = 2.6 + 0.25 * (log_pt - 3.8) + 0.5 * rng.normal(size=n)
    found["multijet"] = {"x": np.exp(np.stack([log_met, log_pt], -1)), "weight": weight}
    return found


@pytest.fixture(scope="module")
def population():
    return sample(999, size=LARGE)


def sums(label_of, n, events, power):
    found = {}
    for name, columns in events.items():
        label = label_of(columns["x"])
        inside = label >= 0
        found[name] = np.bincount(label[inside], columns["weight"][inside] ** power, n)
    return found


def true_z(label_of, n, population, own):
    """Significance of the population in ``n`` categories, with the variance of the own events."""
    yields, squares = sums(label_of, n, population, 1), sums(label_of, n, own, 2)
    background = sum(y for name, y in yields.items() if name != "signal")
    variance = sum(v for name, v in squares.items() if name != "signal")
    return float(np.sqrt(profiled_z2(yields["signal"], background, variance).sum()))


def test_categories_are_as_good_as_the_exact_ones_and_better_than_equal_bins(population):
    counts, ratio, over_equal = [3, 4], [], []
    for seed in (1, 2):
        own = sample(seed)
        found = {
            method: optimise(
                own, signals=["signal"], n_categories=counts, method=method, features=FEATURES
            )
            for method in ("gato", "exact")
        }
        for n, gato, exact in zip(counts, found["gato"], found["exact"], strict=True):
            z, best = (
                true_z(r.categories.assign, r.n_categories, population, own) for r in (gato, exact)
            )
            edges = np.linspace(1.0, 300.0, n + 1)[1:-1]
            equal = true_z(lambda x, e=edges: np.searchsorted(e, x[:, 0]), n, population, own)
            ratio.append(z / best)
            over_equal.append(z / equal)
    assert min(over_equal) > 1
    # Of starts that do not reproduce the exact partitions came 0.87 to 0.98, on average 0.91.
    assert np.mean(ratio) > 0.94, ratio
