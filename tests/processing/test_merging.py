"""Variations and eras from the analysis file to samples, histograms, cells and templates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gato_coffea.categories import EdgeCategories
from gato_coffea.categories.axes import of_eras
from gato_coffea.categories.templates import templates_from_histograms, templates_from_samples
from gato_coffea.config import Analysis
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature
from gato_coffea.processing import executors as run
from gato_coffea.processing.processed import Processed

CATEGORIES = EdgeCategories(
    features=(Feature("score", 0, 1),), label=np.arange(3), edges=(np.array([0, 0.25, 0.5, 1]),)
)
FUNCTIONS = """
import numpy as np


def hard(events):
    return events.pt > 20


def up(events):
    return np.clip(events.score + 0.1, 0, 1)


def down(events):
    return np.where(events.score > 0.9, np.nan, events.score - 0.05)


def pileup_down(events):
    return 2.0 - events.pileup_up


def sf(events):
    return 1.0 + 0.1 * events.score
"""
SYSTEMATICS = {
    "jes": {
        "kind": "shape",
        "up": {"score": "py:up", "mass": "pt", "weight": ["genWeight", "pileup_up"]},
        "down": {"score": "py:down"},
    },
    "btag": {
        "kind": "weight",
        "up": {"multiply": "py:sf"},
        "down": {"multiply": "pileup_up"},
        "processes": "bkg",
    },
}
ERAS = {
    "luminosity_per_fb": None,
    "eras": {2022: {"luminosity_per_fb": 2.0}, 2023: {"luminosity_per_fb": 3.0}},
    "datasets.sig_a.era": 2022,
    "datasets.bkg_a.era": 2022,
    "datasets.bkg_b.era": 2023,
    "datasets.collisions.era": 2023,
}


@pytest.fixture
def make(make_analysis: Any) -> Any:
    def made(changes: dict[str, Any] | None = None) -> Analysis:
        settings = {"systematics": SYSTEMATICS, "histograms_2d": True}
        return make_analysis(settings | (changes or {}), functions=FUNCTIONS, n=200)

    return made


def same(a: Any, b: Any) -> None:
    assert a.axes == b.axes
    first, second = a.view(flow=True), b.view(flow=True)
    for part in ("value", "variance"):
        scale = np.abs(first[part]).max()
        np.testing.assert_allclose(first[part], second[part], rtol=1e-12, atol=1e-12 * scale)


@pytest.mark.parametrize("eras", [{}, ERAS])
def test_three_ways_to_templates_with_all_variations(make: Any, eras: Any) -> None:
    analysis = make(eras)
    processed = run.process(analysis, progress=False, chunksize=70, categories=CATEGORIES)
    columns = templates_from_samples(processed.samples, CATEGORIES, analysis).histogram
    same(processed.templates.histogram, columns)
    same(templates_from_histograms(processed, CATEGORIES, analysis).histogram, columns)
    assert [a.name for a in columns.axes][:-4] == (["era"] if eras else [])
    if eras:
        one = processed.templates.contents("bkg", 1, era="2023", variation="jes_2023Up")
        at = {"process": "bkg", "variation": "jes_2023Up", "category": 1, "era": "2023"}
        np.testing.assert_array_equal(one.values, processed.templates.histogram[at].values())
        other = processed.templates.contents("sig", 1, era="2023")
        assert not other.values.any()
        assert processed.templates.eras == ("2022", "2023")
        columns = of_eras(columns)
    labels = list(columns.axes["variation"])
    assert labels == ["nominal", *analysis.variation_labels]
    for label in labels:
        assert columns["bkg", label, ...].sum(flow=True).value != 0


def test_a_shape_moves_events_and_a_weight_does_not(make: Any) -> None:
    analysis = make()
    processed = run.process(analysis, progress=False)
    sample = processed.samples["bkg"]
    up, down = sample.variations["jesUp"], sample.variations["jesDown"]
    np.testing.assert_allclose(up.x[:, 0], np.clip(sample.x[:, 0] + 0.1, 0, 1))
    assert np.isnan(down.x[sample.x[:, 0] > 0.9]).all()
    assert (up.mass is not None, up.weight is not None) == (True, True)
    assert (down.mass, down.weight) == (None, None)
    btag = sample.variations["btagUp"]
    assert btag.x is None
    np.testing.assert_allclose(btag.weight, sample.weight * (1 + 0.1 * sample.x[:, 0]))
    assert "btagUp" not in processed.samples["sig"].variations
    assert processed.histograms["score"]["sig", "btagUp", :].sum(flow=True).variance == 0


def test_eras_have_their_luminosity_and_their_own_variations(make: Any) -> None:
    plain = run.process(make({"luminosity_per_fb": 1.0}), progress=False)
    correlated = {**SYSTEMATICS["btag"], "correlate": "eras"}
    analysis = make(ERAS | {"systematics": SYSTEMATICS | {"btag": correlated}})
    processed = run.process(analysis, progress=False)
    assert processed.factors["bkg_a"] == pytest.approx(2 * plain.factors["bkg_a"], rel=1e-14)
    assert processed.factors["bkg_b"] == pytest.approx(3 * plain.factors["bkg_b"], rel=1e-14)
    sample = processed.samples["bkg"]
    assert set(sample.variations) == {
        *(f"jes_{era}{side}" for era in (2022, 2023) for side in ("Up", "Down")),
        *("btagUp", "btagDown", "pileupUp", "pileupDown"),
    }
    # each era moves alone: where one does, the other is nominal
    early = sample.varied("jes_2022Up").x[:, 0] != sample.x[:, 0]
    late = sample.varied("jes_2023Up").x[:, 0] != sample.x[:, 0]
    assert early.any()
    assert late.any()
    assert not (early & late).any()
    assert set(processed.samples["sig"].variations) >= {"jes_2022Up", "jes_2022Down"}
    assert "jes_2023Up" not in processed.samples["sig"].variations


def test_a_normalisation_of_one_era_varies_the_weights_there(make: Any) -> None:
    lumi = {"kind": "norm", "value": 1.25, "eras": [2022]}
    analysis = make(ERAS | {"systematics": {"lumi": lumi}})
    processed = run.process(analysis, progress=False)
    background = processed.samples["bkg"]
    up, down = (
        background.varied(f"lumi{side}").weight / background.weight for side in ("Up", "Down")
    )
    assert set(np.round(up, 12)) == {1.0, 1.25}
    np.testing.assert_allclose(up * down, 1.0, rtol=1e-12)
    np.testing.assert_allclose(
        processed.samples["sig"].varied("lumiUp").weight, 1.25 * processed.samples["sig"].weight
    )


def test_cells_have_the_variations_of_the_columns(make: Any, tmp_path: Any) -> None:
    wanted = run.process(make(ERAS), progress=False)
    analysis = make(ERAS | {"keep_columns": False})
    processed = run.process(analysis, progress=False, chunksize=90)
    processed.save(tmp_path / "out")
    again = Processed.load(tmp_path / "out", analysis)
    for name, sample in wanted.samples.items():
        if name == "data":
            continue
        cells = processed.cells[name]
        assert set(cells.variations) == set(sample.variations)
        for variation in sample.variations:
            events, found = sample.varied(variation), cells.varied(variation)
            inside = (events.mass >= 100) & (events.mass <= 180) & (events.x[:, 0] >= 0)
            total = events.weight[inside & (events.x[:, 0] <= 1)].sum()
            assert found.sums[..., 1].sum() == pytest.approx(total, rel=1e-11)
            stored = again.cells[name].variations[variation]
            np.testing.assert_array_equal(stored.sums, found.sums)


def test_chunks_of_another_era_are_refused(make: Any) -> None:
    from coffea.nanoevents import BaseSchema
    from coffea.processor import Runner

    from gato_coffea.datasets import fileset
    from gato_coffea.processing.processor import GatoProcessor

    analysis = make(ERAS)
    runner = Runner(run.QuietIterativeExecutor(), schema=BaseSchema, metadata_cache={})
    files = fileset(analysis)
    files["bkg_b"]["metadata"]["era"] = "2022"
    output = runner(files, GatoProcessor(analysis))
    with pytest.raises(InputError, match=r"datasets\.bkg_b: era is 2023 in the analysis file"):
        Processed.merged(output, analysis)
