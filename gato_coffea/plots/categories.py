"""Where the categories lie: components in one dimension, regions in two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from gato_coffea.categories import Categories, MixtureCategories
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature, FloatArray, IntArray
from gato_coffea.plots.contents import Interval
from gato_coffea.plots.scales import stretch_x, stretch_y
from gato_coffea.plots.style import Style, add_label, head_room, styled

SCAN_POINTS = 4000
"""Points at which categories are looked at before boundaries are refined: a category narrower
than a four-thousandth of the range is not seen."""

PEAK_RATIO = 15.0
"""Ratio of the highest component to the lowest from which on the y axis is logarithmic: on a
linear one the lowest would be as thick as a line."""

MAX_INNER_LEGEND = 10
"""From so many components on, a legend in the panel would leave too little room for the curves."""


def category_colours(n: int) -> list[tuple[float, float, float, float]]:
    """Colours of categories 0 to ``n - 1``, from dark to bright, safe for the colour-blind."""
    return [mpl.colormaps["viridis"](0.1 + 0.82 * k / max(n - 1, 1)) for k in range(n)]


def intervals_of(categories: Categories, *, n_points: int = SCAN_POINTS) -> list[Interval]:
    """Stretches of a single discriminant by category, from low to high.

    Boundaries are found on ``n_points`` evenly stretched points and refined by bisection.

    Raises
    ------
    InputError
        If there is more than one discriminant.
    """
    if len(categories.features) != 1:
        raise InputError(
            f"categories: intervals need one discriminant (got {len(categories.features)})"
        )
    feature = categories.features[0]
    x = feature.edges(n_points)
    label = categories.assign(x)
    change = np.flatnonzero(np.diff(label))
    low, high = x[change].copy(), x[change + 1].copy()
    for _ in range(40):
        middle = 0.5 * (low + high)
        same = categories.assign(middle) == label[change]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    ends = [feature.low, *high.tolist(), feature.high]
    labels = [int(label[0]), *(int(label[i + 1]) for i in change)]
    return [Interval(a, b, k) for a, b, k in zip(ends[:-1], ends[1:], labels, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Components:
    """Mixture components in one discriminant.

    Attributes
    ----------
    x
        Positions, shape ``(N,)``.
    density
        Weight times density in the coordinate of the mixture, shape ``(N, K)``.
    membership
        Probability of each category, shape ``(N, K)``; the rows sum to one.
    intervals
        The stretches in which each category wins.
    label
        Title of the x axis.
    feature
        Where given, the x axis is drawn in its stretched coordinate.
    """

    x: FloatArray
    density: FloatArray
    membership: FloatArray
    intervals: Sequence[Interval]
    label: str
    feature: Feature | None = None


def components_of(
    categories: MixtureCategories, *, n_points: int = 1000, temperature: float = 1.0
) -> Components:
    """Densities and memberships of the components of a mixture in one discriminant.

    Components that share a category are added.
    """
    feature = categories.features[0]
    x = feature.edges(n_points - 1)
    log_density = categories.log_posterior(feature.stretch(x)[:, None])
    log_density -= 0.5 * np.log(2 * np.pi)
    soft = np.exp((log_density - log_density.max(axis=1, keepdims=True)) / temperature)
    soft /= soft.sum(axis=1, keepdims=True)
    one_hot = np.eye(categories.n_categories)[categories.label]
    return Components(
        x=x,
        density=np.exp(log_density) @ one_hot,
        membership=soft @ one_hot,
        intervals=intervals_of(categories),
        label=feature.name,
        feature=feature,
    )


def draw_components(components: Components, style: Style) -> Figure:
    """Draw the weighted components above the memberships, with the boundaries through both."""
    k = components.density.shape[1]
    colours = category_colours(k)
    size = (8.0, 8.0 if k < MAX_INNER_LEGEND else 8.8)
    with styled(style, size=size, heights=(1.5, 1.0)) as (figure, (ax, lower)):
        for c in range(k):
            for panel, curves in ((ax, components.density), (lower, components.membership)):
                panel.plot(components.x, curves[:, c], color=colours[c], label=str(c))
        for panel in (ax, lower):
            for interval in components.intervals:
                panel.axvspan(
                    interval.low, interval.high, color=colours[interval.category], alpha=0.13, lw=0
                )
        ax.set_ylabel("Weight × density")
        lower.set_ylabel("Membership")
        lower.set_xlabel(components.label)
        _show_range(lower, components)
        lower.set_ylim(0.0, 1.12)
        add_label(ax, style, energy=False)
        if k < MAX_INNER_LEGEND:
            ax.legend(title="Category", loc="upper right", ncols=min(k, 5), columnspacing=0.9)
        else:
            _legend_below(figure, ax)
        peaks = components.density.max(axis=0)
        # Narrow components tower over broad ones, which a linear axis would hide.
        if peaks.max() > PEAK_RATIO * peaks.min() > 0:
            free = head_room(ax, float(peaks.min()) / 10, float(peaks.max()), log=True)
        else:
            free = head_room(ax, 0.0, float(peaks.max()) or 1.0)
        for inner in components.intervals[1:]:
            for panel, height in ((ax, free), (lower, 1.0)):
                panel.axvline(inner.low, 0, height, color="black", lw=1.0, ls=(0, (4, 3)))
    return figure


def _legend_below(figure: Figure, ax: Axes) -> None:
    """A legend of the categories under all panels, to be read line by line."""
    handles, labels = ax.get_legend_handles_labels()
    n_columns = -(-len(labels) // -(-len(labels) // MAX_INNER_LEGEND))  # equally long lines
    order = [i for column in range(n_columns) for i in range(column, len(labels), n_columns)]
    figure.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        title="Category",
        loc="outside lower center",
        ncols=n_columns,
        columnspacing=0.9,
        handlelength=1.2,
    )


def _show_range(ax: Axes, components: Components) -> None:
    """All positions, or, on a stretched axis, those where a component is not negligible."""
    low, high = float(components.x[0]), float(components.x[-1])
    if components.feature is None or components.feature.scale == "linear":
        ax.set_xlim(low, high)
        return
    total = components.density.sum(axis=1)
    high_enough = components.x[total > 1e-3 * total.max()]
    ends = [i.low for i in components.intervals[1:]]
    low, high = (float(f([*high_enough[[0, -1]], *ends])) for f in (min, max))
    stretch_x(ax, components.feature, low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class Regions:
    """Categories on a grid over two discriminants.

    Attributes
    ----------
    x_edges, y_edges
        Edges of the grid cells.
    category
        Category of each cell, shape ``(len(x_edges) - 1, len(y_edges) - 1)``; -1 is left white.
    n_categories
        Number of categories.
    ellipses
        Outlines of the components, ``(category, points (P, 2))``.
    labels
        Titles of the axes.
    features
        Where given, the axes are drawn in the stretched coordinates of these discriminants.
    """

    x_edges: FloatArray
    y_edges: FloatArray
    category: IntArray
    n_categories: int
    labels: tuple[str, str]
    ellipses: Sequence[tuple[int, FloatArray]] = ()
    features: tuple[Feature, Feature] | None = None


def regions_of(
    categories: Categories,
    *,
    n_cells: int = 250,
    occupied: npt.NDArray[np.bool_] | None = None,
    n_sigma: float = 1.0,
) -> Regions:
    """Categories on a grid over two discriminants, with ellipses for a mixture.

    The grid is even in the stretched coordinates.

    Parameters
    ----------
    categories
        Of two discriminants.
    n_cells
        Cells along each axis.
    occupied
        Boolean image of where events are, even in the stretched coordinates over both ranges; the
        rest stays white.
    n_sigma
        Size of the ellipses in standard deviations.

    Raises
    ------
    InputError
        If there are not two discriminants.
    """
    if len(categories.features) != 2:
        raise InputError(
            f"categories: regions need two discriminants (got {len(categories.features)})"
        )
    first, second = categories.features
    edges = [f.edges(n_cells) for f in (first, second)]
    x, y = (
        f.unstretch(0.5 * (f.stretch(e)[1:] + f.stretch(e)[:-1]))
        for f, e in zip((first, second), edges, strict=True)
    )
    grid = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    label = categories.assign(grid).reshape(n_cells, n_cells)
    if occupied is not None:
        index = [(np.arange(n_cells) * size) // n_cells for size in occupied.shape]
        label = np.where(occupied[np.ix_(*index)], label, -1)
    ellipses: list[tuple[int, FloatArray]] = []
    if isinstance(categories, MixtureCategories):
        angle = np.linspace(0, 2 * np.pi, 100)
        circle = n_sigma * np.stack([np.cos(angle), np.sin(angle)])
        for k, (mean, factor) in enumerate(
            zip(categories.means, categories.scale_tril, strict=True)
        ):
            u = mean[:, None] + factor @ circle
            points = np.stack([first.unstretch(u[0]), second.unstretch(u[1])], axis=-1)
            ellipses.append((int(categories.label[k]), points))
    return Regions(
        x_edges=edges[0],
        y_edges=edges[1],
        category=label,
        n_categories=categories.n_categories,
        labels=(first.name, second.name),
        ellipses=ellipses,
        features=(first, second),
    )


def _centre_of(mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """A cell deep inside a region: the one that survives erosion longest."""
    while True:
        padded = np.pad(mask, 1)
        inner = mask & padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2]
        if not inner.any():
            cells = np.argwhere(mask)
            middle = cells.mean(axis=0)
            best = cells[np.square(cells - middle).sum(axis=1).argmin()]
            return int(best[0]), int(best[1])
        mask = inner


def draw_regions(regions: Regions, style: Style) -> Figure:
    """Draw the category of each point of a plane, numbered, with the components' ellipses."""
    k = regions.n_categories
    colours = category_colours(k)
    with styled(style, size=(8.6, 7.4)) as (figure, (ax,)):
        image = np.ma.masked_less(regions.category.T, 0)
        drawn = ax.pcolormesh(
            regions.x_edges,
            regions.y_edges,
            image,
            cmap=ListedColormap(colours),
            norm=BoundaryNorm(np.arange(k + 1) - 0.5, k),
            rasterized=True,
        )
        for _, points in regions.ellipses:
            ax.plot(points[:, 0], points[:, 1], color="white", lw=2.2, zorder=3)
            ax.plot(points[:, 0], points[:, 1], color="black", lw=1.0, ls="--", zorder=3)
        _number(ax, regions)
        bar = figure.colorbar(drawn, ax=ax, ticks=np.arange(0, k, max(1, k // 20)), pad=0.02)
        bar.ax.tick_params(which="minor", right=False)
        bar.set_label("Category")
        ax.set_xlabel(regions.labels[0])
        ax.set_ylabel(regions.labels[1])
        _limit(ax, regions)
        add_label(ax, style, energy=False)
    return figure


def _limit(ax: Axes, regions: Regions) -> None:
    """All of the plane, or, on stretched axes, the part that is not empty."""
    there = regions.category >= 0
    for axis, (edges, stretch) in enumerate(
        ((regions.x_edges, stretch_x), (regions.y_edges, stretch_y))
    ):
        feature = None if regions.features is None else regions.features[axis]
        low, high = float(edges[0]), float(edges[-1])
        if feature is None or feature.scale == "linear":
            (ax.set_xlim if axis == 0 else ax.set_ylim)(low, high)
            continue
        filled = np.flatnonzero(there.any(axis=1 - axis))
        if len(filled):
            low, high = float(edges[filled[0]]), float(edges[filled[-1] + 1])
        stretch(ax, feature, low=low, high=high)


def _number(ax: Axes, regions: Regions) -> None:
    smallest = 0.0004 * regions.category.size
    for c in range(regions.n_categories):
        mask = regions.category == c
        if mask.sum() < smallest:
            continue
        i, j = _centre_of(mask)
        x = 0.5 * (regions.x_edges[i] + regions.x_edges[i + 1])
        y = 0.5 * (regions.y_edges[j] + regions.y_edges[j + 1])
        ax.text(
            float(x),
            float(y),
            str(c),
            ha="center",
            va="center",
            fontsize=15,
            fontweight="bold",
            color="black",
            path_effects=[withStroke(linewidth=3, foreground="white")],
            zorder=4,
        )
