from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import BaseSchema
from coffea.processor import Runner
from coffea.util import load as load_coffea

from gato_coffea import optimise
from gato_coffea.categories import EdgeCategories
from gato_coffea.categories.templates import empty_templates, templates_from_samples
from gato_coffea.datasets import fileset
from gato_coffea.errors import InputError, OptimisationError, OutputError
from gato_coffea.events.samples import Feature
from gato_coffea.processing import executors as run
from gato_coffea.processing.chunk import collect
from gato_coffea.processing.executors import QuietIterativeExecutor
from gato_coffea.processing.layout import Layout
from gato_coffea.processing.processed import Processed

CATEGORIES = EdgeCategories(
    features=(Feature("score", 0, 1),), label=np.arange(2), edges=(np.array([0, 0.4, 1]),)
)


@pytest.fixture
def small_run(make_analysis: Any) -> tuple[Any, Processed]:
    analysis = make_analysis()
    return analysis, run.process(analysis, categories=CATEGORIES, progress=False)


def test_weights_are_scaled_exactly_once(small_run: Any) -> None:
    _analysis, result = small_run
    factor = 0.5 * 2000 / result.sumw["sig_a"]
    assert result.factors["sig_a"] == pytest.approx(factor, rel=1e-14)
    assert result.factors["collisions"] == 1.0
    sample = result.samples["sig"]
    for h in result.histograms.values():
        total = h["sig", "nominal", :].sum(flow=True)
        assert total.value == pytest.approx(sample.weight.sum(), rel=1e-12)
        assert total.variance == pytest.approx((sample.weight**2).sum(), rel=1e-12)
    up = result.histograms["score"]["sig", "pileupUp", :].sum().value
    assert up == pytest.approx(sample.varied("pileupUp").weight.sum(), rel=1e-12)


def test_labels_in_the_order_of_the_analysis(small_run: Any) -> None:
    _, result = small_run
    for h in [*result.histograms.values(), result.templates.histogram]:
        assert list(h.axes["process"]) == ["sig", "bkg", "data"]
        assert list(h.axes["variation"]) == ["nominal", "pileupDown", "pileupUp"]
    assert list(result.cutflow) == ["sig", "bkg", "data"]


def test_samples_know_whether_they_are_data_and_data_is_no_background(
    small_run: Any, tmp_path: Path
) -> None:
    analysis, result = small_run
    result.save(tmp_path / "process")
    again = Processed.load(tmp_path / "process", analysis)
    spooled = run.process(analysis, progress=False, spool=tmp_path / "spool")
    options: dict[str, Any] = {"signals": ["sig"], "n_categories": 2, "method": "exact"}
    for samples in (result.samples, again.samples, spooled.samples):
        assert {name: s.data for name, s in samples.items()} == {
            "sig": False,
            "bkg": False,
            "data": True,
        }
        renamed = {"collisions" if name == "data" else name: s for name, s in samples.items()}
        assert optimise(renamed, **options).yields.backgrounds == ("bkg",)
    named = optimise(result.samples, backgrounds=["bkg", "data"], **options)
    assert named.yields.backgrounds == ("bkg", "data")
    alone = {name: s for name, s in result.samples.items() if name != "bkg"}
    with pytest.raises(OptimisationError, match=r"only where backgrounds names them: data\)"):
        optimise(alone, **options)


def test_blinded_data_in_the_output(small_run: Any) -> None:
    _, result = small_run
    mass = result.samples["data"].mass
    assert len(mass)
    assert not ((mass >= 120) & (mass <= 130)).any()
    for h in (result.histograms["mass"], result.templates.histogram[:, :, sum, :]):
        assert h["data", "nominal", 120j:130j].sum().value == 0
        assert h["data", "nominal", :].sum().value == len(mass)


