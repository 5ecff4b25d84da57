"""The documented plot functions: each draws what it is given and writes the file it is told.

They draw with the functions of this package, in the plain style. A missing folder is made; a file
name without a suffix becomes a PDF.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hist
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gato_coffea.categories.axes import MASS
from gato_coffea.categories.templates import Contents
from gato_coffea.errors import InputError
from gato_coffea.plots.contents import Stack, scale_label
from gato_coffea.plots.significance import draw_comparison, draw_yield_and_uncertainty
from gato_coffea.plots.stacks import draw_stack_on
from gato_coffea.plots.style import Style, save_as, styled
from gato_coffea.plots.training import draw_bias, draw_boundaries, draw_values

PLAIN = Style(experiment="plain", label="")
"""The style of the documented functions: no name, no energy."""

SIGNAL_PREFIX = "signal"
"""Processes whose names begin so count as signals where no list of signals is given."""

PathLike = str | os.PathLike[str]


def contents_of(histogram: hist.Hist[Any]) -> Contents:
    """Values and variances of a one-dimensional histogram."""
    values = np.asarray(histogram.values(), dtype=np.float64)
    if values.ndim != 1:
        raise InputError(f"histogram: must have one axis (got {values.ndim})")
    variances = histogram.variances()
    spread = np.abs(values) if variances is None else np.asarray(variances, dtype=np.float64)
    return Contents(values, spread)


def _normalised(parts: Mapping[str, Contents], total: float) -> dict[str, Contents]:
    factor = 1.0 / total if total != 0 else 1.0
    return {n: Contents(c.values * factor, c.variances * factor**2) for n, c in parts.items()}


def plot_stacked_histograms(
    stacked_hists: Sequence[hist.Hist[Any]],
    process_labels: Sequence[str],
    output_filename: PathLike | None = "./plot.pdf",
    axis_labels: tuple[str, str] = ("x-axis", "Events"),
    signal_hists: Sequence[hist.Hist[Any]] | None = None,
    signal_labels: Sequence[str] | None = None,
    normalize: bool = False,
    log: bool = False,
    log_min: float | None = None,
    return_figure: bool = False,
    ax: Axes | None = None,
) -> Figure | tuple[Figure, Axes]:
    """Draw stacked backgrounds with signals as lines.

    Parameters
    ----------
    stacked_hists, process_labels
        Backgrounds and their names.
    output_filename
        File to write.
    axis_labels
        Titles of the axes.
    signal_hists, signal_labels
        Signals and their names; drawn as they are.
    normalize
        Scale the sum of the backgrounds to one, and each signal to one.
    log, log_min
        Logarithmic y axis, and its lower end.
    return_figure
        Return figure and axes, and write nothing.
    ax
        Draw into these axes, and write nothing.

    Returns
    -------
    Figure or (Figure, Axes)
        The figure, with its axes where ``return_figure`` is true.

    Raises
    ------
    InputError
        If there is no background, or names and histograms differ in number.
    """
    if not stacked_hists:
        raise InputError("plot_stacked_histograms: stacked_hists must not be empty")
    backgrounds = _labelled(stacked_hists, process_labels, "process_labels")
    signals = _labelled(signal_hists or (), signal_labels or (), "signal_labels")
    if normalize:
        total = sum(float(c.values.sum()) for c in backgrounds.values())
        backgrounds = _normalised(backgrounds, total)
        signals = {
            name: _normalised({name: c}, float(c.values.sum()))[name]
            for name, c in signals.items()
        }
    stack = Stack(
        edges=np.asarray(stacked_hists[0].axes[0].edges, dtype=np.float64),
        backgrounds=backgrounds,
        signals=signals,
        label=axis_labels[0],
    )

    def draw(target: Axes) -> None:
        draw_stack_on(
            target, stack, signal_scale=1.0, log=log, bottom=log_min, y_label=axis_labels[1]
        )

    if ax is not None:
        draw(ax)
        figure = ax.get_figure(root=True)
        assert figure is not None
    else:
        with styled(PLAIN) as (figure, (ax,)):
            draw(ax)
        if not return_figure and output_filename is not None:
            save_as(figure, Path(output_filename))
    return (figure, ax) if return_figure else figure


def _labelled(
    histograms: Sequence[hist.Hist[Any]], labels: Sequence[str], key: str
) -> dict[str, Contents]:
    if len(histograms) != len(labels):
        raise InputError(
            f"{key}: needs one name per histogram (got {len(labels)} names for "
            f"{len(histograms)} histograms)"
        )
    if len(set(labels)) != len(labels):
        raise InputError(f"{key}: names must differ (got {list(labels)})")
    return {name: contents_of(h) for name, h in zip(labels, histograms, strict=True)}


def plot_history(
    history_data: Sequence[Any],
    output_filename: PathLike,
    y_label: str = "Value",
    x_label: str = "Epoch",
    boundaries: bool = False,
    boundary_labels: Sequence[str] | None = None,
    title: str | None = None,
    log_scale: bool = False,
) -> Figure:
    """Draw one number an epoch, or with ``boundaries`` a list of category boundaries an epoch."""
    if boundaries:
        figure = draw_boundaries(
            history_data,
            PLAIN,
            labels=boundary_labels,
            y_label=y_label,
            x_label=x_label,
            title=title,
        )
    else:
        figure = draw_values(
            history_data, PLAIN, y_label=y_label, x_label=x_label, title=title, log=log_scale
        )
    save_as(figure, Path(output_filename))
    return figure


def plot_bias_history(
    mean_bias_list: npt.ArrayLike,
    output_filename: PathLike,
    *,
    epochs: npt.ArrayLike | None = None,
    temp_points: npt.ArrayLike | None = None,
    temp_label: str = "Temperature",
    log_scale: bool = False,
) -> Figure:
    """Draw the mean bias by epoch, and the annealed parameter on a second axis where given."""
    figure = draw_bias(
        mean_bias_list,
        PLAIN,
        epochs=epochs,
        annealed=temp_points,
        annealed_label=temp_label,
        log=log_scale,
    )
    save_as(figure, Path(output_filename))
    return figure


def plot_significance_comparison(
    baseline_results: Mapping[str, Mapping[int, float]],
    optimized_results: Mapping[str, Mapping[int, float]],
    output_filename: PathLike,
    fig_size: tuple[float, float] = (8, 6),
) -> Figure:
    """Draw significance against number of bins, baseline and optimised, for each signal."""
    figure = draw_comparison(
        baseline_results,
        optimized_results,
        PLAIN,
        baseline_label="Equidistant bins",
        optimised_label="Optimised bins",
        size=fig_size,
    )
    save_as(figure, Path(output_filename))
    return figure


def plot_yield_vs_uncertainty(
    B_sorted: npt.ArrayLike,
    rel_unc_sorted: npt.ArrayLike,
    output_filename: PathLike,
    log: bool = False,
    x_label: str = "Bin index",
    y_label_left: str = "Background yield",
    y_label_right: str = "Rel. stat. unc.",
    fig_size: tuple[float, float] = (8, 6),
) -> Figure:
    """Draw the background yield of each category above its relative uncertainty."""
    figure = draw_yield_and_uncertainty(
        B_sorted,
        rel_unc_sorted,
        PLAIN,
        log=log,
        x_label=x_label,
        yield_label=y_label_left,
        uncertainty_label=y_label_right,
        size=fig_size,
    )
    save_as(figure, Path(output_filename))
    return figure


def _mass_stack(
    histograms: Mapping[str, hist.Hist[Any]], scales: Sequence[float]
) -> tuple[Stack, float]:
    """Backgrounds and scaled signals of mass histograms by process."""
    signals = [name for name in histograms if name.startswith(SIGNAL_PREFIX)]
    first = next(iter(histograms.values()))
    edges = np.asarray(first.axes[0].edges, dtype=np.float64)
    scaled = {}
    for i, name in enumerate(signals):
        factor = float(scales[i]) if i < len(scales) else 1.0
        c = contents_of(histograms[name])
        scaled[scale_label(name, factor)] = Contents(c.values * factor, c.variances * factor**2)
    stack = Stack(
        edges=edges,
        backgrounds={n: contents_of(h) for n, h in histograms.items() if n not in signals},
        signals=scaled,
        label="Mass",
        unit="GeV",
    )
    return stack, float(np.diff(edges).mean())


def _write_mass(stack: Stack, path: Path) -> list[Path]:
    written = []
    for end, log in (("", False), ("_log", True)):
        with styled(PLAIN) as (figure, (ax,)):
            draw_stack_on(ax, stack, signal_scale=1.0, log=log)
        written.append(save_as(figure, path.with_name(f"{path.name}{end}.pdf")))
    return written


def plot_inclusive_mass(
    data: Mapping[str, Any],
    out_dir: PathLike,
    *,
    sig_scales: Sequence[float] = (50, 200),
    bins: int = 60,
    mass_range: tuple[float, float] = (100.0, 180.0),
) -> list[Path]:
    """Draw the mass of all events, linear and logarithmic, as ``inclusive_mass*.pdf``.

    Parameters
    ----------
    data
        By process, something with columns ``mass`` in GeV and ``weight``.
    out_dir
        Folder to write to.
    sig_scales
        Factors of the signals in order; stated in the legend.
    bins, mass_range
        Binning, in GeV.

    Returns
    -------
    list of Path
        The files.
    """
    histograms = {}
    for name, columns in data.items():
        h = hist.Hist.new.Reg(bins, *mass_range, name=MASS).Weight()
        h.fill(np.asarray(columns["mass"]), weight=np.asarray(columns["weight"]))
        histograms[name] = h
    stack, _ = _mass_stack(histograms, sig_scales)
    return _write_mass(stack, Path(out_dir) / "inclusive_mass")


def plot_category_mass_spectra(
    per_cat_hists: Sequence[Mapping[str, hist.Hist[Any]]],
    out_dir: PathLike,
    *,
    sig_scales: Sequence[float] = (50, 200),
) -> list[Path]:
    """Draw the mass of each category, linear and logarithmic, as ``mass_category_<k>*.pdf``.

    Parameters
    ----------
    per_cat_hists
        What `build_category_mass_maps` returned.
    out_dir
        Folder to write to.
    sig_scales
        Factors of the signals in order; stated in the legend.

    Returns
    -------
    list of Path
        The files.
    """
    written: list[Path] = []
    for k, histograms in enumerate(per_cat_hists):
        stack, _ = _mass_stack(histograms, sig_scales)
        written += _write_mass(stack, Path(out_dir) / f"mass_category_{k}")
    return written
