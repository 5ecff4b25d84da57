"""Templates as channels of a model: yields, windows, blinding, and what pyhf makes of them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import uproot

from gato_coffea.categories import EdgeCategories
from gato_coffea.categories.templates import templates_from_samples
from gato_coffea.config import parse_analysis
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature, Sample, Variation
from gato_coffea.exports import (
    channels,
    pyhf_workspace,
    write_combine,
    write_pyhf,
)
from gato_coffea.exports.bins import log_normal
from gato_coffea.exports.discovery import evaluate_model
from gato_coffea.sidebands import fit_categories
from gato_coffea.statistics.counting import profiled_z2

FEATURE = Feature("score", 0.0, 1.0)


def analysis_of(
    *, data=False, mass=True, blinded=True, signals=("sig",), name="test", systematic=0.0
):
    datasets = {
        name: {"files": f"{name}.root", "process": name, "already_normalised": True}
        for name in (*signals, "b1", "b2")
    }
    if data:
        datasets["obs"] = {"files": "d.root", "process": "obs", "data": True}
    content = {
        "name": name,
        "datasets": datasets,
        "weight": {"nominal": "w", "variations": {"puUp": "u", "puDown": "d"}},
        "discriminants": [{"name": "score", "range": [0, 1], "bins": 20}],
        "optimise": {"signals": list(signals), "systematic": systematic},
    }
    if mass:
        content["mass"] = {
            "source": "m",
            "unit": "GeV",
            "range_gev": [100, 180],
            "bins": 16,
            "window_gev": [120, 130],
            "blinded": blinded,
        }
    return parse_analysis(content, directory=Path())


CATEGORIES = EdgeCategories(
    features=(FEATURE,), label=np.array([0, 1, 2]), edges=(np.array([0, 0.3, 0.8, 1.0]),)
)


def templates_of(analysis, seed=1):
    rng = np.random.default_rng(seed)
    samples = {}
    for process in (*analysis.processes, *analysis.data_processes):
        signal = process in analysis.optimise.signals
        n = 2000 if signal else 5000
        x = rng.beta(4, 2, n) if signal else rng.beta(1, 2, n)
        mass = rng.normal(125, 2, n) if signal else 100 + rng.uniform(0, 80, n)
        weight = np.full(n, 0.01 if signal else 0.5)
        if process == "obs":
            weight = np.ones(n)
        variations = (
            {} if process in ("obs", "b2") else {"puUp": weight * 1.1, "puDown": weight * 0.8}
        )
        samples[process] = Sample(
            x=x[:, None],
            weight=weight,
            mass=mass if analysis.mass is not None else None,
            variations={name: Variation(weight=w) for name, w in variations.items()},
        )
    return templates_from_samples(samples, CATEGORIES, analysis)


def test_counting_channels_hold_the_window():
    analysis = analysis_of()
    templates = templates_of(analysis)
    first, second, _ = channels(templates, analysis)
    assert (first.name, second.name) == ("test_category0", "test_category1")
    assert [p.name for p in first.processes] == ["sig", "b1", "b2"]
    sig, b1, b2 = second.processes
    window = templates.histogram["b1", "nominal", 1, 120j:130j]
    assert b1.values == [window.values().sum()]
    assert b1.errors == [np.sqrt(window.variances().sum())]
    assert b1.shapes["pu"][0] == pytest.approx(1.1 * b1.values)
    assert b1.shapes["pu"][1] == pytest.approx(0.8 * b1.values)
    assert b2.shapes == {}
    assert sig.signal
    assert not b1.signal
    assert second.observed == pytest.approx(b1.values + b2.values)
    assert not second.is_data
    np.testing.assert_array_equal(second.edges, [120, 130])


def test_data_in_the_window_stay_blind():
    blind = analysis_of(data=True)
    templates = templates_of(blind)
    hidden = channels(templates, blind)[0]
    assert not hidden.is_data
    opened = channels(templates, analysis_of(data=True, blinded=False))[0]
    assert opened.is_data
    assert opened.observed == templates.histogram["obs", "nominal", 0, 120j:130j].values().sum()
    by_score = analysis_of(data=True, mass=False).model_copy(update={"blind": {"score": 0.8}})
    assert not channels(templates_of(by_score), by_score)[0].is_data
    fits = fit_categories(templates, blind)
    predicted = channels(templates, blind, fits=fits)[1]
    assert [p.name for p in predicted.processes] == ["sig", "sideband"]
    assert predicted.processes[1].values == [fits[1].fit.window_yield]
    assert predicted.processes[1].norms == {
        "test_sideband_category1": log_normal(fits[1].error / fits[1].fit.window_yield)
    }
    with pytest.raises(InputError, match=r"one sideband fit for each of 3 categories .got 1 fit"):
        channels(templates, blind, fits=fits[:1])


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated")
@pytest.mark.parametrize("shape", [False, True])
@pytest.mark.parametrize("predicted", [False, True])
def test_pyhf_workspace_can_be_fitted(shape, predicted, tmp_path):
    pyhf = pytest.importorskip("pyhf")
    analysis = analysis_of(data=predicted)
    templates = templates_of(analysis)
    fits = fit_categories(templates, analysis) if predicted else None
    model = channels(templates, analysis, shape=shape, fits=fits)
    write_pyhf(model, tmp_path / "w.json")
    workspace = pyhf.Workspace(json.loads((tmp_path / "w.json").read_text()))
    pdf = workspace.model()
    data = workspace.data(pdf)
    expected = pdf.expected_actualdata(pdf.config.suggested_init())
    total = sum(p.values.sum() for c in model for p in c.processes)
    assert expected.sum() == pytest.approx(total, rel=1e-12)
    # Background only data: nothing is better than no signal.
    best = pyhf.infer.mle.fit(data, pdf)
    assert best[pdf.config.poi_index] == pytest.approx(0.0, abs=1e-3)
    names = set(pdf.config.parameters)
    # A fitted function has no finite simulation: its errors are those of its parameters.
    simulated = set() if predicted else {f"staterror_{c.name}" for c in model}
    assert {n for n in names if not n.startswith("test_sideband")} == {"mu", "pu", *simulated}
    own = {n for n in names if n.startswith("test_sideband_category2")}
    wanted = {
        f"test_sideband_category2{s}" for s in (("_0", "_1", "_function") if shape else ("",))
    }
    assert own == (wanted if predicted else set())


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated")
def test_pyhf_significance_is_the_asimov_significance(tmp_path):
    pyhf = pytest.importorskip("pyhf")
    analysis = analysis_of(mass=False)
    templates = templates_of(analysis)
    model = [
        replace(
            c, processes=tuple(replace(p, shapes={}, errors=p.errors * 0) for p in c.processes)
        )
        for c in channels(templates, analysis)
    ]
    workspace = pyhf.Workspace(pyhf_workspace(model))
    pdf = workspace.model()
    data = pdf.expected_data([1.0])
    q0 = pyhf.infer.test_statistics.q0(
        0.0, data, pdf, pdf.config.suggested_init(), pdf.config.suggested_bounds(), [False]
    )
    signal = np.array([c.processes[0].values[0] for c in model])
    background = np.array([sum(p.values[0] for p in c.processes[1:]) for c in model])
    phi = 2 * ((signal + background) * np.log1p(signal / background) - signal)
    assert np.sqrt(q0) == pytest.approx(np.sqrt(phi.sum()), rel=1e-4)  # the minimiser's tolerance


def test_the_systematic_of_every_category_is_in_the_models(tmp_path):
    pytest.importorskip("pyhf")
    analysis = analysis_of(systematic=0.1)
    templates = templates_of(analysis)
    model = channels(templates, analysis)
    found = evaluate_model(model, ["sig"], "geometric").background
    signal, b1, b2 = (np.array([c.processes[i].rate for c in model]) for i in range(3))
    variance = np.array([sum((p.errors**2).sum() for p in c.processes[1:]) for c in model])
    background = b1 + b2
    wanted, without = (
        np.sqrt(profiled_z2(signal, background, variance + (e * background) ** 2).sum())
        for e in (0.1, 0.0)
    )
    # The headline has a Gaussian factor on the background, the models a log-normal one.
    assert found.combined == pytest.approx(wanted, rel=0.03)
    assert found.combined < 0.9 * without
    write_combine(model, tmp_path)
    card = [line.split() for line in (tmp_path / "datacard.txt").read_text().splitlines()]
    assert ["test_systematic_category1", "lnN", *"---", "-", "1.1", "1.1", *"---"] in card
    fitted = channels(templates, analysis, fits=fit_categories(templates, analysis), shape=True)
    assert fitted[0].processes[-1].norms == {"test_systematic_category0": log_normal(0.1)}


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated")
@pytest.mark.parametrize("shape", [False, True])
def test_two_analyses_share_only_strength_and_variations(shape):
    pyhf = pytest.importorskip("pyhf")
    workspaces = []
    for name, fitted in (("a", True), ("b", True), ("c", False), ("d", False)):
        analysis = analysis_of(name=name, systematic=0.05)
        templates = templates_of(analysis)
        fits = fit_categories(templates, analysis) if fitted else None
        workspaces.append(pyhf_workspace(channels(templates, analysis, shape=shape, fits=fits)))
    for first, second in (workspaces[:2], workspaces[2:]):
        parts = [set(pyhf.Workspace(w).model().config.parameters) for w in (first, second)]
        assert parts[0] & parts[1] == {"mu", "pu"}
        assert not {c["name"] for c in first["channels"]} & {c["name"] for c in second["channels"]}


def rates(model):
    return {
        (c.name, p.name): sum(q.rate for q in c.processes if q.name == p.name)
        for c in model
        for p in c.processes
    }


@pytest.mark.parametrize("shape", [False, True])
@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_rates_are_the_integrals_of_templates_with_negative_weights(seed, fitted, shape, tmp_path):
    analysis = analysis_of()
    rng = np.random.default_rng(seed)
    samples = {}
    for name, n in (("sig", 200), ("b1", 600), ("b2", 60)):
        weight = np.where(rng.random(n) < 0.3, -0.5, 0.5) * (0.1 if name == "sig" else 1.0)
        mass = rng.normal(125, 1.5, n) if name == "sig" else 100 + rng.uniform(0, 80, n)
        samples[name] = Sample(x=rng.random((n, 1)), weight=weight, mass=mass)
    templates = templates_from_samples(samples, CATEGORIES, analysis)
    fits = fit_categories(templates, analysis) if fitted else None
    model = channels(templates, analysis, shape=shape, fits=fits)
    shapes = write_combine(model, tmp_path)[1]
    pyhf_rates = {
        (c["name"], s["name"]): sum(s["data"])
        for c in pyhf_workspace(model)["channels"]
        for s in c["samples"]
    }
    found = rates(model)
    assert len(found) >= 6
    assert pyhf_rates == pytest.approx(found)
    for channel in model:
        category = int(channel.name.removeprefix("test_category"))
        at = slice(120j, 130j) if fitted or not shape else slice(None)

        def integral(name, category=category, at=at):
            return templates.histogram[name, "nominal", category, at].values().sum()

        wanted = {"sig": integral("sig")}
        if fitted:
            wanted["sideband"] = fits[category].fit.window_yield
        elif integral("b2") <= 0:
            wanted["b1"] = integral("b1") + integral("b2")
        else:
            wanted |= {name: integral(name) for name in ("b1", "b2")}
        positive = {(channel.name, n): rate for n, rate in wanted.items() if rate > 0}
        assert {k: v for k, v in found.items() if k[0] == channel.name} == pytest.approx(positive)
        for process in channel.processes:
            assert (process.values >= 0).all()
            with uproot.open(shapes) as file:
                seen = file[f"{channel.name}/{process.name}"].values().sum()
            assert seen == pytest.approx(process.rate)


def test_bins_of_a_shape_have_enough_background():
    analysis = analysis_of()
    templates = templates_of(analysis)
    view = templates.histogram.view()
    view["value"][1:3, :, 2, 5:9] = 0.0
    view["variance"][1:3, :, 2, 5:9] = 0.0
    channel = channels(templates, analysis, shape=True)[2]
    background = [p for p in channel.processes if not p.signal]
    variance = sum(p.errors**2 for p in background)
    assert (channel.background**2 >= 10 * variance).all()
    assert len(channel.edges) == len(channel.background) + 1 < 17
    assert channel.edges[[0, -1]].tolist() == [100, 180]
    for process in channel.processes:
        whole = templates.histogram[process.name, "nominal", 2, :].values()
        for low, high, value in zip(
            channel.edges, channel.edges[1:], process.values, strict=False
        ):
            assert value == pytest.approx(whole[int(low / 5 - 20) : int(high / 5 - 20)].sum())


def information(nu, slopes, prior):
    """Expected information on parameters of Poisson bins, and of unit Gaussian constraints."""
    return (slopes / nu) @ slopes.T + np.diag(prior)


@pytest.mark.parametrize("data", [True, False])
@pytest.mark.parametrize("family", ["exponential", "bernstein"])
def test_the_shape_model_knows_as_much_of_mu_as_a_free_fit_of_all_masses(family, data):
    """The sidebands count once: the background's part of the variance of mu is that of a fit of
    signal plus background to the whole range, in which the function floats. Simulation in the
    place of data, however much of it, makes the expected model no better."""
    analysis = analysis_of(data=data, blinded=False)
    content = analysis.model_dump(mode="json", by_alias=True)
    content["mass"]["functions"] = [family]
    analysis = parse_analysis(content, directory=Path())
    templates = templates_of(analysis)
    view = templates.histogram.view()
    view["value"][0] *= 10
    if not data:
        view["value"][1:] = view["value"][1:].mean(axis=-1, keepdims=True)
        view["variance"][1:] = 1e-3 * view["value"][1:]
    fits = fit_categories(templates, analysis)
    channel = channels(templates, analysis, shape=True, fits=fits)[2]
    sig, sideband = channel.processes
    assert channel.edges.tolist() == [120, 125, 130]
    up, down = np.array(list(sideband.shapes.values())).transpose(1, 0, 2)
    nu = sig.values + sideband.values
    slopes = np.stack([sig.values, *(0.5 * (up - down))])
    ours = information(nu, slopes, [0.0, *[1.0] * len(up)])
    fit = fits[2].fit
    edges = templates.histogram.axes[3].edges
    at = np.stack([edges[:-1], edges[1:]], axis=1)
    value, gradient = fit._family.expected(fit.parameters, at)
    peak = np.zeros(16)
    peak[4:6] = sig.values
    free = information(value + peak, np.vstack([peak, gradient.T]), np.zeros(len(gradient.T) + 1))
    part = [np.linalg.inv(i)[0, 0] - 1 / i[0, 0] for i in (ours, free)]
    assert part[0] / part[1] == pytest.approx(1.0, abs=0.1)


def test_signals_derived_from_data_are_what_the_background_leaves():
    content = analysis_of(data=True, blinded=False).model_dump(mode="json", by_alias=True)
    for name in ("sig", "b1"):
        content["datasets"][name] |= {"derived_from": "obs", "weight": ["w"], "files": ["d.root"]}
    content["datasets"].pop("b2")
    content["optimise"]["extrapolate_from_sidebands"] = False
    analysis = parse_analysis(content, directory=Path())
    assert analysis.from_data == ("sig", "b1")
    rng = np.random.default_rng(5)
    n, inside = 4000, 400
    mass = np.concatenate([100 + rng.exponential(60, n), rng.normal(125, 2, inside)])
    x = np.concatenate([rng.beta(1, 2, n), rng.beta(4, 2, inside)])[:, None]
    window, side = (mass > 120) & (mass < 130), ((mass < 120) | (mass > 130)) & (mass < 180)
    weights = {"obs": np.ones(len(x)), "b1": 0.2 * side, "sig": window - 0.2 * side}
    samples = {k: Sample(x=x, weight=w.astype(float), mass=mass) for k, w in weights.items()}
    templates = templates_from_samples(samples, CATEGORIES, analysis)
    fits = fit_categories(templates, analysis)
    for shape in (False, True):
        for channel, fit in zip(
            channels(templates, analysis, shape=shape, fits=fits), fits, strict=True
        ):
            sig, sideband = channel.processes
            assert (sig.name, sideband.name) == ("sig", "sideband")
            assert sideband.rate == pytest.approx(fit.fit.window_yield)
            assert sig.rate + sideband.rate == pytest.approx(fit.observed)
            assert fit.signals == {"sig": pytest.approx(sig.rate)}
            assert channel.observed.sum() == fit.observed
    content["mass"]["blinded"] = True
    with pytest.raises(InputError, match="sig is derived from data of the signal window, which"):
        channels(templates, parse_analysis(content, directory=Path()), fits=fits)


def test_the_name_of_the_fitted_background_is_taken():
    analysis = analysis_of(signals=("sideband",))
    templates = templates_of(analysis)
    with pytest.raises(InputError, match="'sideband' is the name of the fitted background"):
        channels(templates, analysis, fits=fit_categories(templates, analysis))


def test_several_signals_have_their_own_strength():
    analysis = analysis_of(signals=("ggH", "vbf"))
    workspace = pyhf_workspace(channels(templates_of(analysis), analysis))
    assert workspace["measurements"][0]["config"]["poi"] == "mu_ggH"
    assert workspace["channels"][0]["samples"][1]["modifiers"][0]["name"] == "mu_vbf"


def test_combine_card_and_shapes_belong_together(tmp_path):
    analysis = analysis_of(data=True)
    templates = templates_of(analysis)
    model = channels(templates, analysis, fits=fit_categories(templates, analysis))
    card, shapes = write_combine(model, tmp_path / "combine")
    lines = card.read_text().splitlines()
    assert lines[:3] == ["imax 3", "jmax 1", "kmax *"]
    assert "shapes * * shapes.root $CHANNEL/$PROCESS $CHANNEL/$PROCESS_$SYSTEMATIC" in lines
    table = [line.split() for line in lines]
    bins, names, numbers = [
        row[1:] for row in table if row and row[0] in ("bin", "process") and len(row) == 7
    ]
    assert names == ["sig", "sideband"] * 3
    assert numbers == ["0", "1"] * 3
    rates = next(row[1:] for row in table if row and row[0] == "rate")
    with uproot.open(shapes) as file:
        for channel, name, rate in zip(bins, names, rates, strict=True):
            assert file[f"{channel}/{name}"].values().sum() == pytest.approx(float(rate), rel=1e-7)
        assert file["test_category2/sig_puUp"].values() == pytest.approx(
            1.1 * file["test_category2/sig"].values()
        )
        assert "test_category2/data_obs" in file
    pileup = next(row for row in table if row and row[0] == "pu")
    assert pileup[1:] == ["shape", *["1", "-"] * 3]
    assert sum(row[1] == "lnN" for row in table if len(row) > 2) == 3
    assert lines[-1] == "test_category2 autoMCStats 10"


def test_negative_and_empty_categories_are_reported(caplog):
    analysis = analysis_of()
    templates = templates_of(analysis)
    view = templates.histogram.view()
    b1 = templates.histogram["b1", "nominal", 1, 120j:130j].values().sum()
    view["value"][1:, :, 0] = -0.5
    view["value"][2, :, 1] = -0.5
    model = channels(templates, analysis)
    assert [c.name for c in model] == ["test_category1", "test_category2"]
    assert "test_category0: no background is expected: left out of the model" in caplog.text
    assert [p.name for p in model[0].processes] == ["sig", "b1"]
    assert model[0].observed == pytest.approx([b1 - 1.0])
    assert model[0].notes == ("b2 has no positive yield (-1): part of b1",)
    view["value"][0] = 0.0
    with pytest.raises(InputError, match="no category has a positive yield of both a background"):
        channels(templates, analysis)
