import json
from pathlib import Path

import hist
import numpy as np
import pytest
import uhi.io.json
import uproot
from coffea.util import save

from gato_coffea.datasets import data_folder
from gato_coffea.datasets.histogram_files import chosen_histograms, read_histograms
from gato_coffea.errors import InputError
from gato_coffea.optimisation.histograms import has_variances


def filled() -> hist.Hist:
    h = hist.Hist(
        hist.axis.StrCategory(["sig", "bkg"], name="process"),
        hist.axis.StrCategory(["nominal", "scaleUp"], name="variation"),
        hist.axis.Regular(20, 0, 1, name="score"),
        storage=hist.storage.Weight(),
    )
    rng = np.random.default_rng(2)
    for variation, factor in (("nominal", 1.0), ("scaleUp", 2.0)):
        h.fill("sig", variation, rng.beta(4, 2, 500), weight=0.1 * factor)
        h.fill("bkg", variation, rng.beta(2, 4, 900), weight=0.5 * factor)
    return h


def write(path: Path, h: hist.Hist) -> Path:
    if path.suffix == ".coffea":
        save({"score": h}, path)
    elif path.suffix == ".json":
        path.write_text(json.dumps({"score": h}, default=uhi.io.json.default))
    else:
        with uproot.recreate(path) as file:
            for process in ("sig", "bkg"):
                file[f"score/{process}"] = h[process, "nominal", :]
    return path


@pytest.mark.parametrize("suffix", [".coffea", ".json", ".root"])
def test_every_form_gives_the_nominal_histogram_of_each_process(
    tmp_path: Path, suffix: str
) -> None:
    h = filled()
    found = read_histograms(write(tmp_path / f"h{suffix}", h))
    assert set(found) == {"score/sig", "score/bkg"}
    for process in ("sig", "bkg"):
        expected = h[process, "nominal", :]
        one = found[f"score/{process}"]
        np.testing.assert_array_equal(one.values(), expected.values())
        np.testing.assert_array_equal(one.variances(), expected.variances())
        np.testing.assert_allclose(one.axes[0].edges, expected.axes[0].edges)
        assert one.axes.name == ("score",)


def test_one_histogram_alone_is_named_by_its_processes(tmp_path: Path) -> None:
    (tmp_path / "h.json").write_text(json.dumps(filled(), default=uhi.io.json.default))
    assert set(read_histograms(tmp_path / "h.json")) == {"sig", "bkg"}


@pytest.mark.parametrize("flow", [True, False])
def test_plain_contents_have_no_variances(tmp_path: Path, flow: bool) -> None:
    contents = [9.0, 1.0, 4.0, 9.0] if flow else [1.0, 4.0]
    (tmp_path / "h.json").write_text(json.dumps({"a": {"edges": [0, 1, 3], "contents": contents}}))
    one = read_histograms(tmp_path / "h.json")["a"]
    assert one.values().tolist() == [1.0, 4.0]
    assert not has_variances(one)


def test_names_are_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "h.root", filled())
    assert list(chosen_histograms(path, signals=["score/sig"])) == ["score/sig", "score/bkg"]
    with pytest.raises(InputError, match=r"'score/sgi'; did you mean 'score/sig'"):
        chosen_histograms(path, signals=["score/sgi"])


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("h.txt", "x", "is of no known kind"),
        ("h.json", "{", "cannot read JSON of histograms"),
        ("h.json", "{}", "holds no histogram"),
        ("h.json", '{"a": {"edges": [0, 1], "contents": [1, 2]}}', "do not fit"),
        ("h.root", "no", "is not a whole ROOT file"),
        ("h.coffea", None, "no such file"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    tmp_path: Path, name: str, text: str | None, told: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=told) as raised:
        read_histograms(tmp_path / name)
    assert "\n" not in str(raised.value)


def one_bin() -> hist.Hist:
    return hist.Hist(hist.axis.Regular(1, 0, 1), storage=hist.storage.Weight())


def named(path: Path, *names: str) -> Path:
    """A file of empty histograms."""
    path.write_text(json.dumps({n: one_bin() for n in names}, default=uhi.io.json.default))
    return path


def test_data_and_variations_are_no_backgrounds(tmp_path: Path) -> None:
    names = ("sig", "tt", "tt_jesUp", "tt_jesDown", "tt_ME_var", "tt_bb", "Data", "pseudodata")
    path = named(tmp_path / "h.json", *names, "tt_scaleup", "tt_scaledown", "tt_0_up", "tt_0_down")
    assert list(chosen_histograms(path, signals=["sig"])) == ["sig", "tt", "tt_bb"]
    wanted = chosen_histograms(path, signals=["sig"], backgrounds=["tt_jesUp"])
    assert list(wanted) == ["sig", "tt_jesUp"]
    told = r"no background is left beside sig, tt, tt_bb \(data: Data, pseudodata; variations: "
    with pytest.raises(InputError, match=told + "tt_jesUp, tt_jesDown, tt_ME_var"):
        chosen_histograms(path, signals=["sig", "tt", "tt_bb"])


def test_a_process_that_ends_in_up_is_no_variation(tmp_path: Path) -> None:
    path = named(tmp_path / "h.json", "sig", "b", "b_warmup", "b_jes_Up", "b_jes_Down")
    assert list(chosen_histograms(path, signals=["sig"])) == ["sig", "b", "b_warmup"]


