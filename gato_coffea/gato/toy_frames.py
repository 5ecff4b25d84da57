"""The toys as tables: the documented generators, over `toys.toy_arrays`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from gato_coffea.datasets.toys import (
    BACKGROUNDS,
    LUMINOSITY_PER_PB,
    Kind,
    Means,
    signals_of,
    toy_arrays,
)

Frames = dict[str, pd.DataFrame]


def _frames(kind: Kind, xs_pb: Sequence[float] | None = None, **options: Any) -> Frames:
    """Tables of a toy; cross sections come as one number a process, the signals first."""
    if xs_pb is not None:
        processes = (*signals_of(kind), *BACKGROUNDS)
        options["cross_sections_pb"] = dict(zip(processes, xs_pb, strict=True))
    frames = {}
    for process, columns in toy_arrays(kind, **options).items():
        x = columns.pop("x")
        score = x if x.ndim == 1 else pd.Series(list(x), dtype=object)
        frames[process] = pd.DataFrame({"NN_output": score, **columns})
    return frames


def generate_toy_data_1D(  # noqa: N802  (the documented name)
    n_signal: int = 100_000,
    n_bkg: int = 100_000,
    xs_signal: float = 0.5,
    xs_bkg1: float = 100.0,
    xs_bkg2: float = 80.0,
    xs_bkg3: float = 50.0,
    xs_bkg4: float = 20.0,
    xs_bkg5: float = 10.0,
    lumi: float = LUMINOSITY_PER_PB,
    noise_scale: float = 0.3,
    seed: int | None = 42,
    *,
    means: Means | None = None,
) -> Frames:
    """One signal and five backgrounds in one score between 0 and 1.

    Parameters
    ----------
    n_signal, n_bkg
        Number of signal events, and of background events in all.
    xs_signal, xs_bkg1, xs_bkg2, xs_bkg3, xs_bkg4, xs_bkg5
        Cross sections in pb.
    lumi
        Integrated luminosity in 1/pb.
    noise_scale, seed, means
        As in `toy_arrays`.

    Returns
    -------
    dict[str, pd.DataFrame]
        Columns ``NN_output`` and ``weight`` of ``signal`` and of ``bkg1`` to ``bkg5``.
    """
    return _frames(
        "1d",
        (xs_signal, xs_bkg1, xs_bkg2, xs_bkg3, xs_bkg4, xs_bkg5),
        n_signal=n_signal,
        n_bkg=n_bkg,
        luminosity_per_pb=lumi,
        noise_scale=noise_scale,
        seed=seed,
        means=means,
    )


def generate_toy_data_3class_3D(  # noqa: N802  (the documented name)
    n_signal1: int = 100_000,
    n_signal2: int = 100_000,
    n_bkg: int = 500_000,
    xs_signal1: float = 0.5,
    xs_signal2: float = 0.1,
    xs_bkg1: float = 100.0,
    xs_bkg2: float = 80.0,
    xs_bkg3: float = 50.0,
    xs_bkg4: float = 20.0,
    xs_bkg5: float = 10.0,
    lumi: float = LUMINOSITY_PER_PB,
    noise_scale: float = 0.3,
    seed: int | None = 42,
    *,
    means: Means | None = None,
) -> Frames:
    """Two signals and five backgrounds, each event with three class probabilities.

    Parameters
    ----------
    n_signal1, n_signal2, n_bkg
        Numbers of events; the background's in all.
    xs_signal1, xs_signal2, xs_bkg1, xs_bkg2, xs_bkg3, xs_bkg4, xs_bkg5
        Cross sections in pb.
    lumi, noise_scale, seed, means
        As in `generate_toy_data_1D`.

    Returns
    -------
    dict[str, pd.DataFrame]
        Columns ``NN_output`` (an array of three a row: signal1, signal2, background) and
        ``weight`` of ``signal1``, ``signal2`` and of ``bkg1`` to ``bkg5``.
    """
    return _frames(
        "three-class",
        (xs_signal1, xs_signal2, xs_bkg1, xs_bkg2, xs_bkg3, xs_bkg4, xs_bkg5),
        n_signal=(n_signal1, n_signal2),
        n_bkg=n_bkg,
        luminosity_per_pb=lumi,
        noise_scale=noise_scale,
        seed=seed,
        means=means,
    )


def generate_resonance_toy_data(
    n_signal1: int = 60_000,
    n_signal2: int = 60_000,
    n_bkg: int = 400_000,
    *,
    noise_scale: float = 0.2,
    mass_sigma: float = 1.5,
    seed: int | None = 7,
    background_slopes: Sequence[float] | None = None,
    means: Means | None = None,
) -> Frames:
    """The three-class toy with a mass: resonant signals over a falling continuum.

    Parameters
    ----------
    n_signal1, n_signal2, n_bkg
        Numbers of events; the background's in all.
    noise_scale, seed, background_slopes, means
        As in `toy_arrays`.
    mass_sigma
        Width of the resonance in GeV.

    Returns
    -------
    dict[str, pd.DataFrame]
        As `generate_toy_data_3class_3D`, with a column ``mass`` in GeV between 100 and 180.
    """
    return _frames(
        "diphoton",
        n_signal=(n_signal1, n_signal2),
        n_bkg=n_bkg,
        noise_scale=noise_scale,
        seed=seed,
        means=means,
        mass_sigma_gev=mass_sigma,
        background_slopes=background_slopes,
    )
