"""From events, cells and histograms to points; and what cannot be made into points."""

from __future__ import annotations

import awkward as ak
import hist
import numpy as np
import pandas as pd
import pytest
import uproot
from coffea import processor
from coffea.nanoevents import BaseSchema

from gato_coffea import Categories, optimise
from gato_coffea.errors import GatoError, InputError, OptimisationError
from gato_coffea.events.samples import BLOCK, Feature, Sample
from gato_coffea.optimisation.histograms import points_from_histograms
from gato_coffea.optimisation.inputs import (
    MAX_BINS_1D,
    MAX_CELLS,
    adapted_grid,
    as_samples,
    check_features,
    default_features,
    points_from_samples,
    with_folds,
)
from gato_coffea.optimisation.window import Window


def message(function, *args, **kwargs):
    with pytest.raises(GatoError) as caught:
        function(*args, **kwargs)
    assert len(caught.value.args) == 1
    assert "\n" not in str(caught.value)
    return str(caught.value)


def sample(n, *, dim=1, seed=0, low=0.0, high=1.0, **more):
    rng = np.random.default_rng(seed)
    x = low + (high - low) * rng.beta(2, 3, (n, dim))
    return Sample(x=x, weight=rng.uniform(0.5, 1.5, n), **more)


def some(dim=1, n=4000):
    return {"sig": sample(n, dim=dim, seed=1), "bkg": sample(2 * n, dim=dim, seed=2)}


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
@pytest.mark.parametrize("max_points", [100, 1000, 5000])
def test_a_grid_never_has_more_points_than_asked(dim, max_points):
    samples = some(dim)
    features = default_features(samples)
    points = points_from_samples(
        samples, features=features, signals=("sig",), n_folds=1, max_points=max_points
    )
    assert len(points) <= max_points
    if dim < 3:
        assert len(points) > 0.4 * min(max_points, MAX_BINS_1D)
    # Every event is somewhere.
    np.testing.assert_allclose(points.count.sum(axis=(1, 2)), [4000, 8000])
    np.testing.assert_allclose(
        points.sumw.sum(axis=(1, 2)), [s.weight.sum() for s in samples.values()]
    )


def test_cells_are_where_the_events_are():
    # One event far away must not take the resolution from the others.
    crowd = sample(5000, low=100.0, high=101.0)
    far = Sample(x=np.array([[1e6]]), weight=np.ones(1))
    samples = {
        "sig": crowd,
        "bkg": Sample(x=np.concatenate([crowd.x, far.x]), weight=np.ones(5001)),
    }
    grid = adapted_grid(default_features(samples), samples, max_points=500)
    cells = np.unique(grid.index(crowd.x))
    assert len(cells) > 250
    assert grid.index(far.x)[0] == len(grid.edges[0]) - 2


def test_discriminants_of_very_different_scale():
    rng = np.random.default_rng(4)
    x = np.stack([rng.beta(2, 2, 3000), rng.uniform(0, 3000, 3000)], axis=1)
    samples = {"sig": Sample(x=x, weight=np.ones(3000)), "bkg": Sample(x=x, weight=np.ones(3000))}
    features = default_features(samples)
    assert features[1].high > 2900
    grid = adapted_grid(features, samples, max_points=400)
    assert abs(grid.shape[0] - grid.shape[1]) <= 1
    for d in range(2):
        # Along each of them the events spread over most of the cells.
        assert len(np.unique(np.searchsorted(grid.edges[d], x[:, d]))) > 0.8 * grid.shape[d]


@pytest.mark.parametrize(("dim", "most"), [(10, 1024), (11, 2048), (12, 4096)])
def test_many_dimensions_have_few_cells(dim: int, most: int) -> None:
    rng = np.random.default_rng(dim)
    sig, bkg = rng.exponential(1.0, (8000, dim)), rng.exponential(0.8, (8000, dim))
    samples = {k: Sample(x=x, weight=np.ones(8000)) for k, x in (("sig", sig), ("bkg", bkg))}
    features = default_features(samples)
    grid = adapted_grid(features, samples, max_points=4000)
    assert np.prod(grid.shape) <= MAX_CELLS
    occupied = np.unique(grid.index(np.concatenate([sig, bkg])))
    assert 0.2 * most < len(occupied) <= most  # an equally wide cut leaves most of them empty


