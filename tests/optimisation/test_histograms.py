"""Histograms as people hold them, and what is optimised from them."""

from __future__ import annotations

import json
from pathlib import Path

import hist
import numpy as np
import pytest
import uhi.io.json
import uproot
from coffea.util import save

from gato_coffea import optimise
from gato_coffea.datasets import data_folder
from gato_coffea.datasets.histogram_files import chosen_histograms
from gato_coffea.errors import InputError
from gato_coffea.optimisation.histograms import (
    FOLDS_NOTE,
    nominal_histograms,
    points_from_histograms,
    split_bins,
    varied_histograms,
)

SCORE = hist.axis.Regular(40, 0, 1, name="score")


def filled(*axes: hist.axis.AxesMixin) -> hist.Hist:
    return hist.Hist(*axes, SCORE, storage=hist.storage.Weight())


@pytest.fixture(scope="module")
def together() -> hist.Hist:
    """One histogram with an axis of processes and one of variations."""
    h = filled(
        hist.axis.StrCategory(["sig", "bkg"], name="process"),
        hist.axis.StrCategory(["scaleUp", "nominal"], name="variation"),
    )
    rng = np.random.default_rng(5)
    for variation, factor in (("nominal", 1.0), ("scaleUp", 3.0)):
        h.fill("sig", variation, rng.beta(4, 2, 4000), weight=0.01 * factor)
        h.fill("bkg", variation, rng.beta(2, 4, 20000), weight=0.1 * factor)
    return h


def test_one_histogram_and_a_mapping_of_them_are_the_same(together: hist.Hist) -> None:
    one = nominal_histograms(together)
    varied = {name: together[name, ...] for name in ("sig", "bkg")}
    plain = {name: together[name, "nominal", :] for name in ("sig", "bkg")}
    nested = {name: {"score": h, "cutflow": {"all": 4000}} for name, h in varied.items()}
    assert list(one) == ["sig", "bkg"]
    for samples in ({"score": together}, {"score": {"a": together}}, varied, plain, nested):
        found = nominal_histograms(samples)
        assert list(found) == ["sig", "bkg"]
        for name, h in found.items():
            np.testing.assert_array_equal(h.values(), plain[name].values())


def test_what_is_no_set_of_histograms(together: hist.Hist) -> None:
    events = {"sig": {"x": [0.0], "weight": [1.0]}}
    assert nominal_histograms(events) is events
    with pytest.raises(InputError, match="one alone needs an axis called process"):
        nominal_histograms(together["sig", "nominal", :])
    two = {"a": together, "b": together}
    with pytest.raises(InputError, match="histogram a: has an axis of processes of its own"):
        nominal_histograms(two)
    with pytest.raises(InputError, match=r"sig: holds 2 histograms \(got a, b\); give the one"):
        nominal_histograms({"sig": two, "bkg": two})
    with pytest.raises(InputError, match=r"must be a mapping of process to events \(got list\)"):
        nominal_histograms([1, 2])


def test_parts_of_bins_add_up_and_are_as_independent_as_events() -> None:
    sumw, sumw2 = np.full(2000, 8.0), np.full(2000, 0.64)  # a hundred entries of weight 0.08
    entries, part = split_bins("a", sumw, sumw2, n_folds=4, seed=1)
    np.testing.assert_array_equal(entries, 100.0)
    np.testing.assert_allclose(part.sum(axis=1), 1.0)
    # Multinomial: variance n p (1 - p); 2000 bins know it to 3 % (one standard deviation).
    assert np.var(part[:, 0]) * 100 == pytest.approx(0.25 * 0.75, rel=0.13)
    again = split_bins("a", sumw, sumw2, n_folds=4, seed=1)[1]
    other = split_bins("b", sumw, sumw2, n_folds=4, seed=1)[1]
    np.testing.assert_array_equal(part, again)
    assert not np.array_equal(part, other)


def test_empty_and_negative_bins_can_be_split() -> None:
    entries, part = split_bins("a", np.array([0.0, -2.0]), np.array([0.0, 1.0]), n_folds=3, seed=0)
    np.testing.assert_array_equal(entries, [1.0, 4.0])
    np.testing.assert_allclose(part.sum(axis=1), 1.0)


def test_folds_of_points_add_up_to_the_histogram(together: hist.Hist) -> None:
    points = points_from_histograms(nominal_histograms(together), n_folds=5, seed=2)
    assert points.n_folds == 5
    for name, sumw, sumw2 in zip(points.processes, points.sumw, points.sumw2, strict=True):
        h = together[name, "nominal", :]
        np.testing.assert_allclose(sumw.sum(axis=0), h.values(), rtol=1e-12)
        np.testing.assert_allclose(sumw2.sum(axis=0), h.variances(), rtol=1e-12)


