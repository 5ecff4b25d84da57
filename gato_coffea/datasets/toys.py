"""Toy events with known densities: one score, three classes, and a resonance over a continuum.

Every process is a three-dimensional Gaussian; all share one covariance. Each coordinate is then
smeared by a factor, and the scores are ratios of the unsmeared densities at the smeared point, so
they are good but not perfect discriminants. NumPy only; `toy_frames` gives the same as tables.

The construction and its figures are those of the published example (arXiv:2601.07756).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np

from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray

Kind = Literal["1d", "three-class", "diphoton"]
Arrays = dict[str, dict[str, FloatArray]]
Means = Mapping[str, Sequence[float]]

LUMINOSITY_PER_PB = 100.0
"""Luminosity of the toys of the GATO paper."""

MASS_RANGE_GEV = (100.0, 180.0)
"""Range of a diphoton mass as analyses fit it."""

HIGGS_MASS_GEV = 125.0
CONTINUUM_SLOPES = (0.02,)
"""Slope of the continuum in 1/GeV, about that of diphotons."""

NOISE_SCALE: Mapping[Kind, float] = MappingProxyType(
    {"1d": 0.3, "three-class": 0.3, "diphoton": 0.2}
)
CROSS_SECTIONS_PB: Mapping[str, float] = MappingProxyType(
    {
        "signal": 0.5,
        "signal1": 0.5,
        "signal2": 0.1,
        "bkg1": 100.0,
        "bkg2": 80.0,
        "bkg3": 50.0,
        "bkg4": 20.0,
        "bkg5": 10.0,
    }
)
MEANS: Means = MappingProxyType(
    {
        "signal": (1.5, -1.0, -1.0),
        "signal1": (1.5, -1.0, -1.0),
        "signal2": (-1.0, 1.5, -1.0),
        "bkg1": (-0.5, -0.5, 1.0),
        "bkg2": (0.5, -0.5, 0.8),
        "bkg3": (0.5, 0.5, -0.6),
        "bkg4": (-0.5, 1.0, -0.4),
        "bkg5": (-0.5, 0.5, -0.2),
    }
)
BACKGROUNDS = ("bkg1", "bkg2", "bkg3", "bkg4", "bkg5")
CORRELATION = 0.2
"""Between the coordinates of the three-class toy of the GATO paper."""

BLOCK = 500_000
"""Events that are made at a time: a few megabytes an array."""


def signals_of(kind: Kind) -> tuple[str, ...]:
    """Names of the signal processes of a toy."""
    return ("signal",) if kind == "1d" else ("signal1", "signal2")


def weakened_means(fraction: float = 0.5) -> dict[str, tuple[float, ...]]:
    """Means with every signal moved towards the mean of the background.

    Parameters
    ----------
    fraction
        How far, from 0 (where they are) to 1 (onto the background). The background's mean is
        weighted by cross section.
    """
    cross_sections = np.array([CROSS_SECTIONS_PB[name] for name in BACKGROUNDS])
    centre = cross_sections @ np.array([MEANS[name] for name in BACKGROUNDS])
    centre /= cross_sections.sum()
    moved = {}
    for name, mean in MEANS.items():
        start = np.asarray(mean)
        target = start if name in BACKGROUNDS else centre
        moved[name] = tuple(float(value) for value in start + fraction * (target - start))
    return moved


def _factor() -> FloatArray:
    """Lower Cholesky factor of the covariance that all processes share."""
    return np.asarray(np.linalg.cholesky(np.full((3, 3), CORRELATION) + 0.8 * np.eye(3)))


def _blocks(n: int) -> Iterator[slice]:
    for start in range(0, n, BLOCK):
        yield slice(start, min(start + BLOCK, n))


def _likelihoods(
    points: FloatArray, signals: Sequence[str], means: Means, cross_sections: Mapping[str, float]
) -> FloatArray:
    """Density of each signal and of the background mixture, ``(signals + 1, N)``.

    A factor common to all processes is left out: it cancels in every score.
    """
    inverse = np.linalg.inv(_factor())
    names = (*signals, *BACKGROUNDS)
    white = np.array([means[name] for name in names]) @ inverse.T
    density = (white @ inverse) @ points.T
    density -= 0.5 * (white**2).sum(axis=1, keepdims=True)
    density -= density.max(axis=0)
    np.exp(density, out=density)
    share = np.array([cross_sections[name] for name in BACKGROUNDS])
    background = (share / share.sum()) @ density[len(signals) :]
    return np.concatenate([density[: len(signals)], background[None]])


def _scores(
    n: int,
    process: str,
    *,
    kind: Kind,
    rng: np.random.Generator,
    noise_scale: float,
    means: Means,
    cross_sections: Mapping[str, float],
) -> FloatArray:
    factor = _factor()
    result = np.empty(n if kind == "1d" else (n, 3))
    for block in _blocks(n):
        shape = (block.stop - block.start, 3)
        points = rng.standard_normal(shape) @ factor.T + np.asarray(means[process])
        points *= 1.0 + noise_scale * rng.standard_normal(shape)
        density = _likelihoods(points, signals_of(kind), means, cross_sections)
        density /= density.sum(axis=0)
        result[block] = density[0] if kind == "1d" else density.T
    return result


def _counts(
    kind: Kind, n_signal: int | Sequence[int], n_bkg: int, cross_sections: Mapping[str, float]
) -> dict[str, int]:
    signals = signals_of(kind)
    each = list(n_signal) if isinstance(n_signal, Sequence) else [n_signal] * len(signals)
    whole = all(isinstance(n, int | np.integer) and n > 0 for n in (*each, n_bkg))
    if len(each) != len(signals) or not whole:
        raise InputError(
            f"toy {kind}: needs a positive number of events for background and for each of "
            f"{', '.join(signals)} (got n_signal {n_signal}, n_bkg {n_bkg})"
        )
    total = sum(cross_sections[name] for name in BACKGROUNDS)
    shares = {
        name: max(1, round(n_bkg * cross_sections[name] / total)) if cross_sections[name] else 0
        for name in BACKGROUNDS
    }
    return dict(zip(signals, each, strict=True)) | shares


def toy_arrays(
    kind: Kind,
    *,
    n_signal: int | Sequence[int] = 100_000,
    n_bkg: int = 300_000,
    seed: int | None = 42,
    noise_scale: float | None = None,
    means: Means | None = None,
    cross_sections_pb: Mapping[str, float] | None = None,
    luminosity_per_pb: float = LUMINOSITY_PER_PB,
    mass_sigma_gev: float = 1.5,
    background_slopes: Sequence[float] | None = None,
) -> Arrays:
    """Events of a toy as plain arrays.

    Parameters
    ----------
    kind
        ``1d``, ``three-class`` or ``diphoton`` (three classes with a mass).
    n_signal
        Events of each signal: one number, or one a signal.
    n_bkg
        Background events in all, shared out in proportion to cross section.
    seed
        Same seed, same events; None takes one from the operating system.
    noise_scale
        Relative width of the factor that smears each coordinate; 0.3, or 0.2 for ``diphoton``.
    means
        Means that replace those of `MEANS`, by process; see `weakened_means`.
    cross_sections_pb
        Cross sections in pb that replace those of `CROSS_SECTIONS_PB`, by process.
    luminosity_per_pb
        Integrated luminosity in 1/pb.
    mass_sigma_gev
        Width of the resonance in GeV.
    background_slopes
        Slopes of the continuum in 1/GeV, cycled over the backgrounds.

    Returns
    -------
    Arrays
        For each process ``x`` (``(N,)`` in one dimension, else ``(N, 3)``: the probabilities of
        signal1, signal2 and background), ``weight`` ``(N,)`` and, for ``diphoton``, ``mass``.

    Raises
    ------
    InputError
        If a number of events is not positive, a process has no such name, or there are no slopes.
    """
    means = MEANS if means is None else {**MEANS, **means}
    cross_sections = {**CROSS_SECTIONS_PB, **(cross_sections_pb or {})}
    unknown = (set(means) | set(cross_sections)) - set(MEANS)
    if unknown:
        raise InputError(f"toy {kind}: no such process (got {sorted(unknown)})")
    noise = NOISE_SCALE[kind] if noise_scale is None else noise_scale
    counts = _counts(kind, n_signal, n_bkg, cross_sections)
    slopes = CONTINUUM_SLOPES if background_slopes is None else tuple(background_slopes)
    if not slopes:
        raise InputError(f"toy {kind}: background_slopes must not be empty")
    streams = np.random.SeedSequence(seed).spawn(2 * len(counts))
    result: Arrays = {}
    for i, (process, n) in enumerate(counts.items()):
        if n == 0:
            continue
        x = _scores(
            n,
            process,
            kind=kind,
            rng=np.random.default_rng(streams[2 * i]),
            noise_scale=noise,
            means=means,
            cross_sections=cross_sections,
        )
        weight = np.full(n, cross_sections[process] * luminosity_per_pb / n)
        result[process] = {"x": x, "weight": weight}
        if kind == "diphoton":
            slope = None
            if process in BACKGROUNDS:
                slope = slopes[BACKGROUNDS.index(process) % len(slopes)]
            rng = np.random.default_rng(streams[2 * i + 1])
            result[process]["mass"] = _masses(rng, n, slope=slope, sigma_gev=mass_sigma_gev)
    return result


def _masses(
    rng: np.random.Generator, n: int, *, slope: float | None, sigma_gev: float
) -> FloatArray:
    low, high = MASS_RANGE_GEV
    if slope is None:
        return np.clip(rng.normal(HIGGS_MASS_GEV, sigma_gev, n), low, high)
    return sample_truncated_exponential(rng, slope, n, low=low, high=high)


def sample_truncated_exponential(
    rng: np.random.Generator, slope: float, size: int, *, low: float, high: float
) -> FloatArray:
    """Draws from ``exp(-slope * x)`` between ``low`` and ``high``.

    Parameters
    ----------
    rng
        Source of random numbers.
    slope
        Decay constant in units of 1/x; zero or below means uniform.
    size
        Number of draws.
    low, high
        Ends of the interval.

    Returns
    -------
    FloatArray
        Shape ``(size,)``.

    Raises
    ------
    ValueError
        If ``high`` is not above ``low``.
    """
    if not high > low:
        raise ValueError(f"high: must exceed low (got low {low}, high {high})")
    uniform = rng.random(size)
    width = high - low
    if slope <= 0:
        return np.asarray(low + width * uniform)
    # The inverse of the cumulative distribution, in a form that holds for small slopes too.
    return np.clip(low - np.log1p(uniform * np.expm1(-slope * width)) / slope, low, high)
