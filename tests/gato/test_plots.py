"""The documented plot functions, called as in the worked example."""

from __future__ import annotations

from pathlib import Path

import hist
import numpy as np
import pytest
from matplotlib.patches import StepPatch

from gato_coffea import gato
from gato_coffea.errors import InputError
from gato_coffea.gato.toy_frames import generate_resonance_toy_data, generate_toy_data_1D

pytestmark = pytest.mark.usefixtures("untouched_pyplot")


def filled(values: np.ndarray, weights: np.ndarray, bins: int = 60) -> hist.Hist:
    h = hist.Hist(hist.axis.Regular(bins, 0, 1, name="x"), storage=hist.storage.Weight())
    h.fill(values, weight=weights)
    return h


@pytest.fixture(scope="module")
def toy() -> dict[str, hist.Hist]:
    data = generate_toy_data_1D(n_signal=1000, n_bkg=5000, seed=1)
    return {
        name: filled(np.asarray(frame["NN_output"]), np.asarray(frame["weight"]))
        for name, frame in data.items()
    }


def test_stacked_histograms_as_in_the_example(toy: dict[str, hist.Hist], tmp_path: Path) -> None:
    backgrounds = [h for name, h in toy.items() if name.startswith("bkg")]
    names = [f"Background {i}" for i in range(1, len(backgrounds) + 1)]
    for log in (False, True):
        path = tmp_path / "new" / f"toy_{log}.pdf"
        figure = gato.plot_stacked_histograms(
            stacked_hists=[h[:: hist.rebin(30)] for h in backgrounds],
            process_labels=names,
            signal_hists=[toy["signal"][:: hist.rebin(30)] * 100],
            signal_labels=["Signal x 100"],
            output_filename=str(path),
            axis_labels=("Toy discriminant", "Events"),
            normalize=False,
            log=log,
        )
        assert path.read_bytes().startswith(b"%PDF")
    ax = figure.axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Toy discriminant", "Events")
    drawn = {p.get_label(): p.get_data() for p in ax.patches if isinstance(p, StepPatch)}
    for name, h in zip(names, backgrounds, strict=True):
        data = drawn[name]
        np.testing.assert_allclose(
            data.values - data.baseline, h[:: hist.rebin(30)].values(), rtol=1e-6, atol=1e-9
        )
    signal = toy["signal"][:: hist.rebin(30)].values() * 100
    np.testing.assert_allclose(drawn["Signal x 100"].values, signal)


def test_stacked_histograms_normalised_returned_and_into_axes(toy: dict[str, hist.Hist]) -> None:
    backgrounds = [toy["bkg1"], toy["bkg2"]]
    figure, ax = gato.plot_stacked_histograms(
        backgrounds, ["a", "b"], normalize=True, return_figure=True
    )
    drawn = {p.get_label(): p.get_data() for p in ax.patches if isinstance(p, StepPatch)}
    top = max((d for n, d in drawn.items() if n in "ab"), key=lambda d: d.values.sum())
    assert top.values.sum() == pytest.approx(1)
    again = gato.plot_stacked_histograms(backgrounds, ["a", "b"], ax=figure.axes[0])
    assert again is figure


def test_stacked_histograms_say_what_is_wrong(toy: dict[str, hist.Hist]) -> None:
    with pytest.raises(InputError, match="must not be empty"):
        gato.plot_stacked_histograms([], [])
    with pytest.raises(InputError, match="got 1 names for 2 histograms"):
        gato.plot_stacked_histograms([toy["bkg1"], toy["bkg2"]], ["a"])


def test_histories_as_in_the_example(tmp_path: Path) -> None:
    loss = [-1.0, -1.2, -1.3]
    figure = gato.plot_history(
        history_data=loss,
        output_filename=str(tmp_path / "loss.pdf"),
        y_label="Negative significance",
        x_label="Epoch",
        boundaries=False,
    )
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), loss)
    gato.plot_history([[0.2, 0.6], [0.3, 0.5]], tmp_path / "b.png", boundaries=True)
    gato.plot_history([3.0, 0.1, 0.0], tmp_path / "log.pdf", log_scale=True, title="Penalty")
    gato.plot_bias_history(
        [0.3, 0.1],
        str(tmp_path / "bias_log.pdf"),
        epochs=[0, 25],
        temp_points=[1.0, 0.05],
        temp_label="Temperature",
        log_scale=True,
    )
    gato.plot_bias_history([0.3, 0.1], str(tmp_path / "bias.pdf"))
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"loss.pdf", "b.png", "log.pdf", "bias_log.pdf", "bias.pdf"}


def test_comparison_and_uncertainty_as_in_the_example(tmp_path: Path) -> None:
    figure = gato.plot_significance_comparison(
        {"": {2: 0.8, 5: 1.2}}, {"": {5: 1.7}}, output_filename=str(tmp_path / "c.pdf")
    )
    drawn = {str(line.get_label()): line for line in figure.axes[0].lines}
    np.testing.assert_allclose(drawn["Equidistant bins"].get_ydata(), [0.8, 1.2])
    np.testing.assert_allclose(drawn["Optimised bins"].get_ydata(), [1.7])
    figure = gato.plot_yield_vs_uncertainty(
        np.array([100.0, 10.0]), [0.1, 0.3], log=True, output_filename=tmp_path / "u.pdf"
    )
    np.testing.assert_allclose(figure.axes[0].patches[0].get_data().values, [100, 10])
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), [10, 30])
    assert (tmp_path / "u.pdf").exists()


@pytest.fixture(scope="module")
def resonance() -> dict:
    return generate_resonance_toy_data(300, 300, 1500)


def test_masses(resonance: dict, tmp_path: Path) -> None:
    written = gato.plot_inclusive_mass(resonance, tmp_path / "mass")
    histograms = {
        name: hist.Hist.new.Reg(20, 100, 180, name="mass").Weight().fill(frame["mass"])
        for name, frame in resonance.items()
    }
    written += gato.plot_category_mass_spectra([histograms] * 2, tmp_path / "mass")
    assert len(written) == 6
    assert all(p.exists() for p in written)
