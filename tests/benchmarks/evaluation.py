"""Significance of categories on a large sample, and the best that any categories reach on it.

All significances are those of `gato_coffea.statistics.counting`, for both sides of a comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from samples import FineYields, LargeSample
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from scipy.special import expit

from gato_coffea.categories import Categories, MixtureCategories
from gato_coffea.events.samples import Feature, FloatArray, IntArray
from gato_coffea.optimisation.densities import Densities
from gato_coffea.optimisation.objective import Counting
from gato_coffea.optimisation.partitions import best_partitions, merge_down, seed_labels
from gato_coffea.statistics.counting import asimov_z2, combine, signal_significances

Label = Callable[[FloatArray], IntArray]

PROBES = 100_001
BISECTIONS = 60
CELLS_1D = 2000
"""Cells between which the exact one-dimensional optimum may cut; more do not raise it."""

MIN_BACKGROUND_EVENTS = 10
STARTS_2D = 16
LLOYD_STEPS = 200
BLUR = 1.0
"""Width of the blur in cells."""


def combined(signal: FloatArray, background: FloatArray) -> float:
    """Geometric mean of the signals' significances from yields ``(signals, K)`` and ``(K,)``."""
    with np.errstate(invalid="ignore"):
        return float(combine(signal_significances(signal, background), "geometric"))


