"""The documented names, and what importing them costs."""

import subprocess
import sys

import pytest

import gato_coffea.gato

DOCUMENTED = [
    "gato_gmm_model",
    "gato_sigmoid_model",
    "TemperatureScheduler",
    "SteepnessScheduler",
    "LearningRateScheduler",
    "asymptotic_significance",
    "compute_significance_from_hists",
    "safe_sigmoid",
    "low_bkg_penalty",
    "high_bkg_uncertainty_penalty",
    "create_hist",
    "df_dict_to_tensors",
    "convert_mass_data_to_tensors",
    "slice_to_2d_features",
    "align_boundary_tracks",
    "build_mass_histograms",
    "build_category_mass_maps",
    "compute_mass_reweight_factors",
    "sample_truncated_exponential",
    "generate_toy_data_1D",
    "generate_toy_data_3class_3D",
    "generate_resonance_toy_data",
]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_name_is_there_and_has_a_docstring(name):
    assert name in gato_coffea.gato.__all__
    assert getattr(gato_coffea.gato, name).__doc__


def test_every_listed_name_is_there():
    for name in gato_coffea.gato.__all__:
        assert callable(getattr(gato_coffea.gato, name))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'gato_magic_model'"):
        _ = gato_coffea.gato.gato_magic_model
    assert "gato_gmm_model" in dir(gato_coffea.gato)


@pytest.mark.parametrize(
    "statement",
    [
        "import gato_coffea.gato",
        "from gato_coffea.gato import generate_toy_data_1D, create_hist, TemperatureScheduler",
        "import gato_coffea.gato.boundaries, gato_coffea.gato.initial, gato_coffea.ntuples",
    ],
)
def test_numpy_modules_load_no_tensorflow(statement):
    code = f"{statement}; import sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
