from __future__ import annotations

from pathlib import Path

import hist
import numpy as np
import pytest
import uproot

from gato_coffea.errors import OutputError
from gato_coffea.processing.storage import replacing_folder, write_root


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    for text in ("first", "second"):
        with replacing_folder(folder) as aside:
            (aside / text).write_text(text)
    assert [p.name for p in folder.iterdir()] == ["second"]
    assert [p.name for p in tmp_path.iterdir()] == ["results"]


def test_what_was_there_stays_when_writing_fails(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "kept").touch()
    with pytest.raises(OutputError, match="cannot be written"), replacing_folder(folder) as aside:
        (aside / "no" / "such" / "folder").touch()
    assert [p.name for p in folder.iterdir()] == ["kept"]
    assert [p.name for p in tmp_path.iterdir()] == ["results"]


def test_root_histograms_keep_values_variances_and_flow(tmp_path: Path) -> None:
    h = hist.Hist(
        hist.axis.StrCategory(["a", "b"], name="process"),
        hist.axis.StrCategory(["nominal"], name="variation"),
        hist.axis.Variable([0, 0.1, 1], name="score"),
        hist.axis.Regular(3, 100, 180, name="mass"),
        storage=hist.storage.Weight(),
    )
    rng = np.random.default_rng(1)
    score, mass = rng.uniform(-0.5, 1.5, 100), rng.uniform(90, 190, 100)
    h.fill("b", "nominal", score, mass, weight=rng.normal(1, 1, 100))
    write_root(tmp_path / "h.root", {"score_mass": h})
    with uproot.open(tmp_path / "h.root") as file:
        read = file["score_mass/b/nominal"].to_hist()
        assert file["score_mass/a/nominal"].values().sum() == 0
    expected = h["b", "nominal", :, :]
    np.testing.assert_array_equal(read.values(flow=True), expected.values(flow=True))
    np.testing.assert_array_equal(read.variances(flow=True), expected.variances(flow=True))