def test_too_many_dimensions() -> None:
    x = np.random.default_rng(0).random((50, 13))
    samples = {"sig": Sample(x=x, weight=np.ones(50)), "bkg": Sample(x=x, weight=np.ones(50))}
    with pytest.raises(OptimisationError, match=r"^discriminants: at most 12 .* \(got 13\)"):
        check_features(samples, default_features(samples))


def test_default_features():
    scores = {"a": sample(50), "b": sample(50, low=0.2, high=0.9)}
    assert default_features(scores) == (Feature("x0", 0.0, 1.0, "logit", open=True),)
    found = default_features({"a": sample(50, low=-3, high=2), "b": sample(50, low=0, high=7)})
    assert found[0].scale == "linear"
    assert found[0].low == min(sample(50, low=-3, high=2).x.min(), 0.0) < 0
    assert found[0].high <= 7
    mixed = Sample(x=np.array([[0.1, 0.0], [0.7, 40.0]]), weight=np.ones(2))
    assert [f.scale for f in default_features({"a": mixed})] == ["logit", "linear"]


def test_folds_follow_identity_or_position():
    given = sample(1000, fold=np.arange(1000) * 7 - 300)
    found = with_folds({"a": given, "b": sample(1000)}, 5)
    np.testing.assert_array_equal(found["a"].fold, given.fold % 5)
    first, again = (with_folds({"b": sample(1000, seed=s)}, 5)["b"].fold for s in (1, 2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, found["b"].fold)
    assert first.min() >= 0
    # Binomial: 200 +- 13 a fold; five of them.
    assert np.abs(np.bincount(first, minlength=5) - 200).max() < 65
    # An event keeps its fold when others are added behind it.
    longer = with_folds({"b": sample(1500)}, 5)["b"].fold
    np.testing.assert_array_equal(longer[:1000], first)


def test_points_sum_folds_and_mass():
    rng = np.random.default_rng(6)
    n = 3000
    samples = {
        name: Sample(
            x=rng.beta(2, 2, (n, 1)),
            weight=rng.normal(1, 0.5, n),
            mass=rng.uniform(90, 190, n),
            fold=rng.integers(0, 3, n),
        )
        for name in ("sig", "bkg")
    }
    points = points_from_samples(
        samples,
        features=default_features(samples),
        signals=("sig",),
        n_folds=3,
        window=Window(100, 180, 120, 130),
        max_points=300,
    )
    assert points.sumw.shape == (2, 3, len(points))
    for f in range(3):
        s, b = (samples[name].where(samples[name].fold == f) for name in ("sig", "bkg"))
        inside = (s.mass >= 120) & (s.mass <= 130)
        assert points.sumw[0, f].sum() == pytest.approx(s.weight[inside].sum())
        assert points.sumw2[0, f].sum() == pytest.approx((s.weight[inside] ** 2).sum())
        inside = (b.mass >= 100) & (b.mass <= 180)
        assert points.sumw[1, f].sum() == pytest.approx(b.weight[inside].sum())
        assert points.sumw_mass[1, f].sum() == pytest.approx((b.weight * b.mass)[inside].sum())


def filled(axes, seed, n=5000, mean=0.5):
    h = hist.Hist(*axes, storage=hist.storage.Weight())
    rng = np.random.default_rng(seed)
    columns = [rng.normal(mean, 0.2, n) for _ in axes]
    h.fill(*columns, weight=rng.uniform(0.5, 1.5, n))
    return h


ONE = (hist.axis.Variable([0, 0.1, 0.3, 0.4, 0.6, 0.7, 1.0], name="score"),)
TWO = (hist.axis.Regular(8, 0, 1, name="a"), hist.axis.Regular(5, -1, 2, name="b"))


@pytest.mark.parametrize("axes", [ONE, TWO], ids=["1-D", "2-D"])
def test_filled_bins_of_histograms_are_points(axes):
    histograms = {"sig": filled(axes, 1, mean=0.7), "bkg": filled(axes, 2)}
    points = points_from_histograms(histograms)
    assert points.processes == ("sig", "bkg")
    assert [f.name for f in points.features] == [a.name for a in axes]
    assert points.n_folds == 1
    centre = np.stack(
        [c.ravel() for c in np.meshgrid(*[a.centers for a in axes], indexing="ij")], axis=1
    )
    filled_bins = sum(h.variances() for h in histograms.values()).ravel() > 0
    np.testing.assert_allclose(points.x, centre[filled_bins], atol=1e-12)
    for c, h in enumerate(histograms.values()):
        np.testing.assert_allclose(points.sumw[c, 0], h.values().ravel()[filled_bins])
        np.testing.assert_allclose(points.sumw2[c, 0], h.variances().ravel()[filled_bins])
    # A bin's point lies in the bin, so a table over the grid has its edges on the bins.
    np.testing.assert_array_equal(points.grid.index(points.x), points.cell)
    for f, a in zip(points.features, axes, strict=True):
        assert (f.low, f.high) == (a.edges[0], a.edges[-1])
        # From 0 to 1 is a score, as where events are given.
        assert f.scale == ("linear" if a.name == "b" else "logit")


def test_counts_are_histograms_too():
    h = hist.Hist(hist.axis.Regular(4, 0, 1, name="x"), storage=hist.storage.Int64())
    h.fill([0.1, 0.1, 0.6])
    points = points_from_histograms({"a": h, "b": h})
    np.testing.assert_array_equal(points.sumw2[0, 0], [2, 1])
    np.testing.assert_array_equal(points.cell, [0, 2])


def test_histograms_that_do_not_fit():
    other = (hist.axis.Regular(6, 0, 1, name="score"),)
    text = message(points_from_histograms, {"a": filled(ONE, 1), "b": filled(other, 1)})
    assert text == (
        "histogram b: its axes differ from those of a (got others of as many bins; needed "
        "score: 6 bins from 0 to 1)"
    )
    text = message(points_from_histograms, {"a": filled(ONE, 1), "b": filled(TWO, 1)})
    assert text == (
        "histogram b: its axes differ from those of a (got a: 8 bins from 0 to 1, "
        "b: 5 bins from -1 to 2; needed score: 6 bins from 0 to 1)"
    )
    named = (hist.axis.StrCategory(["sr", "cr"], name="region"), *ONE)
    h = hist.Hist(*named, storage=hist.storage.Weight())
    assert message(points_from_histograms, {"a": h}) == (
        "histogram a: axis 'region' holds names, which are no discriminant; pick one (got sr, cr)"
    )
    weighted = hist.Hist(*ONE, storage=hist.storage.Double())
    weighted.fill([0.5], weight=[0.3])
    text = message(points_from_histograms, {"a": filled(ONE, 1), "b": weighted})
    assert text.startswith(
        "histogram b: has no variances (got weights without their squares); fill it with "
        "hist.storage.Weight(), or TH1::Sumw2 in ROOT, or say"
    )
    bad = filled(ONE, 1)
    bad.view().value[2] = np.nan
    text = message(points_from_histograms, {"a": bad})
    assert text == "histogram a: 1 of 6 bins are NaN or infinite"
    for variance, told in ((-1.0, "(got -1 to "), (0.0, "(got 0 to 0)")):
        bad = filled(ONE, 1)
        bad.view().variance[slice(None) if variance == 0 else 3] = variance
        text = message(points_from_histograms, {"a": bad})
        assert text.startswith("histogram a: variances must not be negative, nor all zero " + told)


GOOD = {"x": np.linspace(0, 1, 9), "weight": np.ones(9)}
BAD = np.array([0, 1, 2, np.nan, 4, np.inf, 6, 7, 8.0])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            pd.DataFrame({"a": [1.0], "weight": [1.0]}),
            "bkg: column 'x' is missing (got a, weight; allowed: x of shape (N,) or (N, D), ",
        ),
        ((GOOD["x"], GOOD["weight"]), "bkg: must be a table of columns, x and weight (got tuple)"),
        ({"x": np.ones(9)}, "bkg: column 'weight' is missing (got ['x'])"),
        ({**GOOD, "x": BAD}, "bkg.x: 2 of 9 values are NaN or infinite"),
        ({**GOOD, "weight": BAD}, "bkg.weight: 2 of 9 values are NaN or infinite"),
        ({**GOOD, "mass": BAD}, "bkg.mass: 2 of 9 values are NaN or infinite"),
        (pd.DataFrame({**GOOD, "x": BAD}), "bkg.x: 2 of 9 values are NaN or infinite"),
        ({**GOOD, "weight": np.ones(8)}, "bkg.weight: must have shape (9,) (got (8,))"),
        ({**GOOD, "mass": np.ones((9, 2))}, "bkg.mass: must have shape (9,) (got (9, 2))"),
        ({**GOOD, "x": np.ones((9, 2, 2))}, "bkg.x: must have shape (N,) or (N, D)"),
        ({**GOOD, "x": np.ones((9, 0))}, "bkg.x: must have shape (N,) or (N, D) (got (9, 0))"),
        ({**GOOD, "x": [[1, 2], [3]] * 4}, "bkg.x: must hold numbers, in one shape ("),
        (
            ak.Array([{"x": [1.0, 2.0], "weight": 1.0}, {"x": [1.0], "weight": 1.0}]),
            "bkg.x: must hold numbers, in one shape (",
        ),
        (
            {**GOOD, "x": np.ma.masked_greater(GOOD["x"], 0.8)},
            "bkg.x: 2 of 9 values are NaN or infinite, or masked",
        ),
        (
            {**GOOD, "weight": np.ma.masked_array(np.ones(9), [True] + 8 * [False])},
            "bkg.weight: 1 of 9 values are NaN or infinite, or masked",
        ),
        (
            ak.Array({"x": [*GOOD["x"][:8], None], "weight": np.ones(9)}),
            "bkg.x: 1 of 9 values are NaN or infinite, or masked",
        ),
        ({**GOOD, "x": GOOD["x"] + 1j}, "bkg.x: must hold numbers (got complex numbers)"),
        ({**GOOD, "weight": [1 + 1j] * 9}, "bkg.weight: must hold numbers (got complex numbers)"),
        ({**GOOD, "x": np.array(["2012-07-04"] * 9, "M8[D]")}, "bkg.x: must hold numbers (got d"),
        ({**GOOD, "x": ["0.5"] * 9}, "bkg.x: must hold numbers (got text)"),
        (
            pd.DataFrame({"x": pd.Series(["0.5"] * 9, dtype=object), "weight": np.ones(9)}),
            "bkg.x: must hold numbers (got text)",
        ),
        ({**GOOD, "x": [10**400] * 9}, "bkg.x: must hold numbers, in one shape ("),
        (Sample(x=[0.1] * 9, weight=[1.0] * 8), "bkg.weight: must have shape (9,) (got (8,))"),
        (
            Sample(x=GOOD["x"], weight=np.ones(9), fold=np.zeros(8, dtype=int)),
            "bkg.fold: must have shape (9,) (got (8,))",
        ),
        (
            Sample(x=GOOD["x"], weight=np.ones(9), mass=np.ones(3)),
            "bkg.mass: must have shape (9,) (got (3,))",
        ),
        (
            Sample(x=GOOD["x"], weight=np.ones(9), variations={"jesUp": np.ones(3)}),
            "bkg.variations.jesUp.weight: must have the shape of the nominal, (9,), for the same "
            "events in the same order (got (3,))",
        ),
        (
            Sample(x=BAD[:, None], weight=np.ones(9)),
            "bkg.x: 2 of 9 values are NaN or infinite",
        ),
        (
            Sample(x=np.ones((9, 1)), weight=BAD),
            "bkg.weight: 2 of 9 values are NaN or infinite",
        ),
    ],
)
def test_columns_that_are_no_numbers_of_one_shape(value, told):
    assert message(as_samples, {"sig": GOOD, "bkg": value}).startswith(told)


