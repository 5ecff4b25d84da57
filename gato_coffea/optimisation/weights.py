"""Backgrounds whose weights differ by orders of magnitude, and from place to place.

Simulation that is generated in slices of a momentum has few events of large weight where the
process is common and many of small weight where it is rare. Taken together, the events have the
effective entries of the heaviest of them, and what the light ones know is lost. Taken apart, all
events count alike: how many there are at a point is one smooth function, and the mean weight
there is another one. Yield and variance are the products.

The mean weight is a generalised linear model with a logarithmic link and a standard deviation in
proportion to the mean (McCullagh and Nelder, Generalized Linear Models, 1989, chapter 8). Its
likelihood needs the sums of weights and the numbers of events only, and is concave.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gato_coffea.events.samples import BoolArray, FloatArray
from gato_coffea.optimisation.result import effective_entries
from gato_coffea.optimisation.smoothing import polynomial_basis
from gato_coffea.optimisation.tilting import Tilt, tilted

MAX_DEGREE = 3
"""Highest degree that is tried for the logarithm of the mean weight: weights vary slowly, and
every degree more needs events that show it."""

EVENTS_PER_TERM = 10
"""Events for each term of the polynomial: ten give each a relative error of a third, at which it
begins to help."""

SCORING_STEPS = 100
"""A limit for what does not settle: a few weights that are much larger than the others."""

MIN_GAIN = 1e-3
"""Gain in log likelihood with which the iteration ends: far below one unit of the criterion."""

LEAST_SCATTER = 1e-3
"""Relative variance of weights at one place that is always assumed: less is rounding."""

LARGEST_EXPONENT = 300.0
"""Ratios of weights beyond its exponential have no squares."""


MIN_EXPECTED_EVENTS = 1.0
"""Events of a process that are expected in all where simulation is taken to have none of it."""

DOMINANCE_RATIO = 10.0
"""Ratio of entries from which on those of the other processes decide alone at a place: the
process's own would change what they say by a tenth at most."""

Degrees = tuple[int, int, int]
"""Of the polynomials behind a background: in the tilt of its events, in the logarithm of their
weight, and in the tilt that negative weights ask for."""

NOT_CHOSEN = (None, None, None)


class Weights(NamedTuple):
    """Mean weight at each point, and the degree of the polynomial that is its logarithm."""

    mean: FloatArray
    degree: int


class Background(NamedTuple):
    """Yield, variance and mean weight of a background at each point, and the degrees behind.

    The mean weight is that without signs.
    """

    yields: FloatArray
    variance: FloatArray
    weight: FloatArray
    degrees: Degrees


def mean_weight(
    u: FloatArray,
    sumw: FloatArray,
    sumw2: FloatArray,
    count: FloatArray,
    *,
    degree: int | None = None,
) -> Weights:
    """Mean weight as a smooth function of the discriminants.

    Parameters
    ----------
    u
        Stretched coordinates, shape ``(P, D)``.
    sumw, sumw2, count
        Sums of weights that are not negative, of their squares, and events at each point.
    degree
        Of the polynomial; by default the one of Akaike's criterion, in units of the scatter.
    """
    n_events = float(count.sum())
    overall = sumw.sum() / n_events
    first, second = sumw / overall, sumw2 / overall**2
    flat = Weights(np.full(len(u), overall), 0)
    if degree == 0:
        return flat
    basis = polynomial_basis(u, count, max_degree=MAX_DEGREE if degree is None else degree)
    best, previous = flat, n_events
    for trial in range(1, len(basis.size)):
        terms = basis.size[trial]
        if degree is not None and trial < min(degree, len(basis.size) - 1):
            continue
        if degree is None and terms * EVENTS_PER_TERM > n_events:
            break
        exponent, loss = _fit(basis.values[:, :terms], first, count)
        ratio = np.exp(-exponent)
        # Mean square of weight over mean weight less one.
        scatter = float((second * ratio**2 - 2 * first * ratio).sum()) / n_events + 1
        found = Weights(overall / ratio, trial)
        if degree is not None:
            return found
        gain = 2 * (previous - loss) / max(scatter, LEAST_SCATTER)
        if gain <= 2 * (terms - basis.size[trial - 1]):
            break
        best, previous = found, loss
    return best


