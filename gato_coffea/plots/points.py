"""Points of data: asymmetric Poisson errors, and arrows where a point lies beyond its panel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from scipy.stats import chi2

from gato_coffea.categories.templates import Contents
from gato_coffea.events.samples import FloatArray

OUTSIDE = 0.3173
"""Probability outside the central interval, as of one standard deviation of a Gaussian."""

ARROW = (0.80, 0.94)
"""Where an arrow starts and ends, as parts of a panel's height: clear of its middle and frame."""


def poisson_errors(counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distances down and up to the ends of the central 68 % interval of a Poisson mean.

    The interval of Garwood (Biometrika 28 (1936) 437); of no entry it goes from 0 to 1.84.

    >>> down, up = poisson_errors(np.array([0.0, 4.0]))
    >>> down.round(2).tolist(), up.round(2).tolist()
    ([0.0, 1.91], [1.84, 3.16])
    """
    n = np.maximum(counts, 0.0)
    low = np.where(n > 0, chi2.ppf(OUTSIDE / 2, np.where(n > 0, 2 * n, 1.0)) / 2, 0.0)
    return n - low, chi2.ppf(1 - OUTSIDE / 2, 2 * (n + 1)) / 2 - n


def data_errors(data: Contents, weight: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
    """Errors down and up of counts that may have been scaled; ``weight`` is that of empty bins."""
    scale = np.ones(len(data.values)) if weight is None else weight
    with np.errstate(divide="ignore", invalid="ignore"):
        own = data.variances / data.values
    scale = np.where(np.isfinite(own) & (own > 0), own, scale)
    low, up = poisson_errors(np.nan_to_num(data.values) / scale)
    return low * scale, up * scale


def draw_data(
    ax: Axes,
    centers: FloatArray,
    data: Contents,
    *,
    label: str,
    weight: FloatArray | None = None,
    shown: npt.NDArray[np.bool_] | None = None,
    size: float = 7.0,
) -> FloatArray:
    """Draw counts with their errors, empty bins too but without a point; the upper ends.

    Parameters
    ----------
    data
        Counts, or scaled ones; a NaN is not drawn.
    weight
        What one entry counts in each bin.
    shown
        Where an empty bin is drawn; everywhere by default.
    """
    low, up = data_errors(data, weight)
    known = np.isfinite(data.values)
    filled = known & (data.values != 0)
    style: dict[str, Any] = {"color": "black", "zorder": 5, "markersize": size}
    ax.errorbar(
        centers[filled],
        data.values[filled],
        yerr=[low[filled], up[filled]],
        fmt="o",
        label=label,
        **style,
    )
    empty = known & ~filled & (True if shown is None else shown)
    if empty.any():
        nothing = np.zeros(int(empty.sum()))
        ax.errorbar(centers[empty], nothing, yerr=[nothing, up[empty]], fmt="none", **style)
    return np.asarray((np.nan_to_num(data.values) + up)[filled | empty])


def draw_arrows(ax: Axes, x: FloatArray, y: FloatArray, *, hollow: bool = False) -> None:
    """Mark points beyond the y range of a panel by arrows at its edge, pointing to them."""
    low, high = ax.get_ylim()
    with np.errstate(invalid="ignore"):
        beyond = ((y > high, "^", ARROW), (y < low, "v", (1 - ARROW[0], 1 - ARROW[1])))
    for there, marker, (start, end) in beyond:
        if not there.any():
            continue
        at = ax.get_xaxis_transform()
        ax.vlines(x[there], start, end, color="black", linewidth=1.2, transform=at, zorder=6)
        ax.plot(
            x[there],
            np.full(there.sum(), end),
            marker,
            color="black",
            mfc="white" if hollow else "black",
            markersize=6,
            transform=at,
            zorder=7,
        )
