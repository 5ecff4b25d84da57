"""What each uncertainty costs, and where the fit pulls its nuisance parameter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from gato_coffea.optimisation.result import Breakdown
from gato_coffea.plots.numbers import Numbers
from gato_coffea.plots.style import LINES, Style, add_label, styled

MAX_SHOWN = 25
"""Uncertainties that are shown, the costliest: so many names can be read on a page."""


def _costs(found: Breakdown) -> dict[str, float]:
    """Part of the figure that each uncertainty costs, the costliest first."""
    cost = {name: 1 - found.everything / z if z else 0.0 for name, z in found.without.items()}
    return dict(sorted(cost.items(), key=lambda item: -item[1]))


def draw_uncertainties(found: Breakdown, style: Style, *, figure_name: str = "Z") -> Figure:
    """Draw pulls on the left and costs on the right, an uncertainty a line."""
    costs = dict(list(_costs(found).items())[:MAX_SHOWN])
    names, y = list(costs), -np.arange(len(costs))
    height = 2.6 + 0.36 * len(names)
    with styled(style, size=(11.0, height), columns=2) as (figure, (ax, right)):
        for level in (-1, 0, 1):
            ax.axvline(level, color="black", lw=1.0, ls="-" if level == 0 else ":")
        for i, (signal, pulls) in enumerate(found.pulls.items()):
            values = np.array([pulls.get(name, np.nan) for name in names])
            shift = 0.2 * (i - 0.5 * (len(found.pulls) - 1))
            ax.plot(values, y + shift, "o", color=LINES[i % len(LINES)], label=signal)
        reach = max(
            (abs(v) for pulls in found.pulls.values() for v in pulls.values()), default=0.0
        )
        ax.set_xlim(-max(1.3, 1.15 * reach), max(1.3, 1.15 * reach))
        ax.set_yticks(y, names)
        ax.set_xlabel("Pull without the signal [s.d.]")
        if len(found.pulls) > 1:
            ax.legend(loc="upper left", frameon=True)
        right.barh(y, [100 * costs[name] for name in names], color="#3f90da", height=0.6)
        right.set_xlabel(f"Cost in {figure_name} [%]")
        right.set_yticks(y, [""] * len(names))
        right.axvline(0.0, color="black", lw=1.0)
        right.set_xlim(left=min(0.0, *(110 * c for c in costs.values())))
        for panel in (ax, right):
            panel.set_ylim(-len(names) + 0.4, 0.6)
            panel.tick_params(axis="y", which="minor", left=False, right=False)
        add_label(ax, style, energy=False)
        add_label(right, replace(style, experiment="plain", label=""))
    return figure


def uncertainty_numbers(found: Breakdown) -> Numbers:
    """Figure without each uncertainty, its cost and the pulls, a line each."""
    costs = _costs(found)
    return {
        "uncertainty": np.array(list(costs)),
        "figure_without": np.array([found.without[name] for name in costs]),
        "cost": np.array(list(costs.values())),
        **{
            f"pull_{signal}": np.array([pulls.get(name, np.nan) for name in costs])
            for signal, pulls in found.pulls.items()
        },
    }
