"""How yields move with a nuisance parameter, between and beyond one standard deviation.

The two rules of HistFactory that pyhf and combine share: code 4p for the contents of bins, code 4
for normalisations (K. Cranmer et al., "HistFactory", CERN-OPEN-2012-016; pyhf, JOSS 6 (2021)
2823). Both are polynomials of sixth order inside one standard deviation, so that the first and
second derivatives are continuous there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gato_coffea.events.samples import FloatArray

_POWERS = np.arange(1, 7)
_AT_ONE = np.array(
    [sign**_POWERS for sign in (1.0, -1.0)]
    + [_POWERS * sign ** (_POWERS - 1) for sign in (1.0, -1.0)]
    + [_POWERS * (_POWERS - 1) * sign**_POWERS for sign in (1.0, -1.0)]
)
_COEFFICIENTS_OF = np.linalg.inv(_AT_ONE)
"""From value less one, first and second derivative at +1 and -1 to the six coefficients."""


class Additive(NamedTuple):
    """Weights of the differences up and down, and their derivatives by the parameter."""

    up: FloatArray
    down: FloatArray
    up_slope: FloatArray
    down_slope: FloatArray
    bend: FloatArray
    """Second derivative, of both weights the same."""


def additive(a: FloatArray) -> Additive:
    """Code 4p: a bin gains ``up * (yield up - nominal) + down * (yield down - nominal)``.

    Parameters
    ----------
    a
        Nuisance parameters in standard deviations, any shape.

    Examples
    --------
    >>> weights = additive(np.array([-1.0, 0.0, 2.0]))
    >>> weights.up.tolist(), weights.down.tolist()
    ([0.0, 0.0, 2.0], [1.0, 0.0, 0.0])
    """
    square = a * a
    even = square * (15.0 + square * (3.0 * square - 10.0)) / 16.0
    even_slope = a * (30.0 + square * (18.0 * square - 40.0)) / 16.0
    inside, above = np.abs(a) < 1.0, a > 0.0
    return Additive(
        up=np.where(inside, even + 0.5 * a, np.where(above, a, 0.0)),
        down=np.where(inside, even - 0.5 * a, np.where(above, 0.0, -a)),
        up_slope=np.where(inside, even_slope + 0.5, np.where(above, 1.0, 0.0)),
        down_slope=np.where(inside, even_slope - 0.5, np.where(above, 0.0, -1.0)),
        bend=np.where(inside, (30.0 + square * (90.0 * square - 120.0)) / 16.0, 0.0),
    )


def multiplicative_coefficients(up: FloatArray, down: FloatArray) -> FloatArray:
    """Coefficients of code 4 inside one standard deviation, shape ``(6, ...)``.

    Parameters
    ----------
    up, down
        Factors at plus and minus one standard deviation, positive.
    """
    log_up, log_down = np.log(up), np.log(down)
    wanted = [
        up - 1.0,
        down - 1.0,
        log_up * up,
        -log_down * down,
        log_up**2 * up,
        log_down**2 * down,
    ]
    return np.asarray(np.tensordot(_COEFFICIENTS_OF, np.stack(wanted), axes=1))


class Multiplicative(NamedTuple):
    """A factor, and its first and second derivative by the parameter, over the factor."""

    factor: FloatArray
    rate: FloatArray
    bend: FloatArray


def multiplicative(
    a: FloatArray, up: FloatArray, down: FloatArray, coefficients: FloatArray
) -> Multiplicative:
    """Code 4: the factor on a normalisation.

    ``up**a`` above one standard deviation, ``down**-a`` below minus one, and the polynomial with
    `multiplicative_coefficients` between.

    Parameters
    ----------
    a
        Nuisance parameters, of a shape that broadcasts with ``up``.
    up, down, coefficients
        Factors at one standard deviation, and the polynomial between.
    """
    a, up, down = np.broadcast_arrays(a, up, down)
    value, slope, bend = np.zeros(a.shape), np.zeros(a.shape), np.zeros(a.shape)
    for n in range(6, 0, -1):
        value = (value + coefficients[n - 1]) * a
        slope = slope * a + n * coefficients[n - 1]
        if n > 1:
            bend = bend * a + n * (n - 1) * coefficients[n - 1]
    outside = np.abs(a) >= 1.0
    rate = np.where(a > 0.0, np.log(up), -np.log(down))
    inner = np.where(outside, 1.0, 1.0 + value)
    return Multiplicative(
        factor=np.where(outside, np.exp(rate * a), inner),
        rate=np.where(outside, rate, slope / inner),
        bend=np.where(outside, rate**2, bend / inner),
    )
