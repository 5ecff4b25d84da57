import numpy as np
import pytest

from gato_coffea.datasets import toys
from gato_coffea.errors import InputError


@pytest.fixture(scope="module")
def one_dimension():
    return toys.toy_arrays("1d", n_signal=200_000, n_bkg=400_000, seed=3)


def test_yields_are_cross_section_times_luminosity(one_dimension):
    yields = {name: columns["weight"].sum() for name, columns in one_dimension.items()}
    expected = {"signal": 50, "bkg1": 1e4, "bkg2": 8e3, "bkg3": 5e3, "bkg4": 2e3, "bkg5": 1e3}
    assert yields == pytest.approx(expected)


def test_background_is_shared_out_by_cross_section(one_dimension):
    counts = [len(one_dimension[name]["x"]) for name in toys.BACKGROUNDS]
    assert np.array(counts) / 400_000 == pytest.approx(np.array([100, 80, 50, 20, 10]) / 260, 1e-4)


def test_equidistant_significance_of_the_published_example(one_dimension):
    # Figures of an independent sample of three million background events; 1 % is the spread of
    # the background yield in the last of 20 bins of this sample.
    signal, *background = one_dimension.values()
    for bins, expected in {2: 0.749, 5: 1.004, 10: 1.167, 20: 1.315}.items():
        edges = np.linspace(0, 1, bins + 1)
        s = np.histogram(signal["x"], edges, weights=signal["weight"])[0]
        b = sum(np.histogram(c["x"], edges, weights=c["weight"])[0] for c in background)
        z = np.sqrt(2 * np.sum((s + b) * np.log1p(s / b) - s))
        assert z == pytest.approx(expected, rel=0.02)


def test_score_is_the_likelihood_ratio_without_noise():
    # Among events of score near p, a calibrated score p = s / (s + b) holds p of signal when both
    # classes come in equal numbers.
    arrays = toys.toy_arrays("1d", n_signal=200_000, n_bkg=200_000, seed=1, noise_scale=0.0)
    background = np.concatenate([arrays[name]["x"] for name in toys.BACKGROUNDS])
    for low, high in ((0.2, 0.3), (0.5, 0.6), (0.8, 0.9)):
        s = np.count_nonzero((arrays["signal"]["x"] > low) & (arrays["signal"]["x"] < high))
        b = np.count_nonzero((background > low) & (background < high))
        assert s / (s + b) == pytest.approx((low + high) / 2, abs=0.015)


def test_three_classes_are_probabilities_and_calibrated():
    arrays = toys.toy_arrays("three-class", n_signal=100_000, n_bkg=100_000, seed=2)
    for columns in arrays.values():
        assert columns["x"].shape == (len(columns["weight"]), 3)
        assert columns["x"].min() >= 0
        np.testing.assert_allclose(columns["x"].sum(axis=1), 1)
    assert arrays["signal1"]["x"].mean(axis=0).argmax() == 0
    assert arrays["signal2"]["x"].mean(axis=0).argmax() == 1
    assert arrays["bkg1"]["x"].mean(axis=0).argmax() == 2


def test_same_seed_same_events_and_another_seed_others():
    first, again = (toys.toy_arrays("diphoton", n_signal=50, n_bkg=90, seed=7) for _ in "ab")
    other = toys.toy_arrays("diphoton", n_signal=50, n_bkg=90, seed=8)
    for process, columns in first.items():
        for name, values in columns.items():
            np.testing.assert_array_equal(values, again[process][name])
        assert not np.array_equal(columns["x"], other[process]["x"])


def test_blocks_are_joined(monkeypatch):
    monkeypatch.setattr(toys, "BLOCK", 64)
    x = toys.toy_arrays("1d", n_signal=200, n_bkg=200, seed=1)["signal"]["x"]
    assert np.isfinite(x).all()
    assert len(np.unique(x)) == 200


def test_weakened_means_approach_the_background():
    centre = np.array(toys.weakened_means(1.0)["signal1"])
    np.testing.assert_allclose(centre, toys.weakened_means(1.0)["signal2"])
    half = toys.weakened_means()
    assert half["bkg3"] == toys.MEANS["bkg3"]
    np.testing.assert_allclose(half["signal1"], (np.array(toys.MEANS["signal1"]) + centre) / 2)
    strong = toys.toy_arrays("three-class", n_signal=5000, n_bkg=5000, noise_scale=0.1)
    weak = toys.toy_arrays("three-class", n_signal=5000, n_bkg=5000, noise_scale=0.1, means=half)
    assert weak["signal1"]["x"][:, 0].mean() < strong["signal1"]["x"][:, 0].mean() - 0.1


def test_masses_peak_and_fall():
    arrays = toys.toy_arrays("diphoton", n_signal=20_000, n_bkg=200_000, background_slopes=[0.03])
    assert arrays["signal1"]["mass"].mean() == pytest.approx(125, abs=0.05)
    assert arrays["signal1"]["mass"].std() == pytest.approx(1.5, rel=0.02)
    mass = arrays["bkg1"]["mass"]
    assert mass.min() >= 100
    assert mass.max() <= 180
    # Mean of a truncated exponential: 1/slope - width / (exp(slope * width) - 1) above its start.
    expected = 100 + 1 / 0.03 - 80 / np.expm1(0.03 * 80)
    assert mass.mean() == pytest.approx(expected, abs=4 * mass.std() / np.sqrt(len(mass)))


def test_slopes_are_cycled_over_the_backgrounds():
    arrays = toys.toy_arrays(
        "diphoton", n_signal=10, n_bkg=100_000, background_slopes=[0.001, 0.1]
    )
    means = [arrays[name]["mass"].mean() for name in toys.BACKGROUNDS]
    # Nearly uniform, and ten GeV above the lower end.
    assert means == pytest.approx([139.5, 110, 139.5, 110, 139.5], abs=1.5)


@pytest.mark.parametrize("slope", [-1.0, 0.0, 1e-12])
def test_truncated_exponential_goes_to_uniform(slope):
    rng = np.random.default_rng(1)
    draws = toys.sample_truncated_exponential(rng, slope, 20_000, low=2.0, high=6.0)
    assert draws.shape == (20_000,)
    assert draws.mean() == pytest.approx(4, abs=0.03)
    assert 2 <= draws.min() < 2.01
    assert 5.99 < draws.max() <= 6


def test_truncated_exponential_needs_an_interval():
    with pytest.raises(ValueError, match="high: must exceed low"):
        toys.sample_truncated_exponential(np.random.default_rng(), 1.0, 3, low=2.0, high=2.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "1d", "n_signal": 0}, "toy 1d: needs a positive number of events"),
        ({"kind": "1d", "n_signal": 1e3}, r"toy 1d: needs .* \(got n_signal 1000.0"),
        ({"kind": "three-class", "n_signal": (1, 2, 3)}, "toy three-class: needs a positive"),
        ({"kind": "diphoton", "background_slopes": ()}, "background_slopes must not be empty"),
        ({"kind": "1d", "means": {"ggH": (0, 0, 0)}}, r"no such process \(got \['ggH'\]\)"),
    ],
)
def test_what_cannot_be(arguments, message):
    with pytest.raises(InputError, match=message):
        toys.toy_arrays(**arguments)
