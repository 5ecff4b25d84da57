"""Figures of merit of the profile likelihood as objectives.

All uncertainties are profiled: yields by process and variation (`Densities.rows`) make a
`statistics.likelihood.Likelihood`. Around yields the objective is the figure at the fitted
parameters, where its square is a sum over categories (`statistics.fixed`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from gato_coffea.config.settings import Objective as FigureName
from gato_coffea.config.settings import Settings
from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import BoolArray, FloatArray, IntArray, Points
from gato_coffea.optimisation.densities import CategoryYields, Densities
from gato_coffea.optimisation.measured import acting_on
from gato_coffea.optimisation.objective import LEAST_Z, Counting, Expansion, Objective
from gato_coffea.optimisation.window import Window
from gato_coffea.statistics.counting import combine
from gato_coffea.statistics.figures import (
    Figure,
    Others,
    determinant,
    limit,
    precision,
    significance,
)
from gato_coffea.statistics.fixed import FixedFigure
from gato_coffea.statistics.likelihood import Likelihood
from gato_coffea.statistics.uncertainties import (
    Free,
    Norm,
    Normalisation,
    normalisation_factors,
)
from gato_coffea.statistics.yields import BinnedYields

FIGURES: Mapping[FigureName, Callable[..., Figure]] = {
    "significance": significance,
    "precision": precision,
    "limit": limit,
}


@final
@dataclass(frozen=True)
class Profiled(Objective):
    """A figure of merit with all nuisance parameters profiled.

    Attributes
    ----------
    figure
        Which one.
    others
        Whether the strengths of the other signals are ``fixed`` at one or ``profiled``.
    processes
        Process of each row of the nominal yields, signals first.
    signals
        Those that are signals.
    variations
        Uncertainties that vary the events.
    normalisations
        The others.
    resonant
        Backgrounds that are not extrapolated into the mass window.
    """

    figure: FigureName = "significance"
    others: Others = "fixed"
    processes: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    variations: tuple[str, ...] = ()
    normalisations: tuple[Normalisation, ...] = ()
    resonant: tuple[str, ...] = ()

    @property
    def simultaneous(self) -> bool:
        """Whether it is the determinant of the information on all strengths."""
        return self.rule.simultaneous

    @property
    def is_information(self) -> bool:
        """Whether it is a function of the information on strengths, and not of a deviance."""
        return self.simultaneous or FIGURES[self.figure] is precision

    @property
    def is_additive(self) -> bool:
        """Only at fixed parameters."""
        return False

    @property
    def uncertainties(self) -> tuple[str, ...]:
        """See `Objective.uncertainties`."""
        return (*self.variations, *(n.name for n in self.normalisations))

    @property
    def bounded(self) -> bool:
        """Whether a sum at any fixed parameters bounds the figure: it is a minimum over them."""
        return self.figure != "limit" or self.simultaneous

    @property
    def extrapolated(self) -> BoolArray:
        """See `densities.Figure`."""
        inside = {*self.signals, *self.resonant}
        own = np.array([p not in inside for p in self.processes], dtype=np.bool_)
        return np.tile(own, 1 + 2 * len(self.variations))

    @property
    def counting(self) -> Counting:
        """See `Objective.counting`."""
        return Counting(self.combination, self.mc_uncertainty, self.systematic, self.window)

    def likelihood(self, yields: CategoryYields) -> Likelihood:
        """The likelihood of yields in categories."""
        n, j = len(self.processes), len(self.variations)
        rows = yields.rows
        varied = (*rows.shape[:-2], j, n, rows.shape[-1])
        binned = BinnedYields(
            processes=self.processes,
            signals=self.signals,
            nominal=rows[..., :n, :],
            sumw2=self.variance(yields.background, yields.variance),
            variations=self.variations,
            up=rows[..., n : n * (1 + j), :].reshape(varied),
            down=rows[..., n * (1 + j) :, :].reshape(varied),
        )
        return Likelihood(yields=binned, normalisations=self.normalisations)

    def fits(
        self, likelihood: Likelihood, *, near: Sequence[Figure] | None = None
    ) -> tuple[Figure, ...]:
        """The figure of each signal, or the one of all together, with what it was fitted at."""
        return (determinant(likelihood),) if self.simultaneous else self.each(likelihood, near)

    def each(
        self, likelihood: Likelihood, near: Sequence[Figure] | None = None
    ) -> tuple[Figure, ...]:
        """The figure of each signal."""
        figure = FIGURES[self.figure]
        starts: Sequence[Mapping[str, FloatArray]] = (
            [{}] * len(self.signals) if near is None else [{"start": f.a} for f in near]
        )
        return tuple(
            figure(likelihood, signal, others=self.others, **start)
            for signal, start in zip(self.signals, starts, strict=True)
        )

    def per_signal(self, yields: CategoryYields) -> FloatArray:
        """The figure of each signal, shape ``(..., signals)``."""
        each = self.each(self.likelihood(yields))
        return np.stack([f.value for f in each], axis=-1)

    def combined(self, yields: CategoryYields) -> FloatArray:
        """The figure that is maximised."""
        return self.together(self.fits(self.likelihood(yields)))

    def together(self, fits: Sequence[Figure]) -> FloatArray:
        """The figure that is maximised, from those of `fits`."""
        values = np.stack([f.value for f in fits], axis=-1)
        return values[..., 0] if self.simultaneous else combine(values, self.combination)

    def statistics_only(self, yields: CategoryYields) -> FloatArray:
        """The combined figure without any uncertainty but that of numbers of events."""
        plain = replace(
            self, variations=(), normalisations=(), mc_uncertainty=False, systematic=0.0
        )
        rows = yields.rows[..., : len(self.processes), :]
        return plain.combined(replace(yields, rows=rows))

    def figures(self, yields: CategoryYields) -> FloatArray:
        """See `Objective.figures`."""
        near = None
        if yields.rows.ndim > 2:  # as of a bootstrap: all are near to their mean
            each = (yields.rows, yields.background, yields.variance)
            rows, background, variance = (
                array.mean(axis=tuple(range(array.ndim - kept)))
                for array, kept in zip(each, (2, 1, 1), strict=True)
            )
            mean = replace(yields, rows=rows, background=background, variance=variance)
            near = self.fits(self.likelihood(mean))
        fits = self.fits(self.likelihood(yields), near=near)
        z = (
            self.per_signal(yields)
            if self.simultaneous
            else np.stack([f.value for f in fits], axis=-1)
        )
        both = [self.together(fits), self.statistics_only(yields)]
        return np.concatenate([*(each[..., None] for each in both), z], axis=-1)

    def around(
        self, yields: CategoryYields, *, near: Expansion | None = None, part: float = 1.0
    ) -> ProfiledExpansion:
        """See `Objective.around`; the parameters are those of the fits."""
        before = near if isinstance(near, ProfiledExpansion) else None
        fits = self.fits(self.likelihood(yields), near=None if before is None else before.fits)
        fixed = tuple(f.fixed for f in fits)
        if before is not None:
            fixed = tuple(
                old.towards(new, part) for old, new in zip(before.fixed, fixed, strict=True)
            )
        value = self.together(fits)
        return ProfiledExpansion(float(value), self, yields, fits, fixed)

    def worth(self, fits: Sequence[Figure]) -> FloatArray:
        """What a unit of each squared figure of `fits` is worth, last axis."""
        values = np.stack([f.value for f in fits], axis=-1)
        if self.simultaneous:
            return np.ones_like(values)
        return self.rule.worth(np.maximum(values, LEAST_Z))


@final
@dataclass(frozen=True)
class ProfiledExpansion(Expansion):
    """A profiled figure around yields.

    Attributes
    ----------
    fits
        The figures of the yields.
    fixed
        The same at fixed parameters, those of the fits or others near them.
    """

    objective: Profiled
    yields: CategoryYields
    fits: tuple[Figure, ...]
    fixed: tuple[FixedFigure, ...]

    def linear(self) -> FloatArray:
        """See `Expansion.linear`; shape ``(M + 2, K)``, the last for resonant backgrounds."""
        yields, objective = self.yields, self.objective
        variance = objective.variance(yields.background, yields.variance)
        rows, by_variance = np.zeros_like(yields.rows), np.zeros_like(yields.background)
        for weight, fixed in zip(objective.worth(self.fits), self.fixed, strict=True):
            columns = fixed.columns @ yields.rows
            slope, by_sumw2 = fixed.slopes(columns, variance)
            size = weight * fixed.scale
            rows += size * (fixed.columns.T @ slope)
            by_variance += size * by_sumw2
        own = 2.0 * objective.systematic**2 * yields.background * by_variance
        background = [p not in objective.signals for p in objective.processes]
        rows[: len(background)][background] += own
        if not objective.mc_uncertainty:
            by_variance = np.zeros_like(by_variance)
        if objective.window is not None:
            rows *= np.where(objective.extrapolated[:, None], yields.factor, 1.0)
        tail = [by_variance * yields.factor**2, by_variance]
        return np.concatenate([rows, tail])

    def run_terms(self, points: Densities, runs: CategoryYields, allowed: BoolArray) -> FloatArray:
        """What every allowed run of consecutive points adds at these parameters.

        Parameters
        ----------
        points
            The points, in a row.
        runs
            Yields of every run, entry ``[i, j]`` that of the points ``i .. j - 1``.
        allowed
            Which runs may be categories, shape ``(P + 1, P + 1)``; others are minus infinity.
        """
        assert points.rows is not None
        objective, at = self.objective, np.nonzero(allowed)
        variance = objective.variance(runs.background[at], runs.variance[at])
        outside, factor = np.ones(len(points.rows)), np.ones(1)
        if objective.window is not None:
            outside, factor = objective.extrapolated.astype(np.float64), runs.factor[at]
        total = np.zeros_like(variance)
        for weight, fixed in zip(objective.worth(self.fits), self.fixed, strict=True):
            columns = _sums((fixed.columns * outside) @ points.rows, at) * factor
            if objective.window is not None:
                columns += _sums((fixed.columns * (1.0 - outside)) @ points.rows, at)
            total += weight * fixed.scale * fixed.terms(columns, variance)
        result = np.full(allowed.shape, -np.inf)
        result[at] = total
        return result

    def bound(self, best: float) -> float:
        """What no partition exceeds of which none has a larger sum of `run_terms` than this.

        For one signal, or where squares are added.
        """
        weights = self.objective.worth(self.fits)
        prior = sum(w * f.scale * f.constant for w, f in zip(weights, self.fixed, strict=True))
        return float(np.sqrt((best + prior) / weights[0]))


def _sums(array: FloatArray, at: tuple[IntArray, ...]) -> FloatArray:
    """Sums ``(n, runs)`` of an array ``(n, P)``, over the points ``at[0]`` to ``at[1] - 1``."""
    c = np.concatenate([np.zeros((len(array), 1)), np.cumsum(array, axis=-1)], axis=-1)
    return np.asarray(c[:, at[1]] - c[:, at[0]])


def chosen_objective(
    settings: Settings,
    points: Points,
    window: Window | None,
    *,
    backgrounds: Sequence[str],
    resonant: Sequence[str],
    systematics: Sequence[Normalisation],
) -> Objective:
    """The objective of an optimisation: that of counting where nothing asks for another.

    Parameters
    ----------
    settings
        Names the figure.
    points
        Hold the variations.
    window, backgrounds, resonant
        As in `Problem`.
    systematics
        Uncertainties of normalisations.

    Raises
    ------
    OptimisationError
        If an uncertainty names what is not there, or is given twice.
    """
    common = (settings.combination, settings.mc_uncertainty, settings.systematic, window)
    each = _checked(systematics)
    continuum = [name for name in backgrounds if name not in resonant]
    # Refuses names of processes that are not there.
    known = (*settings.signals, *continuum, *resonant)
    normalisation_factors(each, processes=known, eras=(None,), channels=(None,))
    if window is not None:
        each = acting_on(each, (*settings.signals, *resonant))
    plain = Counting(*common)
    named = settings.objective in FIGURES and FIGURES[settings.objective] is not significance
    profiled_others = settings.others == "profiled" and len(settings.signals) > 1
    if not (each or points.variations or named or profiled_others or plain.rule.simultaneous):
        return plain
    result = Profiled(
        *common,
        figure=settings.objective,
        others=settings.others,
        processes=known,
        signals=settings.signals,
        variations=points.variations,
        normalisations=each,
        resonant=tuple(resonant),
    )
    twice = [n.name for n in each if n.name in points.variations]
    if twice:
        raise OptimisationError(
            f"systematics.{twice[0]}: is given twice, the samples have variations of that name"
        )
    return result


def _checked(systematics: Sequence[Normalisation]) -> tuple[Normalisation, ...]:
    if isinstance(systematics, Norm | Free) or not isinstance(systematics, Sequence):
        raise OptimisationError(
            f"systematics: must be a list of Norm and Free (got {systematics!r})"
        )
    for one in systematics:
        if not isinstance(one, Norm | Free):
            raise OptimisationError(f"systematics: must be Norm or Free (got {one!r})")
    return tuple(systematics)
