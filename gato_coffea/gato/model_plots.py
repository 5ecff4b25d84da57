"""The documented functions that take a trained model: components, Gaussians, regions, bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hist
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from gato_coffea.categories import MixtureCategories
from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.files import replacing
from gato_coffea.gato.plots import PLAIN, SIGNAL_PREFIX, PathLike
from gato_coffea.plots.categories import (
    Components,
    Regions,
    category_colours,
    components_of,
    draw_components,
    draw_regions,
)
from gato_coffea.plots.contents import Interval
from gato_coffea.plots.style import DASHES, FILLS, LINES, add_legend, save_as, styled

MAX_POINTS = 2000
"""Events a process that are scattered; more would only make the file large."""


def _parameters(model: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log weights ``(K,)``, means ``(K, D)`` and Cholesky factors ``(K, D, D)`` of a model."""
    if isinstance(model, MixtureCategories):
        return model.log_weights, model.means, model.scale_tril
    parts = (model.get_mixture_weight(), model.get_effective_means(), model.get_scale_tril())
    weight, mean, factor = (np.asarray(part, dtype=np.float64) for part in parts)
    return weight, mean, factor


def plot_gmm_1d(
    model: object,
    output_filename: PathLike,
    x_range: tuple[float, float] = (0.0, 1.0),
    n_points: int = 10_000,
) -> Figure:
    """Draw the weighted components of a one-dimensional mixture and their memberships.

    Parameters
    ----------
    model
        A `gato_gmm_model`, or `MixtureCategories` of one discriminant.
    output_filename
        File to write.
    x_range, n_points
        Positions at which the components are drawn.

    Raises
    ------
    InputError
        If the model has more than one dimension.
    """
    if isinstance(model, MixtureCategories):
        components = components_of(model, n_points=n_points)
    else:
        components = _model_components(model, np.linspace(*x_range, n_points))
    figure = draw_components(components, PLAIN)
    save_as(figure, Path(output_filename))
    return figure


def _model_components(model: Any, x: FloatArray) -> Components:
    log_weight, means, factors = _parameters(model)
    if means.shape[1] != 1:
        raise InputError(f"plot_gmm_1d: needs one dimension (got {means.shape[1]})")
    order = np.argsort(means[:, 0])
    mean, sigma = means[order, 0], np.abs(factors[order, 0, 0])
    log_density = log_weight[order] - np.log(sigma * np.sqrt(2 * np.pi))
    log_density = log_density - 0.5 * np.square((x[:, None] - mean) / sigma)
    scaled = (log_density - log_density.max(axis=1, keepdims=True)) / float(model.temperature)
    soft = np.exp(scaled)
    best = log_density.argmax(axis=1)
    change = np.flatnonzero(np.diff(best))
    ends = [float(x[0]), *(0.5 * (x[change] + x[change + 1])).tolist(), float(x[-1])]
    labels = [int(best[0]), *best[change + 1].tolist()]
    intervals = [Interval(a, b, k) for a, b, k in zip(ends[:-1], ends[1:], labels, strict=True)]
    return Components(
        x=x,
        density=np.exp(log_density),
        membership=soft / soft.sum(axis=1, keepdims=True),
        intervals=intervals,
        label="Discriminant",
    )


def _assign(model: Any, x: FloatArray) -> IntArray:
    """Component, or category, of each event."""
    if isinstance(model, MixtureCategories):
        return model.assign(x)
    return np.asarray(model.get_bin_indices(x.astype(np.float32))).astype(np.int64)


def _scores(value: Any) -> FloatArray:
    """Discriminants of one process, shape ``(N, D)``, from a DataFrame or a mapping."""
    column = value["NN_output"]
    array = np.asarray(column)
    array = np.stack(list(array)) if array.dtype == object else array
    array = array.astype(np.float64)
    return array[:, None] if array.ndim == 1 else array


