"""Templates in files: ROOT histograms and UHI JSON, of one channel and of several."""

from pathlib import Path

import hist
import numpy as np
import pytest
import uproot

from gato_coffea.categories.formats import read_uhi, write_root, write_uhi
from gato_coffea.categories.templates import Templates
from gato_coffea.errors import InputError


def histogram(seed: int, *, n: int = 2) -> hist.Hist:
    h = hist.Hist(
        hist.axis.StrCategory(["sig", "bkg"], name="process"),
        hist.axis.StrCategory(["nominal", "jesUp"], name="variation"),
        hist.axis.Integer(0, n, name="category"),
        hist.axis.Regular(4, 0, 1, name="score"),
        storage=hist.storage.Weight(),
    )
    rng = np.random.default_rng(seed)
    h.fill("sig", "nominal", rng.integers(0, n, 50), rng.uniform(0, 1, 50), weight=rng.normal(50))
    h.fill("bkg", "jesUp", rng.integers(0, n, 50), rng.uniform(0, 1, 50), weight=0.3)
    return h


@pytest.mark.parametrize("channels", [("all",), ("resolved", "boosted")])
def test_uhi_keeps_every_number_of_every_channel(
    channels: tuple[str, ...], tmp_path: Path
) -> None:
    templates = Templates({name: histogram(i, n=2 + i) for i, name in enumerate(channels)})
    write_uhi(templates, tmp_path / "t.json")
    assert read_uhi(tmp_path / "t.json") == templates


def test_root_files_name_the_channel_where_there_are_several(tmp_path: Path) -> None:
    one, two = histogram(1), histogram(2)
    write_root(Templates.single(one), tmp_path / "one.root")
    write_root(Templates({"resolved": one, "boosted": two}), tmp_path / "two.root")
    with uproot.open(tmp_path / "one.root") as file:
        assert set(file.keys(cycle=False, filter_classname="TH1*")) == {
            f"category{k}/{name}" for k in (0, 1) for name in ("sig", "bkg", "bkg_jesUp")
        }
    with uproot.open(tmp_path / "two.root") as file:
        found = file["boosted/category1/bkg_jesUp"].to_hist()
    np.testing.assert_array_equal(found.values(flow=True), two["bkg", "jesUp", 1, :].values(True))


def test_what_is_no_histogram_is_refused_in_one_line(tmp_path: Path) -> None:
    for content in ("{}", "[]", '{"resolved": 3}', '{"uhi_schema": 1}'):
        (tmp_path / "t.json").write_text(content)
        with pytest.raises(InputError, match=r"t\.json: is damaged"):
            read_uhi(tmp_path / "t.json")