@pytest.mark.parametrize("method", ["exact", "lloyd", "gato"])
def test_categories_have_their_edges_on_the_bins(together: hist.Hist, method: str) -> None:
    samples = nominal_histograms(together)
    result = optimise(samples, signals=["sig"], n_categories=4, method=method, epochs=30)
    assert set(result.categories.edges[0]) <= set(SCORE.edges)
    assert FOLDS_NOTE in result.notes
    signal = sum(result.yields.signal("sig"))
    assert signal == pytest.approx(together["sig", "nominal", :].values().sum())
    exact = result.yardsticks["exact"].training.combined
    assert 0.97 * exact < result.training.combined < 1.03 * exact
    assert result.held_out.combined < result.training.combined


@pytest.mark.parametrize("method", ["exact", "gato"])
def test_reference_histograms_of_a_top_analysis(method: str) -> None:
    try:
        path = data_folder() / "agc_ttbar_histograms" / "histos_all_file_per_process.json"
    except InputError as error:
        pytest.skip(str(error))
    histograms = chosen_histograms(path, signals=["ttbar"], region="4j2b")
    options = {"signals": ["ttbar"], "n_categories": 3, "method": method, "epochs": 50}
    with pytest.raises(InputError, match=r"histogram ttbar: has no variances \(got a bin of"):
        optimise(histograms, **options)
    result = optimise(histograms, **options, unweighted=True)
    assert result.n_categories == 3
    assert set(result.categories.edges[0]) <= set(np.linspace(50, 550, 26))
    assert result.held_out.combined > result.yardsticks["equidistant"].held_out.combined


def written(path: Path, histograms: dict[str, hist.Hist]) -> dict[str, hist.Hist]:
    """The histograms as they come back from a file."""
    if path.suffix == ".json":
        path.write_text(json.dumps(histograms, default=uhi.io.json.default))
    elif path.suffix == ".coffea":
        save(histograms, path)
    else:
        with uproot.recreate(path) as file:
            for name, h in histograms.items():
                file[name] = h
    return chosen_histograms(path, signals=["sig"])


@pytest.mark.parametrize("suffix", [".coffea", ".json", ".root"])
@pytest.mark.parametrize(
    ("weight", "told"),
    [(0.1, "a bin of"), (10.0, "bins that are all multiples of 10"), (1.0, None)],
)
def test_contents_without_variances_are_no_counts_unless_they_look_like_it(
    tmp_path: Path, suffix: str, weight: float, told: str | None
) -> None:
    rng = np.random.default_rng(4)
    events = {"sig": rng.beta(4, 2, 900), "bkg": rng.beta(2, 4, 8000)}
    plain, weighted = {}, {}
    for name, x in events.items():
        plain[name] = hist.Hist(SCORE, storage=hist.storage.Double())
        plain[name].fill(x, **({} if weight == 1 else {"weight": weight}))
        weighted[name] = filled().fill(x, weight=weight)
    options = {"signals": ["sig"], "n_categories": 3, "method": "exact"}
    right = optimise(written(tmp_path / f"w{suffix}", weighted), **options)
    held = written(tmp_path / f"p{suffix}", plain)
    if told is None:
        result = optimise(held, **options)
        assert result.held_out == right.held_out
        assert any("taken for unweighted counts: sig, bkg" in note for note in result.notes)
        assert not any("unweighted" in note for note in right.notes)
        return
    with pytest.raises(InputError, match=r"histogram sig: has no variances \(got") as raised:
        optimise(held, **options)
    assert "unweighted=True (--unweighted)" in str(raised.value)
    knows = suffix == ".coffea"  # that weights were filled
    assert ("weights without their squares" if knows else told) in str(raised.value)
    claimed = optimise(held, **options, unweighted=True).yields.effective_background.sum()
    assert claimed == pytest.approx(weight * right.yields.effective_background.sum(), rel=1e-9)


def test_means_are_no_histograms_of_yields() -> None:
    means = hist.Hist(SCORE, storage=hist.storage.Mean()).fill([0.1, 0.4], sample=[1.0, 2.0])
    with pytest.raises(InputError, match="histogram sig: holds means, not yields"):
        optimise({"sig": means, "bkg": means}, signals=["sig"], unweighted=True)


