"""The optimiser, and the documented names of its interface.

Each name is imported from its module when first asked for: importing this package loads no
TensorFlow, and the modules that need NumPy alone work without it.
"""

from __future__ import annotations

import importlib
from typing import Any

from gato_coffea.errors import EXTRAS, NotInstalledError, install_hint

_MODULES = {
    "gato.plots": (
        "plot_bias_history",
        "plot_category_mass_spectra",
        "plot_history",
        "plot_inclusive_mass",
        "plot_significance_comparison",
        "plot_stacked_histograms",
        "plot_yield_vs_uncertainty",
    ),
    "gato.model_plots": (
        "assign_bins_and_order",
        "fill_histogram_from_assignments",
        "get_distinct_colors",
        "make_gif",
        "plot_bin_boundaries_2D",
        "plot_gmm_1d",
        "plot_learned_gaussians",
    ),
    "categories.boundaries": ("align_boundary_tracks",),
    "gato.convert": ("convert_mass_data_to_tensors", "df_dict_to_tensors", "slice_to_2d_features"),
    "gato.histograms": (
        "build_category_mass_maps",
        "build_mass_histograms",
        "compute_significance_from_hists",
        "create_hist",
    ),
    "gato.mass": ("compute_mass_reweight_factors", "differentiable_mass_factors"),
    "gato.model": ("GaussianMixtureModel", "gato_gmm_model"),
    "optimisation.training.objective": ("asymptotic_significance",),
    "optimisation.training.penalties": ("high_bkg_uncertainty_penalty", "low_bkg_penalty"),
    "gato.schedules": ("LearningRateScheduler", "SteepnessScheduler", "TemperatureScheduler"),
    "gato.sigmoid": ("SigmoidModel", "gato_sigmoid_model"),
    "optimisation.training.edges": ("safe_sigmoid",),
    "gato.toy_frames": (
        "generate_resonance_toy_data",
        "generate_toy_data_1D",
        "generate_toy_data_3class_3D",
    ),
    "datasets.toys": ("sample_truncated_exponential",),
}
_HOME = {name: f"gato_coffea.{module}" for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        raise NotInstalledError(f"{name} {install_hint(error.name)}") from None


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