class Columns(processor.ProcessorABC):
    """A processor that keeps columns in coffea's accumulators."""

    def process(self, events):
        x, w = np.asarray(events.score), np.asarray(events.genWeight)
        keep = processor.column_accumulator
        return {events.metadata["dataset"]: {"x": keep(x), "weight": keep(w), "n": len(x)}}

    def postprocess(self, accumulator):
        return accumulator


class Filled(processor.ProcessorABC):
    """One that fills a histogram by process and variation, and one for each dataset."""

    def process(self, events):
        name, storage = events.metadata["dataset"], hist.storage.Weight()
        axis = hist.axis.Regular(50, 0, 1, name="score")
        labels = [
            hist.axis.StrCategory([], growth=True, name=n) for n in ("dataset", "systematic")
        ]
        together, alone = (
            hist.Hist(*labels, axis, storage=storage),
            hist.Hist(axis, storage=storage),
        )
        for variation, factor in (("scaleUp", 1.8), ("nominal", 1.0), ("scaleDown", 0.6)):
            together.fill(name, variation, events.score, weight=factor * events.genWeight)
        alone.fill(events.score, weight=events.genWeight)
        return {"together": {"score": together}, "alone": {name: {"score": alone}}}

    def postprocess(self, accumulator):
        return accumulator


