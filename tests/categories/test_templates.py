"""Templates: three routes to the same histograms, closed ranges, refusals."""

from dataclasses import dataclass
from pathlib import Path

import hist
import numpy as np
import pytest

from gato_coffea.categories import EdgeCategories, MixtureCategories
from gato_coffea.categories.axes import NOMINAL, discriminant_axis, fill_values, mass_axis
from gato_coffea.categories.templates import (
    Templates,
    empty_templates,
    fill_templates,
    templates_from_histograms,
    templates_from_samples,
)
from gato_coffea.config import parse_analysis
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature, Sample, Variation


def analysis_of(*, mass=False, n=1, scale="linear", two_d=True):
    content = {
        "name": "test",
        "datasets": {
            "sig": {"files": "s.root", "process": "sig", "already_normalised": True},
            "bkg": {"files": "b.root", "process": "bkg", "already_normalised": True},
            "obs": {"files": "d.root", "process": "obs", "data": True},
        },
        "weight": {"nominal": "w", "variations": {"puUp": "wu", "puDown": "wd"}},
        "discriminants": [
            {"name": f"score{i}", "range": [0, 1], "bins": 20, "scale": scale} for i in range(n)
        ],
        "histograms_2d": two_d,
        "optimise": {"signals": ["sig"]},
    }
    if mass:
        content["mass"] = {
            "source": "m",
            "unit": "GeV",
            "range_gev": [100, 180],
            "bins": 16,
            "window_gev": [120, 130],
        }
    return parse_analysis(content, directory=Path())


def features_of(analysis):
    return tuple(Feature(d.name, *d.range, d.scale) for d in analysis.discriminants)


def samples_of(analysis, seed=1, n=2000):
    rng = np.random.default_rng(seed)
    samples = {}
    for process in ("sig", "bkg", "obs"):
        # Coarse values put many events exactly on bin edges, the upper end among them.
        x = np.round(rng.uniform(-0.05, 1.05, (n, len(analysis.discriminants))), 2)
        mass = np.round(rng.uniform(98, 182, n), 1) if analysis.mass is not None else None
        data = process == "obs"
        weight = np.ones(n) if data else rng.normal(0.5, 1.0, n)
        varied = {} if data else {"puUp": weight * 1.1, "puDown": weight * rng.normal(1, 1, n)}
        variations = {name: Variation(weight=w) for name, w in varied.items()}
        samples[process] = Sample(x=x, weight=weight, mass=mass, variations=variations)
    return samples


def edges_of(analysis, seed=3):
    rng = np.random.default_rng(seed)
    edges = []
    for d in analysis.discriminants:
        fine = discriminant_axis(d).edges
        inner = np.sort(rng.choice(fine[1:-1], 4, replace=False))
        edges.append(np.concatenate([fine[:1], inner, fine[-1:]]))
    size = 5 ** len(edges)
    label = rng.permutation(np.arange(size) % 4)
    return EdgeCategories(features=features_of(analysis), label=label, edges=tuple(edges))


@dataclass
class Fine:
    histograms: dict


def fine_of(analysis, samples):
    """Fine histograms as the processor keeps them."""
    axes = [discriminant_axis(d) for d in analysis.discriminants]
    if analysis.mass is not None:
        axes.append(mass_axis(analysis.mass))
    h = hist.Hist(
        hist.axis.StrCategory([], growth=True, name="process"),
        hist.axis.StrCategory([], growth=True, name="variation"),
        *axes,
        storage="weight",
    )
    for process, sample in reversed(samples.items()):
        columns = [*sample.x.T, *([] if sample.mass is None else [sample.mass])]
        values = [fill_values(c, a) for c, a in zip(columns, axes, strict=True)]
        for variation in (*sample.variations, NOMINAL):
            h.fill(process, variation, *values, weight=sample.varied(variation).weight)
    return Fine({"_".join(a.name for a in axes): h})


CASES = [
    {"mass": False, "n": 1},
    {"mass": False, "n": 1, "scale": "logit"},
    {"mass": False, "n": 2},
    {"mass": True, "n": 1},
]