def _fit(values: FloatArray, sumw: FloatArray, count: FloatArray) -> tuple[FloatArray, float]:
    """The exponent of the mean weight, and the negative log likelihood in units of the scatter.

    Every coefficient but the constant is drawn to zero as by an entry of its own.
    """
    drawn = np.ones(values.shape[1])
    drawn[0] = 0.0
    theta = np.zeros(values.shape[1])

    def state(at: FloatArray) -> tuple[FloatArray, float]:
        exponent = np.clip(values @ at, -LARGEST_EXPONENT, LARGEST_EXPONENT)
        loss = count @ exponent + sumw @ np.exp(-exponent) + 0.5 * drawn @ at**2
        return exponent, float(loss)

    exponent, loss = state(theta)
    for _ in range(SCORING_STEPS):
        found = sumw * np.exp(-exponent)
        gradient = (count - found) @ values + drawn * theta
        # The mean of the observed and of the expected curvature: few heavy events have much of
        # the former, and the many light ones next to none.
        curvature = (values.T * (0.5 * (found + count))) @ values + np.diag(drawn)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while (trial := state(theta - size * step))[1] > loss and size > 1e-4:
            size /= 2
        gained = loss - trial[1]
        if gained <= 0:
            break
        theta, (exponent, loss) = theta - size * step, trial
        if gained < MIN_GAIN:
            break
    return exponent, loss


def weight_loss(mean: FloatArray, sumw: FloatArray, count: FloatArray) -> float:
    """Negative log likelihood of weights that scatter in proportion to a mean.

    Parameters
    ----------
    mean, sumw, count
        Mean weight, sum of weights and events at each point, shape ``(P,)``.
    """
    return float(count @ np.log(mean) + (sumw / mean).sum())


def events_per_entry(sumw: FloatArray, sumw2: FloatArray, count: FloatArray) -> float:
    """Events over effective entries, all weights taken as positive: one where they are equal.

    Parameters
    ----------
    sumw, sumw2, count
        Sums of weights, of their squares, and events, of any shape.
    """
    size = without_sign(sumw, sumw2, count).sum()
    return float(count.sum() * sumw2.sum() / size**2) if size > 0 else 1.0


def rare_among_lighter(sumw: FloatArray, sumw2: FloatArray) -> BoolArray:
    """Processes of which there are far fewer entries than of all those with lighter events.

    Parameters
    ----------
    sumw, sumw2
        Sums of weights, and of their squares, of each process.
    """
    order = np.argsort(sumw2 / np.where(sumw > 0, sumw, np.inf), kind="stable")
    own = effective_entries(sumw[order], sumw2[order])
    together = effective_entries(np.cumsum(sumw[order]), np.cumsum(sumw2[order]))
    result = np.zeros(len(sumw), dtype=np.bool_)
    result[order[1:]] = together[:-1] > DOMINANCE_RATIO * own[1:]
    return result


def without_sign(sumw: FloatArray, sumw2: FloatArray, count: FloatArray) -> FloatArray:
    """Sums of weights; where some are negative or cancel, events times root mean square weight."""
    signed = bool(((sumw <= 0) & (count > 0)).any())
    return np.sqrt(count * sumw2) if signed else sumw


def background_by_place(
    u: FloatArray,
    events: FloatArray,
    sumw: FloatArray,
    sumw2: FloatArray,
    count: FloatArray,
    *,
    elsewhere: bool,
    degrees: Sequence[int | None] = NOT_CHOSEN,
) -> Background:
    """Yield and variance of one background, from its events and their mean weight.

    Parameters
    ----------
    u
        Stretched coordinates, shape ``(P, D)``.
    events
        Smooth density of the events of all backgrounds, of which this one has a smooth part.
    sumw, sumw2, count
        Sums of its weights, of their squares, and its events at each point, shape ``(P,)``.
    elsewhere
        Whether it is taken to be elsewhere at the points that share less than one event of it.
        Heavy events that are not there, and that only the polynomials foretell, would decide
        yield and variance of the well-known rest.
    degrees
        By default those of Akaike's criterion.
    """
    total, n_events = float(sumw.sum()), float(count.sum())
    if n_events == 0 or not sumw2.any():
        nothing = np.zeros(len(u))
        return Background(nothing, nothing, nothing, (0, 0, 0))
    number = tilted(u, events, count, n_events, degree=degrees[0])
    size = without_sign(sumw, sumw2, count)
    weight = mean_weight(u, size, sumw2, count, degree=degrees[1])
    shape = number.yields * weight.mean
    if elsewhere:
        fewest = np.argsort(number.yields, kind="stable")
        below = np.cumsum(number.yields[fewest])[:-1] < MIN_EXPECTED_EVENTS
        shape[fewest[:-1][below]] = 0.0
    variance = shape * weight.mean
    variance *= float(sumw2.sum()) / variance.sum()
    sign = Tilt(shape * (total / shape.sum()), 0)
    if size is not sumw and total > 0:
        effective = total**2 / float(sumw2.sum())
        sign = tilted(u, shape, sumw, effective, degree=degrees[2])
    chosen = (number.degree, weight.degree, sign.degree)
    return Background(sign.yields, variance, weight.mean, chosen)