def test_save_and_load(small_run: Any, tmp_path: Path) -> None:
    analysis, result = small_run
    folder = tmp_path / "results" / "process"
    result.save(folder)
    again = Processed.load(folder, analysis)
    assert again.histograms == result.histograms
    assert again.templates == result.templates
    for process, sample in result.samples.items():
        other = again.samples[process]
        for name in ("x", "weight", "mass", "fold"):
            np.testing.assert_array_equal(getattr(sample, name), getattr(other, name))
    for name in ("cutflow", "sumw", "n_events", "factors", "invalid", "out_of_range"):
        assert getattr(again, name) == getattr(result, name)
    assert load_coffea(folder / "histograms.coffea")["score"] == result.histograms["score"]
    with uproot.open(folder / "histograms.root") as file:
        read = file["score/bkg/pileupUp"].to_hist()
    np.testing.assert_array_equal(
        read.variances(flow=True),
        result.histograms["score"]["bkg", "pileupUp", :].variances(flow=True),
    )
    assert [p.name for p in folder.parent.iterdir()] == ["process"]


def test_cells_are_saved_and_loaded(make_analysis: Any, tmp_path: Path) -> None:
    analysis = make_analysis({"keep_columns": False, "histograms_2d": True})
    result = run.process(analysis, progress=False)
    assert result.samples is None
    assert list(result.cells or {}) == ["sig", "bkg"]
    result.save(tmp_path / "out")
    again = Processed.load(tmp_path / "out", analysis)
    assert again.samples is None
    for process, cells in (result.cells or {}).items():
        assert again.cells is not None
        np.testing.assert_array_equal(cells.sums, again.cells[process].sums)
        total = result.cutflow[process]["selected"]["weighted"]
        assert cells.sums[..., 1].sum() == pytest.approx(total, rel=1e-12)
    assert again.histograms == result.histograms
    assert set(again.histograms) == {"score", "mass", "score_mass"}


def test_saving_again_replaces_what_was_saved_and_nothing_else(
    small_run: Any, tmp_path: Path
) -> None:
    _, result = small_run
    folder = tmp_path / "out"
    result.save(folder)
    (folder / "columns" / "old.npz").touch()  # of a process that is no more
    result.save(folder)
    assert not (folder / "columns" / "old.npz").exists()
    (folder / "process.cc").touch()
    with pytest.raises(OutputError, match=r"out: holds other files.*\(process\.cc\)"):
        result.save(folder)
    assert (folder / "process.cc").is_file()


def test_nothing_is_half_written(small_run: Any, tmp_path: Path) -> None:
    analysis, result = small_run
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        result.save(tmp_path / "file" / "process")
    with pytest.raises(InputError, match="no such file; process the events first"):
        Processed.load(tmp_path / "nowhere", analysis)


def test_templates_of_more_categories_than_the_file_holds(small_run: Any, tmp_path: Path) -> None:
    analysis, result = small_run
    result.save(tmp_path / "out")
    path = tmp_path / "out" / "process.json"
    for n in (10**9, "2", -1):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"n_categories": n}))
        with pytest.raises(InputError, match="does not fit the templates"):
            Processed.load(tmp_path / "out", analysis)


def test_damage_is_told(small_run: Any, tmp_path: Path, make_analysis: Any) -> None:
    analysis, result = small_run
    result.save(tmp_path / "out")
    with pytest.raises(InputError, match="other processes, variations or bins than the analysis"):
        Processed.load(tmp_path / "out", make_analysis({"mass.bins": 24}))
    columns = tmp_path / "out" / "columns" / "bkg.npz"
    columns.write_bytes(columns.read_bytes()[:100])
    with pytest.raises(InputError, match=r"bkg\.npz: cannot read columns"):
        Processed.load(tmp_path / "out", analysis)
    path = tmp_path / "out" / "process.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"schema_version": 99}))
    with pytest.raises(InputError, match=r"schema_version must be 2 \(got 99\)"):
        Processed.load(tmp_path / "out", analysis)
    path.write_text("{")
    with pytest.raises(InputError, match=r"process\.json: cannot read counts"):
        Processed.load(tmp_path / "out", analysis)