@pytest.fixture(scope="module")
def fileset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("n")
    files = {}
    for name, (a, b) in {"ggH": (5, 2), "cont": (2, 4)}.items():
        path = folder / f"{name}.root"
        rng = np.random.default_rng(a)
        with uproot.recreate(path) as file:
            file.mktree("Events", {"score": "float64", "genWeight": "float64"})
            for _ in range(2):
                x = rng.beta(a, b, 1500)
                file["Events"].extend({"score": x, "genWeight": np.full(1500, 0.1)})
        files[name] = {"files": {str(path): "Events"}}
    return files


def run(fileset, instance):
    runner = processor.Runner(
        executor=processor.IterativeExecutor(status=False), schema=BaseSchema, chunksize=1000
    )
    return runner(fileset, processor_instance=instance)


def test_what_coffea_hands_back_is_optimised_in_one_call(fileset):
    options = {"signals": ["ggH"], "n_categories": 3, "method": "exact"}
    columns = run(fileset, Columns())
    from_columns = optimise(columns, **options)
    plain = {n: {k: t[k].value for k in ("x", "weight")} for n, t in columns.items()}
    assert from_columns.held_out == optimise(plain, **options).held_out
    filled = run(fileset, Filled())
    together, alone = (optimise(filled[key], **options) for key in ("together", "alone"))
    for process in range(2):
        total = together.yields.sumw[process].sum()
        assert total == pytest.approx(alone.yields.sumw[process].sum())  # of the nominal alone
    assert together.held_out.combined < alone.held_out.combined  # the axis is an uncertainty
    assert alone.training.combined == pytest.approx(from_columns.training.combined, rel=0.05)


