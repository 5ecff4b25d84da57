"""All exports in one folder, read back with the tools they are made for."""

from pathlib import Path

import numpy as np
import pytest
import uproot

from gato_coffea.categories import EdgeCategories, MixtureCategories
from gato_coffea.categories.templates import templates_from_samples
from gato_coffea.config import parse_analysis
from gato_coffea.errors import InputError, OutputError
from gato_coffea.events.samples import Feature, Sample, Variation
from gato_coffea.exports import (
    read_uhi,
    write_exports,
    write_root,
    write_uhi,
)
from gato_coffea.sidebands import fit_categories

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


def test_root_file_holds_every_template_exactly(tmp_path):
    templates = templates_of(analysis_of(data=True))
    write_root(templates, tmp_path / "t.root")
    with uproot.open(tmp_path / "t.root") as file:
        names = {key.split(";")[0] for key in file.keys(recursive=True, cycle=False)}
        assert {n for n in names if n.startswith("category1/")} == {
            f"category1/{n}"
            for n in ("sig", "sig_puUp", "sig_puDown", "b1", "b1_puUp", "b1_puDown", "b2", "obs")
        }
        found = file["category1/b1_puUp"]
        wanted = templates.histogram["b1", "puUp", 1, :]
        np.testing.assert_array_equal(found.values(flow=True), wanted.values(flow=True))
        np.testing.assert_array_equal(found.variances(flow=True), wanted.variances(flow=True))
        np.testing.assert_array_equal(found.axis().edges(), wanted.axes[0].edges)


def test_uhi_json_round_trip_is_exact(tmp_path):
    templates = templates_of(analysis_of())
    write_uhi(templates, tmp_path / "t.json")
    again = read_uhi(tmp_path / "t.json")
    assert again == templates
    (tmp_path / "bad.json").write_text("[1, 2")
    with pytest.raises(InputError, match=r"bad.json: (cannot read a UHI histogram|is damaged)"):
        read_uhi(tmp_path / "bad.json")
    with pytest.raises(InputError, match=r"none.json: cannot read a UHI histogram"):
        read_uhi(tmp_path / "none.json")


def test_no_table_of_three_discriminants_is_told(caplog, tmp_path):
    features = tuple(Feature(name, 0, 1) for name in ("score", "y", "z"))
    categories = MixtureCategories(
        features=features,
        label=np.arange(3),
        means=np.zeros((3, 3)),
        scale_tril=np.stack([np.eye(3)] * 3),
        log_weights=np.zeros(3),
    )
    analysis = analysis_of(mass=False)
    written = write_exports(templates_of(analysis), categories, analysis, tmp_path)
    assert not [p for p in written if "correctionlib" in p.name]
    assert "no categories.correctionlib.json is written: Gaussian categories in 3" in caplog.text


def test_everything_in_one_folder(tmp_path):
    analysis = analysis_of(data=True)
    templates = templates_of(analysis)
    fits = fit_categories(templates, analysis)
    written = write_exports(templates, CATEGORIES, analysis, tmp_path / "exports", fits=fits)
    assert sorted(p.relative_to(tmp_path / "exports").as_posix() for p in written) == [
        "categories.correctionlib.json",
        "counting/datacard.txt",
        "counting/shapes.root",
        "counting/workspace.json",
        "shape/datacard.txt",
        "shape/shapes.root",
        "shape/workspace.json",
        "templates.json",
        "templates.root",
    ]
    assert sorted(written) == sorted(p for p in (tmp_path / "exports").rglob("*") if p.is_file())
    assert "sideband" in (tmp_path / "exports/counting/datacard.txt").read_text()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_root(templates, tmp_path / "file/t.root")
