"""Boundaries of one-dimensional categories: where they lie, and how they move. NumPy only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from gato_coffea.events.samples import FloatArray, IntArray


def _crossings(a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """Real roots of every ``a x^2 + b x + c``, in a form that holds where ``a`` vanishes."""
    discriminant = b * b - 4.0 * a * c
    real = discriminant >= 0
    q = -0.5 * (b + np.copysign(np.sqrt(np.where(real, discriminant, 0.0)), b))
    with np.errstate(divide="ignore", invalid="ignore"):
        roots = np.concatenate([(q / a)[real], (c / q)[real]])
    return np.asarray(roots[np.isfinite(roots)])


def mixture_boundaries(
    means: FloatArray, widths: FloatArray, log_weights: FloatArray, *, low: float, high: float
) -> tuple[FloatArray, IntArray]:
    """Exact boundaries between the components of a one-dimensional Gaussian mixture.

    The logs of weight times density are parabolas; the boundaries are the corners of the highest
    of them.

    Parameters
    ----------
    means, widths, log_weights
        Parameters of the components, shape ``(K,)``.
    low, high
        Interval that is looked at.

    Returns
    -------
    boundaries, components
        The boundaries inside the interval, increasing, and the component that wins in each of the
        intervals between them, from left to right. A component may win in two intervals or none.

    Examples
    --------
    >>> one = np.ones(2)
    >>> mixture_boundaries(np.array([1.0, 0.0]), one, one, low=-1.0, high=2.0)
    (array([0.5]), array([1, 0]))
    """
    means, widths, log_weights = (
        np.asarray(v, dtype=np.float64) for v in (means, widths, log_weights)
    )
    # Coordinates about the centre of the interval in units of its length keep the roots accurate.
    centre, length = 0.5 * (low + high), high - low
    mean, precision = (means - centre) / length, (length / widths) ** 2
    a = -0.5 * precision
    b = precision * mean
    c = log_weights - np.log(widths) - 0.5 * precision * mean**2
    i, j = np.triu_indices(len(means), 1)
    roots = _crossings(a[i] - a[j], b[i] - b[j], c[i] - c[j])
    corners = np.unique(roots[np.abs(roots) < 0.5])
    ends = np.concatenate([[-0.5], corners, [0.5]])
    middle = 0.5 * (ends[1:] + ends[:-1])
    height = -0.5 * precision * (middle[:, None] - mean) ** 2 + log_weights - np.log(widths)
    winner = height.argmax(axis=1)
    changes = np.flatnonzero(np.diff(winner))
    winners = np.concatenate([winner[:1], winner[changes + 1]]).astype(np.int64)
    return centre + length * corners[changes], winners


def align_boundary_tracks(
    history: Iterable[Sequence[float]], dist_tol: float = 0.02, gap_max: int = 20
) -> FloatArray:
    """Tracks of boundaries that come, move and go from epoch to epoch.

    Parameters
    ----------
    history
        Boundaries of each epoch, in any number.
    dist_tol
        Furthest a boundary may move between two epochs and still be the same.
    gap_max
        A track not seen for more than this many epochs has ended.

    Returns
    -------
    FloatArray
        Shape ``(epochs, tracks)``, NaN where a track is absent. Tracks stand in the order in which
        they first appear, from left to right within an epoch. In each epoch as many boundaries as
        possible continue a track, at the smallest total distance.
    """
    epochs = [np.sort(np.asarray(values, dtype=np.float64).ravel()) for values in history]
    position: list[float] = []
    seen: list[int] = []
    found: list[tuple[int, int, float]] = []
    for epoch, values in enumerate(epochs):
        open_tracks = [t for t, last in enumerate(seen) if epoch - last <= gap_max + 1]
        track_of = dict(_matches([position[t] for t in open_tracks], values, dist_tol))
        for at, value in enumerate(values):
            if at in track_of:
                track = open_tracks[track_of[at]]
                position[track], seen[track] = value, epoch
            else:
                track = len(position)
                position.append(value)
                seen.append(epoch)
            found.append((epoch, track, value))
    result = np.full((len(epochs), len(position)), np.nan)
    for epoch, track, value in found:
        result[epoch, track] = value
    return result


def _matches(
    tracks: Sequence[float], values: FloatArray, dist_tol: float
) -> list[tuple[int, int]]:
    """Pairs ``(value, track)`` not further apart than ``dist_tol``."""
    if not tracks or not len(values):
        return []
    distance = np.abs(values[:, None] - np.asarray(tracks))
    # A pair too far apart costs more than any set of allowed ones, so it is chosen only in need.
    cost = np.where(distance <= dist_tol, distance, (dist_tol + 1.0) * (1 + distance.size))
    rows, columns = linear_sum_assignment(cost)
    return [
        (int(r), int(c)) for r, c in zip(rows, columns, strict=True) if distance[r, c] <= dist_tol
    ]
