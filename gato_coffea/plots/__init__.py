"""Plots: values in, matplotlib figures out; `draw_run` writes all of a run."""

from gato_coffea.plots.documented import (
    plot_bias_history,
    plot_category_mass_spectra,
    plot_history,
    plot_inclusive_mass,
    plot_significance_comparison,
    plot_stacked_histograms,
    plot_yield_vs_uncertainty,
)
from gato_coffea.plots.documented_models import (
    assign_bins_and_order,
    fill_histogram_from_assignments,
    get_distinct_colors,
    make_gif,
    plot_bin_boundaries_2D,
    plot_gmm_1d,
    plot_learned_gaussians,
)
from gato_coffea.plots.run import draw_run, run_figures
from gato_coffea.plots.style import Style, save, save_as

__all__ = [
    "Style",
    "assign_bins_and_order",
    "draw_run",
    "fill_histogram_from_assignments",
    "get_distinct_colors",
    "make_gif",
    "plot_bias_history",
    "plot_bin_boundaries_2D",
    "plot_category_mass_spectra",
    "plot_gmm_1d",
    "plot_history",
    "plot_inclusive_mass",
    "plot_learned_gaussians",
    "plot_significance_comparison",
    "plot_stacked_histograms",
    "plot_yield_vs_uncertainty",
    "run_figures",
    "save",
    "save_as",
]
