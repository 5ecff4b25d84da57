import numpy as np
import pytest

from gato_coffea.datasets.toys import BACKGROUNDS, toy_arrays
from gato_coffea.errors import InputError
from gato_coffea.gato import toy_frames


def test_frames_of_the_documented_functions():
    one = toy_frames.generate_toy_data_1D(n_signal=30, n_bkg=50, seed=1)
    assert list(one) == ["signal", *BACKGROUNDS]
    assert list(one["signal"].columns) == ["NN_output", "weight"]
    three = toy_frames.generate_toy_data_3class_3D(30, 20, 50, seed=1)
    assert {name: len(frame) for name, frame in three.items()}["signal2"] == 20
    assert np.stack(three["signal1"]["NN_output"]).shape == (30, 3)
    resonance = toy_frames.generate_resonance_toy_data(30, 20, 50)
    assert list(resonance["bkg1"].columns) == ["NN_output", "weight", "mass"]


def test_frames_hold_the_arrays():
    slopes = np.array([0.01, 0.05])
    frames = toy_frames.generate_resonance_toy_data(
        30, 20, 50, mass_sigma=2.0, seed=3, background_slopes=slopes
    )
    arrays = toy_arrays(
        "diphoton",
        n_signal=(30, 20),
        n_bkg=50,
        seed=3,
        mass_sigma_gev=2.0,
        background_slopes=[0.01, 0.05],
    )
    assert list(frames) == list(arrays)
    for process, columns in arrays.items():
        np.testing.assert_array_equal(np.stack(frames[process]["NN_output"]), columns["x"])
        for name in ("weight", "mass"):
            np.testing.assert_array_equal(frames[process][name], columns[name])


def test_cross_sections_in_the_order_of_the_arguments():
    yields = {
        name: frame["weight"].sum()
        for name, frame in toy_frames.generate_toy_data_3class_3D(
            5, 5, 50, 1, 2, 3, 4, 5, 6, 7, lumi=10.0
        ).items()
    }
    expected = dict(zip(["signal1", "signal2", *BACKGROUNDS], range(10, 80, 10), strict=True))
    assert yields == pytest.approx(expected)
    one = toy_frames.generate_toy_data_1D(5, 50, 1, 2, 3, 4, 5, 6, 10.0)
    assert one["bkg5"]["weight"].sum() == pytest.approx(60)
    assert "bkg2" not in toy_frames.generate_toy_data_1D(5, 50, xs_bkg2=0.0)


def test_what_cannot_be():
    with pytest.raises(InputError, match="toy 1d: needs a positive number of events"):
        toy_frames.generate_toy_data_1D(0)
