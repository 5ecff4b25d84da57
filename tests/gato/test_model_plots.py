"""Documented plot functions that take a trained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gato_coffea import gato
from gato_coffea.categories import MixtureCategories
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature
from gato_coffea.gato.toy_frames import generate_resonance_toy_data

pytestmark = pytest.mark.usefixtures("untouched_pyplot")


def mixture(dim: int) -> MixtureCategories:
    return MixtureCategories(
        features=tuple(Feature(f"x{d}", 0.0, 1.0) for d in range(dim)),
        label=np.arange(3),
        means=np.array([[0.2, 0.2], [0.6, 0.2], [0.2, 0.6]])[:, :dim],
        scale_tril=np.tile(0.1 * np.eye(dim), (3, 1, 1)),
        log_weights=np.log(np.full(3, 1 / 3)),
    )


@pytest.fixture(scope="module")
def resonance() -> dict:
    return generate_resonance_toy_data(300, 300, 1500)


def test_gaussians_regions_and_order(resonance: dict, tmp_path: Path) -> None:
    categories = mixture(2)
    assignments, order, significance, inverse = gato.assign_bins_and_order(
        categories, resonance, reduce=True
    )
    assert {name: len(a) for name, a in assignments.items()} == {
        name: len(frame) for name, frame in resonance.items()
    }
    assert (np.diff(significance) >= 0).all()
    assert [inverse[i] for i in range(3)] == order
    sliced = gato.slice_to_2d_features(resonance)
    same, *_ = gato.assign_bins_and_order(categories, sliced, reduce=True)
    for name, frame in sliced.items():
        component = categories.assign(np.stack(frame["NN_output"]))
        np.testing.assert_array_equal(np.array(order)[assignments[name]], component)
        np.testing.assert_array_equal(same[name], assignments[name])
    filled = {n: np.bincount(a, resonance[n]["weight"], 3) for n, a in assignments.items()}
    signal = filled["signal1"] + filled["signal2"]
    background = sum(y for n, y in filled.items() if n.startswith("bkg"))
    np.testing.assert_allclose(signal / np.sqrt(background), significance)
    gato.plot_learned_gaussians(
        resonance, categories, 0, 1, str(tmp_path / "g" / "gauss.pdf"), inv_mapping=inverse
    )
    figure = gato.plot_bin_boundaries_2D(
        categories, order, tmp_path / "frame.png", resolution=60, annotation="Epoch 3"
    )
    image = figure.axes[0].collections[0].get_array()
    assert image.mask.sum() == pytest.approx(60 * 60 / 2, rel=0.05)
    path = gato.make_gif([tmp_path / "frame.png"] * 2, tmp_path / "m.gif", interval=100)
    with Image.open(path) as gif:
        assert gif.format == "GIF"
    h = gato.fill_histogram_from_assignments([0, 1, 1], [1.0, 2.0, 3.0], 3)
    np.testing.assert_allclose(h.values(), [1, 5, 0])
    assert len(set(gato.get_distinct_colors(7))) == 7
    assert (tmp_path / "g" / "gauss.pdf").stat().st_size < 500_000


def test_components_in_one_dimension(tmp_path: Path) -> None:
    path = tmp_path / "components.pdf"
    gato.plot_gmm_1d(mixture(1), output_filename=path, x_range=(0.0, 1.0), n_points=200)
    assert path.exists()


def test_components_of_a_trained_model(tmp_path: Path) -> None:
    model = gato.gato_gmm_model(n_cats=3, dim=1, mean_norm="sigmoid", mean_range=(0.0, 1.0))
    path = tmp_path / "gmm_components_3bins.pdf"
    figure = gato.plot_gmm_1d(model, output_filename=str(path), x_range=(0.0, 1.0), n_points=1000)
    assert path.exists()
    x = np.asarray(figure.axes[1].lines[0].get_xdata())
    shown = np.stack([line.get_ydata() for line in figure.axes[1].lines[:3]], axis=-1)
    soft = np.asarray(model.get_probs(x.astype(np.float32)))
    order = np.argsort(np.asarray(model.get_effective_means())[:, 0])
    # The model works in float32.
    np.testing.assert_allclose(shown, soft[:, order], atol=2e-3)


def test_components_need_one_dimension(tmp_path: Path) -> None:
    model = gato.gato_gmm_model(n_cats=2, dim=2)
    with pytest.raises(InputError, match="plot_gmm_1d: needs one dimension"):
        gato.plot_gmm_1d(model, output_filename=tmp_path / "a.pdf")
    assert not (tmp_path / "a.pdf").exists()


def test_the_order_is_that_of_the_significance_and_events_outside_have_none() -> None:
    categories = mixture(2)
    at = {"signal": [[0.2, 0.6]] * 8 + [[0.2, 0.2]], "bkg": [[0.2, 0.2]] * 4 + [[0.6, 0.2]] * 2}
    data = {
        name: {"NN_output": np.array([*x, [np.nan, 0.5]]), "weight": np.ones(len(x) + 1)}
        for name, x in at.items()
    }
    assigned, order, significance, inverse = gato.assign_bins_and_order(categories, data)
    assert order == [1, 0, 2]  # S / sqrt(B) of 0, 1 / 2, and of 8 over hardly anything
    np.testing.assert_allclose(significance, [0, 0.5, 8 / np.sqrt(1e-6)])
    assert inverse == {0: 1, 1: 0, 2: 2}
    assert assigned["signal"].tolist() == [2] * 8 + [1, -1]
    assert assigned["bkg"].tolist() == [1] * 4 + [0] * 2 + [-1]


def test_a_gif_needs_a_frame(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="make_gif: needs one frame at least"):
        gato.make_gif([], tmp_path / "m.gif")


@pytest.mark.parametrize("n", [1, 7, 40])
def test_colours_are_red_green_and_blue(n: int) -> None:
    colours = gato.get_distinct_colors(n)
    assert len(colours) == n
    assert all(len(c) == 3 and all(0 <= part <= 1 for part in c) for c in colours)