def test_lists_in_a_sample_are_arrays():
    found = as_samples({"a": Sample(x=[0.1, 0.2], weight=[1, 2], fold=[0, 1], data=True)})["a"]
    np.testing.assert_array_equal(found.x, [[0.1], [0.2]])
    assert found.weight.dtype == np.float64
    assert found.fold.dtype == np.int64
    assert found.data
    kept = sample(9)
    assert np.shares_memory(as_samples({"a": kept})["a"].x, kept.x)
    large = np.array([2**62 + 1, 2**62 + 2])
    exact = as_samples({"a": Sample(x=[0.1, 0.2], weight=[1, 2], fold=large)})["a"].fold
    np.testing.assert_array_equal(exact, large)


def test_later_events_beyond_the_default_ranges_count_as_at_their_end(tmp_path):
    rng = np.random.default_rng(3)
    samples = {
        name: {"x": rng.normal(mean, 1.0, (4000, 2)), "weight": np.ones(4000)}
        for name, mean in (("sig", 1.0), ("bkg", 0.0))
    }
    for method in ("exact", "gato"):
        result = optimise(
            samples, signals=["sig"], n_categories=3, method=method, epochs=20, folds=2
        )
        result.categories.save(tmp_path / "c.json")
        categories = Categories.load(tmp_path / "c.json")
        ends = np.array([[f.low, f.high] for f in categories.features])
        far = ends + np.array([-5.0, 5.0])
        np.testing.assert_array_equal(categories.assign(far.T), categories.assign(ends.T))
        assert categories.assign(far.T).min() >= 0
        assert categories.assign([[0.0, np.nan]])[0] == -1
    later = rng.normal(0.0, 1.2, (100_000, 2))
    assert (categories.assign(later) >= 0).all()
    closed = [Feature("a", -3, 3), Feature("b", -3, 3)]
    strict = optimise(samples, signals=["sig"], n_categories=3, method="exact", features=closed)
    assert strict.categories.assign([[5.0, 0.0]])[0] == -1


