from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from gato_coffea.config import function_name, load_functions, parse_analysis, read_analysis
from gato_coffea.errors import ConfigError

INVALID = sorted((Path(__file__).parents[1] / "invalid").glob("*.yaml"))


@pytest.mark.parametrize("path", INVALID, ids=lambda p: p.stem)
def test_invalid_files_give_their_message(path: Path) -> None:
    expected = path.with_suffix("").with_suffix(".error.txt").read_text().strip()
    with pytest.raises(ConfigError) as caught:
        read_analysis(path)
    assert str(caught.value) == f"{path}: {expected}"
    assert "\n" not in expected


def test_there_are_invalid_files() -> None:
    assert len(INVALID) > 30


def test_defaults_and_properties(make_analysis: Any, tmp_path: Path) -> None:
    analysis = make_analysis()
    assert analysis.processes == ("sig", "bkg")
    assert analysis.data_processes == ("data",)
    assert analysis.all_processes == ("sig", "bkg", "data")
    assert analysis.backgrounds == ("bkg",)
    assert analysis.requirements == ("trigger", "py:hard")
    assert analysis.mass.sidebands == ((100, 120), (130, 180))
    assert analysis.directory == tmp_path
    assert analysis.discriminants[0].expression == "score"


def test_resonant_backgrounds_and_the_continuum(small: Any, tmp_path: Path) -> None:
    content = deepcopy(small.content)
    zh = content["datasets"]["bkg_a"] | {"process": "ZH"}
    content["datasets"]["zh"] = zh
    assert parse_analysis(content, directory=tmp_path).resonant == ()
    content["processes"] = {"ZH": {"resonant": True}, "bkg": {"resonant": False}}
    analysis = parse_analysis(content, directory=tmp_path)
    assert analysis.backgrounds == ("bkg", "ZH")
    assert (analysis.resonant, analysis.continuum) == (("ZH",), ("bkg",))


def test_single_values_stand_for_lists(make_analysis: Any) -> None:
    analysis = make_analysis(
        {"datasets.sig_a.files": "a.root", "optimise.n_categories": 4, "weight.nominal": "pileup"}
    )
    assert analysis.datasets["sig_a"].files == ("a.root",)
    assert analysis.optimise.n_categories == (4,)
    assert analysis.weight.nominal == ("pileup",)


def test_the_fingerprint_follows_content_and_functions(make_analysis: Any, tmp_path: Path) -> None:
    before = make_analysis().fingerprint()
    assert make_analysis().fingerprint() == before
    assert make_analysis({"luminosity_per_fb": 3.0}).fingerprint() != before
    assert make_analysis({"luminosity_per_fb": 3.0}).fingerprint("datasets") == (
        make_analysis().fingerprint("datasets")
    )
    (tmp_path / "analysis.py").write_text("# other\n")
    assert read_analysis(tmp_path).fingerprint() != before


def test_functions(make_analysis: Any, tmp_path: Path) -> None:
    analysis = make_analysis()
    assert set(load_functions(analysis)) == {"hard", "pileup_down"}
    assert function_name("py:hard") == "hard"
    (tmp_path / "analysis.py").write_text("hard = pileup_down = 3\n")
    with pytest.raises(ConfigError, match=r"has no function 'hard', which selection\[1\] refers"):
        load_functions(analysis)
    (tmp_path / "analysis.py").write_text("import no_such_module\n")
    with pytest.raises(ConfigError, match=r"does not import \(ModuleNotFoundError: "):
        load_functions(analysis)
    (tmp_path / "analysis.py").unlink()
    with pytest.raises(ConfigError, match=r"file is missing, and selection\[1\] refers to"):
        load_functions(analysis)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml: no such analysis file"):
        read_analysis(tmp_path / "nothing.yaml")


def test_content_from_python(small: Any, tmp_path: Path) -> None:
    analysis = parse_analysis(small.content, directory=tmp_path)
    assert analysis.name == "small"
    with pytest.raises(ConfigError, match=r"^analysis: name: is missing$"):
        parse_analysis({k: v for k, v in small.content.items() if k != "name"}, directory=tmp_path)
