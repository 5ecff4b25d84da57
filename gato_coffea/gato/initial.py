"""Where components start: spread evenly, or where the signals stand out. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import expit, ndtri

from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray, Sample, as_sample

FINE = 60
"""Levels at which starts are looked for: finer ones give the same start."""

CROWDING = 4.0
"""Spread of the logits of `crowded_means`."""

ENTRIES = 10.0
"""A bin counts at least this many average background events."""


def spread_means(n: int, dim: int, *, on_simplex: bool = False) -> FloatArray:
    """Points spread evenly over the unit cube or the probability simplex.

    Parameters
    ----------
    n, dim
        How many, and in how many dimensions.
    on_simplex
        Whether the points are the first ``dim`` of ``dim + 1`` probabilities.

    Returns
    -------
    FloatArray
        Shape ``(n, dim)``, always the same.
    """
    if dim == 1:
        return (np.arange(n)[:, None] + 0.5) / n
    size = dim + on_simplex
    # The additive recurrence of the generalised golden ratio, which leaves no large holes.
    ratio = 2.0
    for _ in range(60):
        ratio = (1.0 + ratio) ** (1.0 / (size + 1))
    steps = ratio ** -np.arange(1, size + 1)
    unit = (0.5 + np.outer(np.arange(n), steps)) % 1.0
    if not on_simplex:
        return unit
    share = -np.log(np.clip(unit, 1e-9, 1.0 - 1e-9))
    return np.asarray((share / share.sum(axis=1, keepdims=True))[:, :dim])


def crowded_means(n: int) -> tuple[FloatArray, FloatArray]:
    """Means between 0 and 1 that crowd at both ends, as scores do, and widths as their gaps.

    Parameters
    ----------
    n
        How many.

    Returns
    -------
    means, widths
        Shape ``(n, 1)`` each, always the same; the ends of 20 are within 0.001 of 0 and 1.
    """
    means = expit(CROWDING * ndtri((np.arange(n) + 0.5) / n))
    widths = np.gradient(means) if n > 1 else np.ones(1)
    return means[:, None], widths[:, None]


def information_start(
    data: Mapping[str, object], signals: Sequence[str], n: int, *, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Means and widths of components that lie where the signals stand out.

    In one dimension the components divide the range evenly in the measure in which a fine binning
    of that many bins loses least significance. In more, their means are signal events, drawn with
    probabilities that favour places far from those drawn before, every signal counting alike.

    Parameters
    ----------
    data
        Events of each process, as for `gato_coffea.events.samples.as_sample`.
    signals
        The signals; the other processes are background.
    n
        Number of components.
    seed
        Same seed, same start.

    Returns
    -------
    means, widths
        Shape ``(n, D)`` each.

    Raises
    ------
    InputError
        If a signal has no positive weight.
    """
    samples = {process: as_sample(value, name=process) for process, value in data.items()}
    for process in signals:
        if not (samples[process].weight > 0).any():
            raise InputError(f"{process}: no event has a positive weight")
    if not signals:
        raise InputError(f"start: needs a signal (got processes {', '.join(samples)})")
    if next(iter(samples.values())).x.shape[1] == 1:
        return _quantiles(samples, signals, n)
    x = np.concatenate([samples[s].x for s in signals])
    parts = [np.clip(samples[s].weight, 0, None) for s in signals]
    weight = np.concatenate([part / part.sum() for part in parts])
    return _far_draws(x, weight, n, np.random.default_rng(seed))


def _quantiles(
    samples: Mapping[str, Sample], signals: Sequence[str], n: int
) -> tuple[FloatArray, FloatArray]:
    x = {process: sample.x[:, 0] for process, sample in samples.items()}
    groups = [np.concatenate([x[p] for p in x if (p in signals) == which]) for which in (0, 1)]
    levels = np.linspace(0.0, 1.0, FINE + 1)
    edges = np.unique(np.concatenate([np.quantile(g, levels) for g in groups if len(g)]))
    if len(edges) < 3:
        raise InputError("start: the discriminant is constant")
    sums = {p: np.histogram(x[p], edges, weights=s.weight)[0] for p, s in samples.items()}
    event = [samples[p].weight for p in x if p not in signals]
    floor = ENTRIES * np.mean(np.abs(np.concatenate(event))) if event else 1.0
    background = np.maximum(sum(v for p, v in sums.items() if p not in signals), floor)
    density = np.zeros(len(edges) - 1)
    for process in signals:
        ratio = np.clip(sums[process], 0.0, None) / background
        density += background * np.gradient(ratio) ** 2 / (1.0 + ratio)
    # A third of a power: the best density of quantiser levels (Panter and Dite 1951).
    cumulative = np.concatenate([[0.0], np.cumsum(np.cbrt(density) + 1e-12)])
    corners = np.interp(np.arange(n + 1) / n * cumulative[-1], cumulative, edges)
    gaps = np.maximum(np.diff(corners), 1e-4 * (edges[-1] - edges[0]))
    return 0.5 * (corners[1:] + corners[:-1])[:, None], gaps[:, None]


def _far_draws(
    x: FloatArray, weight: FloatArray, n: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    scale = np.maximum(x.std(axis=0), 1e-12)
    u = x / scale
    chosen = [int(rng.choice(len(u), p=weight / weight.sum()))]
    distance = ((u - u[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < n:
        share = weight * distance
        share = share if share.sum() > 0 else weight
        chosen.append(int(rng.choice(len(u), p=share / share.sum())))
        distance = np.minimum(distance, ((u - u[chosen[-1]]) ** 2).sum(axis=1))
    means = x[chosen]
    apart = ((u[chosen][:, None] - u[chosen][None]) ** 2).sum(axis=-1)
    np.fill_diagonal(apart, np.inf)
    nearest = np.sqrt(apart.min(axis=1)) if n > 1 else np.ones(1)
    return means, np.maximum(nearest, 1e-3)[:, None] * scale