@pytest.mark.parametrize("name", ["tt_jesUp", "tt_jes_down", "tt_jes__1up", "tt_jesDOWN"])
def test_half_a_variation_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    path = named(tmp_path / "h.json", "sig", "tt", name)
    assert list(chosen_histograms(path, signals=["sig"])) == ["sig", "tt"]
    assert f"without their opposites, and no backgrounds: {name}; name the back" in caplog.text
    caplog.clear()
    chosen = chosen_histograms(path, signals=["sig"], backgrounds=["tt", name])
    assert list(chosen) == ["sig", "tt", name]
    assert not caplog.records


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    path = named(tmp_path / "h.json", "4j_HZZ", "4j_bkg", "6j_HZZ", "6j_bkg")
    with pytest.raises(InputError, match=r"no histogram 'HZZ', but in '4j', '6j': give one as"):
        chosen_histograms(path, signals=["HZZ"])
    with pytest.raises(InputError, match=r"no histogram 'HZz'; did you mean 'HZZ'\? \(it holds"):
        chosen_histograms(path, signals=["HZz"], region="4j")
    with pytest.raises(InputError, match=r"beside HZZ \(the file holds nothing else\)"):
        chosen_histograms(named(tmp_path / "one.json", "HZZ"), signals=["HZZ"])
    with pytest.raises(InputError, match=r"beside a/HZZ \(in other folders: b/HZZ, b/bkg\)"):
        chosen_histograms(named(tmp_path / "h.json", "a/HZZ", "b/HZZ", "b/bkg"), signals=["a/HZZ"])


def test_an_axis_of_variations_without_the_nominal(tmp_path: Path) -> None:
    h = hist.Hist(
        hist.axis.StrCategory(["sUp", "sDown"], name="variation"),
        hist.axis.Regular(4, 0, 1),
        storage=hist.storage.Weight(),
    )
    path = tmp_path / "h.json"
    path.write_text(json.dumps({"a": h}, default=uhi.io.json.default))
    with pytest.raises(
        InputError, match=r"axis 'variation' has no nominal entry \(got sUp, sDown"
    ):
        read_histograms(path)


def test_another_folder_holds_no_backgrounds(tmp_path: Path) -> None:
    path = tmp_path / "h.json"
    names = ("sr/sig", "sr/bkg", "cr/sig", "cr/bkg", "bkg")
    path.write_text(json.dumps({n: one_bin() for n in names}, default=uhi.io.json.default))
    assert list(chosen_histograms(path, signals=["sr/sig"])) == ["sr/sig", "sr/bkg"]
    wanted = chosen_histograms(path, signals=["sr/sig"], backgrounds=["cr/bkg"])
    assert list(wanted) == ["sr/sig", "cr/bkg"]


@pytest.mark.parametrize("separator", ["_", "/"])
def test_a_region_is_taken_out_of_the_names(tmp_path: Path, separator: str) -> None:
    names = [f"{r}{separator}{p}" for r in ("sr", "sr2", "cr") for p in ("sig", "bkg")]
    path = tmp_path / "h.json"
    path.write_text(json.dumps({n: one_bin() for n in names}, default=uhi.io.json.default))
    assert set(chosen_histograms(path, signals=["sig"], region="sr")) == {"sig", "bkg"}
    with pytest.raises(InputError, match="has no region 'sr3'; did you mean 'sr"):
        chosen_histograms(path, signals=["sig"], region="sr3")


def test_what_the_process_stage_writes_is_read(tmp_path: Path) -> None:
    from gato_coffea.processing.storage import write_root

    h = filled()
    save({"score": h, "score_mass": h}, tmp_path / "h.coffea")
    write_root(tmp_path / "h.root", {"score": h, "score_mass": h})
    for suffix in (".coffea", ".root"):
        told = "no histogram 'sig', but in 'score', 'score_mass': give one as --region"
        with pytest.raises(InputError, match=told):
            chosen_histograms(tmp_path / f"h{suffix}", signals=["sig"])
        found = chosen_histograms(tmp_path / f"h{suffix}", signals=["sig"], region="score")
        assert list(found) == ["sig", "bkg"]
        expected = h["bkg", "nominal", :].values()
        np.testing.assert_array_equal(found["bkg"].values(), expected)


def test_the_reference_histograms_of_a_top_analysis_are_read() -> None:
    try:
        path = data_folder() / "agc_ttbar_histograms" / "histos_all_file_per_process.json"
    except InputError as error:
        pytest.skip(str(error))
    found = read_histograms(path)
    assert len(found) == 124
    assert found["4j2b_ttbar"].axes[0].edges.tolist() == np.linspace(50, 550, 26).tolist()
    chosen = chosen_histograms(path, signals=["ttbar"], region="4j2b")
    assert set(chosen) == {
        "ttbar",
        "wjets",
        "single_top_s_chan",
        "single_top_t_chan",
        "single_top_tW",
    }


def test_a_histogram_of_more_cells_than_the_file_holds(tmp_path: Path) -> None:
    content = json.loads(json.dumps(filled()["sig", "nominal", :], default=uhi.io.json.default))
    content["axes"][0]["bins"] = 10**9
    path = tmp_path / "h.json"
    path.write_text(json.dumps({"score": content}))
    with pytest.raises(InputError, match="histogram score: has 1000000002 cells, more than the"):
        read_histograms(path)
