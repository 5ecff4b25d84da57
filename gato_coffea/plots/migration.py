"""Where a shape variation moves events: from which category into which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from gato_coffea.categories import Categories
from gato_coffea.events.arrays import FloatArray
from gato_coffea.events.samples import Sample
from gato_coffea.events.variations import stem, uncertainties
from gato_coffea.plots.numbers import Numbers
from gato_coffea.plots.style import Style, add_label, styled

MAX_WRITTEN = 12
"""Categories up to which every cell has its number: beyond, they are too small to be read."""


@dataclass(frozen=True, kw_only=True)
class Migration:
    """What a variation does to the yields of categories.

    Attributes
    ----------
    variation
        Its name.
    weight
        Yield by nominal category (rows) and category in the variation, shape ``(K + 1, K + 1)``;
        the last one is no category. An event that only the variation has counts with its weight
        there.
    """

    variation: str
    weight: FloatArray

    @property
    def fraction(self) -> FloatArray:
        """Part of each nominal category's yield that goes to each; NaN where there is none."""
        total = self.weight.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(total > 0, self.weight / total, np.nan)

    @property
    def names(self) -> list[str]:
        """Names of the rows and columns."""
        return [*map(str, range(len(self.weight) - 1)), "none"]


def migrations(
    samples: Mapping[str, Sample], categories: Categories, processes: Sequence[str]
) -> dict[str, list[Migration]]:
    """Migrations by shape uncertainty, of its variations up and down, summed over processes."""
    chosen = {name: sample for name, sample in samples.items() if name in processes}
    moving = {
        variation
        for sample in chosen.values()
        for variation, own in sample.variations.items()
        if own.x is not None
    }
    return {
        source: [
            Migration(variation=name, weight=_weight(chosen, categories, name))
            for name in sorted(moving, reverse=True)
            if stem(name) == source
        ]
        for source in uncertainties(moving)
    }


def _weight(samples: Mapping[str, Sample], categories: Categories, variation: str) -> FloatArray:
    k = categories.n_categories
    result = np.zeros((k + 1, k + 1))
    for sample in samples.values():
        moved = sample.varied(variation)
        before, after = (
            np.where(label < 0, k, label)
            for label in (categories.assign(sample.x), categories.assign(moved.x))
        )
        np.add.at(result, (before, after), np.where(before == k, moved.weight, sample.weight))
    return result


def draw_migration(pair: Sequence[Migration], style: Style) -> Figure:
    """Draw in percent where the events of each category are in the variations."""
    n = len(pair[0].weight)
    with styled(style, size=(7.6 * len(pair), 7.2), columns=len(pair)) as (figure, axes):
        for ax, one in zip(axes, pair, strict=True):
            percent = 100 * one.fraction
            drawn = ax.imshow(
                percent.T, origin="lower", cmap="Blues", vmin=0, vmax=100, aspect="auto"
            )
            if n <= MAX_WRITTEN + 1:
                for i, j in zip(*np.nonzero(np.nan_to_num(percent) >= 0.05), strict=True):
                    ax.text(
                        float(i),
                        float(j),
                        f"{percent[i, j]:.1f}",
                        ha="center",
                        va="center",
                        fontsize=max(8, 15 - n // 2),
                        color="white" if percent[i, j] > 55 else "black",
                    )
            ticks = np.arange(0, n, -(-n // MAX_WRITTEN))
            for axis, set_ticks in ((ax.xaxis, ax.set_xticks), (ax.yaxis, ax.set_yticks)):
                set_ticks(ticks, [one.names[i] for i in ticks])
                axis.set_tick_params(which="minor", size=0)
            ax.set_xlabel("Category, nominal")
            ax.set_ylabel(f"Category, {one.variation}")
        figure.colorbar(drawn, ax=axes, pad=0.01).set_label("Part of the nominal category [%]")
        add_label(axes[0], style, energy=False)
    return figure


def migration_numbers(pair: Sequence[Migration]) -> Numbers:
    """Yields by nominal and varied category, a line each."""
    first = pair[0]
    i, j = np.indices(first.weight.shape)
    names = np.array(first.names)
    return {
        "nominal": names[i.ravel()],
        "varied": names[j.ravel()],
        **{one.variation: one.weight.ravel() for one in pair},
    }
