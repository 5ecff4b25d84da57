from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gato_coffea.config import read_analysis
from gato_coffea.datasets.check import check_analysis, inspect_file, starting_yaml
from gato_coffea.errors import InputError


def test_the_first_analysis_file_reads_and_fits_its_file(small: Any, tmp_path: Path) -> None:
    columns = {
        "event": np.arange(5),
        "m_gg": np.full(5, 125.0),
        "bdt_score": np.full(5, 0.5),
        "genWeight": np.ones(5),
        "jets": [[1.0]] * 5,
    }
    path = small.write(tmp_path / "2018 sample.root", columns, tree="some/where")
    text = starting_yaml(path)
    assert text == starting_yaml(path, inspect_file(path))
    assert text.count(path.name) == 1  # a file is signal or background, never both
    columns["event"] = np.arange(5, 10)
    small.write(tmp_path / "FILL IN.root", columns, tree="some/where")
    (tmp_path / "analysis.yaml").write_text(text)
    analysis = read_analysis(tmp_path)
    assert [d.expression for d in analysis.discriminants] == ["bdt_score"]
    assert analysis.mass is not None
    assert analysis.mass.source == "m_gg"
    assert (analysis.mass.unit, analysis.mass.window_gev) == ("GeV", (120, 130))
    assert analysis.weight.nominal == ("genWeight",)
    assert all(not row.missing for row in check_analysis(analysis))


def test_ranges_and_units_are_guessed_from_the_values(small: Any, tmp_path: Path) -> None:
    columns = {"bdt": np.array([-0.7, 0.3]), "ht_score": [3.0, 840.0], "m_ll": [91e3, 90e3]}
    path = small.write(tmp_path / "a.root", columns)
    (tmp_path / "analysis.yaml").write_text(starting_yaml(path))
    analysis = read_analysis(tmp_path)
    assert {d.name: d.range for d in analysis.discriminants} == {
        "bdt": (-1, 1),
        "ht_score": (0, 1000),
    }
    assert analysis.mass is not None
    assert analysis.mass.unit == "MeV"
    assert analysis.mass.range_gev[0] < 90 < analysis.mass.range_gev[1]


def test_without_weights_and_mass(small: Any, tmp_path: Path) -> None:
    path = small.write(tmp_path / "a.root", {"x": np.ones(3)})
    small.write(tmp_path / "FILL IN.root", {"x": np.zeros(3)})
    (tmp_path / "analysis.yaml").write_text(starting_yaml(path))
    analysis = read_analysis(tmp_path)
    assert analysis.mass is None
    assert all(row.sumw == 3 and not row.missing for row in check_analysis(analysis))


def test_nothing_to_start_from(small: Any, tmp_path: Path) -> None:
    path = small.write(tmp_path / "a.root", {"jets": [[1.0], [2.0]]}, tree="t")
    with pytest.raises(InputError, match="tree 'x' is missing"):
        starting_yaml(path, tree="x")
    import uproot

    with uproot.recreate(tmp_path / "b.root") as file:
        file["h"] = np.histogram([1.0])
    with pytest.raises(InputError, match=r"b\.root: holds no tree"):
        starting_yaml(tmp_path / "b.root")
