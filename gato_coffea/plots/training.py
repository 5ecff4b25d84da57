"""How a training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gato_coffea.events.samples import FloatArray
from gato_coffea.optimisation.result import History
from gato_coffea.plots.style import (
    LINES,
    Style,
    add_label,
    add_legend,
    head_room,
    log_floor,
    styled,
)

BLUE, ORANGE, RED, PURPLE = "#3f90da", "#e76300", "#bd1f01", "#832db6"
"""Colours of curves, from the palette of Petroff (2021)."""

BIAS_LABEL = "Mean |hard − soft| / hard"


def draw_training(history: History, style: Style) -> Figure:
    """Draw significance, loss, penalties, schedules, bias and boundaries by epoch.

    The last panel has the category boundaries where there is one discriminant, else the learning
    rate.
    """
    with styled(style, size=(16.0, 9.0), heights=(1.0, 1.0), columns=3) as (figure, axes):
        significance, loss, penalty, temperature, bias, last = axes
        epoch = history.epoch
        for ax, curves, y_label, log in (
            (
                significance,
                {"soft assignment": history.significance, "hard categories": history.hard},
                "Objective (Z of the training densities)",
                False,
            ),
            (loss, {"": history.loss}, "Loss", False),
            (
                penalty,
                {
                    "background yield": history.penalty_yield,
                    "background uncertainty": history.penalty_uncertainty,
                },
                "Penalty",
                True,
            ),
            (temperature, {"": history.temperature}, "Temperature", True),
            (bias, {"": np.abs(history.bias)}, BIAS_LABEL, True),
        ):
            _draw_curves(ax, epoch, curves, y_label, log=log)
        if history.boundaries:
            _draw_tracks(last, epoch, history.boundaries)
            last.set_ylabel("Category boundary")
            every = np.concatenate([np.ravel(b) for b in history.boundaries])
            head_room(last, *_padded(every))
        else:
            _draw_curves(last, epoch, {"": history.learning_rate}, "Learning rate", log=True)
        for ax in axes[3:]:
            ax.set_xlabel("Epoch")
            ax.set_xlim(*_ends(epoch))
        add_label(significance, style, energy=False)
    return figure


def _ends(x: FloatArray) -> tuple[float, float]:
    return (float(x[0]), float(x[-1])) if len(x) > 1 else (float(x[0]) - 0.5, float(x[0]) + 0.5)


def _spans(values: FloatArray, factor: float = 20.0) -> bool:
    """Whether positive values spread so far that a logarithmic axis shows them better."""
    positive = values[np.isfinite(values) & (values > 0)]
    return positive.size > 1 and bool(positive.max() > factor * positive.min())


def _draw_curves(
    ax: Axes, epoch: FloatArray, curves: Mapping[str, FloatArray], y_label: str, *, log: bool
) -> None:
    """Draw curves by name; ``log`` allows a logarithmic axis where they span decades."""
    looks = zip((BLUE, RED), ("-", (0, (6, 2))), strict=True)
    for (name, values), (colour, dash) in zip(curves.items(), looks, strict=False):
        ax.plot(epoch, values, color=colour, linestyle=dash, label=name or None)
    ax.set_ylabel(y_label)
    if len(curves) > 1:
        add_legend(ax, n_columns=1)
    everything = np.concatenate([np.asarray(v, dtype=np.float64) for v in curves.values()])
    finite = everything[np.isfinite(everything)]
    if finite.size == 0 or not np.any(finite):
        ax.annotate("zero throughout", (0.5, 0.3), xycoords="axes fraction", ha="center")
        head_room(ax, -0.05, 1.0)
    elif log and _spans(finite):
        head_room(ax, log_floor(finite, decades=8), 1.3 * float(finite.max()), log=True)
    elif log:
        head_room(ax, 0.0, float(finite.max()))
    else:
        head_room(ax, *_padded(finite))


def _draw_tracks(
    ax: Axes, x: npt.ArrayLike, rows: Sequence[Any], labels: Sequence[str] | None = None
) -> None:
    """Boundaries by epoch: lines where their number does not change, else points."""
    rows = [np.sort(np.asarray(row, dtype=np.float64).ravel()) for row in rows]
    counts = {len(row) for row in rows}
    if len(counts) == 1 and counts != {0}:
        for j, track in enumerate(np.stack(rows).T):
            name = None if labels is None else labels[j]
            ax.plot(x, track, color=_cycle(j), label=name, linewidth=1.8)
    elif rows:
        flat_x = np.repeat(np.asarray(x), [len(row) for row in rows])
        ax.plot(flat_x, np.concatenate(rows), ".", color=BLUE, markersize=4)


def _padded(values: FloatArray) -> tuple[float, float]:
    low, high = float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))
    if not low < high:
        centre = low if np.isfinite(low) else 0.0
        return centre - 0.5, centre + 0.5
    return low - 0.06 * (high - low), high


def draw_values(
    values: npt.ArrayLike,
    style: Style,
    *,
    y_label: str = "Value",
    x_label: str = "Epoch",
    title: str | None = None,
    log: bool = False,
) -> Figure:
    """Draw one number an epoch."""
    y = np.asarray(values, dtype=np.float64).ravel()
    x = np.arange(len(y), dtype=np.float64)
    with styled(style) as (figure, (ax,)):
        ax.plot(x, y, color=BLUE)
        ax.set_xlabel(x_label)
        ax.set_ylabel(y_label)
        if len(x):
            ax.set_xlim(*_ends(x))
        finite = y[np.isfinite(y)]
        if log and (finite > 0).any():
            head_room(ax, log_floor(finite, decades=10), float(finite.max()) * 1.3, log=True)
        elif finite.size:
            head_room(ax, *_padded(finite))
        if title:
            ax.set_title(title, pad=30)
        add_label(ax, style, energy=False)
    return figure


def draw_boundaries(
    boundaries: Sequence[Any],
    style: Style,
    *,
    epochs: npt.ArrayLike | None = None,
    labels: Sequence[str] | None = None,
    y_label: str = "Category boundary",
    x_label: str = "Epoch",
    title: str | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw category boundaries by epoch.

    Parameters
    ----------
    boundaries
        Boundaries of each epoch, whose number may change.
    epochs
        Epoch of each entry; counted from 0 by default.
    labels
        Names of the boundaries, where their number does not change.
    limits
        Range of the discriminant.
    """
    x = np.arange(len(boundaries)) if epochs is None else np.asarray(epochs)
    every = np.concatenate([np.empty(0), *(np.ravel(row) for row in boundaries)])
    with styled(style) as (figure, (ax,)):
        _draw_tracks(ax, x, boundaries, labels)
        ax.set_xlabel(x_label)
        ax.set_ylabel(y_label)
        if len(x) > 1:
            ax.set_xlim(float(x[0]), float(x[-1]))
        if labels is not None:
            add_legend(ax)
        low, high = limits or _padded(every)
        head_room(ax, low, high, extra=0.02)
        if title:
            ax.set_title(title, pad=30)
        add_label(ax, style, energy=False)
    return figure


