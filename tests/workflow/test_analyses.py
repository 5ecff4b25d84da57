"""The analyses that come with the package, on the data that they are made for."""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import uproot

from gato_coffea.categories import EdgeCategories
from gato_coffea.categories.templates import templates_from_samples
from gato_coffea.config import Analysis, load_functions, read_analysis
from gato_coffea.datasets import data_folder, features
from gato_coffea.datasets.ntuples import write_toy_ntuples
from gato_coffea.errors import InputError
from gato_coffea.exports import write_exports
from gato_coffea.processing.executors import process
from gato_coffea.processing.processed import Processed
from gato_coffea.sidebands import fit_categories
from gato_coffea.workflow.pipeline import STAGES, run_all
from gato_coffea.workflow.preparation import TOYS
from gato_coffea.workflow.stages import Job, load_fits, load_results

ANALYSES = Path(__file__).resolve().parents[2] / "analyses"
NAMES = ("toy_1d", "three_class", "diphoton", "dimuon_2012", "higgsml", "heptutorial")
UNCERTAIN = ("toy_systematics", "higgsml_systematics")
"""Analyses with systematic uncertainties."""


def real_data(name: str) -> Path:
    """Folder of real data; the test is skipped where it is absent."""
    try:
        folder = data_folder() / name
    except InputError as error:
        pytest.skip(str(error))
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    return folder


def copied(name: str, target: Path) -> Path:
    """The files of an analysis, without ntuples and results, in another folder."""
    folder = target / name
    folder.mkdir()
    for path in (ANALYSES / name).glob("*.*"):
        shutil.copy(path, folder)
    return folder


def test_all_analyses_are_here() -> None:
    assert {p.parent.name for p in ANALYSES.glob("*/analysis.yaml")} == {*NAMES, *UNCERTAIN}


@pytest.mark.parametrize("name", [*NAMES, *UNCERTAIN])
def test_analysis_reads_and_is_described(name: str) -> None:
    analysis = read_analysis(ANALYSES / name)
    load_functions(analysis)
    assert analysis.name == name
    assert analysis.ntuples in (None, *TOYS) or (ANALYSES / name / analysis.ntuples).is_file()
    readme = (ANALYSES / name / "README.md").read_text()
    for wanted in ("## Data", "## Run", f"gato-coffea run analyses/{name}", "## Seen", "2026-11"):
        assert wanted in readme


def test_absent_real_data_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATO_COFFEA_DATA", "/nowhere")
    for name in ("dimuon_2012", "heptutorial"):
        job = Job.of(read_analysis(ANALYSES / name))
        with pytest.raises(InputError, match=r"^GATO_COFFEA_DATA: .*/nowhere"):
            process(job.analysis, progress=False)


@pytest.mark.parametrize("name", ["toy_1d", "three_class", "diphoton"])
def test_toys_have_the_yields_of_their_cross_sections(name: str, tmp_path: Path) -> None:
    analysis = read_analysis(copied(name, tmp_path))
    assert analysis.ntuples is not None
    files = tmp_path / name / "ntuples"
    write_toy_ntuples(analysis.ntuples, files, n_signal=300, n_bkg=3000)  # type: ignore[arg-type]
    processed = process(analysis, progress=False)
    assert processed.samples is not None
    for dataset in analysis.datasets.values():
        assert dataset.cross_section_pb is not None
        total = processed.samples[dataset.process].weight.sum()
        assert total == pytest.approx(100.0 * dataset.cross_section_pb, rel=1e-9)


def test_the_whole_chain_on_a_small_toy(tmp_path: Path) -> None:
    folder = copied("diphoton", tmp_path)
    text = (folder / "analysis.yaml").read_text()
    text = text.replace("ntuples: diphoton\n", "").replace("[3, 5, 8]", "[3]")
    text = text.replace("  seed: 42", "  seed: 42\n  method: lloyd\n  restarts: 1\n  folds: 2")
    (folder / "analysis.yaml").write_text(text)
    write_toy_ntuples("diphoton", folder / "ntuples", n_signal=5000, n_bkg=30_000)
    job = Job.of(read_analysis(folder), progress=False)
    reports = run_all(job)
    assert [r.stage for r in reports] == list(STAGES)
    result = load_results(job)[3]
    assert result.held_out.combined > 1.0  # 0.8 without categories
    fits = load_fits(job)
    assert len(fits) == result.n_categories
    assert all(fit.source == "background" for fit in fits)
    for path in ("report.html", "plots/significance.png", "exports/shape/datacard.txt"):
        assert (folder / "results" / path).stat().st_size > 1000
    assert all(r.skipped for r in run_all(job))


def small_events(name: str, tmp_path: Path) -> Analysis:
    """An analysis with its data, or with few events of its toy."""
    analysis = read_analysis(copied(name, tmp_path))
    files = tmp_path / name / "ntuples"
    if name == "higgsml":
        files.mkdir()
        rng = np.random.default_rng(1)
        for kind, power in (("signal", 0.5), ("background", 2.0)):
            columns = {"score": rng.random(500) ** power, "weight": rng.normal(1.0, 1.0, 500)}
            with uproot.recreate(files / f"{kind}.root") as file:
                file["Events"] = columns | {"event": np.arange(500)}
    elif analysis.ntuples is not None:
        write_toy_ntuples(analysis.ntuples, files, n_signal=1000, n_bkg=5000)  # type: ignore[arg-type]
    else:
        real_data({"dimuon_2012": "cms_dimuon_2012"}.get(name, "cms_heptutorial_mc"))
    return analysis


