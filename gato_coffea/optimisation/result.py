"""What an optimisation hands back: values, a table and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import numpy as np

from gato_coffea.categories import Categories
from gato_coffea.events.samples import FloatArray
from gato_coffea.rendering.rounding import amount, decimals, rounded, with_error
from gato_coffea.rendering.tables import together


@dataclass(frozen=True)
class Significance:
    """An expected significance, its parts and its uncertainty.

    ``combined`` is the figure that was optimised, with the background's uncertainties that the
    objective knows of (finite simulation, unless it was left out), ``per_signal`` has one by
    signal, and ``spread`` is the standard deviation of ``combined`` from the finite simulation.
    ``statistics_only`` is ``combined`` with the background known exactly.
    """

    combined: float
    per_signal: Mapping[str, float]
    spread: float | None = None
    statistics_only: float | None = None


@dataclass(frozen=True)
class Yardstick:
    """What a result is compared with: held out (None where it cannot be), and on all events."""

    held_out: Significance | None
    training: Significance


@dataclass(frozen=True)
class RareProcess:
    """A process of which a single event decides a figure, and in which category.

    ``z_range`` is from the figure with one more event of the process there, of the mean weight
    that its events have near there, to the figure as it is.
    """

    process: str
    category: int
    z_range: tuple[float, float]

    def sentence(self) -> str:
        """What the figure means."""
        low, high = self.z_range
        digits = decimals(high - low)
        return (
            f"one more event of {self.process} in category {self.category} would make Z "
            f"{rounded(high, digits)} to {rounded(low, digits)}: the figure is no better known "
            "than this"
        )


@dataclass(frozen=True)
class Yields:
    """Yields of every process in every category.

    Attributes
    ----------
    processes
        Names, ``C`` of them.
    signals, backgrounds
        Those that count as such.
    sumw, sumw2, count
        Sums of weights, of squared weights, and events, shape ``(C, K)``.
    factor
        What the backgrounds' sums are to be multiplied with, shape ``(K,)``: the fraction of each
        category's mass range that lies in the window; ones where no window is used.
    resonant
        Backgrounds whose sums are those inside the window already.
    """

    processes: tuple[str, ...]
    signals: tuple[str, ...]
    backgrounds: tuple[str, ...]
    sumw: FloatArray
    sumw2: FloatArray
    count: FloatArray
    factor: FloatArray
    resonant: tuple[str, ...] = ()

    def __repr__(self) -> str:
        b = with_error(self.background.sum(), float(np.sqrt(self.background_sumw2.sum())))
        signals = ", ".join(f"{name} {amount(self.signal(name).sum())}" for name in self.signals)
        return f"Yields({self.sumw.shape[1]} categories: {signals}, background {b})"

    def _sum(self, array: FloatArray, processes: Sequence[str]) -> FloatArray:
        rows = [self.processes.index(p) for p in processes]
        return np.asarray(array[rows].sum(axis=0))

    def signal(self, name: str) -> FloatArray:
        """Yield of one signal, shape ``(K,)``."""
        return self._sum(self.sumw, [name])

    @property
    def signal_stack(self) -> FloatArray:
        """Yields of all signals, shape ``(signals, K)``."""
        return np.stack([self.signal(name) for name in self.signals])

    @property
    def extrapolated(self) -> bool:
        """Whether the background is that of all masses, taken into the window by a factor."""
        return bool((self.factor != 1).any())

    @property
    def _continuum(self) -> list[str]:
        return [name for name in self.backgrounds if name not in self.resonant]

    @property
    def background(self) -> FloatArray:
        """Total background yield, shape ``(K,)``."""
        continuum = self._sum(self.sumw, self._continuum) * self.factor
        return continuum + self._sum(self.sumw, self.resonant)

    @property
    def background_sumw2(self) -> FloatArray:
        """Variance of the total background yield from finite simulation, shape ``(K,)``."""
        continuum = self._sum(self.sumw2, self._continuum) * self.factor**2
        return continuum + self._sum(self.sumw2, self.resonant)

    @property
    def effective_background(self) -> FloatArray:
        """Effective background entries ``sumw**2 / sumw2``, shape ``(K,)``."""
        if self.resonant:
            return effective_entries(self.background, self.background_sumw2)
        return effective_entries(
            self._sum(self.sumw, self.backgrounds), self._sum(self.sumw2, self.backgrounds)
        )


def effective_entries(sumw: FloatArray, sumw2: FloatArray) -> FloatArray:
    """``sumw**2 / sumw2``; zero where nothing is, and where the sum of weights is negative."""
    positive = (sumw2 > 0) & (sumw > 0)
    return np.where(positive, np.square(sumw) / np.where(sumw2 > 0, sumw2, 1.0), 0.0)


@dataclass(frozen=True)
class History:
    """How a training went; every array has one entry an epoch.

    Significances are those of the densities that are trained on, with constraints as a penalty:
    the objective, and not the training Z, which is that of the events in the finished categories.
    ``loss`` and ``significance`` belong to the soft assignment of the epoch, ``hard`` to the
    categories that it stands for, ``bias`` is their mean relative difference in yield.
    ``boundaries`` holds, for one discriminant, the category boundaries of each epoch.
    """

    epoch: FloatArray
    loss: FloatArray
    significance: FloatArray
    hard: FloatArray
    penalty_yield: FloatArray
    penalty_uncertainty: FloatArray
    temperature: FloatArray
    learning_rate: FloatArray
    bias: FloatArray
    boundaries: tuple[FloatArray, ...] = ()

    def __repr__(self) -> str:
        return f"History({len(self.epoch)} epochs)"


MANY = "50 categories"
"""Name of the yardstick of very many categories."""


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """What the uncertainties of a profiled figure cost, on all events.

    Attributes
    ----------
    everything
        The figure with all of them.
    without
        That without each: known exactly, all others as they are.
    pulls
        By signal, where the fit without it puts each nuisance parameter, in standard deviations;
        a free one as the logarithm of its factor.
    bound
        On the densities of the training no categories have a larger figure whose cuts lie between
        ``groups`` of points in a row, the order of S/B or of a single discriminant. None where it
        is not known. It bounds no figure from events, which fluctuate about the densities.
    reached
        The figure there of the best categories that were found, which the bound is to be compared
        with.
    groups
        Number of groups of points.
    """

    everything: float
    without: Mapping[str, float]
    pulls: Mapping[str, Mapping[str, float]]
    bound: float | None = None
    reached: float | None = None
    groups: int | None = None


FIGURES = {"significance": "Z", "precision": "1/sigma(mu)", "limit": "1/mu95"}
"""What the figure of merit of an objective is called; of all of them more is better."""


@dataclass(frozen=True)
class Result:
    """Categories, and how good they are.

    Attributes
    ----------
    asked
        Number of categories that was asked for; constraints may have merged some.
    categories
        The categories, to apply to events.
    held_out
        Significance on events that the categories did not see: the figure to quote.
    training
        Significance on the events that they were trained on.
    yields
        Yields of the categories on all events.
    yardsticks
        Reference figures by name.
    history
        How the training went, or None for a method that does not train.
    notes
        What the user should know: merged categories, overtraining, and so on.
    folds
        The categories of the trainings that left one fold out each; none for a method that does
        not train. A training that continues starts from them.
    difference_spread
        Spread of the difference of the held-out significance to the best one of the same call,
        on the same events; None where there is one number of categories, or no folds.
    uncertainties
        What each systematic uncertainty costs; None of a counting figure.
    """

    asked: int
    categories: Categories
    held_out: Significance
    training: Significance
    yields: Yields
    yardsticks: Mapping[str, Yardstick]
    history: History | None = None
    notes: tuple[str, ...] = ()
    rare: RareProcess | None = None
    folds: tuple[Categories, ...] = ()
    difference_spread: float | None = None
    uncertainties: Breakdown | None = None

    @property
    def figure(self) -> str:
        """What the figure of merit is called in tables."""
        return FIGURES[self.categories.training.get("objective", "significance")]

    @property
    def n_categories(self) -> int:
        """Number of categories that came out."""
        return self.categories.n_categories

    @property
    def included(self) -> str:
        """What the figures know of besides counting statistics, in words."""
        settings = self.categories.training
        known = ["finite simulation"] if settings.get("mc_uncertainty") else []
        if settings.get("systematic"):
            known.append(f"{amount(100 * settings['systematic'], digits=3)} % systematic")
        n = len(settings.get("systematics") or ())
        known += [f"{n} systematic {'uncertainty' if n == 1 else 'uncertainties'}"] * (n > 0)
        return f" with {' and '.join(known)}" if known else ""

    @property
    def cross_validated(self) -> bool:
        """Whether there were folds; without them `held_out` is of the training events too."""
        return bool(self.categories.training.get("folds", 2) > 1)

    @property
    def basis(self) -> str:
        """What events the figure to quote is of: ``held-out``, or without folds ``training``."""
        return "held-out" if self.cross_validated else "training"

    def __str__(self) -> str:
        return self.table()

    def reach(self, digits: int) -> str:
        """Where the figure would be with one more event of a rare process, in brackets."""
        if self.rare is None:
            return ""
        return f" (from {rounded(self.rare.z_range[0], digits)}: one event of {self.rare.process})"

    def table(self) -> str:
        """The significances and the yields of the categories as plain text, held-out first."""
        from gato_coffea.optimisation.result_tables import plain_text

        return plain_text(self)

    def __repr__(self) -> str:
        z = with_error(self.held_out.combined, self.held_out.spread)
        return f"Result({self.n_categories} categories, Z {self.basis} {z})"

    def _repr_html_(self) -> str:
        from gato_coffea.optimisation.result_tables import tables_of

        tables = tables_of(self)
        return together(tables) + "".join(f"<p>{escape(note)}</p>" for note in self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the categories and the history, as JSON values.

        ``held_out`` is None where there were no folds.
        """
        return {
            "asked": self.asked,
            "kept": self.n_categories,
            "held_out": asdict(self.held_out) if self.cross_validated else None,
            "difference_spread": self.difference_spread,
            "training": asdict(self.training),
            "yields": {
                key: value.tolist() if isinstance(value, np.ndarray) else value
                for key, value in vars(self.yields).items()
            },
            "yardsticks": {name: asdict(y) for name, y in self.yardsticks.items()},
            "notes": list(self.notes),
            "rare": None if self.rare is None else asdict(self.rare),
            "uncertainties": None if self.uncertainties is None else asdict(self.uncertainties),
        }