@dataclass(frozen=True)
class Eras:
    """A processor of one's own, in which some datasets have a variation, as of one era."""

    analysis: Any
    varied: tuple[str, ...] = ("bkg_a", "sig_a")
    variation: str = "eraUp"
    process: str | None = None
    until: int = 1000
    categories: Any = None

    def has(self, metadata: Any) -> bool:
        return metadata["dataset"] in self.varied and metadata["entrystart"] < self.until

    def __call__(self, events: Any) -> Any:
        categories = self.categories
        templates = None if categories is None else empty_templates(self.analysis, 2)
        return collect(
            events,
            process=self.process or events.metadata["process"],
            layout=Layout.of(self.analysis),
            mass="m",
            variations={self.variation: 2.0} if self.has(events.metadata) else {},
            data=events.metadata["is_data"],
            categories=categories,
            templates=templates,
        )


@pytest.fixture
def two_eras(make_analysis: Any) -> Any:
    plain = {"cross_section_pb": None, "sum_of_weights": None, "already_normalised": True}
    changes = {
        f"datasets.{n}.{k}": v for n in ("sig_a", "bkg_a", "bkg_b") for k, v in plain.items()
    }
    return make_analysis(
        {
            **changes,
            "weight": {"variations": {"eraUp": "pileup_up", "eraDown": "pileup"}},
            "selection": None,
        },
        n=100,
    )


def merged(analysis: Any, processor: Any) -> Processed:
    runner = Runner(QuietIterativeExecutor(), schema=BaseSchema, metadata_cache={}, chunksize=70)
    return Processed.merged(runner(fileset(analysis), processor), analysis)


def test_a_variation_that_one_dataset_lacks_is_its_nominal(two_eras: Any) -> None:
    result = merged(two_eras, Eras(two_eras, categories=CATEGORIES))
    sample = result.samples["bkg"]
    assert sample.weight.sum() == 420
    assert sample.varied("eraUp").weight.sum() == 2 * 210 + 210
    from_columns = templates_from_samples(result.samples, CATEGORIES, two_eras).histogram
    for h in (*result.histograms.values(), result.templates.histogram, from_columns):
        assert h["bkg", "nominal", ...].sum(flow=True).value == 420
        assert h["bkg", "eraUp", ...].sum(flow=True).value == 630
        # what no dataset of the process has stays empty, and so do data
        assert h["bkg", "eraDown", ...].sum(flow=True).value == 0
        assert h["data", "eraUp", ...].sum(flow=True).value == 0
    np.testing.assert_allclose(
        result.templates.histogram.view(flow=True)["variance"],
        from_columns.view(flow=True)["variance"],
    )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            {"variation": "jesUp"},
            "variation 'jesUp' is neither in weight.variations nor in systematics of the analysis "
            "file (allowed: eraDown, eraUp)",
        ),
        (
            {"until": 30},
            "variation 'eraUp' was given for 155 of 210 events; it must be given for all or none",
        ),
        ({"process": "ggH"}, "events are of process 'ggH' (the analysis file has 'sig')"),
    ],
)
def test_labels_that_nobody_declared(two_eras: Any, wrong: Any, told: str) -> None:
    with pytest.raises(InputError) as caught:
        merged(two_eras, Eras(two_eras, **wrong))
    assert str(caught.value) == f"datasets.sig_a: {told}"


HARD = """
def hard(events):
    return events.pt > 20
"""
SCALE = """
def up(events):
    return 1.3 + 0.2 * events.score


def down(events):
    return 0.4
"""


def scaled_run(make_analysis: Any, *, normalise: bool, **more: Any) -> Processed:
    variations = {
        name: {"multiply": f"py:{name.removeprefix('scale').lower()}", "normalise": normalise}
        for name in ("scaleUp", "scaleDown")
    }
    changes = {"selection": None, "weight": {"nominal": "genWeight", "variations": variations}}
    analysis = make_analysis({**changes, **more}, functions=SCALE, n=100)
    return run.process(analysis, categories=CATEGORIES, progress=False, chunksize=80)