def plot_learned_gaussians(
    data: Mapping[str, object],
    model: object,
    dim_x: int,
    dim_y: int,
    output_filename: PathLike,
    conf_level: float = 2.3,
    inv_mapping: Mapping[int, int] | None = None,
    reduce: bool = False,
) -> Figure:
    """Draw the components as ellipses over the events, in two of the dimensions.

    Parameters
    ----------
    data
        By process, something with a column ``NN_output`` of vectors.
    model
        A `gato_gmm_model` or `MixtureCategories`.
    dim_x, dim_y
        The dimensions.
    output_filename
        File to write.
    conf_level
        Squared radius of the ellipses in standard deviations; 2.3 holds 68 %.
    inv_mapping
        Component of each category; the same numbers by default.
    reduce
        Take means as logits: send them through a softmax first.
    """
    _, means, factors = _parameters(model)
    if reduce:
        raised = np.exp(means - means.max(axis=1, keepdims=True))
        means = raised / raised.sum(axis=1, keepdims=True)
    covariance = factors @ np.swapaxes(factors, 1, 2)
    pick = np.ix_(range(len(means)), (dim_x, dim_y), (dim_x, dim_y))
    roots = np.linalg.cholesky(covariance[pick])
    angle = np.linspace(0, 2 * np.pi, 120)
    circle = np.sqrt(conf_level) * np.stack([np.cos(angle), np.sin(angle)])
    number = {k: k for k in range(len(means))}
    if inv_mapping is not None:
        number = {int(old): int(new) for new, old in inv_mapping.items()}
    colours = category_colours(len(means))
    with styled(PLAIN, size=(8.4, 7.8)) as (figure, (ax,)):
        palette = (*LINES[:2], *FILLS)
        for i, (name, value) in enumerate(data.items()):
            x = _scores(value)
            step = max(1, len(x) // MAX_POINTS)
            ax.plot(
                x[::step, dim_x],
                x[::step, dim_y],
                ".",
                markersize=2.5,
                alpha=0.35,
                color=palette[i % len(palette)],
                rasterized=True,
            )
            ax.plot([], [], "o", color=palette[i % len(palette)], label=name)
        for k, (mean, root) in enumerate(zip(means[:, [dim_x, dim_y]], roots, strict=True)):
            outline = mean[:, None] + root @ circle
            c = number.get(k, k)
            ax.plot(*outline, color="white", linewidth=3.4)
            ax.plot(*outline, color=colours[c % len(colours)], linewidth=2.0, ls=DASHES[0])
            _number(ax, mean, c)
        ax.set_xlabel(f"Discriminant {dim_x}")
        ax.set_ylabel(f"Discriminant {dim_y}")
        for d, limit in ((dim_x, ax.set_xlim), (dim_y, ax.set_ylim)):
            every = np.concatenate([_scores(value)[:, d] for value in data.values()])
            pad = 0.08 * float(np.ptp(every)) or 0.5
            limit(float(every.min()) - pad, float(every.max()) + pad)
        legend = add_legend(ax, n_columns=2)
        legend.set_frame_on(True)
    save_as(figure, Path(output_filename))
    return figure


def _number(ax: Any, at: FloatArray, category: int) -> None:
    box = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "alpha": 0.85, "lw": 0.6}
    ax.text(at[0], at[1], str(category), ha="center", va="center", fontsize=12, bbox=box)


def plot_bin_boundaries_2D(  # noqa: N802  (the documented name)
    model: Any,
    bin_order: Sequence[int],
    path_plot: PathLike,
    *,
    resolution: int = 1000,
    annotation: str | None = None,
) -> Figure:
    """Draw the hard categories of a two-dimensional model on the triangle ``x + y <= 1``.

    Parameters
    ----------
    model
        A `gato_gmm_model` or `MixtureCategories`.
    bin_order
        Components in the order in which they are numbered.
    path_plot
        File to write.
    resolution
        Grid cells along each axis.
    annotation
        Text in the upper right corner.
    """
    edges = np.linspace(0.0, 1.0, resolution + 1)
    centers = 0.5 * (edges[1:] + edges[:-1])
    x, y = np.meshgrid(centers, centers, indexing="ij")
    inside = x + y <= 1
    component = _assign(model, np.stack([x[inside], y[inside]], axis=-1))
    rank = np.full(max(int(component.max()), max(bin_order)) + 1, -1, dtype=np.int64)
    rank[np.asarray(bin_order, dtype=np.int64)] = np.arange(len(bin_order))
    category = np.full(x.shape, -1, dtype=np.int64)
    category[inside] = np.where(component < 0, -1, rank[component])
    regions = Regions(
        x_edges=edges,
        y_edges=edges,
        category=category,
        n_categories=len(bin_order),
        labels=("Discriminant 0", "Discriminant 1"),
    )
    figure = draw_regions(regions, PLAIN)
    if annotation:
        figure.axes[0].text(
            0.97,
            0.95,
            annotation,
            ha="right",
            va="top",
            fontsize=16,
            transform=figure.axes[0].transAxes,
        )
    save_as(figure, Path(path_plot))
    return figure


