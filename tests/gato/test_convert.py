import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from gato_coffea.errors import InputError
from gato_coffea.gato import convert, gato_gmm_model
from gato_coffea.gato.toy_frames import (
    generate_resonance_toy_data,
    generate_toy_data_1D,
    generate_toy_data_3class_3D,
)


def test_scalar_scores_stay_flat():
    data = generate_toy_data_1D(20, 30)
    tensors = convert.df_dict_to_tensors(data)
    assert list(tensors) == list(data)
    assert tensors["signal"]["NN_output"].shape == (20,)
    assert tensors["signal"]["NN_output"].dtype == tf.float32
    np.testing.assert_allclose(tensors["bkg1"]["weight"], data["bkg1"]["weight"], rtol=1e-6)


def test_short_names_also_inside_a_compiled_function():
    tensors = convert.df_dict_to_tensors(generate_toy_data_1D(20, 30))
    signal = tensors["signal"]
    assert signal["x"] is signal["NN_output"]
    assert signal["w"] is signal["weight"]
    assert list(signal) == ["x", "w"]
    assert len(signal) == 2
    assert {name for name in ("x", "w", "NN_output", "weight", "mass") if name in signal} == {
        "x",
        "w",
        "NN_output",
        "weight",
    }
    assert signal.get("weight") is signal["w"]
    assert signal.get("mass") is None
    with pytest.raises(KeyError, match="mass"):
        _ = signal["mass"]

    @tf.function
    def total(data):
        return tf.reduce_sum(data["signal"]["w"]) + 0.0 * tf.reduce_sum(data["signal"]["x"])

    assert float(total(tensors)) == pytest.approx(50)
    assert float(total(tensors)) == pytest.approx(50)
    assert total.experimental_get_tracing_count() == 1


def test_models_take_both_spellings():
    data = generate_toy_data_1D(200, 300)
    named = convert.df_dict_to_tensors(data)
    short = {process: dict(columns) for process, columns in named.items()}
    long = {p: {"NN_output": c["x"], "weight": c["w"]} for p, c in named.items()}
    model = gato_gmm_model(3, 1, mean_norm="sigmoid")
    first, *others = (
        model.get_differentiable_significance(held, signal_labels=["signal"])["signal"].numpy()
        for held in (named, short, long, data)
    )
    assert others == [first] * 3


def test_vector_scores_and_masses():
    data = generate_resonance_toy_data(20, 20, 60)
    tensors = convert.convert_mass_data_to_tensors(data)
    assert tensors["bkg1"]["NN_output"].shape == (len(data["bkg1"]), 3)
    assert list(tensors["bkg1"]) == ["NN_output", "weight", "mass"]
    assert tensors["bkg1"]["x"] is tensors["bkg1"]["NN_output"]
    assert "w" in tensors["bkg1"]
    with pytest.raises(InputError, match="signal1: column 'mass' is missing"):
        convert.convert_mass_data_to_tensors(generate_toy_data_3class_3D(5, 5, 10))


def test_further_columns_and_mappings_of_arrays():
    frame = pd.DataFrame({"NN_output": [0.1, 0.2], "weight": [1, 2], "year": [17, 18]})
    frame["era"] = ["B", "C"]
    tensors = convert.df_dict_to_tensors({"a": frame, "b": {"x": [[1.0, 2.0]], "weight": [1.0]}})
    assert list(tensors["a"]) == ["x", "w", "year"]
    assert tensors["b"]["NN_output"].shape == (1, 2)


def test_nan_is_refused():
    frame = pd.DataFrame({"NN_output": [0.1, np.nan], "weight": [1.0, 1.0]})
    with pytest.raises(InputError, match=r"ggH\.NN_output: 1 of 2 values are NaN"):
        convert.df_dict_to_tensors({"ggH": frame})


def test_slice_leaves_its_input():
    data = generate_toy_data_3class_3D(5, 5, 10)
    sliced = convert.slice_to_2d_features(data)
    assert np.stack(sliced["signal1"]["NN_output"]).shape == (5, 2)
    assert np.stack(data["signal1"]["NN_output"]).shape == (5, 3)
    np.testing.assert_array_equal(
        np.stack(sliced["bkg2"]["NN_output"]), np.stack(data["bkg2"]["NN_output"])[:, :2]
    )
    with pytest.raises(InputError, match=r"signal.NN_output: needs two or more components"):
        convert.slice_to_2d_features(generate_toy_data_1D(5, 10))


def test_matrix_takes_every_form():
    for value in ([0.5, 0.25], np.array([[0.5], [0.25]]), {"NN_output": tf.constant([0.5, 0.25])}):
        np.testing.assert_array_equal(convert.matrix(value).numpy(), [[0.5], [0.25]])
    frame = generate_toy_data_3class_3D(4, 4, 8)["signal1"]
    assert convert.matrix(frame).shape == (4, 3)


def test_a_process_without_events():
    data = generate_resonance_toy_data(20, 20, 60)
    data["bkg9"] = data["bkg1"].iloc[:0]
    tensors = convert.convert_mass_data_to_tensors(data)
    assert {name: column.shape.as_list() for name, column in tensors["bkg9"].items()} == {
        "NN_output": [0, 3],
        "weight": [0],
        "mass": [0],
    }
    assert len(convert.slice_to_2d_features(data)["bkg9"]) == 0
    assert convert.matrix(data["bkg9"]).shape == (0, 0)
    flat = generate_toy_data_1D(20, 30)
    flat["bkg9"] = flat["bkg1"].iloc[:0]
    assert convert.df_dict_to_tensors(flat)["bkg9"]["NN_output"].shape == (0,)


def test_one_number_is_no_sample():
    with pytest.raises(InputError, match=r"events: must have shape \(N,\) or \(N, D\)"):
        convert.matrix(0.3)
