"""The documented names, their parameters, and what importing them costs."""

import inspect
import subprocess
import sys

import pytest

import gato_coffea.gato

SIGNATURES = """
gato_gmm_model(
    n_cats, dim, temperature=1.0, mean_norm="softmax", mean_range=(0.0, 1.0),
    cov_offdiag_damping=0.1, name="gato_gmm_model")
gato_gmm_model.call(self, data_dict)
gato_gmm_model.compute_hard_bkg_stats(self, data_dict, signal_labels=None, eps=1e-8)
gato_gmm_model.get_bias(self, data_dict, temperature=None, eps=1e-8)
gato_gmm_model.get_bin_indices(self, data, temperature=None)
gato_gmm_model.get_differentiable_significance(
    self, data_dict, *, signal_labels, background_reweight=None, reweight_processes=None,
    return_details=False)
gato_gmm_model.get_effective_boundaries_1d(self, *, n_points=100_000, return_mapping=False)
gato_gmm_model.get_effective_means(self)
gato_gmm_model.get_effective_parameters(self)
gato_gmm_model.get_mixture_pdf(self)
gato_gmm_model.get_mixture_weight(self)
gato_gmm_model.get_probs(self, data, temperature=None)
gato_gmm_model.get_scale_tril(self)
gato_gmm_model.restore(self, path)
gato_gmm_model.save(self, path)
gato_sigmoid_model(variables_config, *, global_steepness=5.0, name="gato_sigmoid_model")
gato_sigmoid_model.calculate_boundaries(self, j=0)
gato_sigmoid_model.call(self, data_dict)
gato_sigmoid_model.compute_hard_bkg_stats(self, data_dict, signal_labels=None, eps=1e-8)
gato_sigmoid_model.get_bias(self, data_dict, *, steepness_scale=None, eps=1e-8)
gato_sigmoid_model.get_bin_indices(self, data, *, steepness_scale=None)
gato_sigmoid_model.get_differentiable_significance(
    self, data_dict, *, signal_labels, background_reweight=None, reweight_processes=None,
    return_details=False)
gato_sigmoid_model.get_probs(self, data, *, steepness_scale=None)
gato_sigmoid_model.restore(self, path)
gato_sigmoid_model.save(self, path)
TemperatureScheduler(
    model, t_initial=1.0, t_final=0.01, *, total_epochs=100, mode="exponential", verbose=False)
TemperatureScheduler.update(self, epoch)
SteepnessScheduler(
    model, t_initial=1.0, t_final=0.01, *, total_epochs=100, mode="exponential", verbose=False)
SteepnessScheduler.update(self, epoch)
LearningRateScheduler(
    optimizer, lr_initial=0.5, lr_final=0.001, *, total_epochs=100, mode="cosine", verbose=False)
LearningRateScheduler.update(self, epoch)
asymptotic_significance(S, B, eps=1e-9)
compute_significance_from_hists(h_signal, h_bkg_list)
safe_sigmoid(z, steepness)
low_bkg_penalty(bkg_yields, threshold=10.0)
high_bkg_uncertainty_penalty(bkg_sumsq, bkg_yields, rel_threshold=0.2)
create_hist(data, weights=None, bins=50, low=0.0, high=1.0, name="NN_output")
df_dict_to_tensors(data_dict)
convert_mass_data_to_tensors(data_dict)
slice_to_2d_features(data_dict)
align_boundary_tracks(history, dist_tol=0.02, gap_max=20)
build_mass_histograms(data_dict, *, bins=60, mass_range=(100.0, 180.0), axis_name="mass")
build_category_mass_maps(
    assignments, data_dict, n_cats, *, bins=40, mass_range=(100.0, 180.0), axis_name="mass")
compute_mass_reweight_factors(
    model, data_dict, *, signal_labels=None, feature_key="NN_output", mass_column="mass",
    weight_column="weight", mass_sb_low=100.0, mass_sb_high=180.0, mass_sig_low=123.5,
    mass_sig_high=126.5, nbins=10)
sample_truncated_exponential(rng, slope, size, *, low, high)
generate_toy_data_1D(
    n_signal=100_000, n_bkg=100_000, xs_signal=0.5, xs_bkg1=100, xs_bkg2=80, xs_bkg3=50,
    xs_bkg4=20, xs_bkg5=10, lumi=100, noise_scale=0.3, seed=42)
generate_toy_data_3class_3D(
    n_signal1=100_000, n_signal2=100_000, n_bkg=500_000, xs_signal1=0.5, xs_signal2=0.1,
    xs_bkg1=100, xs_bkg2=80, xs_bkg3=50, xs_bkg4=20, xs_bkg5=10, lumi=100, noise_scale=0.3,
    seed=42)
generate_resonance_toy_data(
    n_signal1=60_000, n_signal2=60_000, n_bkg=400_000, *, noise_scale=0.2, mass_sigma=1.5,
    seed=7, background_slopes=None)
plot_stacked_histograms(
    stacked_hists, process_labels, output_filename="./plot.pdf",
    axis_labels=("x-axis", "Events"), signal_hists=None, signal_labels=None, normalize=False,
    log=False, log_min=None, return_figure=False, ax=None)
plot_history(
    history_data, output_filename, y_label="Value", x_label="Epoch", boundaries=False,
    boundary_labels=None, title=None, log_scale=False)
plot_bias_history(
    mean_bias_list, output_filename, *, epochs=None, temp_points=None,
    temp_label="Temperature", log_scale=False)
plot_gmm_1d(model, output_filename, x_range=(0.0, 1.0), n_points=10_000)
plot_significance_comparison(
    baseline_results, optimized_results, output_filename, fig_size=(8, 6))
plot_yield_vs_uncertainty(
    B_sorted, rel_unc_sorted, output_filename, log=False, x_label="Bin index",
    y_label_left="Background yield", y_label_right="Rel. stat. unc.", fig_size=(8, 6))
plot_bin_boundaries_2D(model, bin_order, path_plot, *, resolution=1000, annotation=None)
plot_learned_gaussians(
    data, model, dim_x, dim_y, output_filename, conf_level=2.3, inv_mapping=None, reduce=False)
plot_category_mass_spectra(per_cat_hists, out_dir, *, sig_scales=(50, 200))
plot_inclusive_mass(
    data, out_dir, *, sig_scales=(50, 200), bins=60, mass_range=(100.0, 180.0))
assign_bins_and_order(model, data, reduce=False, eps=1e-6)
fill_histogram_from_assignments(assignments, weights, nbins, name="BinAssignments")
get_distinct_colors(n)
make_gif(frame_files, out_name, interval=800)
"""