def assign_bins_and_order(
    model: Any, data: Mapping[str, Any], reduce: bool = False, eps: float = 1e-6
) -> tuple[dict[str, IntArray], list[int], FloatArray, dict[int, int]]:
    """Categories of events, numbered from the least to the most significant component.

    Parameters
    ----------
    model
        A `gato_gmm_model` or `MixtureCategories`.
    data
        By process, something with columns ``NN_output`` and ``weight``; processes whose names
        begin with ``signal`` are signals.
    reduce
        Leave out the discriminants beyond those of the model, such as the last of the class
        probabilities.
    eps
        Smallest background that is divided by.

    Returns
    -------
    assignments, order, significances, inverse
        Number of each event's component by process, -1 for an event without one; the components
        in the order of their numbers; their S / sqrt(B) in that order; and the component of each
        number.
    """
    assignments: dict[str, IntArray] = {}
    yields: dict[str, FloatArray] = {}
    n, dim = _parameters(model)[1].shape
    for name, value in data.items():
        x = _scores(value)
        found = _assign(model, x[:, :dim] if reduce else x)
        assignments[name] = found
        weight = np.asarray(value["weight"], dtype=np.float64)
        yields[name] = np.bincount(found + 1, weight, n + 1)[1:].astype(np.float64)
    zero = np.zeros(n)
    signal = sum((y for p, y in yields.items() if p.startswith(SIGNAL_PREFIX)), zero)
    background = sum((y for p, y in yields.items() if not p.startswith(SIGNAL_PREFIX)), zero)
    significance = signal / np.sqrt(np.maximum(background, eps))
    order = [int(k) for k in np.argsort(significance, kind="stable")]
    number = np.append(np.argsort(order), -1)
    assignments = {name: number[found] for name, found in assignments.items()}
    return assignments, order, significance[order], dict(enumerate(order))


def fill_histogram_from_assignments(
    assignments: npt.ArrayLike,
    weights: npt.ArrayLike,
    nbins: int,
    name: str = "BinAssignments",
) -> hist.Hist[Any]:
    """A weighted histogram with one bin a category."""
    h: hist.Hist[Any] = hist.Hist(
        hist.axis.Regular(nbins, 0, nbins, name=name), storage=hist.storage.Weight()
    )
    h.fill(np.asarray(assignments, dtype=np.float64), weight=np.asarray(weights))
    return h


def get_distinct_colors(n: int) -> list[tuple[float, float, float]]:
    """``n`` colours that differ, as red, green and blue between 0 and 1."""
    return [(r, g, b) for r, g, b, _ in category_colours(n)]


def make_gif(frame_files: Sequence[PathLike], out_name: PathLike, interval: int = 800) -> Path:
    """Join images into an animated GIF, each shown for ``interval`` milliseconds.

    Raises
    ------
    InputError
        If there is no image.
    """
    if not frame_files:
        raise InputError("make_gif: needs one frame at least (got none)")
    frames = []
    for name in frame_files:
        with Image.open(name) as image:
            frames.append(image.convert("RGB").quantize(128))
    path = Path(out_name)
    with replacing(path) as aside:
        frames[0].save(aside, save_all=True, append_images=frames[1:], duration=interval, loop=0)
    return path