@pytest.mark.parametrize("name", NAMES)
def test_exports_hold_the_yields_of_the_templates(name: str, tmp_path: Path) -> None:
    analysis = small_events(name, tmp_path)
    found = features(analysis)
    samples = process(analysis, progress=False).samples
    assert samples is not None
    edges = tuple(f.unstretch(np.linspace(*f.stretch([f.low, f.high]), 3)) for f in found)
    label = np.arange(2 ** len(found))
    categories = EdgeCategories(features=found, label=label, edges=edges)
    templates = templates_from_samples(samples, categories, analysis)
    mass, signals = analysis.mass, analysis.optimise.signals
    fits = None if mass is None else fit_categories(templates, analysis)
    write_exports(templates, categories, analysis, tmp_path / "exports", fits=fits)
    window = slice(None) if mass is None else slice(*(1j * m for m in mass.window_gev))

    def integral(process: str, category: int) -> float:
        return float(templates.histogram[process, "nominal", category, window].values().sum())

    for model in ("counting", *(() if mass is None else ("shape",))):
        with uproot.open(tmp_path / "exports" / model / "shapes.root") as file:
            bins = {key.split("/")[0] for key in file.keys(cycle=False)}
            assert len(bins) > 1
            for k in (int(name.removeprefix(f"{analysis.name}_category")) for name in bins):
                rates = {
                    key: file[f"{analysis.name}_category{k}/{key}"].values().sum()
                    for key in file[f"{analysis.name}_category{k}"].keys(cycle=False)
                }
                background = sum(integral(p, k) for p in analysis.backgrounds)
                signal = {s: integral(s, k) for s in signals}
                if fits is not None:
                    background = fits[k].estimate.window_yield
                if name == "dimuon_2012":
                    assert rates["data_obs"] == integral("data", k)
                    signal = {"zmumu": rates["data_obs"] - background}
                total = sum(
                    rate
                    for key, rate in rates.items()
                    if key in (*analysis.backgrounds, "sideband")
                )
                assert total == pytest.approx(background, rel=1e-9)
                for s, value in signal.items():
                    assert rates.get(s, 0.0) == pytest.approx(max(value, 0.0), rel=1e-9)


@pytest.fixture(scope="module")
def dimuon() -> Processed:
    real_data("cms_dimuon_2012")
    return process(read_analysis(ANALYSES / "dimuon_2012"), progress=False)


def test_dimuon_window_less_sidebands_is_the_signal(dimuon: Processed) -> None:
    assert dimuon.samples is not None
    found = dimuon.samples
    in_window = (found["data"].mass >= 81) & (found["data"].mass < 101)
    assert in_window.sum() == 6845
    split = found["zmumu"].weight.sum() + found["continuum"].weight.sum()
    assert split == pytest.approx(in_window.sum(), rel=1e-12)
    assert (found["zmumu"].weight < 0).sum() == 1044
    assert (found["continuum"].weight >= 0).all()


def test_dimuon_signal_agrees_with_the_reference_in_pseudorapidity(dimuon: Processed) -> None:
    """Signals 1317, 1914, 3120 over backgrounds of 72+-8, 136+-11, 286+-16 were seen elsewhere."""
    assert dimuon.samples is not None
    sample = dimuon.samples["zmumu"]
    yields = np.histogram(sample.x[:, 0], [0, 0.9, 1.5, 2.5], weights=sample.weight)[0]
    np.testing.assert_allclose(yields, [1317, 1914, 3120], atol=16)


def test_heptutorial_weights_stand_as_they_are() -> None:
    folder = real_data("cms_heptutorial_mc")
    analysis = read_analysis(ANALYSES / "heptutorial")
    processed = process(analysis, progress=False)
    assert processed.n_events["qcd"] == 142
    for name in analysis.processes:
        weight = uproot.open(folder / f"{name}.root")["events"]["EventWeight"].array(library="np")
        total = processed.cutflow[name]["all"]["weighted"]
        assert total == pytest.approx(weight.sum(dtype=np.float64), rel=1e-9)
    assert processed.samples is not None
    assert (processed.samples["single_top"].weight == 0).any()


def prepare_module() -> ModuleType:
    path = ANALYSES / "higgsml" / "prepare.py"
    spec = importlib.util.spec_from_file_location("higgsml_prepare", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_higgsml_weights_are_renormalised_and_missing_values_marked() -> None:
    folder = real_data("atlas_higgsml_2014")
    prepare = prepare_module()
    for name, expected in (("signal", 691.99), ("background", 410_999.85)):
        table = prepare._read(name)
        assert len(table) == 4999
        assert table["weight"].sum() == pytest.approx(expected, rel=1e-12)
    assert (pd.read_csv(folder / "train_sml_bg.csv")["DER_mass_MMC"] == -999).any()


def test_higgsml_score_is_that_of_models_which_did_not_see_the_event() -> None:
    """With random labels a model knows nothing of events that it was not fitted to."""
    rng = np.random.default_rng(5)
    n = 600
    table = pd.DataFrame({f"PRI_{i}": rng.normal(size=n) for i in range(5)})
    table = table.assign(EventId=np.arange(n), weight=1.0)
    label = rng.random(n) < 0.5
    score = prepare_module().cross_fitted_score(table, label)
    rank = score.argsort().argsort() + 1
    auc = (rank[label].mean() - (label.sum() + 1) / 2) / (~label).sum()
    assert abs(auc - 0.5) < 0.1  # four standard deviations; 0.97 if scored by its own model
