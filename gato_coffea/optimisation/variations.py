"""Densities by process and variation: what a profile likelihood is trained on.

The total background is estimated by `targets`; its parts are tilts of it (`tilting`). What a
variation changes is estimated as a ratio to the nominal of the same events, whose fluctuations
both have, and which is a smooth function of the discriminants: a polynomial whose moments are
those of the varied events. How much of each degree is real, the folds say: the part of it that
scatters from fold to fold is taken away (James and Stein 1961). A template that is noise does not
become a feature of the categories. What is quoted is taken from the events.
"""

from __future__ import annotations

import numpy as np

from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.optimisation.densities import Densities
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.result import effective_entries
from gato_coffea.optimisation.smoothing import Basis, polynomial_basis
from gato_coffea.optimisation.tilting import tilted

MAX_RATIO_DEGREE = 5
"""Highest degree of a variation's ratio: a shift of a score by a tenth of its width has the shape
of the density's slope, which five degrees hold to a per mille."""

ENTRIES_PER_TERM = 10.0
"""Effective entries of a process that each term of the ratio needs at least."""

LEAST_RATIO, LARGEST_RATIO = 0.1, 10.0
"""Between these a ratio is kept: a polynomial has no sense where there are no events."""


def smooth_rows(problem: Problem, target: Densities, folds: list[int]) -> FloatArray:
    """Estimated densities by process and variation, which sum up to those of the target.

    Parameters
    ----------
    problem
        Points and processes.
    target
        The estimated densities of the signals, the continuum and the resonant backgrounds.
    folds
        Folds that the target is an estimate from.

    Returns
    -------
    FloatArray
        Shape ``(M, P)``, see `Densities.rows`.
    """
    points = problem.points
    scale, order = points.n_folds / len(folds), points.of(problem.row_processes)
    sumw, sumw2 = (array[order][:, folds] for array in (points.sumw, points.sumw2))
    total = sumw.sum(axis=1) * scale
    m, r = len(problem.signals), len(order) - len(problem.resonant)
    nominal = np.empty_like(total)
    nominal[:m] = target.signal
    effective = effective_entries(sumw.sum(axis=(1, 2)), sumw2.sum(axis=(1, 2)))
    nominal[m:r] = _parts(target.u, target.background, total[m:r], effective[m:r])
    if target.peak is not None:
        nominal[r:] = _parts(target.u, target.peak[0], total[r:], effective[r:])
    rows = [nominal]
    if points.variations:
        varied = points.varied[:, order][:, :, folds]
        ratio = np.ones((len(varied), *nominal.shape))
        for c in range(len(order)):
            changed = [v for v in range(len(varied)) if not np.array_equal(varied[v, c], sumw[c])]
            if changed:
                ratio[changed, c] = ratios(
                    target.u, sumw[c], varied[changed, c], float(effective[c])
                )
                size = (ratio[changed, c] * nominal[c]).sum(axis=-1)
                wanted = nominal[c].sum() * _change(varied[changed, c], sumw[c])
                ratio[changed, c] *= (wanted / np.where(size != 0, size, 1.0))[:, None]
        rows.append((ratio * nominal).reshape(-1, nominal.shape[-1]))
    return np.concatenate(rows)


def _change(varied: FloatArray, nominal: FloatArray) -> FloatArray:
    """Totals of variations over that of the nominal."""
    total = float(nominal.sum())
    return np.asarray(varied.sum(axis=(-2, -1)) / total) if total else np.ones(len(varied))


def _parts(
    u: FloatArray, whole: FloatArray, sumw: FloatArray, effective: FloatArray
) -> FloatArray:
    """What each of several processes has of their common density, shape ``(C, P)``."""
    if len(sumw) == 1:
        return whole[None]
    shape = np.maximum(whole, 0.0)
    parts = np.zeros_like(sumw)
    for c, own in enumerate(sumw):
        if own.sum() > 0 and shape.any():
            parts[c] = tilted(u, shape, own, max(float(effective[c]), 1.0)).yields
    total = parts.sum(axis=0)
    share = np.where(total > 0, whole / np.where(total > 0, total, 1.0), 0.0)
    return np.asarray(parts * share)


def ratios(u: FloatArray, nominal: FloatArray, varied: FloatArray, effective: float) -> FloatArray:
    """Smooth ratios of variations to the nominal.

    Parameters
    ----------
    u
        Stretched coordinates, shape ``(P, D)``.
    nominal
        Sums of weights of a process by fold, shape ``(folds, P)``.
    varied
        Those of its variations, shape ``(V, folds, P)``.
    effective
        Effective entries of the process.

    Returns
    -------
    FloatArray
        Shape ``(V, P)``.
    """
    total = nominal.sum(axis=0)
    weight = np.maximum(total, 0.0)
    if not weight.any():
        return np.ones((len(varied), nominal.shape[-1]))
    basis = polynomial_basis(u, weight, max_degree=MAX_RATIO_DEGREE)
    sizes = [n for n in basis.size if n == basis.size[0] or n * ENTRIES_PER_TERM <= effective]
    values = basis.values[:, : sizes[-1]]
    # Coefficients of the ratio less one: its projections, exact where no weight is negative.
    gram = (values.T * total) @ values
    moments = (varied - nominal) @ values
    delta = np.linalg.solve(gram, moments.sum(axis=1).T).T
    delta = delta * _real(moments, delta, Basis(values, tuple(sizes)), gram)
    return np.clip(1.0 + delta @ values.T, LEAST_RATIO, LARGEST_RATIO)


def _real(moments: FloatArray, delta: FloatArray, basis: Basis, gram: FloatArray) -> FloatArray:
    """Which part of each coefficient is not scatter, shape ``(V, terms)``.

    Parameters
    ----------
    moments
        Of the differences in each fold, shape ``(V, folds, terms)``.
    delta
        Coefficients, shape ``(V, terms)``.
    basis, gram
        The polynomials, and their scalar products.
    """
    n = moments.shape[1]
    result = np.ones_like(delta)
    if n < 2:
        return result
    # The sum over the folds has n times the variance of one of them.
    each = np.linalg.solve(gram, np.swapaxes(moments, 1, 2))
    variance = n * each.var(axis=-1, ddof=1)
    for first, last in zip(basis.size[:-1], basis.size[1:], strict=True):
        of_degree: IntArray = np.arange(first, last)
        size = (delta[:, of_degree] ** 2).sum(axis=1)
        noise = variance[:, of_degree].sum(axis=1)
        kept = np.maximum(1.0 - noise / np.where(size > 0, size, 1.0), 0.0)
        result[:, of_degree] = kept[:, None]
    return result