def documented():
    """Name and signature of every line of the table, which continues where it is indented."""
    for line in SIGNATURES.strip().replace("\n    ", " ").splitlines():
        name, _, parameters = line.partition("(")
        yield name, f"({parameters}"


def signature(parameters):
    namespace = {}
    exec(f"def stub{parameters}: ...", namespace)
    return inspect.signature(namespace["stub"])


@pytest.mark.parametrize(("name", "parameters"), list(documented()))
def test_documented_signature(name, parameters):
    owner, _, method = name.partition(".")
    assert owner in gato_coffea.gato.__all__
    found = getattr(gato_coffea.gato, owner)
    found = getattr(found, method) if method else found
    assert found.__doc__
    parts = [
        {key: (p.kind, p.default) for key, p in given.parameters.items()}
        for given in (inspect.signature(found), signature(parameters))
    ]
    ours, wanted = parts
    assert list(ours)[: len(wanted)] == list(wanted)
    assert {key: ours[key] for key in wanted} == wanted
    # What is more than documented is never in the way.
    for key in ours.keys() - wanted.keys():
        kind, default = ours[key]
        assert kind is inspect.Parameter.KEYWORD_ONLY
        assert default is not inspect.Parameter.empty


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
        "import gato_coffea.categories.boundaries, gato_coffea.gato.initial",
    ],
)
def test_numpy_modules_load_no_tensorflow(statement):
    code = f"{statement}; import sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
