import hist
import numpy as np
import pytest

from gato_coffea.errors import InputError
from gato_coffea.gato import histograms
from gato_coffea.gato.toy_frames import generate_resonance_toy_data


def test_weights_and_closed_upper_edge():
    h = histograms.create_hist([0.0, 0.5, 1.0, 1.1], [1.0, 2.0, 3.0, 9.0], bins=2, name="score")
    np.testing.assert_array_equal(h.values(), [1, 5])
    np.testing.assert_array_equal(h.variances(), [1, 13])
    assert h.axes[0].name == "score"
    edges = histograms.create_hist([0.3, 5.0], bins=[0.0, 0.2, 5.0])
    np.testing.assert_array_equal(edges.values(), [0, 2])


def test_the_data_stay_as_they_are():
    data = np.array([1.0])
    histograms.create_hist(data)
    assert data[0] == 1.0


def test_significance_by_hand():
    signal = histograms.create_hist([0.1, 0.9], [10.0, 5.0], bins=2)
    background = [histograms.create_hist([0.1], [60.0], bins=2) for _ in range(2)]
    background[0] = histograms.create_hist([0.1], [40.0], bins=2)
    # One bin of 10 over 100; the other has no background and counts nothing.
    got = histograms.compute_significance_from_hists(signal, background)
    assert got == pytest.approx(np.sqrt(0.96824), rel=1e-5)


def test_significance_needs_fitting_backgrounds():
    h = histograms.create_hist([0.1], bins=2)
    with pytest.raises(InputError, match="at least one background"):
        histograms.compute_significance_from_hists(h, [])
    with pytest.raises(InputError, match="differ in binning"):
        histograms.compute_significance_from_hists(h, [histograms.create_hist([0.1], bins=3)])


def test_what_does_not_fit():
    h = histograms.create_hist([0.1], bins=2)
    two = hist.Hist.new.Reg(2, 0, 1).Reg(2, 0, 1).Weight()
    with pytest.raises(InputError, match="differ in binning"):
        histograms.compute_significance_from_hists(h, [two])
    with pytest.raises(InputError, match=r"score: needs 2 weights \(got shape \(3,\)\)"):
        histograms.create_hist([0.1, 0.2], [1.0, 2.0, 3.0], name="score")
    data = {"b": {"mass": [101.0, 102.0], "weight": [1.0, 1.0]}}
    for assignments, n in (({}, 0), ({"b": [0]}, 1)):
        with pytest.raises(InputError, match=rf"b: needs 2 assignments \(got {n}\)"):
            histograms.build_category_mass_maps(assignments, data, 2)


def test_category_masses_add_up():
    data = generate_resonance_toy_data(50, 50, 200)
    rng = np.random.default_rng(1)
    assignments = {name: rng.integers(-1, 3, len(frame)) for name, frame in data.items()}
    maps = histograms.build_category_mass_maps(assignments, data, 3, bins=40)
    whole = histograms.build_mass_histograms(data, bins=40)
    assert len(maps) == 3
    for name, frame in data.items():
        kept = frame[assignments[name] >= 0]
        expected = histograms.create_hist(kept["mass"], kept["weight"], 40, 100, 180, "mass")
        np.testing.assert_allclose(
            sum(m[name].values() for m in maps), expected.values(), atol=1e-9
        )
        assert whole[name].sum().value == pytest.approx(frame["weight"].sum())