def _cycle(j: int) -> str:
    return (BLUE, ORANGE, RED, PURPLE, "#717581", "#a96b59")[j % 6]


def draw_bias(
    bias: npt.ArrayLike,
    style: Style,
    *,
    epochs: npt.ArrayLike | None = None,
    annealed: npt.ArrayLike | None = None,
    annealed_label: str = "Temperature",
    log: bool = False,
) -> Figure:
    """Draw the mean bias of the soft assignment, and the annealed parameter on a second axis.

    Parameters
    ----------
    bias
        Mean absolute bias, one a checkpoint.
    epochs
        Epoch of each checkpoint; counted from 0 by default.
    annealed
        Temperature or steepness at each checkpoint.
    annealed_label
        Its name.
    log
        Logarithmic y axes.
    """
    y = np.asarray(bias, dtype=np.float64).ravel()
    x = np.arange(len(y)) if epochs is None else np.asarray(epochs, dtype=np.float64)
    with styled(style) as (figure, (ax,)):
        ax.plot(x, y, "o-", color=BLUE)
        ax.set_xlabel("Epoch")
        ax.set_ylabel(BIAS_LABEL, color=BLUE)
        if len(x) > 1:
            pad = 0.02 * float(x[-1] - x[0])
            ax.set_xlim(float(x[0]) - pad, float(x[-1]) + pad)
        _simple_range(ax, y, log)
        if annealed is not None:
            second = np.asarray(annealed, dtype=np.float64).ravel()
            right = ax.twinx()
            right.plot(x, second, "s--", color=LINES[0], markersize=6)
            right.set_ylabel(annealed_label, color=LINES[0])
            ax.tick_params(axis="y", which="both", right=False)
            _simple_range(right, second, log)
        add_label(ax, style, energy=False)
    return figure


def _simple_range(ax: Axes, values: FloatArray, log: bool) -> None:
    finite = values[np.isfinite(values)]
    if log and (finite > 0).any():
        head_room(ax, log_floor(finite), 1.3 * float(finite.max()), log=True)
    else:
        low, high = min(0.0, float(finite.min(initial=0.0))), float(finite.max(initial=0.0))
        head_room(ax, 1.05 * low, high if high > low else low + 1.0, extra=0.06)