def yields_of_counts(
    sample: LargeSample, count: Callable[[FloatArray], FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Yields of each signal and of the background from a function that counts events."""
    found = {name: count(x) * sample.weight[name] for name, x in sample.x.items()}
    signal = np.stack([found[name] for name in sample.signals])
    return signal, np.sum([found[name] for name in sample.backgrounds], axis=0)


def significance_in_plane(sample: LargeSample, label: Label, n: int) -> float:
    """Combined significance of categories of several discriminants; -1 is in none."""

    def count(x: FloatArray) -> FloatArray:
        return np.bincount(label(x) + 1, minlength=n + 1)[1:].astype(np.float64)

    return combined(*yields_of_counts(sample, count))


def significance_in_row(sample: LargeSample, categories: Categories) -> float:
    """Combined significance of categories of one discriminant between 0 and 1."""
    edges, label = pieces(categories)
    keep = label >= 0

    def count(x: FloatArray) -> FloatArray:
        inside = np.diff(np.concatenate([[0], np.searchsorted(x, edges), [len(x)]]))
        return np.bincount(label[keep], inside[keep], categories.n_categories)

    return combined(*yields_of_counts(sample, count))


def pieces(categories: Categories) -> tuple[FloatArray, IntArray]:
    """Where the category changes along a discriminant between 0 and 1, to the last bit.

    Returns
    -------
    tuple
        The first value of every piece but the first, and the category of each piece.
    """
    probes = np.union1d(np.linspace(0, 1, PROBES), expit(np.linspace(-16, 16, PROBES)))
    label = categories.assign(probes)
    change = np.flatnonzero(np.diff(label))
    low, high = probes[change], probes[change + 1]
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        left = categories.assign(middle) == label[change]
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return high, label[np.concatenate([change, [len(label) - 1]])]


def significance(sample: LargeSample, categories: Categories) -> float:
    """Combined significance of categories on a sample; NaN parameters give NaN."""
    if isinstance(categories, MixtureCategories) and not np.isfinite(categories.means).all():
        return float("nan")
    if len(categories.features) == 1:
        return significance_in_row(sample, categories)
    return significance_in_plane(sample, categories.assign, categories.n_categories)


def plain_mixture(means: object, scale_tril: object, log_weights: object) -> MixtureCategories:
    """Categories of a mixture whose parameters stand in the scores themselves."""
    means, scale = np.asarray(means), np.asarray(scale_tril)
    features = tuple(Feature(f"x{d}", 0.0, 1.0) for d in range(means.shape[1]))
    return MixtureCategories(
        features=features,
        label=np.arange(len(means)),
        means=means,
        scale_tril=scale,
        log_weights=np.asarray(log_weights),
    )


def even_cells(signal: FloatArray, background: FloatArray, n: int) -> IntArray:
    """Indices of edges between cells that share signal and background evenly."""
    parts = [signal, background, np.sqrt(np.maximum(signal * background, 0.0))]
    share = np.cumsum(np.sum([p / p.sum() for p in parts], axis=0))
    cut = np.unique(np.searchsorted(share, np.linspace(0, share[-1], n + 1)[1:-1]) + 1)
    return cut[cut < len(share)]


def run_sums(array: FloatArray) -> FloatArray:
    """Sum of every run of consecutive cells: entry ``[i, j]`` sums ``i .. j - 1``."""
    c = np.concatenate([[0.0], np.cumsum(array)])
    return np.asarray(c[None, :] - c[:, None])


def optimum_in_row(fine: FineYields, counts: Sequence[int]) -> dict[int, FloatArray]:
    """Edges of the best bins of one score for each number of them, by dynamic programming."""
    signal, background = fine.signal[0], fine.background
    cut = even_cells(signal, background, CELLS_1D)
    at = np.concatenate([[0], cut])
    s, b = run_sums(np.add.reduceat(signal, at)), run_sums(np.add.reduceat(background, at))
    allowed = b >= MIN_BACKGROUND_EVENTS * fine.unit * (1 - 1e-9)
    found = best_partitions(np.where(allowed, asimov_z2(s, b), -np.inf), max(counts))
    return {n: fine.grid.edges[0][cut[found.edges(n) - 1]] for n in counts}


def fine_yields_of(sample: LargeSample, like: FineYields) -> FineYields:
    """Yields of a large sample on the fine grid of another one."""
    size = len(like.background)

    def count(x: FloatArray) -> FloatArray:
        cell = like.grid.index(x.reshape(len(x), -1))
        return np.bincount(cell[cell >= 0], minlength=size).astype(np.float64)

    signal, background = yields_of_counts(sample, count)
    unit = min(sample.weight[name] for name in sample.backgrounds)
    return FineYields(like.grid, signal, background, unit)


def significance_of_edges(sample: LargeSample, edges: FloatArray) -> float:
    """Combined significance of bins of one score."""

    def count(x: FloatArray) -> FloatArray:
        return np.diff(np.concatenate([[0], np.searchsorted(x, edges), [len(x)]])).astype(float)

    return combined(*yields_of_counts(sample, count))


def significance_on_fine(fine: FineYields, edges: FloatArray) -> float:
    """Combined significance of bins of one score whose edges lie on the fine grid."""
    at = np.concatenate([[0], np.searchsorted(fine.grid.edges[0], edges)])
    signal = np.add.reduceat(fine.signal, at, axis=1)
    return combined(signal, np.add.reduceat(fine.background, at))


def optimum_in_plane(fine: FineYields, n: int, *, seed: int = 0) -> tuple[Label, float]:
    """The best partition of the fine cells that Bregman-Lloyd steps reach from many starts.

    For several signals there is no exact optimum, so this is what can be had at least. Cells are
    assigned by slightly blurred densities, so that they do not follow their own fluctuations;
    yields, and the choice among the starts, come from what was counted.

    Returns
    -------
    tuple
        Category of an event, and the combined significance on the fine yields themselves.
    """
    grid = fine.grid
    used = fine.background + fine.signal.sum(axis=0) > 0
    counted = np.concatenate([fine.signal, fine.background[None]])
    middle = [
        f.stretch(0.5 * (e[1:] + e[:-1])) for f, e in zip(grid.features, grid.edges, strict=True)
    ]
    u = np.stack([c.ravel() for c in np.meshgrid(*middle, indexing="ij")], axis=-1)
    rng = np.random.default_rng([seed, n])
    best, table = -np.inf, np.zeros(0, dtype=np.int64)
    blurred = np.stack([gaussian_filter(c.reshape(grid.shape), BLUR).ravel() for c in counted])
    for i in range(STARTS_2D):
        start = _start(u[used], blurred[:, used], n, rng, merged=i % 2 == 1)
        label, value = bregman_lloyd(blurred[:, used], counted[:, used], start, n)
        if value > best:
            best = value
            width = u[used].std(axis=0)
            table = label[cKDTree(u[used] / width).query(u / width)[1]]
    return lambda x: table[grid.index(x)], best


def _start(
    u: FloatArray, yields: FloatArray, n: int, rng: np.random.Generator, *, merged: bool
) -> IntArray:
    cells = Densities(u, yields[:-1], yields[-1], yields[-1])
    objective = Counting("geometric")
    if not merged:
        return seed_labels(cells, n, objective, rng)
    fine = min(4 * n, 80)
    parts = seed_labels(cells, fine, objective, rng)
    return merge_down(cells.grouped(parts, fine), n, objective)[parts]


def bregman_lloyd(
    assigned: FloatArray, counted: FloatArray, label: IntArray, n: int
) -> tuple[IntArray, float]:
    """Move cells to where they add most until none moves; the best labels and their figure.

    Parameters
    ----------
    assigned, counted
        Yields of the signals and, last, of the background by which cells are assigned and those
        that are summed, shape ``(signals + 1, cells)``.
    label
        Category of each cell to start from.
    n
        Number of categories.
    """
    best, found = -np.inf, label
    for _ in range(LLOYD_STEPS):
        total = np.stack([np.bincount(label, c, n) for c in counted])
        signal, background = total[:-1], total[-1]
        value = combined(signal, background)
        if value > best:
            best, found = value, label
        others = np.maximum(background + signal.sum(axis=0) - signal, 1e-12)
        weight = 1.0 / np.maximum(asimov_z2(signal, others).sum(axis=1), 1e-12)
        ratio = signal / others
        gain = np.log1p(ratio) * weight[:, None]
        loss = gain - ratio * weight[:, None]
        everything = loss.sum(axis=0)
        score = np.concatenate([gain + everything - loss, everything[None]])
        moved = (assigned.T @ score).argmax(axis=1)
        if np.array_equal(moved, label):
            break
        label = moved
    return found, best
