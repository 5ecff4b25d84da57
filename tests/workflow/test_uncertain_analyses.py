"""Analyses with systematic uncertainties: their events, and what is optimised with them."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from gato_coffea.config import read_analysis
from gato_coffea.datasets import data_folder
from gato_coffea.errors import InputError
from gato_coffea.workflow.pipeline import run_stage
from gato_coffea.workflow.stages import Job, load_results

ANALYSES = Path(__file__).resolve().parents[2] / "analyses"


def module_of(path: Path) -> ModuleType:
    """A Python file of an analysis; it may import those beside it."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = set(sys.modules)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
        for name in ("prepare", "independent"):
            if name not in before:
                sys.modules.pop(name, None)
    return module


def small(name: str, target: Path, *, n_signal: int, n_background: int) -> Job:
    """An analysis with few events, in another folder."""
    folder = target / name
    shutil.copytree(ANALYSES / name, folder, ignore=shutil.ignore_patterns("results", "ntuples"))
    script = folder / "prepare.py"
    lines = [
        f"N_SIGNAL, N_BACKGROUND = {n_signal}, {n_background}" if "N_SIGNAL, N_B" in line else line
        for line in script.read_text().splitlines()
    ]
    script.write_text("\n".join(lines) + "\n")
    return Job.of(read_analysis(folder), progress=False)


def first_stages(job: Job, **settings: Any) -> Any:
    path = job.analysis.directory / "analysis.yaml"
    content = yaml.safe_load(path.read_text())
    content["optimise"] |= settings
    path.write_text(yaml.safe_dump(content))
    job = Job.of(read_analysis(path), progress=False)
    module_of(job.analysis.directory / "prepare.py").prepare(
        _made(job.analysis.directory / "ntuples")
    )
    run_stage(job, "process")
    run_stage(job, "optimise")
    return load_results(job)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated")
def test_toy_with_uncertainties_and_the_likelihood_of_pyhf(tmp_path: Path) -> None:
    job = small("toy_systematics", tmp_path, n_signal=20_000, n_background=60_000)
    result = first_stages(job, n_categories=[3], folds=2)[3]
    record = result.categories.training
    assert set(record["systematics"]) == set(job.analysis.systematics)
    assert result.training.combined < 0.9 * result.training.statistics_only
    judge = module_of(job.analysis.directory / "independent.py")
    judge.N_BACKGROUND = 60_000
    systematics = yaml.safe_load((job.analysis.directory / "analysis.yaml").read_text())
    # on the very events of the training pyhf finds what is printed
    found = judge.yields(result.categories, 60_000, seed=42)
    assert found["signal"]["nominal"].sum() == pytest.approx(50)
    z = {
        profiled: judge.significance(
            judge.pyhf_model(found, systematics["systematics"], profiled=profiled)
        )
        for profiled in (False, True)
    }
    # its signal is another number of events, so of other seed: a few per cent
    assert z[True] == pytest.approx(result.training.combined, rel=0.1)
    assert z[False] == pytest.approx(result.training.statistics_only, rel=0.1)


def test_features_at_another_tau_scale() -> None:
    try:
        folder = data_folder() / "atlas_higgsml_2014"
    except InputError as error:
        pytest.skip(str(error))
    table = pd.read_csv(folder / "train_sml_sig.csv")
    prepare = module_of(ANALYSES / "higgsml_systematics" / "prepare.py")
    # the features of the file are those that are computed, to its three decimals
    for name, values in prepare._made_of(table, 1.0).items():
        if name not in ("DER_sum_pt", "PRI_met_phi", "DER_met_phi_centrality"):
            assert np.abs(values - table[name]).quantile(0.99) < 0.15, name
    same, up, down = (prepare.at_scale(table, factor) for factor in (1.0, 1.01, 0.99))
    np.testing.assert_allclose(np.cos(same["PRI_met_phi"]), np.cos(table["PRI_met_phi"]))
    columns = [c for c in table.columns if c[:3] in ("DER", "PRI") and c != "PRI_met_phi"]
    pd.testing.assert_frame_equal(same[columns], table[columns], check_dtype=False)
    np.testing.assert_allclose(up["PRI_tau_pt"], 1.01 * table["PRI_tau_pt"])
    # opposite to each other: what the tau gains is missing elsewhere
    hidden = [t["DER_pt_h"] - table["DER_pt_h"] for t in (up, down)]
    assert max(np.abs(h).max() for h in hidden) < 1e-9
    assert (up["PRI_met"] != table["PRI_met"]).all()
    assert (up["DER_mass_MMC"][table["DER_mass_MMC"] < 0] == -999).all()


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated")
def test_published_histograms_with_their_variations() -> None:
    try:
        data_folder()
    except InputError as error:
        pytest.skip(str(error))
    run = module_of(ANALYSES / "agc_ttbar" / "run.py")
    fine, region = run.read_regions(), "4j2b"
    edges = run.bin_edges(region)
    assert len(edges) == 26
    mirrored = fine[region]["ttbar"]
    np.testing.assert_allclose(
        mirrored["psUp"] + mirrored["psDown"], 2 * mirrored["nominal"], rtol=1e-12
    )
    best = run.best_edges(fine[region], region, 5)
    value = {
        name: run.uncertainty(
            run.workspace({region: run.merged(fine[region], edges, binning)}), [region]
        )
        for name, binning in {
            "all": edges,
            "best": best,
            "equal": run.equal_bins(edges, 5),
        }.items()
    }
    assert value["all"] == pytest.approx(0.0997, rel=0.01)
    assert value["all"] < value["best"] < 0.75 * value["equal"]