@pytest.mark.parametrize("case", CASES)
def test_columns_and_fine_histograms_give_the_same_templates(case):
    analysis = analysis_of(**case)
    samples, categories = samples_of(analysis), edges_of(analysis)
    columns = templates_from_samples(samples, categories, analysis).histogram
    fine = templates_from_histograms(fine_of(analysis, samples), categories, analysis).histogram
    assert columns.axes == fine.axes
    a, b = columns.view(flow=True), fine.view(flow=True)
    # Sums of the same numbers in another order: 1e-12 of the sum of their absolute values.
    np.testing.assert_allclose(a["value"], b["value"], rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(a["variance"], b["variance"], rtol=1e-12)
    obs = list(columns.axes[0]).index("obs")
    np.testing.assert_array_equal(a["value"][obs], b["value"][obs])  # counts: exact


@pytest.mark.parametrize("case", CASES)
def test_any_split_into_chunks_gives_the_same_templates(case):
    analysis = analysis_of(**case)
    samples, categories = samples_of(analysis), edges_of(analysis)
    whole = templates_from_samples(samples, categories, analysis).histogram
    total = empty_templates(analysis, categories.n_categories)
    for process, sample in samples.items():
        for start, stop in ((1500, 2000), (0, 7), (7, 1500)):
            part = empty_templates(analysis, categories.n_categories)
            chunk = sample.where(np.arange(start, stop))
            fill_templates(part, chunk, process=process, categories=categories)
            total = total + part
    a, b = whole.view(flow=True), total.view(flow=True)
    np.testing.assert_allclose(a["value"], b["value"], rtol=1e-12, atol=1e-10)
    obs = list(whole.axes[0]).index("obs")
    np.testing.assert_array_equal(a["value"][obs], b["value"][obs])


def test_templates_by_hand():
    analysis = analysis_of(mass=True)
    categories = EdgeCategories(
        features=features_of(analysis), label=np.array([0, 1]), edges=(np.array([0, 0.5, 1.0]),)
    )
    sample = Sample(
        x=np.array([[0.0], [0.5], [1.0], [1.2], [0.1], [0.1]]),
        weight=np.array([1.0, 2.0, 3.0, 4.0, -5.0, 7.0]),
        mass=np.array([100.0, 102.5, 180.0, 110.0, 100.1, 181.0]),
    )
    h = templates_from_samples({"bkg": sample}, categories, analysis).histogram
    assert [a.name for a in h.axes] == ["process", "variation", "category", "mass"]
    assert list(h.axes["variation"]) == ["nominal", "puDown", "puUp"]
    assert list(h.axes["process"]) == ["sig", "bkg", "obs"]
    low, high = h["bkg", "nominal", 0, :], h["bkg", "nominal", 1, :]
    assert low.values()[0] == -4.0
    assert low.variances()[0] == 26.0
    assert high.values()[0] == 2.0
    assert high.values()[-1] == 3.0  # 180 is the closed upper end
    assert h["bkg", "nominal", hist.underflow, :].values().sum() == 4.0  # score 1.2: no category
    assert low[hist.overflow].value == 7.0
    assert h["sig", sum, sum, sum].value == 0.0


def test_templates_are_read_by_name():
    analysis = analysis_of(mass=True)
    samples, categories = samples_of(analysis), edges_of(analysis)
    templates = templates_from_samples(samples, categories, analysis)
    h = templates.histogram
    assert templates.channels == ("all",)
    assert templates.processes == ("sig", "bkg", "obs")
    assert templates.variations == ("nominal", "puDown", "puUp")
    assert templates.binned_in == "mass"
    np.testing.assert_array_equal(templates.edges, np.linspace(100, 180, 17))
    assert templates.n_categories == 4
    one = templates.contents("bkg", 2, variation="puUp")
    np.testing.assert_array_equal(one.values, h["bkg", "puUp", 2, :].values())
    np.testing.assert_array_equal(one.variances, h["bkg", "puUp", 2, :].variances())
    both = templates.contents(["sig", "bkg"], 1)
    total = h["sig", "nominal", 1, :].values() + h["bkg", "nominal", 1, :].values()
    np.testing.assert_array_equal(both.values, total)
    assert templates.variations_of("obs") == ["nominal"]
    assert templates.variations_of("sig") == ["nominal", "puDown", "puUp"]
    with pytest.raises(InputError, match=r"unknown process .got 'zjets'; allowed: sig, bkg, obs"):
        templates.contents("zjets", 0)
    with pytest.raises(InputError, match=r"unknown variation .got 'jesUp'"):
        templates.contents("sig", 0, variation="jesUp")


def test_templates_of_several_channels_are_picked_by_name():
    h = empty_templates(analysis_of(), 2)
    templates = Templates.joined({c: Templates.single(h) for c in ("resolved", "boosted")})
    assert templates.of("boosted").channels == ("boosted",)
    assert templates.of("boosted").n_categories == 2
    with pytest.raises(InputError, match=r"are of several channels \(resolved, boosted\)"):
        _ = templates.histogram
    with pytest.raises(InputError, match=r"no channel 'x' \(allowed: resolved, boosted\)"):
        templates.of("x")


def test_gaussian_categories_fill_templates():
    analysis = analysis_of()
    categories = MixtureCategories(
        features=features_of(analysis),
        label=np.array([0, 1]),
        means=np.array([[0.2], [0.8]]),
        scale_tril=np.full((2, 1, 1), 0.1),
        log_weights=np.zeros(2),
    )
    samples = samples_of(analysis)
    h = templates_from_samples(samples, categories, analysis).histogram
    inside = categories.assign(samples["sig"].x) >= 0
    expected = samples["sig"].weight[inside].sum()
    assert h["sig", "nominal", :, :].values().sum() == pytest.approx(expected, rel=1e-12)
    with pytest.raises(InputError, match="kind 'mixture' cannot be read off histograms"):
        templates_from_histograms(fine_of(analysis, samples), categories, analysis)


def test_edge_inside_a_fine_bin_is_refused():
    analysis = analysis_of()
    categories = EdgeCategories(
        features=features_of(analysis), label=np.array([0, 1]), edges=(np.array([0, 0.52, 1]),)
    )
    message = r"score0: category edge 0.52 lies inside a bin .*nearest edge 0.5, 20 bins"
    with pytest.raises(InputError, match=message):
        templates_from_histograms(
            fine_of(analysis, samples_of(analysis, n=10)), categories, analysis
        )


def test_missing_histogram_too_many_axes_and_foreign_labels_are_refused():
    analysis = analysis_of(mass=True)
    categories, samples = edges_of(analysis), samples_of(analysis, n=10)
    with pytest.raises(InputError, match="'score0_mass' was not kept"):
        templates_from_histograms(Fine({}), categories, analysis)
    many = analysis_of(mass=True, n=2)
    with pytest.raises(InputError, match="score0 x score1 x mass has no fine histogram"):
        templates_from_histograms(Fine({}), edges_of(many), many)
    with pytest.raises(InputError, match=r"unknown process .got 'zjets'; allowed: sig, bkg, obs"):
        templates_from_samples({"zjets": samples["bkg"]}, categories, analysis)
    odd = Sample(
        x=np.zeros((1, 1)), weight=np.ones(1), mass=np.ones(1), variations={"jesUp": Variation()}
    )
    with pytest.raises(InputError, match=r"unknown variation .got 'jesUp'"):
        templates_from_samples({"bkg": odd}, categories, analysis)
    massless = Sample(x=np.zeros((1, 1)), weight=np.ones(1))
    with pytest.raises(InputError, match="bkg: the events have no mass"):
        templates_from_samples({"bkg": massless}, categories, analysis)
    with pytest.raises(InputError, match=r"made for discriminants \['score0', 'score1'\]"):
        templates_from_samples(samples, edges_of(many), analysis)


def test_second_pass_columns_and_histograms_agree_on_ntuples(make_analysis):
    from gato_coffea.processing.executors import process

    analysis = make_analysis({"histograms_2d": True})
    edges = np.array([0.0, 0.25, 0.5, 1.0])
    categories = EdgeCategories(
        features=features_of(analysis), label=np.array([0, 1, 2]), edges=(edges,)
    )
    first = process(analysis, chunksize=150, progress=False)
    second = process(analysis, chunksize=90, progress=False, categories=categories)
    columns = templates_from_samples(first.samples, categories, analysis).histogram
    routes = [second.templates, templates_from_histograms(first, categories, analysis)]
    for templates in (route.histogram for route in routes):
        assert templates.axes == columns.axes
        a, b = columns.view(flow=True), templates.view(flow=True)
        np.testing.assert_allclose(a["value"], b["value"], rtol=1e-12, atol=1e-10)
        np.testing.assert_allclose(a["variance"], b["variance"], rtol=1e-12)
        data = list(columns.axes[0]).index("data")
        np.testing.assert_array_equal(a["value"][data], b["value"][data])
    assert columns["sig", "pileupUp", 2, sum].value > 0
    assert columns["data", "nominal", 0, 120j:130j].values().sum() == 0  # blinded
    assert columns["data", "nominal", 0, sum].value > 0
