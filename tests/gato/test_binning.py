"""What all category models share, on one whose memberships are known by heart."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from gato_coffea.errors import InputError
from gato_coffea.gato import binning
from gato_coffea.statistics.counting import asimov_z2


class Halves(binning.BinningModel):
    """Two categories, below and above one half; a given share of each event is on its side."""

    n_cats, dim, share = 2, 1, 0.75

    def _soft(self, x, softness):
        share = self.share if softness is None else softness
        above = tf.where(x[:, 0] >= 0.5, share, 1.0 - share)
        return tf.stack([1.0 - above, above], axis=1)

    def _hard(self, x):
        return tf.where(x[:, 0] >= 0.5, 1, 0)


DATA = {
    "signal": {"NN_output": [0.2, 0.8], "weight": [1.0, 3.0]},
    "bkg1": {"NN_output": [0.1, 0.7, 0.9], "weight": [10.0, 5.0, 5.0]},
    "bkg2": {"NN_output": [0.3], "weight": [2.0]},
}


@pytest.fixture
def model():
    return Halves(name="halves")


def hard(model):
    model.share = 1.0
    return model


def test_hard_yields_by_hand(model):
    sumw, sumw2 = model.hard_yields(DATA)
    assert {p: y.tolist() for p, y in sumw.items()} == {
        "signal": [1, 3],
        "bkg1": [10, 10],
        "bkg2": [2, 0],
    }
    assert sumw2["bkg1"].tolist() == [100, 50]


def test_soft_yields_by_hand(model):
    z, background, sumw2 = model.get_differentiable_significance(
        DATA, signal_labels=["signal"], return_details=True
    )
    # Three quarters stay on their side.
    np.testing.assert_allclose(background, [0.75 * 12 + 0.25 * 10, 0.25 * 12 + 0.75 * 10])
    np.testing.assert_allclose(sumw2, [0.75 * 104 + 0.25 * 50, 0.25 * 104 + 0.75 * 50])
    signal = np.array([0.75 + 0.25 * 3, 0.25 + 0.75 * 3])
    expected = np.sqrt(asimov_z2(signal, background.numpy()).sum())
    assert list(z) == ["signal"]
    assert z["signal"].dtype == tf.float32
    assert float(z["signal"]) == pytest.approx(expected, rel=1e-6)
    only = model.get_differentiable_significance(DATA, signal_labels=("signal",))
    assert float(only["signal"]) == float(z["signal"])


def test_signals_see_each_other_and_come_in_the_order_given(model):
    z = hard(model).get_differentiable_significance(DATA, signal_labels=["bkg2", "signal"])
    assert list(z) == ["bkg2", "signal"]
    assert float(z["bkg2"]) == pytest.approx(np.sqrt(asimov_z2(2.0, 10.0 + 1.0)), rel=1e-6)
    expected = np.sqrt(asimov_z2([1.0, 3.0], [10.0 + 2.0, 10.0]).sum())
    assert float(z["signal"]) == pytest.approx(expected, rel=1e-6)


def test_factors_on_some_backgrounds(model):
    arguments = {"signal_labels": ["signal"], "return_details": True}
    _, background, sumw2 = hard(model).get_differentiable_significance(
        DATA, background_reweight=[0.5, 2.0], reweight_processes=["bkg1"], **arguments
    )
    np.testing.assert_allclose(background, [0.5 * 10 + 2, 2 * 10])
    np.testing.assert_allclose(sumw2, [0.25 * 100 + 4, 4 * 50])
    _, background, _ = model.get_differentiable_significance(
        DATA, background_reweight=[0.5, 2.0], **arguments
    )
    np.testing.assert_allclose(background, [0.5 * 12, 2 * 10])


@pytest.mark.parametrize("block", [1, 2, 1000])
def test_bias_by_hand(model, monkeypatch, block):
    monkeypatch.setattr(binning, "BLOCK", block)
    whole, soft = np.array([13.0, 13.0]), np.array([13.0, 13.0])
    np.testing.assert_allclose(model._bias(DATA, None, 1e-8), (whole - soft) / whole, atol=1e-7)
    data = {"signal": DATA["signal"]}
    # Hard 1 and 3, soft 1.5 and 2.5.
    np.testing.assert_allclose(model._bias(data, None, 1e-8), [-0.5, 0.5 / 3], rtol=1e-6)
    np.testing.assert_allclose(model._bias(data, 1.0, 1e-8), 0, atol=1e-7)


def test_bias_of_empty_categories(model):
    below = {"bkg2": DATA["bkg2"]}
    np.testing.assert_allclose(model._bias(below, None, 1e-8), [0.25, -1])
    np.testing.assert_allclose(model._bias(below, 1.0, 1e-8), [0, 0])


def test_background_statistics_by_hand(model):
    background, relative, z2 = model._hard_background(DATA, None, 1e-8)
    np.testing.assert_allclose(background, [12, 10])
    np.testing.assert_allclose(relative, [np.sqrt(104) / 12, np.sqrt(50) / 10])
    np.testing.assert_allclose(z2, asimov_z2([1.0, 3.0], [12.0, 10.0]))
    data = {"signal": DATA["signal"], "bkg2": DATA["bkg2"]}
    background, relative, z2 = model._hard_background(data, ["signal"], 1e-8)
    np.testing.assert_allclose((background, relative, z2 > 0), [[2, 0], [1, 1], [1, 0]])
    background, _, z2 = model._hard_background(data, [], 1e-8)
    np.testing.assert_allclose((background, z2), [[3, 3], [0, 0]])


def test_hard_bins_are_found_in_float64_and_nan_in_none(model):
    x = np.array([0.5 - 1e-12, 0.5, np.nan, np.inf, -np.inf])
    assert model._bins(x).numpy().tolist() == [0, 1, -1, 1, 0]
    data = {"bkg1": {"NN_output": x[:3], "weight": [1.0, 2.0, 4.0]}}
    assert model.hard_yields(data)[0]["bkg1"].tolist() == [1, 2]


def test_a_process_without_events(model):
    data = DATA | {"bkg3": {"NN_output": np.zeros(0), "weight": np.zeros(0)}}
    data["bkg4"] = pd.DataFrame({"NN_output": [], "weight": []}).astype({"NN_output": object})
    assert [y.tolist() for y in list(model.hard_yields(data)[0].values())[3:]] == [[0, 0]] * 2
    with_them, without = (
        float(model.get_differentiable_significance(d, signal_labels=["signal"])["signal"])
        for d in (data, DATA)
    )
    assert with_them == without > 0


def test_order_of_falling_values_is_stable():
    assert binning.by_falling(np.array([1.0, 3.0, 1.0, 3.0])).tolist() == [1, 3, 0, 2]


def test_columns_that_are_missing(model):
    with pytest.raises(InputError, match=r"bkg: column 'weight' is missing \(got NN_output\)"):
        model.hard_yields({"bkg": {"NN_output": [0.1]}})
    with pytest.raises(InputError, match=r"halves: needs events of shape \(N, 1\)"):
        model._bins(np.zeros((3, 2)))


def test_one_name_is_no_list_of_names(model):
    with pytest.raises(InputError, match=r"signal_labels: must be a list .*got 'signal'"):
        model.get_differentiable_significance(DATA, signal_labels="signal")


def test_what_a_subclass_has_to_say(tmp_path):
    bare = binning.BinningModel(name="bare")
    bare.n_cats, bare.dim = 2, 1
    for call in (
        lambda: bare.call(DATA),
        lambda: bare._memberships(np.zeros(2), None),
        lambda: bare._bins(np.zeros(2)),
        lambda: bare.save(tmp_path),
    ):
        with pytest.raises(NotImplementedError):
            call()
