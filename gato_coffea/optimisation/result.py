"""What an optimisation hands back: values, a table and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gato_coffea.categories import Categories
from gato_coffea.events.samples import FloatArray


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
    """A reference significance: held out (None where it cannot be) and on the training events."""

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
        return (
            f"one more event of {self.process} in category {self.category} would make Z "
            f"{high:.3g} to {low:.3g}: the figure is no better known than this"
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

    def rows(self) -> list[tuple[str, ...]]:
        """A row of text for each category and one for their sum.

        Category, yield of each signal and of the background, their ratio, and effective
        background entries.
        """
        s, b = self.signal_stack, self.background
        s = np.concatenate([s, s.sum(axis=1, keepdims=True)], axis=1)
        b = np.append(b, b.sum())
        entries = [f"{value:.0f}" for value in self.effective_background]
        names = [*map(str, range(len(entries))), "all"]
        return [
            (
                *(names[k], *map(amount, s[:, k]), amount(b[k])),
                f"{s[:, k].sum() / b[k]:.3g}" if b[k] > 0 else "-",
                entries[k] if k < len(entries) else "",
            )
            for k in range(len(names))
        ]


def amount(value: float) -> str:
    """A yield with four digits; from a thousand to a hundred million, whole.

    >>> amount(25891.4), amount(108.683), amount(0.0095), amount(3e9)
    ('25891', '108.7', '0.0095', '3e+09')
    """
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e8 else f"{value:.4g}"


def decimals(spread: float | None) -> int:
    """Decimals that show two digits of a spread; three where it is not known.

    >>> decimals(0.0123), decimals(1.9), decimals(43.0), decimals(None)
    (3, 1, 0, 3)
    """
    if spread is None or not 0 < spread < np.inf:
        return 3
    return int(np.clip(1 - np.floor(np.log10(spread)), 0, 9))


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


MANY = "50 categories"
"""Name of the yardstick of very many categories."""

MEANINGS = {
    "training": "training: Z of the yields in the templates, which exported models are made of",
    "extrapolated": "training: Z of all events, with the background extrapolated from all masses "
    "to the window; templates and exported models have what is in the window, or its fit",
    "exact": "exact: the best categories of the training, by dynamic programming in the order of "
    "S/B; on held-out events others may be better",
    MANY: f"{MANY}: as many, found like exact or lloyd; no upper limit, each is estimated",
}
"""What the names of figures mean."""


def meanings(yardsticks: Iterable[str], *, extrapolated: bool = False) -> list[str]:
    """A sentence for each figure whose name needs one.

    ``extrapolated`` is `Yields.extrapolated` of the yields that the figures are of.
    """
    training = "extrapolated" if extrapolated else "training"
    return [text for name, text in MEANINGS.items() if name in (training, *yardsticks)]


def background_note(yields: Yields) -> str:
    """What the background of a table of yields is, where a reader could take it for another."""
    if not yields.extrapolated:
        return ""
    return "; background of all masses, extrapolated to the window by an exponential"


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
            known.append(f"{100 * settings['systematic']:.3g} % systematic")
        return f" with {' and '.join(known)}" if known else ""

    def __str__(self) -> str:
        return self.table()

    def reach(self, digits: int) -> str:
        """Where the figure would be with one more event of a rare process, in brackets."""
        if self.rare is None:
            return ""
        return f" (from {self.rare.z_range[0]:.{digits}f}: one event of {self.rare.process})"

    def table(self) -> str:
        """The significances and the yields of the categories as plain text, held-out first."""
        y, digits = self.yields, decimals(self.held_out.spread)
        spread = "" if self.held_out.spread is None else f" +- {self.held_out.spread:.{digits}f}"
        lines = [
            f"Z held-out {self.held_out.combined:.{digits}f}{spread}"
            f"{self.reach(digits)}{self.included}, "
            f"training {self.training.combined:.{digits}f}; "
            f"{self.asked} categories asked, {self.n_categories} kept"
        ]
        counting = self.held_out.statistics_only, self.training.statistics_only
        if self.included and None not in counting:
            held_out, training = (f"{z:.{digits}f}" for z in counting)
            lines.append(f"  statistics only: held-out {held_out}, training {training}")
        for name, z in self.held_out.per_signal.items():
            if len(self.held_out.per_signal) > 1:
                lines.append(f"  {name}: held-out {z:.{digits}f}")
        for name, yardstick in self.yardsticks.items():
            figures = [f"training {yardstick.training.combined:.{digits}f}"]
            if yardstick.held_out is not None:
                figures.insert(0, f"held-out {yardstick.held_out.combined:.{digits}f}")
            lines.append(f"  {name}: {', '.join(figures)}")
        header = ["category", *y.signals, "background", "S/B", "effective background"]
        if y.extrapolated:
            lines.append(f"yields{background_note(y)}")
        rows = [header, *y.rows()]
        widths = [max(len(row[c]) for row in rows) for c in range(len(header))]
        lines += [
            "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows
        ]
        lines += meanings(self.yardsticks, extrapolated=y.extrapolated)
        return "\n".join([*lines, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Everything but the categories and the history, as JSON values."""
        return {
            "asked": self.asked,
            "kept": self.n_categories,
            "held_out": asdict(self.held_out),
            "difference_spread": self.difference_spread,
            "training": asdict(self.training),
            "yields": {
                key: value.tolist() if isinstance(value, np.ndarray) else value
                for key, value in vars(self.yields).items()
            },
            "yardsticks": {name: asdict(y) for name, y in self.yardsticks.items()},
            "notes": list(self.notes),
            "rare": None if self.rare is None else asdict(self.rare),
        }