def test_records_of_awkward_are_tables():
    found = as_samples({"a": ak.Array({"x": GOOD["x"], "weight": GOOD["weight"]})})["a"]
    np.testing.assert_array_equal(found.x[:, 0], GOOD["x"])


def test_no_processes_at_all():
    assert message(as_samples, {}) == "samples: no process is given"


def checked(samples):
    samples = as_samples(samples)
    check_features(samples, default_features(samples))


@pytest.mark.parametrize(
    ("bkg", "told"),
    [
        ({"x": np.zeros((0, 1)), "weight": np.zeros(0)}, "bkg: has no events"),
        ({**GOOD, "weight": np.zeros(9)}, "bkg.weight: all 9 weights are zero"),
        (
            {"x": np.ones((9, 2)), "weight": np.ones(9)},
            "bkg.x: must have 1 columns, one for each discriminant (got 2)",
        ),
    ],
)
def test_processes_that_cannot_be_used(bkg, told):
    assert message(checked, {"sig": GOOD, "bkg": bkg}) == told


def test_no_events_in_any_process():
    nothing = {"x": np.zeros((0, 1)), "weight": np.zeros(0)}
    assert message(checked, {"sig": nothing, "bkg": nothing}) == "sig: has no events"


@pytest.mark.parametrize("value", [0.0, 0.37, 2500.0])
def test_a_constant_discriminant(value):
    x = np.stack([np.linspace(0, 1, 9), np.full(9, value)], axis=1)
    one = {"x": x, "weight": np.ones(9)}
    assert message(checked, {"sig": one, "bkg": one}) == (
        f"discriminant x1: is constant (got {value:.6g} everywhere)"
    )


def test_constant_in_one_process_only_is_fine():
    checked({"sig": {**GOOD, "x": np.full(9, 0.5)}, "bkg": GOOD})


@pytest.mark.parametrize("what", ["sig", "bkg"])
def test_events_outside_the_declared_range(what):
    samples = as_samples({"sig": GOOD, "bkg": GOOD, what: {**GOOD, "x": GOOD["x"] + 5}})
    text = message(
        points_from_samples,
        samples,
        features=(Feature("score", 0.0, 1.0),),
        signals=("sig",),
        n_folds=1,
    )
    assert text == (
        f"{what}: no event lies inside the ranges of the discriminants (got score 5 to 6; "
        "allowed score 0 to 1)"
    )


def test_a_mass_window_needs_masses():
    samples = as_samples({"sig": GOOD, "bkg": {**GOOD, "mass": np.full(9, 120.0)}})
    text = message(
        points_from_samples,
        samples,
        features=(Feature("score", 0.0, 1.0),),
        signals=("sig",),
        n_folds=1,
        window=Window(100, 180, 120, 130),
    )
    assert text == "sig: column 'mass' is missing, and a mass window is used"


def test_errors_of_input_are_errors_of_input():
    with pytest.raises(InputError):
        as_samples({"a": {"x": [1.0], "weight": [np.nan]}})


def test_points_of_several_blocks_hold_every_event():
    rng = np.random.default_rng(9)
    n = BLOCK + 1000
    samples = with_folds(
        {
            name: Sample(x=rng.normal(shift, 1.0, (n, 2)), weight=rng.normal(1.0, 0.5, n))
            for name, shift in (("signal", 0.5), ("background", 0.0))
        },
        3,
    )
    features = default_features(samples)
    points = points_from_samples(
        samples, features=features, signals=("signal",), n_folds=3, max_points=400
    )
    for row, name in enumerate(points.processes):
        own = samples[name]
        sumw = np.bincount(own.fold, own.weight, 3)
        np.testing.assert_allclose(points.sumw[row].sum(axis=-1), sumw, rtol=1e-10)
        assert points.count[row].sum() == n