def test_a_variation_that_keeps_the_normalisation(
    make_analysis: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """All events are selected: every total is cross section times luminosity."""
    result = scaled_run(make_analysis, normalise=True)
    assert not [r for r in caplog.records if "times the nominal" in r.message]
    for h in (result.histograms["score"], result.templates.histogram):
        for variation in ("nominal", "scaleUp", "scaleDown"):
            total = h["sig", variation, ...].sum(flow=True).value
            assert total == pytest.approx(0.5 * 2000, rel=1e-12)
            total = h["bkg", variation, ...].sum(flow=True).value
            assert total == pytest.approx(27 * 2000, rel=1e-12)
    shape = result.histograms["score"]["sig", :, :].values()
    assert shape[2] @ np.arange(40) > shape[0] @ np.arange(40) * 1.005
    assert result.samples["sig"].varied("scaleUp").weight.sum() == pytest.approx(1000, rel=1e-12)


def test_a_variation_far_from_nominal_is_pointed_out(
    make_analysis: Any, caplog: pytest.LogCaptureFixture
) -> None:
    result = scaled_run(make_analysis, normalise=False)
    totals = result.histograms["score"]["sig", :, :].values().sum(axis=1)
    assert totals[1] == pytest.approx(0.4 * 1000, rel=1e-12)
    told = [r.message for r in caplog.records if "times the nominal" in r.message]
    assert told == [
        "process 'sig': weight.variations.scaleDown: its total of 400 is 0.4 times the nominal "
        "1000",
        "process 'bkg': weight.variations.scaleDown: its total of 21600 is 0.4 times the nominal "
        "54000",
    ]


def test_a_factor_in_place_of_the_whole_weight_is_pointed_out(
    make_analysis: Any, caplog: pytest.LogCaptureFixture
) -> None:
    changes = {"weight.variations": {"scaleUp": "py:up", "scaleDown": "py:down"}}
    functions = SCALE.replace("1.3", "13").replace("0.4", "0.1") + HARD
    run.process(make_analysis(changes, functions=functions, n=100), progress=False)
    told = [r.message for r in caplog.records if "times the nominal" in r.message]
    assert len(told) == 4
    assert told[0].endswith("; a factor is said as {multiply: ['py:down']}")


@dataclass(frozen=True)
class Own:
    """A processor whose layout need not know the analysis, nor its events their metadata."""

    layout: Layout
    of_data: Mapping[str, bool]
    with_metadata: bool = False

    def __call__(self, events: Any) -> Any:
        metadata = events.metadata
        plain = ak.Array({name: ak.to_numpy(events[name]) for name in ("score", "m", "genWeight")})
        return collect(
            events if self.with_metadata else plain,
            process=metadata["process"],
            layout=self.layout,
            dataset=metadata["dataset"],
            weight="genWeight",
            generator_weight="genWeight",
            **(self.of_data if metadata["is_data"] else {}),
        )


def test_data_that_were_not_collected_as_such(make_analysis: Any) -> None:
    analysis = make_analysis({"selection": None, "weight.variations": {}}, n=50)
    full = Layout.of(analysis)
    plain = replace(full, is_data={})
    with pytest.raises(InputError) as caught:
        merged(analysis, Own(plain, {}))
    assert str(caught.value) == (
        "datasets.collisions: data is true in the analysis file, but chunks were collected with "
        "data=False (Layout.of(analysis) tells collect)"
    )
    with pytest.raises(InputError) as caught:
        merged(analysis, Own(full, {"blinded": False}))
    assert str(caught.value) == (
        "datasets.collisions: chunks were collected without the blinding of the analysis file "
        "(mass 120 to 130)"
    )
    with pytest.raises(Exception, match=r"as events.metadata has is_data: true \(got False\)"):
        merged(analysis, Own(plain, {"data": False}, with_metadata=True))
    for own in (Own(full, {}), Own(plain, {}, with_metadata=True)):
        found = merged(analysis, own).samples
        assert found is not None
        assert found["data"].data
        mass = found["data"].mass
        assert mass is not None
        assert not ((mass >= 120) & (mass <= 130)).any()
