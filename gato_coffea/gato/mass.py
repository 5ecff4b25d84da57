"""From the mass sidebands to the signal window, differentiably.

A continuum that falls as a truncated exponential has its slope, by maximum likelihood, from its
mean mass alone. So the fraction of a category's continuum that lies in the signal window is a
smooth function of two sums, and can stand inside a training step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray
from gato_coffea.gato.convert import SCORE, column
from gato_coffea.optimisation.training.tensors import Tensor
from gato_coffea.optimisation.training.window import (
    mean_mass,
    window_fraction,
)


def differentiable_mass_factors(
    model: Any,
    data_dict: Mapping[str, Any],
    *,
    signal_labels: Sequence[str],
    mass_range: tuple[float, float] = (100.0, 180.0),
    window: tuple[float, float] = (123.5, 126.5),
) -> Tensor:
    """The factors of `compute_mass_reweight_factors` from soft memberships.

    For use inside a training step, as the ``background_reweight`` of
    ``get_differentiable_significance``: it follows the categories as they move.

    Parameters
    ----------
    model
        Anything with ``get_probs``.
    data_dict
        For each process tensors ``NN_output``, ``weight`` and ``mass``.
    signal_labels
        Processes that are no continuum.
    mass_range, window
        Range of the fit and signal window in GeV.

    Returns
    -------
    Tensor
        float32, shape ``(K,)``, with finite gradients.
    """
    sums: Tensor = 0.0
    for process, table in data_dict.items():
        if process in signal_labels:
            continue
        mass = tf.cast(column(table, "mass", process=process), tf.float32)
        used = (mass >= mass_range[0]) & (mass <= mass_range[1])
        weight = tf.cast(column(table, "weight", process=process), tf.float32)
        weight = tf.where(used, weight, tf.zeros_like(weight))
        # About the centre: float32 would lose digits in sums of full masses.
        offset = mass - 0.5 * (mass_range[0] + mass_range[1])
        share = model.get_probs(table)
        sums += tf.linalg.matmul(tf.stack([weight, weight * offset]), share)
    centre = 0.5 * (mass_range[0] + mass_range[1])
    half = 0.5 * (mass_range[1] - mass_range[0])
    mean = centre + mean_mass(sums[0], sums[1], low=-half, high=half)
    return window_fraction(mean, *mass_range, *window)


def compute_mass_reweight_factors(
    model: Any,
    data_dict: Mapping[str, Any],
    *,
    signal_labels: Sequence[str] | None = None,
    feature_key: str = "NN_output",
    mass_column: str = "mass",
    weight_column: str = "weight",
    mass_sb_low: float = 100.0,
    mass_sb_high: float = 180.0,
    mass_sig_low: float = 123.5,
    mass_sig_high: float = 126.5,
    nbins: int = 10,
) -> FloatArray:
    """Fraction of each category's continuum that an exponential puts into the signal window.

    Parameters
    ----------
    model
        Anything with ``n_cats`` and ``get_bin_indices``.
    data_dict
        A table per process.
    signal_labels
        Processes that are no continuum; those whose name starts with ``signal`` by default.
    feature_key, mass_column, weight_column
        Names of the columns.
    mass_sb_low, mass_sb_high
        Range of the fit in GeV.
    mass_sig_low, mass_sig_high
        Signal window in GeV.
    nbins
        Changes nothing: the fit is unbinned.

    Returns
    -------
    FloatArray
        Shape ``(K,)``. A category without continuum is taken as flat.

    Raises
    ------
    InputError
        If a column is missing, or every process is a signal.
    """
    if signal_labels is None:
        signal_labels = [name for name in data_dict if name.startswith("signal")]
    continuum = [name for name in data_dict if name not in signal_labels]
    if not continuum:
        raise InputError(f"mass: no process is continuum (got {', '.join(data_dict)})")
    sums = np.zeros((2, model.n_cats))
    for process in continuum:
        table = data_dict[process]
        mass, weight = (
            np.asarray(column(table, name, process=process), dtype=np.float64)
            for name in (mass_column, weight_column)
        )
        score = column(table, feature_key, process=process)
        bins = np.asarray(model.get_bin_indices({SCORE: score}))
        used = (mass >= mass_sb_low) & (mass <= mass_sb_high) & (bins >= 0)
        for row, values in zip(sums, (weight, weight * mass), strict=True):
            row += np.bincount(bins[used], values[used], model.n_cats)
    mean = mean_mass(sums[0], sums[1], low=mass_sb_low, high=mass_sb_high)
    fraction = window_fraction(mean, mass_sb_low, mass_sb_high, mass_sig_low, mass_sig_high)
    return np.asarray(fraction)