def varied_by_hand() -> hist.Hist:
    """Two processes with a variation of both, and one of the background alone."""
    h = hist.Hist(
        hist.axis.StrCategory(["sig", "bkg"], name="process"),
        hist.axis.StrCategory(
            ["nominal", "jes_up", "jes_down", "psUp", "psDown"], name="variation"
        ),
        hist.axis.Regular(4, 0, 1, name="score"),
        storage=hist.storage.Weight(),
    )
    contents = {
        ("sig", "nominal"): [1, 2, 4, 0],
        ("sig", "jes_up"): [0, 2, 4, 1],
        ("sig", "jes_down"): [1, 3, 3, 0],
        ("bkg", "nominal"): [40, 30, 20, 10],
        ("bkg", "jes_up"): [35, 30, 22, 13],
        ("bkg", "jes_down"): [44, 30, 18, 8],
        ("bkg", "psUp"): [41, 31, 21, 11],
        ("bkg", "psDown"): [39, 29, 19, 9],
    }
    for (process, variation), values in contents.items():
        view = h.view()[h.axes[0].index(process), h.axes[1].index(variation)]
        view.value, view.variance = values, values
    return h


def test_an_axis_of_variations_is_read() -> None:
    h = varied_by_hand()
    found = varied_histograms(h)
    assert {p: list(v) for p, v in found.items()} == {
        "sig": ["jesUp", "jesDown"],
        "bkg": ["jesUp", "jesDown", "psUp", "psDown"],
    }
    np.testing.assert_array_equal(found["sig"]["jesUp"].values(), [0, 2, 4, 1])
    one_by_one = {name: h[{"process": name}] for name in ("sig", "bkg")}
    again = varied_histograms(one_by_one)
    assert {p: list(v) for p, v in again.items()} == {p: list(v) for p, v in found.items()}
    assert varied_histograms(nominal_histograms(h)) == {}
    assert varied_histograms({"sig": {"x": [1.0], "weight": [1.0]}}) == {}


@pytest.mark.parametrize("n_folds", [1, 3])
def test_points_hold_the_variations_of_their_bins(n_folds: int) -> None:
    h = varied_by_hand()
    plain = points_from_histograms(nominal_histograms(h), n_folds=n_folds, seed=4)
    points = points_from_histograms(
        nominal_histograms(h), variations=varied_histograms(h), n_folds=n_folds, seed=4
    )
    for column in ("x", "sumw", "sumw2", "count"):  # variations change nothing else
        np.testing.assert_array_equal(getattr(points, column), getattr(plain, column))
    assert points.variations == ("jes", "ps")
    total = dict(
        zip(("jesUp", "psUp", "jesDown", "psDown"), points.varied.sum(axis=2), strict=True)
    )
    np.testing.assert_allclose(total["jesUp"], [[0, 2, 4, 1], [35, 30, 22, 13]])
    np.testing.assert_allclose(total["jesDown"], [[1, 3, 3, 0], [44, 30, 18, 8]])
    np.testing.assert_allclose(total["psDown"], [[1, 2, 4, 0], [39, 29, 19, 9]])
    # the same events are in the same fold
    share = points.sumw[1] / points.sumw[1].sum(axis=0)
    np.testing.assert_allclose(points.varied[0, 1] / points.varied[0, 1].sum(axis=0), share)


def test_variations_of_histograms_are_profiled_and_need_both_sides(together: hist.Hist) -> None:
    with pytest.raises(
        InputError, match=r"^sig\.variations\.scaleUp: needs its opposite scaleDown"
    ):
        optimise(together, signals=["sig"], n_categories=2, method="exact")
    nominal = nominal_histograms(together)
    tilt = 1 + 0.3 * (SCORE.centers - 0.5)
    varied = {}
    for name, h in nominal.items():
        sides = {"nominal": 1.0, "tilt_up": tilt, "tilt_down": 2 - tilt}
        varied[name] = filled(hist.axis.StrCategory(list(sides), name="variation"))
        for label, factor in sides.items():
            view = varied[name].view()[varied[name].axes[0].index(label)]
            view.value, view.variance = h.values() * factor, h.variances() * factor**2
    plain, profiled = (
        optimise(samples, signals=["sig"], n_categories=4, method="exact")
        for samples in (nominal, varied)
    )
    assert profiled.categories.training["systematics"] == ["tilt"]
    assert profiled.training.combined < plain.training.combined
    assert profiled.training.statistics_only <= plain.training.statistics_only * (1 + 1e-9)
