"""All plots of a run, from histograms, results, templates and fits to files."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import hist
import numpy as np
import pytest

from gato_coffea.categories import EdgeCategories, MixtureCategories
from gato_coffea.categories.axes import discriminant_axis, fill_values, mass_axis
from gato_coffea.categories.templates import templates_from_samples
from gato_coffea.config import Analysis, parse_analysis
from gato_coffea.config.outputs import Plots
from gato_coffea.events.samples import Feature, Sample, Variation
from gato_coffea.exports import Headline
from gato_coffea.optimisation.result import History, Result, Significance, Yields
from gato_coffea.plots import Run, draw_run, run_plots
from gato_coffea.plots.categories import intervals_of
from gato_coffea.plots.plot import Plot, write_plots
from gato_coffea.plots.run_values import (
    category_stack,
    fitted_background,
    optimised_stack,
    spectrum_of,
)
from gato_coffea.plots.spectra import draw_spectrum
from gato_coffea.plots.style import Style
from gato_coffea.sidebands import fit_categories

WINDOW = (120.0, 130.0)


pytestmark = pytest.mark.usefixtures("untouched_pyplot")


def an_analysis(n_discriminants: int, *, data: bool, mass: bool = True) -> Analysis:
    datasets: dict[str, Any] = {
        name: {"files": ["x.root"], "process": name, "already_normalised": True}
        for name in ("ggH", "qcd", "zz")
    }
    if data:
        datasets["data"] = {"files": ["x.root"], "process": "data", "data": True}
    content: dict[str, Any] = {
        "name": "small",
        "datasets": datasets,
        "discriminants": [
            {"name": f"score{d}", "range": [0, 1], "bins": 80, "scale": scale}
            for d, scale in zip(range(n_discriminants), ("logit", "linear"), strict=False)
        ],
        "optimise": {"signals": ["ggH"]},
    }
    if mass:
        content["mass"] = {
            "source": "mass",
            "unit": "GeV",
            "range_gev": [100, 180],
            "bins": 40,
            "window_gev": list(WINDOW),
        }
    return parse_analysis(content, directory=Path())


def the_samples(n_discriminants: int, *, data: bool) -> dict[str, Sample]:
    rng = np.random.default_rng(5)
    samples = {}
    for name, a, b, n, total in (
        ("ggH", 5, 1.5, 2000, 30.0),
        ("qcd", 1.5, 4, 6000, 3000.0),
        ("zz", 2, 2, 2000, 200.0),
    ):
        smooth = 100 + np.clip(rng.exponential(30, n), 0, 80)
        mass = rng.normal(125, 1.5, n) if name == "ggH" else smooth
        x = rng.beta(a, b, (n, n_discriminants))
        samples[name] = Sample(x=x, weight=np.full(n, total / n), mass=mass)
    if data:
        qcd = samples["qcd"]
        kept = np.flatnonzero((qcd.mass < WINDOW[0]) | (qcd.mass > WINDOW[1]))[:2500]
        samples["data"] = Sample(x=qcd.x[kept], weight=np.ones(len(kept)), mass=qcd.mass[kept])
    return samples


def the_histograms(analysis: Analysis, samples: dict[str, Sample]) -> dict[str, hist.Hist[Any]]:
    scores = [discriminant_axis(d) for d in analysis.discriminants]
    axes: list[tuple[Any, ...]] = [(axis,) for axis in scores]
    if analysis.mass is not None:
        mass = mass_axis(analysis.mass)
        axes += [(mass,), (scores[0], mass)]
    if len(scores) == 2:
        axes.append(tuple(scores))
    result = {}
    for chosen in axes:
        h: hist.Hist[Any] = hist.Hist(
            hist.axis.StrCategory(list(samples), name="process"),
            hist.axis.StrCategory(["nominal"], name="variation"),
            *chosen,
            storage=hist.storage.Weight(),
        )
        for name, s in samples.items():
            columns = [s.mass if a.name == "mass" else s.x[:, int(a.name[-1])] for a in chosen]
            values = [fill_values(c, a) for c, a in zip(columns, chosen, strict=True)]
            h.fill(name, "nominal", *values, weight=s.weight)
        result["_".join(a.name for a in chosen)] = h
    return result


def a_result(analysis: Analysis, samples: dict[str, Sample], k: int) -> Result:
    features = tuple(Feature(d.name, *d.range, d.scale) for d in analysis.discriminants)
    dim = len(features)
    centres = np.stack([f.stretch(np.linspace(0.1, 0.9, k)) for f in features], axis=-1)
    categories = MixtureCategories(
        features=features,
        label=np.arange(k),
        means=centres,
        scale_tril=np.tile(0.3 * np.eye(dim), (k, 1, 1)),
        log_weights=np.zeros(k),
    )
    names = ("ggH", "qcd", "zz")
    label = {n: categories.assign(samples[n].x) for n in names}

    def sums(power: int) -> np.ndarray:
        rows = [np.bincount(label[n], samples[n].weight ** power, k) for n in names]
        return np.array(rows, dtype=np.float64)

    yields = Yields(names, ("ggH",), ("qcd", "zz"), sums(1), sums(2), sums(0), np.ones(k))
    epoch = np.arange(4.0)
    history = History(
        *[epoch, epoch - 2, epoch, epoch, epoch, epoch, 1 / (1 + epoch), 1 / (1 + epoch), epoch],
        boundaries=tuple(np.array([0.3, 0.6]) for _ in epoch) if dim == 1 else (),
    )
    z = Significance(1.0 + 0.1 * k, {"ggH": 1.0 + 0.1 * k}, 0.05)
    return Result(k, categories, z, z, yields, {}, history)


def a_run(n_discriminants: int, *, data: bool) -> dict[str, Any]:
    analysis = an_analysis(n_discriminants, data=data)
    samples = the_samples(n_discriminants, data=data)
    results = {k: a_result(analysis, samples, k) for k in (2, 3)}
    templates = {3: templates_from_samples(samples, results[3].categories, analysis)}
    return {
        "analysis": analysis,
        "histograms": the_histograms(analysis, samples),
        "results": results,
        "templates": templates,
        "fits": {3: fit_categories(templates[3], analysis)},
        "use": 3,
    }


def figures_of(run: dict[str, Any]) -> dict[str, Any]:
    return {plot.name: plot.draw() for plot in run_plots(Run(**run))}


def plot_named(run: dict[str, Any], name: str) -> Plot:
    return next(plot for plot in run_plots(Run(**run)) if plot.name == name)


def test_one_discriminant_with_blinded_data(tmp_path: Path) -> None:
    drawn = draw_run(tmp_path / "plots", Run(**a_run(1, data=True)))
    written = [path for plot in drawn for path in plot.files]
    names = {p.stem for p in written}
    assert names == {
        "significance",
        "discriminant_score0",
        "discriminant_score0_log",
        "discriminant_score0_sidebands",
        "boundaries_2_log",
        "boundaries_3",
        "boundaries_3_log",
        "optimised_bins_2",
        "optimised_bins_3",
        "components_3",
        "training_2",
        "training_3",
        "uncertainty_3",
        "yields_3",
        "yields_3_sidebands",
        "mass",
        *(f"mass_3_category_{k}" for k in range(3)),
    }
    assert len(written) == len(set(written))
    assert all(p.is_file() for p in written)
    assert {p.suffix for p in written} == {".pdf", ".png", ".csv", ".gif"}
    assert {p.name for p in (tmp_path / "plots").iterdir()} == {p.name for p in written}


def test_two_discriminants_without_data() -> None:
    run = a_run(2, data=False)
    figures = figures_of(run)
    assert {"regions_2", "regions_3", "yields_3", "mass_3_category_0"} <= set(figures)
    assert not any("sidebands" in name or "components" in name for name in figures)


def test_inclusive_plots_show_no_blinded_data() -> None:
    run = a_run(1, data=True)
    run["results"] = {3: run["results"][3]}
    run["fits"] = {}
    figures = figures_of(run)
    for name in ("discriminant_score0", "yields_3", "boundaries_3"):
        assert len(figures[name].axes) == 1
        assert not figures[name].axes[0].containers
    mass = figures["mass"]
    points = mass.axes[0].containers[0].lines[0].get_xdata()
    assert len(points) == 35
    assert not np.any((points > WINDOW[0]) & (points < WINDOW[1]))
    outside = figures["yields_3_sidebands"].axes[0].containers[0].lines[0]
    assert outside.get_ydata().sum() == 2500


def test_data_are_shown_below_a_blinded_score_alone() -> None:
    run = a_run(2, data=True)
    run |= {"results": {3: run["results"][3]}, "fits": {}}
    analysis = an_analysis(2, data=True, mass=False)
    run["analysis"] = analysis.model_copy(update={"blind": {"score1": 0.6}})
    run["templates"] = {}
    figures = figures_of(run)
    points = figures["discriminant_score1"].axes[0].containers[0].lines[0].get_xdata()
    assert len(points) > 5
    assert np.all(points < 0.6)
    assert not figures["discriminant_score0"].axes[0].containers
    run["analysis"] = analysis
    assert figures_of(run)["discriminant_score0"].axes[0].containers


def test_the_bin_below_a_blinded_score_is_shown() -> None:
    run = a_run(2, data=True) | {"results": {}, "fits": {}, "templates": {}}
    analysis = an_analysis(2, data=True, mass=False)
    for cut in (0.6, 0.7):  # as an edge, 0.7 is rounded up: np.linspace(0, 1, 41)[28] > 0.7
        run["analysis"] = analysis.model_copy(update={"blind": {"score1": cut}})
        ax = figures_of(run)["discriminant_score1"].axes[0]
        points = ax.containers[0].lines[0].get_xdata()
        assert points.max() == pytest.approx(cut - 0.0125)


def test_discriminants_are_drawn_on_their_scale() -> None:
    figures = figures_of(a_run(2, data=True) | {"results": {}, "fits": {}, "templates": {}})
    scales = {d: figures[f"discriminant_score{d}"].axes[0].get_xscale() for d in (0, 1)}
    assert scales == {0: "function", 1: "linear"}
    assert figures["discriminant_score0_sidebands"].axes[0].get_xscale() == "function"


def test_masses_are_shown_in_the_unit_of_the_analysis() -> None:
    run = a_run(1, data=True)
    analysis = run["analysis"]
    mass = analysis.mass.model_copy(update={"unit": "MeV"})
    figures = figures_of(run | {"analysis": analysis.model_copy(update={"mass": mass})})
    for name in ("mass", "mass_3_category_1"):
        axes = figures[name].axes
        assert axes[0].get_ylabel() == "Events / 2000 MeV"
        assert axes[-1].get_xlabel() == "Mass [MeV]"
        assert axes[-1].get_xlim() == (100e3, 180e3)
    assert figures["yields_3"].axes[0].get_ylabel() == "Events, 100000 to 180000 MeV"


def test_blinded_yields_say_so() -> None:
    run = a_run(1, data=True)
    shown = figures_of(run)["yields_3"].axes[0].get_legend().get_texts()
    assert "Data blinded" in [text.get_text() for text in shown]
    without = a_run(1, data=False)
    shown = figures_of(without)["yields_3"].axes[0].get_legend().get_texts()
    assert "Data blinded" not in [text.get_text() for text in shown]


def test_no_energy_is_written_unless_it_is_given() -> None:
    assert Style.of(an_analysis(1, data=False)).energy == ""
    plots = Plots(com_tev=13.6)
    asked = an_analysis(1, data=False).model_copy(update={"plots": plots})
    assert Style.of(asked).energy == "13.6 TeV"


def test_processes_draw_what_one_does(tmp_path: Path) -> None:
    plots = list(run_plots(Run(**a_run(2, data=False) | {"results": {}, "fits": {}})))[:2]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        together = write_plots(plots, tmp_path / "a", pool=pool)
    alone = write_plots(plots, tmp_path / "b")
    for first, second in zip(together, alone, strict=True):
        assert first.caption == second.caption
        for one, other in zip(first.files, second.files, strict=True):
            assert one.read_bytes() == other.read_bytes()


def test_what_is_stamped_on_plots() -> None:
    for data, label in ((True, ""), (False, "Simulation")):
        analysis = an_analysis(1, data=data)
        assert (Style.of(analysis).experiment, Style.of(analysis).label) == ("plain", label)
    plots = Plots(style="CMS", label="Preliminary")
    asked = Style.of(analysis.model_copy(update={"plots": plots}))
    assert (asked.experiment, asked.label) == ("CMS", "Preliminary")


def test_yields_say_that_they_are_those_of_the_whole_mass_range() -> None:
    run = a_run(1, data=False)
    run |= {"results": {3: run["results"][3]}, "fits": {}}
    figure = figures_of(run)["yields_3"]
    low, high = run["analysis"].mass.range_gev
    assert figure.axes[0].get_ylabel() == f"Events, {low:g} to {high:g} GeV"


def test_the_band_in_the_window_knows_how_far_functions_are_apart() -> None:
    run = a_run(1, data=True)
    fit = next(f for f in run["fits"][3] if f.spread)
    spectrum = spectrum_of(run["templates"][3], fit, run["analysis"])
    curve = spectrum.curve
    assert curve is not None
    assert curve.error is not None
    width = np.diff(spectrum.edges)[0]
    statistical = fit.estimate.scaled.curve_error(curve.x) * width
    inside = (curve.x >= WINDOW[0]) & (curve.x <= WINDOW[1])
    np.testing.assert_array_equal(curve.error[~inside], statistical[~inside])
    function = np.sqrt(curve.error**2 - statistical**2)[inside]
    integral = np.trapezoid(function, curve.x[inside]) / width
    assert integral == pytest.approx(fit.spread, rel=0.01)
    legend = draw_spectrum(spectrum, Style()).axes[0].get_legend()
    assert legend is not None
    assert "68% band; window: with function" in [t.get_text() for t in legend.get_texts()]


def test_data_that_slipped_into_the_window_are_not_drawn() -> None:
    run = a_run(1, data=True)
    templates = run["templates"][3]
    templates.histogram.fill("data", "nominal", np.full(5000, 2), np.full(5000, 125.0))
    spectrum = spectrum_of(templates, run["fits"][3][2], run["analysis"])
    assert spectrum.blinded
    ax = draw_spectrum(spectrum, Style()).axes[0]
    assert ax.containers[0].lines[0].get_ydata().max() < 1000
    assert ax.get_ylim()[1] < 1000


def test_optimised_bins_hold_the_yields() -> None:
    run = a_run(1, data=False)
    result = run["results"][3]
    feature = result.categories.features[0]
    stack = optimised_stack(
        result.yields, intervals_of(result.categories), label="x", feature=feature
    )
    assert stack is not None
    np.testing.assert_allclose(stack.total.values, result.yields.background)
    np.testing.assert_allclose(stack.signals["ggH"].values, result.yields.signal("ggH"))
    split = EdgeCategories(
        features=(feature,),
        label=np.array([0, 1, 0]),
        edges=(np.array([0.0, 0.2, 0.7, 1.0]),),
    )
    assert optimised_stack(result.yields, intervals_of(split), label="x", feature=feature) is None


def test_optimised_bins_hold_the_background_in_the_window() -> None:
    run = a_run(1, data=False)
    found = run["results"][3]
    yields = replace(found.yields, factor=np.array([0.1, 0.2, 0.3]), resonant=("zz",))
    run["results"] = {3: replace(found, yields=yields)}
    plot = plot_named(run, "optimised_bins_3")
    assert plot.caption == "The discriminant in 3 optimised bins, in the mass window"
    order = [i.category for i in intervals_of(found.categories)]
    stack = optimised_stack(
        yields,
        intervals_of(found.categories),
        label="x",
        feature=found.categories.features[0],
    )
    assert stack is not None
    np.testing.assert_allclose(stack.total.values, yields.background[order])
    np.testing.assert_allclose(stack.total.variances, yields.background_sumw2[order])
    np.testing.assert_allclose(plot.numbers["qcd"], stack.backgrounds["qcd"].values)


def test_the_background_is_drawn_with_the_error_of_the_exported_model() -> None:
    run = a_run(1, data=True)
    plot, fits = plot_named(run, "uncertainty_3"), run["fits"][3]
    error = [fit.estimate.error / fit.estimate.window_yield for fit in fits]
    np.testing.assert_allclose(plot.numbers["relative_uncertainty"], error)
    np.testing.assert_allclose(
        plot.numbers["background"], [fit.estimate.window_yield for fit in fits]
    )
    assert plot.caption.endswith("from the mass fits with their errors")
    peaking = [replace(fit, resonant={"zz": (50.0, 3.0)}) for fit in fits]
    value, found = fitted_background(peaking, systematic=0.1)
    first = fits[0].estimate
    assert value[0] == pytest.approx(first.window_yield + 50)
    assert found[0] == pytest.approx(np.sqrt(first.error**2 + 9 + (0.1 * value[0]) ** 2))
    without = plot_named(run | {"fits": {}}, "uncertainty_3")
    assert without.caption.endswith("finite simulation only")
    labels = [ax.get_ylabel() for ax in without.draw().axes]
    assert "Finite simulation only [%]" in labels


def test_captions_say_what_is_before_the_mass_fits_and_what_is_summed() -> None:
    run = a_run(1, data=False)
    z = run["results"][3].held_out
    assert plot_named(run, "significance").caption.endswith("; all before the mass fits")
    run["headline"] = Headline(held_out=z, training=z, before=z, before_training=z)
    assert plot_named(run, "significance").caption.endswith("star: with them")
    samples = the_samples(1, data=False)
    qcd = samples["qcd"]
    moved = {f"jes{way}": Variation(x=qcd.x) for way in ("Up", "Down")}
    run["samples"] = samples | {"qcd": replace(qcd, variations=moved)}
    caption = plot_named(run, "migration_3_jes").caption
    assert caption == "Where jes moves the events of 3 categories: sum of ggH, qcd, zz"


def test_categories_sum_the_templates() -> None:
    run = a_run(1, data=True)
    stack = category_stack(run["templates"][3], run["analysis"])
    np.testing.assert_allclose(stack.total.values, run["results"][3].yields.background)
    assert stack.data is None


def test_an_analysis_without_mass() -> None:
    analysis = an_analysis(1, data=True, mass=False)
    samples = the_samples(1, data=True)
    result = a_result(analysis, samples, 2)
    templates = templates_from_samples(samples, result.categories, analysis)
    figures = figures_of(
        {
            "analysis": analysis,
            "histograms": the_histograms(analysis, samples),
            "results": {2: result},
            "templates": {2: templates},
            "fits": {},
            "use": 2,
        }
    )
    assert "mass" not in figures
    assert len(figures["discriminant_score0"].axes) == 2
    assert len(figures["yields_2"].axes) == 2
