"""Categories from the histograms of a file, with what an analysis file says as options."""

from __future__ import annotations

from pathlib import Path

import hist
import numpy as np
import pytest
import uproot
from typer.testing import CliRunner

from gato_coffea import Categories
from gato_coffea.errors import InputError, OptimisationError
from gato_coffea.workflow.cli import app
from gato_coffea.workflow.from_histograms import optimise_histograms
from gato_coffea.workflow.results import read_results

SHAPES = {"ggH": (5, 2, 4000, 0.01), "vbf": (6, 2, 3000, 0.004), "cont": (2, 4, 20000, 0.3)}


def filled(name: str, *axes: hist.axis.AxesMixin) -> hist.Hist:
    a, b, n, weight = SHAPES[name]
    rng = np.random.default_rng(n)
    h = hist.Hist(*axes, storage=hist.storage.Weight())
    h.fill(*(axis.edges[-1] * rng.beta(a, b, n) for axis in axes), weight=weight)
    return h


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TH1 and TH2 of three processes, as uproot writes them."""
    path = tmp_path_factory.mktemp("h") / "h.root"
    score = hist.axis.Regular(40, 0, 1, name="score")
    energy = hist.axis.Regular(12, 0, 3000, name="energy")
    with uproot.recreate(path) as file:
        for name in SHAPES:
            file[f"one/{name}"] = filled(name, score)
            for ending in ("Up", "Down"):
                file[f"one/{name}_scale{ending}"] = filled(name, score)
            file[f"two/{name}"] = filled(name, score, energy)
    return path


def test_settings_reach_the_optimisation(file: Path, tmp_path: Path) -> None:
    options = {"signals": ["ggH"], "region": "one", "method": "exact", "n_categories": [4]}
    plain = optimise_histograms(file, tmp_path / "a", **options)[4]
    for changed in (
        {"systematic": 0.2},
        {"mc_uncertainty": False},
        {"seed": 5},
        {"folds": 3},
        {"constraints": {"min_effective": 500}},
    ):
        other = optimise_histograms(file, tmp_path / "b", **options | changed)[4]
        assert other.held_out.combined != plain.held_out.combined, changed
    strict = {"min_effective": 0, "min_background": 400, "max_rel_unc": 0.05}
    kept = optimise_histograms(file, tmp_path / "c", **options, constraints=strict)[4]
    assert kept.yields.background.min() >= 400
    assert kept.yields.effective_background.min() >= 400
    written = read_results(tmp_path / "c/optimise")
    assert written[4].held_out == kept.held_out


@pytest.mark.parametrize("combination", ["geometric", "quadrature"])
def test_histograms_of_two_discriminants(file: Path, tmp_path: Path, combination: str) -> None:
    arguments = ["--from-histograms", str(file), "--region", "two", "-k", "3", "-k", "5"]
    for name in ("ggH", "vbf"):
        arguments += ["--signal", name]
    arguments += ["--method", "lloyd", "--combination", combination, "--seed", "3"]
    done = CliRunner().invoke(app, ["optimise", *arguments, "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    found = Categories.load(tmp_path / "optimise/categories_5.json")
    assert [f.name for f in found.features] == ["score", "energy"]
    assert found.training["combination"] == combination
    assert found.training["seed"] == 3


def test_what_there_is_to_go_on_from(file: Path, tmp_path: Path) -> None:
    options = {"signals": ["ggH"], "region": "one", "n_categories": [3], "continued": True}
    with pytest.raises(InputError, match="optimise holds no results to go on from"):
        optimise_histograms(file, tmp_path, **options)
    optimise_histograms(file, tmp_path, **options | {"continued": False, "method": "exact"})
    with pytest.raises(OptimisationError, match="continue: "):
        optimise_histograms(file, tmp_path, **options | {"method": "exact"})


def test_nothing_is_left_of_an_earlier_optimisation(file: Path, tmp_path: Path) -> None:
    options = {"signals": ["ggH"], "region": "one", "method": "lloyd"}
    optimise_histograms(file, tmp_path, **options, n_categories=[2, 4])
    folder = tmp_path / "optimise"
    (folder / "scan.py").write_text("")  # not ours
    optimise_histograms(file, tmp_path, **options, n_categories=[3])
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["categories_3.json", "result_3.json", "scan.py", "summary.json"]
    assert read_results(folder)[3].history is None
