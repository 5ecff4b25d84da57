"""End to end on small toys: what must not matter, what must, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import hist
import numpy as np
import pandas as pd
import pytest

from gato_coffea.categories import Categories
from gato_coffea.config import Constraints
from gato_coffea.datasets.toys import toy_arrays
from gato_coffea.errors import GatoError
from gato_coffea.events.samples import Cells, Feature, Grid, Sample
from gato_coffea.optimisation.choice import recommendation_of
from gato_coffea.optimisation.inputs import as_samples, default_features, with_folds
from gato_coffea.optimisation.optimise import optimise
from gato_coffea.optimisation.result_tables import MEANINGS
from gato_coffea.optimisation.window import Window, window_fraction
from gato_coffea.statistics.counting import signal_significances
from gato_coffea.workflow.results import read_results, read_summary, write_results

FOLDS = 3
BOTH = ["signal1", "signal2"]


@pytest.fixture(scope="module")
def score():
    """One score, with folds."""
    return with_folds(as_samples(toy_arrays("1d", n_signal=4000, n_bkg=20_000, seed=5)), FOLDS)


@pytest.fixture(scope="module")
def classes():
    """Three class probabilities, with folds."""
    toy = toy_arrays("three-class", n_signal=4000, n_bkg=20_000, seed=6)
    return with_folds(as_samples(toy), FOLDS)


@pytest.fixture(scope="module")
def resonance():
    toy = toy_arrays("diphoton", n_signal=4000, n_bkg=20_000, seed=7)
    return with_folds(as_samples(toy), FOLDS)


def run(samples, **options):
    given = {
        "signals": ["signal"] if "signal" in samples else BOTH,
        "n_categories": 4,
        "method": "exact",
        "folds": FOLDS,
        "max_points": 250,
        **options,
    }
    return optimise(samples, **given)


def by_hand(result, samples, signals):
    """Significances from the categories alone."""
    k = result.n_categories
    total, squares = {}, {}
    for name, s in samples.items():
        label = result.categories.assign(s.x)
        total[name] = np.bincount(label[label >= 0], s.weight[label >= 0], k)
        squares[name] = np.bincount(label[label >= 0], s.weight[label >= 0] ** 2, k)
    signal = np.stack([total[name] for name in signals])
    background = sum(total[name] for name in samples if name not in signals)
    # Finite simulation is in every figure unless it is left out.
    variance = sum(squares[name] for name in samples if name not in signals)
    known = result.categories.training["mc_uncertainty"]
    return signal_significances(signal, background, variance if known else 0.0)


def check(result, samples, signals):
    """What holds for every result on events."""
    z = by_hand(result, samples, signals)
    assert list(result.training.per_signal.values()) == pytest.approx(z.tolist(), rel=1e-9)
    limits = Constraints()
    assert (result.yields.effective_background >= limits.min_effective).all()
    assert set(result.categories.label) == set(range(result.n_categories))
    s, b = result.yields.signal_stack, result.yields.background
    likeness = (s / s.sum(axis=1, keepdims=True)).sum(axis=0) / b
    assert (np.diff(likeness) > 0).all()  # from the least to the most signal-like
    assert result.held_out.spread > 0
    assert result.held_out.combined < result.training.combined + 2 * result.held_out.spread
    for figure in (result.held_out, result.training):
        assert np.isfinite(figure.combined)
        assert list(figure.per_signal) == list(signals)


def test_exact_bins_of_a_score(score):
    results = run(score, n_categories=[2, 4, 6])
    z = [r.training.combined for r in results]
    assert [r.asked for r in results] == [2, 4, 6]
    for result in results:
        check(result, score, ["signal"])
        sticks = result.yardsticks
        rules = {"TransfoD", "TransfoF", "signal quantiles"}
        assert set(sticks) == {"exact", "equidistant", "50 categories", *rules}
        assert all(sticks[rule].training.combined > 0 for rule in rules)
        # The method is its own yardstick.
        assert sticks["exact"].training.combined == pytest.approx(result.training.combined)
        assert sticks["equidistant"].training.combined < result.training.combined
        assert len(result.categories.boundaries) == result.n_categories - 1
    assert z[0] < z[1]
    assert z[2] > z[1] * 0.995  # trained on estimated densities, not on these very events
    alone = run(score, n_categories=4)
    np.testing.assert_array_equal(alone.categories.boundaries, results[1].categories.boundaries)
    assert alone.held_out == results[1].held_out


def test_lloyd_on_class_probabilities(classes):
    result = run(classes, method="lloyd", n_categories=5)
    check(result, classes, BOTH)
    sticks = result.yardsticks
    assert set(sticks) == {"lloyd", "argmax equidistant", "argmax optimal", "50 categories"}
    best, equal = (sticks[f"argmax {name}"] for name in ("optimal", "equidistant"))
    assert equal.held_out.combined < best.held_out.combined < result.held_out.combined


def test_exact_on_class_probabilities_of_one_signal(classes):
    samples = {n: s for n, s in classes.items() if n != "signal2"}
    result = run(samples, signals=["signal1"])
    check(result, samples, ["signal1"])
    assert "exact" in result.yardsticks


@pytest.mark.parametrize("method", ["exact", "lloyd"])
def test_order_of_events_does_not_matter(score, method):
    rng = np.random.default_rng(0)
    shuffled = {name: s.where(rng.permutation(len(s))) for name, s in score.items()}
    first, again = run(score, method=method), run(shuffled, method=method)
    np.testing.assert_array_equal(again.categories.boundaries, first.categories.boundaries)
    assert again.training.combined == pytest.approx(first.training.combined)
    # Of the bootstrap's Poisson numbers one may fall on the other side of a last digit.
    assert again.held_out.combined == pytest.approx(first.held_out.combined, rel=1e-3)


@pytest.mark.parametrize("method", ["exact", "lloyd"])
def test_order_of_backgrounds_changes_no_digit(score, method):
    turned = dict(reversed(list(score.items())))
    first, second = (run(samples, method=method) for samples in (score, turned))
    assert first.held_out == second.held_out
    assert first.training == second.training
    np.testing.assert_array_equal(first.yields.background, second.yields.background)
    assert first.yardsticks == second.yardsticks


@pytest.mark.parametrize("method", ["exact", "lloyd"])
def test_luminosity_scales_the_significance_alone(score, method):
    """Four times the luminosity, as Z squared is homogeneous in the yields, is twice the Z."""
    more = {name: s.scaled(4.0) for name, s in score.items()}
    options = {"method": method, "mc_uncertainty": False}  # simulated events stay as many
    first, again = run(score, **options), run(more, **options)
    x = np.linspace(0.001, 0.999, 999)
    np.testing.assert_array_equal(first.categories.assign(x), again.categories.assign(x))
    assert again.training.combined == pytest.approx(2 * first.training.combined)
    assert again.held_out.combined == pytest.approx(2 * first.held_out.combined)
    assert again.held_out.spread == pytest.approx(2 * first.held_out.spread)
    np.testing.assert_allclose(again.yields.sumw, 4 * first.yields.sumw)
    np.testing.assert_allclose(
        again.yields.effective_background, first.yields.effective_background
    )


def test_a_monotonic_stretch_changes_nothing():
    """Of a score with fifty levels, each of which is a cell."""
    rng = np.random.default_rng(3)

    def levels(n, mean):
        return np.clip(np.rint(rng.normal(mean, 9, n)), 0, 49)

    plain = {
        "signal": Sample(x=levels(3000, 30)[:, None], weight=np.full(3000, 0.01)),
        "bkg": Sample(x=levels(20_000, 20)[:, None], weight=np.ones(20_000)),
    }
    stretched = {n: replace(s, x=np.exp(s.x / 40) - 7) for n, s in plain.items()}
    first, again = (run(s, smooth=False, n_categories=5) for s in (plain, stretched))
    for name in plain:
        np.testing.assert_array_equal(
            first.categories.assign(plain[name].x), again.categories.assign(stretched[name].x)
        )
    assert again.held_out.combined == pytest.approx(first.held_out.combined)
    assert again.training.combined == pytest.approx(first.training.combined)


def test_folds_are_those_of_the_events(score):
    """Folds given by hand are used, whatever the order; others give other held-out figures."""
    first = run(score)
    other = {
        n: replace(s, fold=(s.fold + (s.x[:, 0] * 1e7).astype(int)) % 3) for n, s in score.items()
    }
    again = run(other)
    assert again.training.combined == pytest.approx(first.training.combined)
    assert again.held_out.combined != first.held_out.combined
    one = run(score, folds=1)
    assert one.held_out.combined == one.training.combined
    assert any("no cross-validation" in note for note in one.notes)


def test_without_folds_no_figure_is_called_held_out(score, tmp_path):
    results = run(score, folds=1, n_categories=[2, 3])
    one = results[0]
    assert (one.cross_validated, one.basis) == (False, "training")
    folder = tmp_path
    write_results(folder, results)
    for text in (str(one), repr(one), one._repr_html_(), recommendation_of(results).reason):
        assert "training" in text
        assert "held-out" not in text.replace(MEANINGS["exact"], "")
    assert one.to_dict()["held_out"] is None
    assert one.categories.training["held_out"] is None
    assert all(y.held_out is None for y in one.yardsticks.values())
    summary = read_summary(folder)
    assert summary["held_out"] == [None, None]
    assert summary["training"] == [r.training.combined for r in results]
    assert read_results(folder)[2].held_out == one.training
    assert run(score).basis == "held-out"


def test_tables_mappings_and_samples_are_the_same(score):
    columns = {n: {"x": s.x[:, 0], "weight": s.weight, "fold": s.fold} for n, s in score.items()}
    frames = {
        n: pd.DataFrame({"NN_output": s.x[:, 0], "weight": s.weight, "fold": s.fold})
        for n, s in score.items()
    }
    results = [run(kind) for kind in (score, columns, frames)]
    for other in results[1:]:
        assert other.to_dict() == results[0].to_dict()
        np.testing.assert_array_equal(
            other.categories.boundaries, results[0].categories.boundaries
        )


def test_cells_give_what_events_give(score):
    feature = default_features(score)
    grid = Grid(feature, (feature[0].edges(400),))
    cells = {n: Cells.fill(grid, s, n_folds=FOLDS) for n, s in score.items()}
    result = run(cells)
    # Boundaries lie on the grid: the events give what the cells gave.
    z = by_hand(result, score, ["signal"])
    assert result.training.combined == pytest.approx(float(z[0]))
    events = run(score)
    # Another grid: as good within the part of the sample that a cell holds.
    assert result.training.combined == pytest.approx(events.training.combined, rel=0.03)
    assert result.held_out.spread == pytest.approx(events.held_out.spread, rel=0.3)


def histograms(samples, axes):
    result = {}
    for name, s in samples.items():
        result[name] = hist.Hist(*axes, storage=hist.storage.Weight())
        result[name].fill(*s.x.T[: len(axes)], weight=s.weight)
    return result


def test_fine_histograms(score, classes):
    axis = hist.axis.Variable(Feature("score", 0, 1, "logit").edges(200), name="score")
    one = run(histograms(score, [axis]))
    assert np.isin(one.categories.boundaries, axis.edges).all()
    z = by_hand(one, score, ["signal"])
    assert one.training.combined == pytest.approx(float(z[0]))
    assert one.training.combined == pytest.approx(run(score).training.combined, rel=0.03)
    axes = [hist.axis.Regular(20, 0, 1, name=name) for name in ("p1", "p2")]
    two = run(histograms(classes, axes), method="lloyd")
    assert [f.name for f in two.categories.features] == ["p1", "p2"]
    samples = {n: replace(s, x=s.x[:, :2]) for n, s in classes.items()}
    check(two, samples, BOTH)


def test_yields_are_the_nominal_ones_of_an_axis_of_variations_and_the_others_an_uncertainty(score):
    axis = hist.axis.Regular(100, 0, 1, name="score")
    labels = hist.axis.StrCategory(["nominal", "jesUp", "jesDown"], name="variation")
    plain, varied = {}, {}
    for name, s in score.items():
        plain[name] = hist.Hist(axis, storage=hist.storage.Weight())
        plain[name].fill(s.x[:, 0], weight=s.weight)
        varied[name] = hist.Hist(labels, axis, storage=hist.storage.Weight())
        for label, shift in (("nominal", 0.0), ("jesUp", 0.05), ("jesDown", -0.05)):
            varied[name].fill(label, np.clip(s.x[:, 0] + shift, 0, 0.999), weight=s.weight)
    uncertain, certain = run(varied), run(plain)
    found, wanted = (r.yields.sumw.sum(axis=1) for r in (uncertain, certain))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert uncertain.categories.training["systematics"] == ["jes"]
    assert certain.categories.training["systematics"] == []
    assert uncertain.held_out.combined < certain.held_out.combined


def test_mass_window(resonance):
    result = run(
        resonance, method="lloyd", window_gev=(122.0, 128.0), mass_range_gev=(105.0, 165.0)
    )
    window = Window(105.0, 165.0, 122.0, 128.0)
    k = result.n_categories
    signal, sums = np.zeros((2, k)), np.zeros((3, k))
    for name, s in resonance.items():
        label = result.categories.assign(s.x)
        if name in BOTH:
            inside = (s.mass >= 122) & (s.mass <= 128)
            signal[BOTH.index(name)] = np.bincount(label[inside], s.weight[inside], k)
        else:
            inside = (s.mass >= 105) & (s.mass <= 165)
            w, m = s.weight[inside], s.mass[inside]
            for i, column in enumerate((w, w * m, w * w)):
                sums[i] += np.bincount(label[inside], column, k)
    factor = window_fraction(sums[1] / sums[0], window)
    z = signal_significances(signal, sums[0] * factor, sums[2] * factor**2)
    assert list(result.training.per_signal.values()) == pytest.approx(z.tolist())
    assert result.training.combined == pytest.approx(np.sqrt(z.prod()))
    np.testing.assert_allclose(result.yields.factor, factor)
    np.testing.assert_allclose(result.yields.background, sums[0] * factor)
    # A falling continuum has about a tenth of the range's events in a tenth of the range.
    assert ((factor > 0.08) & (factor < 0.16)).all()
    assert result.held_out.combined < result.training.combined + 2 * result.held_out.spread
    # Knowing the mass must help: the window holds nearly all signal and little background.
    blind = run({n: replace(s, mass=None) for n, s in resonance.items()}, method="lloyd")
    assert result.held_out.combined > 1.5 * blind.held_out.combined
    told = [any("no mass window is used" in note for note in r.notes) for r in (result, blind)]
    assert told == [False, False]
    whole = run(resonance, method="lloyd", n_categories=2)
    assert any("no mass window is used" in note for note in whole.notes)


def test_uncertainties_lower_the_significance_and_shift_the_bins(score):
    plain = run(score, mc_uncertainty=False)
    assert plain.held_out.statistics_only == plain.held_out.combined
    assert run(score).to_dict() == run(score, mc_uncertainty=True).to_dict()
    for options in ({"mc_uncertainty": True}, {"mc_uncertainty": False, "systematic": 0.2}):
        result = run(score, **options)
        assert result.training.combined < result.training.statistics_only
        assert result.training.combined < plain.training.combined
        # What is optimised with the uncertainty in mind is better under it.
        edges = [r.categories.boundaries for r in (plain, result)]
        assert not np.array_equal(*edges) or "mc_uncertainty" in options


@pytest.mark.parametrize(
    "limits",
    [
        Constraints(min_effective=300.0),
        Constraints(min_background=200.0),
        Constraints(max_rel_unc=0.08),
    ],
)
@pytest.mark.parametrize("method", ["exact", "lloyd"])
def test_constraints_hold_exactly(score, limits, method):
    result = run(score, constraints=limits, method=method, n_categories=6)
    found = result.yields
    assert (found.effective_background >= limits.min_effective).all()
    assert (found.background >= limits.min_background).all()
    if limits.max_rel_unc is not None:
        relative = np.sqrt(found.background_sumw2) / found.background
        assert (relative <= limits.max_rel_unc).all()
    if result.n_categories < 6:
        assert result.notes  # it says so
        assert "6 categories asked" in result.table()


def test_one_category(score):
    result = run(score, n_categories=1)
    assert result.n_categories == 1
    check(result, score, ["signal"])
    assert result.held_out.combined == pytest.approx(
        result.training.combined, abs=result.held_out.spread
    )
    x = np.array([0.0, 0.3, 1.0, 1.2, np.nan])
    # The default ranges are open: what lies beyond counts as at the end.
    assert result.categories.assign(x).tolist() == [0, 0, 0, 0, -1]


def test_discriminants_of_very_different_scale(score):
    rng = np.random.default_rng(2)
    both = {
        n: replace(
            s, x=np.column_stack([s.x[:, 0], 3000 * rng.beta(2, 3 - (n == "signal"), len(s))])
        )
        for n, s in score.items()
    }
    result = run(both, n_categories=4)
    check(result, both, ["signal"])
    # The second one adds information.
    assert result.held_out.combined > run(score).held_out.combined
    small = {n: replace(s, x=s.x * [1.0, 1e-9]) for n, s in both.items()}
    features = [Feature("a", 0, 1, "logit"), Feature("b", 0, 3e-6)]
    again = run(small, features=features)
    assert again.held_out.combined == pytest.approx(result.held_out.combined, rel=0.05)


def test_negative_weights(score):
    rng = np.random.default_rng(4)
    signed = {
        n: replace(s, weight=s.weight * np.where(rng.random(len(s)) < 0.15, -1.0, 1 / 0.7 + 0.2))
        for n, s in score.items()
    }
    result = run(signed)
    check(result, signed, ["signal"])


def test_a_result_can_be_stored(classes, tmp_path):
    result = run(classes, method="lloyd", n_categories=3)
    content = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert content["held_out"]["combined"] == result.held_out.combined
    result.categories.save(tmp_path / "categories.json")
    again = Categories.load(tmp_path / "categories.json", features=["x0", "x1", "x2"])
    for s in classes.values():
        np.testing.assert_array_equal(again.assign(s.x), result.categories.assign(s.x))
    record = again.training
    assert record["method"] == "lloyd"
    assert record["signals"] == BOTH
    assert record["held_out"]["combined"] == result.held_out.combined
    assert "signal1" in result.table()
    assert "Z held-out" in result.table()


def some(a, b, n=600, weight=1.0, **more):
    rng = np.random.default_rng(n)
    return {"x": rng.beta(a, b, n), "weight": np.full(n, weight), **more}


GOOD = {"sig": some(4, 2, weight=0.01), "bkg": some(2, 4, 3000)}
FLAT = {"x": np.full(9, 0.3), "weight": np.ones(9)}
NAN = {"x": [0.1, np.nan], "weight": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("changes", "options", "told"),
    [
        ({}, {"n_categories": 5000}, "n_categories: 5000 categories need as many distinct points"),
        ({}, {"n_categories": 0}, "n_categories: must be whole numbers above zero"),
        ({}, {"n_categories": True}, "n_categories: must be whole numbers above zero"),
        ({}, {"n_categories": []}, "n_categories: must be whole numbers above zero"),
        ({}, {"n_categories": "all"}, "n_categories: must be whole numbers above zero, or auto"),
        ({"sig": some(4, 2, weight=-1.0)}, {}, "signal sig: the total yield must be above zero"),
        ({"sig": some(4, 2, weight=0.0)}, {}, "sig.weight: all 600 weights are zero"),
        ({"bkg": some(4, 2, weight=0.0)}, {}, "bkg.weight: all 600 weights are zero"),
        ({"bkg": some(4, 2, weight=-1.0)}, {}, "background bkg: the total yield must be above"),
        ({"bkg": {"x": [], "weight": []}}, {}, "bkg: has no events"),
        ({}, {"backgrounds": []}, "backgrounds: no process is left as background"),
        ({}, {"backgrounds": ["qcd"]}, "backgrounds: 'qcd' is no process (allowed: sig, bkg)"),
        ({}, {"signals": ["ggH"]}, "signals: 'ggH' is no process (allowed: sig, bkg)"),
        ({}, {"signals": "sig"}, "signals: must be a list of processes (got 'sig')"),
        ({}, {"signals": []}, "signals: needs at least 1 entry (got [])"),
        ({}, {"signals": ["sig", "sig"]}, "signals: each process counts once"),
        ({}, {"backgrounds": ["sig", "bkg"]}, "signals: ['sig'] is both signal and background"),
        ({"bkg": NAN}, {}, "bkg.x: 1 of 2 values are NaN or infinite"),
        ({"sig": FLAT, "bkg": FLAT}, {}, "discriminant x0: is constant (got 0.3 everywhere)"),
        ({"bkg": {"x": np.ones((5, 2)), "weight": np.ones(5)}}, {}, "bkg.x: must have 1 columns"),
        ({}, {"features": [Feature("a", 5, 6)]}, "sig: no event lies inside the ranges"),
        (
            {},
            {"constraints": Constraints(min_effective=1e6)},
            "constraints: not met even by all events in one category: "
            "min_effective 1e+06 (got 3000)",
        ),
        (
            {},
            {"combination": "mean"},
            "combination: must be 'geometric', 'quadrature', 'sum' or 'determinant' (got 'mean')",
        ),
        ({}, {"method": "best"}, "method: must be 'gato', 'exact' or 'lloyd' (got 'best')"),
        ({}, {"kind": "tree"}, "kind: must be 'mixture' or 'edges' (got 'tree')"),
        ({}, {"folds": 0}, "folds: must be at least 1 (got 0)"),
        ({}, {"restarts": 0}, "restarts: must be at least 1 (got 0)"),
        ({}, {"epochs": 2.5}, "epochs: must be a whole number (got 2.5)"),
        ({}, {"seed": -1}, "seed: must be at least 0 (got -1)"),
        ({}, {"max_points": 3}, "max_points: must be at least 100 (got 3)"),
        ({}, {"systematic": -0.1}, "systematic: must be at least 0 (got -0.1)"),
        ({}, {"window_gev": (120, 130)}, "window_gev and mass_range_gev: give both or none"),
        (
            {},
            {"window_gev": (90, 130), "mass_range_gev": (100, 180)},
            "window_gev: must be two increasing masses inside mass_range_gev, 100 to 180 GeV "
            "(got 90 to 130)",
        ),
        (
            {},
            {"window_gev": (120, 130), "mass_range_gev": (100, 180)},
            "sig: column 'mass' is missing, and a mass window is used",
        ),
        (
            {"vbf": some(5, 2, weight=0.01)},
            {"signals": ["sig", "vbf"]},
            "method: exact needs one signal, or one discriminant and combination quadrature",
        ),
    ],
)
def test_what_cannot_be_is_one_clear_line(changes, options, told):
    with pytest.raises(GatoError) as caught:
        optimise(
            {**GOOD, **changes},
            **{"signals": ["sig"], "n_categories": 3, "method": "exact", **options},
        )
    text = str(caught.value)
    assert text.startswith(told)
    assert "\n" not in text
    assert len(caught.value.args) == 1


@pytest.mark.parametrize("samples", [None, [1, 2], {}, 3.0])
def test_no_samples_at_all(samples):
    with pytest.raises(GatoError):
        optimise(samples, signals=["sig"])


def test_trained_on_a_score(score):
    """All numbers of categories in one batch; one category needs no training."""
    results = run(score, method="gato", n_categories=[1, 3, 4], restarts=2, epochs=30, folds=2)
    for result in results:
        check(result, score, ["signal"])
    one, three, four = results
    assert one.history is None
    assert one.n_categories == 1
    assert three.categories.kind == "mixture"
    assert three.history.epoch[-1] <= 30
    exact = [r.yardsticks["exact"].training.combined for r in (three, four)]
    got = [r.training.combined for r in (three, four)]
    # The yardstick is exact on densities: the events of either fluctuate a little.
    assert got[0] > 0.97 * exact[0]
    assert got[1] > 0.97 * exact[1]
    assert one.training.combined < three.training.combined < four.training.combined * 1.01


def test_trained_with_two_signals_and_a_mass(resonance):
    options = {
        "method": "gato",
        "n_categories": 3,
        "restarts": 1,
        "epochs": 20,
        "folds": 2,
        "window_gev": (122.0, 128.0),
        "mass_range_gev": (105.0, 165.0),
    }
    result = run(resonance, **options)
    assert result.n_categories == 3
    assert (result.yields.effective_background >= 10).all()
    assert result.training.combined > 0.9 * result.yardsticks["lloyd"].training.combined


def test_same_seed_same_result(score):
    options = {"method": "lloyd", "mc_uncertainty": False}
    first, again = run(score, **options), run(score, **options)
    assert again.to_dict() == first.to_dict()
    other = run(score, **options, seed=1)
    assert other.to_dict() != first.to_dict()
    # Many starts: another seed finds categories that are about as good.
    assert other.training.combined == pytest.approx(first.training.combined, rel=0.05)


def test_a_peak_in_a_discriminant_is_one_category_with_both_its_sides(tmp_path):
    rng = np.random.default_rng(1)
    n = 20_000
    x = {"signal": np.clip(rng.normal(125, 2, n), 100, 180), "b": 100 + 80 * rng.random(n) ** 1.3}
    samples = {
        name: {"x": x[name], "weight": np.full(n, total / n)}
        for name, total in (("signal", 50.0), ("b", 5000.0))
    }
    options = {"features": [Feature("mass", 100, 180)], "max_points": 1000, "n_categories": 3}
    ratio, bins = (run(samples, kind=kind, **options) for kind in ("mixture", "edges"))
    assert ratio.held_out.combined > 1.01 * bins.held_out.combined
    assert (ratio.n_categories, len(ratio.categories.boundaries)) == (3, 4)
    np.testing.assert_array_equal(
        ratio.categories.assign([110, 122, 125, 128, 150]), [0, 1, 2, 1, 0]
    )
    assert len(bins.categories.boundaries) == 2
    # Two bins cannot be told by one edge; the file holds the table.
    ratio.categories.save(tmp_path / "categories.json")
    again = Categories.load(tmp_path / "categories.json")
    np.testing.assert_array_equal(again.assign(x["b"]), ratio.categories.assign(x["b"]))
