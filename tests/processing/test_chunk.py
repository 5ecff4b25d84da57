from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from coffea.analysis_tools import PackedSelection, Weights

from gato_coffea.config import Discriminant, Mass
from gato_coffea.errors import ConfigError, InputError
from gato_coffea.processing.chunk import collect
from gato_coffea.processing.layout import Layout

SCORE = Discriminant(name="score", range=(0, 1), bins=4)
MASS = Mass(source="m", unit="MeV", range_gev=(100, 180), window_gev=(120, 130), bins=8)


@pytest.fixture
def events() -> ak.Array:
    return ak.Array(
        {
            "score": [0.1, 0.3, 0.6, 1.0, 0.9, 0.7],
            "m": [110e3, 125e3, 120e3, 180e3, 150e3, 130e3],
            "w": [1.0, -2.0, 0.5, 3.0, 1.0, 1.0],
            "up": [2.0, 2.0, 2.0, 2.0, 2.0, 2.0],
            "good": [True, True, True, True, False, True],
        }
    )


def one(events: ak.Array, **options: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"process": "p", "layout": Layout(discriminants=(SCORE,))}
    (output,) = collect(events, **(settings | options)).values()
    return output


def test_columns_and_histograms_by_hand(events: ak.Array) -> None:
    output = one(
        events,
        layout=Layout(discriminants=(SCORE,), mass=MASS, two_dimensional=True),
        weight=["w", 2],
        variations={"wUp": "up"},
        selection={"good": "good"},
    )
    (block,) = output["columns"]
    np.testing.assert_array_equal(block.events.x, [[0.1], [0.3], [0.6], [1.0], [0.7]])
    np.testing.assert_array_equal(block.events.weight, [2, -4, 1, 6, 2])
    np.testing.assert_array_equal(block.events.mass, [110, 125, 120, 180, 130])
    np.testing.assert_array_equal(block.events.variations["wUp"].weight, np.full(5, 2.0))
    h = output["histograms"]["score"]
    # the score of exactly 1 and the mass of exactly 180 lie in their last bins
    np.testing.assert_array_equal(h["p", "nominal", :].values(), [2, -4, 3, 6])
    np.testing.assert_array_equal(h["p", "nominal", :].variances(), [4, 16, 5, 36])
    np.testing.assert_array_equal(h["p", "wUp", :].values(), [2, 2, 4, 2])
    assert output["histograms"]["mass"]["p", "nominal", -1].value == 6
    assert output["histograms"]["score_mass"]["p", "nominal", -1, -1].value == 6
    assert set(output["histograms"]) == {"score", "mass", "score_mass"}


def test_cutflow_and_counts(events: ak.Array) -> None:
    output = one(
        events,
        weight=["w", lambda e: np.full(len(e), 10.0)],
        selection={"good": "good", "high": lambda e: e.score > 0.2, "array": np.ones(6, bool)},
        generator_weight="w",
    )
    assert output["sumw"] == pytest.approx(4.5)
    assert output["n_events"] == 6
    # functions of the weight are known of selected events only: they count in the last step
    assert output["cutflow"] == {
        "all": {"events": 6, "weighted": 4.5},
        "good": {"events": 5, "weighted": 3.5},
        "high": {"events": 4, "weighted": 2.5},
        "array": {"events": 4, "weighted": 2.5},
        "selected": {"events": 4, "weighted": 25.0},
    }


def test_requirements_see_those_that_passed_before(events: ak.Array) -> None:
    seen = []

    def second(events: Any) -> Any:
        seen.append(len(events))
        return events.score > 0.5

    one(events, selection={"good": "good", "second": second}, weight=lambda e: e.w * len(e))
    assert seen == [5]


def test_a_requirement_must_be_true_or_false(events: ak.Array) -> None:
    with pytest.raises(InputError, match=r"selection w: must be true or false \(got type float"):
        one(events, selection={"w": "w"})


def test_data_have_weight_one_and_no_variations(events: ak.Array) -> None:
    output = one(events, weight="w", variations={"wUp": "up"}, data=True)
    (block,) = output["columns"]
    np.testing.assert_array_equal(block.events.weight, np.ones(6))
    assert block.events.variations == {}
    assert list(output["histograms"]["score"].axes["variation"]) == ["nominal"]
    assert output["cutflow"]["selected"] == {"events": 6, "weighted": 6.0}


def test_data_are_known_from_the_analysis(events: ak.Array) -> None:
    told = Layout(discriminants=(SCORE,), mass=MASS, is_data={"p": True, "q": False})
    expected = one(events, layout=told, data=True)["columns"][0].events
    lacking = events[["score", "m", "good"]]
    found = one(lacking, layout=told, weight="w", generator_weight="w", sumw=3.0)
    assert found["data"] == {True}
    assert found["sumw"] == 0.0
    np.testing.assert_array_equal(found["columns"][0].events.mass, [110, 180, 150])
    np.testing.assert_array_equal(found["columns"][0].events.weight, expected.weight)
    with pytest.raises(ConfigError, match=r"collect: data must be True for process 'p', as the "):
        one(events, layout=told, data=False)
    with pytest.raises(ConfigError, match=r"collect: data must be False for process 'q', as the "):
        one(events, layout=told, process="q", data=True)


def test_what_is_derived_from_data_is_blinded_with_them(events: ak.Array) -> None:
    layout = Layout(
        discriminants=(SCORE,), mass=MASS, is_data={"p": False}, derived=("continuum",)
    )
    found = one(events, layout=layout, weight="w", dataset="continuum")
    assert found["data"] == {False}
    np.testing.assert_array_equal(found["columns"][0].events.mass, [110, 180, 150])
    np.testing.assert_array_equal(found["columns"][0].events.weight, [1, 3, 1])


def test_values_that_are_no_numbers_are_counted_and_left_out() -> None:
    events = ak.Array(
        {
            "score": [0.1, np.nan, 0.3, 0.4, 0.5],
            "m": [110.0, 110, np.inf, 110, 110],
            "w": [1.0, 1, 1, np.nan, 1],
        }
    )
    layout = Layout(discriminants=(SCORE,), mass=MASS.model_copy(update={"unit": "GeV"}))
    output = one(events, layout=layout, weight="w")
    assert output["invalid"] == {"mass": 1, "score": 1, "weight": 1}
    (block,) = output["columns"]
    np.testing.assert_array_equal(block.events.x[:, 0], [0.1, 0.5])
    for h in output["histograms"].values():
        assert h.sum(flow=True).value == 2
    assert output["cutflow"]["selected"] == {"events": 5, "weighted": 4.0}


def test_values_out_of_range_are_counted_and_kept_in_the_flow() -> None:
    events = ak.Array({"score": [-0.1, 0.0, 1.0, 1.1], "m": [99.0, 100, 180, 181]})
    layout = Layout(discriminants=(SCORE,), mass=MASS.model_copy(update={"unit": "GeV"}))
    output = one(events, layout=layout)
    assert output["out_of_range"] == {"score": 2, "mass": 2}
    for h in output["histograms"].values():
        assert h.sum().value == 2
        assert h.sum(flow=True).value == 4


@pytest.mark.parametrize("columns", [True, False])
def test_blinded_data_leave_no_trace_of_the_window(columns: bool, events: ak.Array) -> None:
    layout = Layout(discriminants=(SCORE,), mass=MASS, two_dimensional=True, columns=columns)
    seen = one(events, layout=layout, data=True)
    outside = events[(events.m < 120e3) | (events.m > 130e3)]
    expected = one(outside, layout=layout, data=True)
    assert seen["histograms"] == expected["histograms"]
    assert seen["out_of_range"] == expected["out_of_range"]
    assert "cells" not in seen
    if columns:
        np.testing.assert_array_equal(seen["columns"][0].events.x, expected["columns"][0].events.x)
        np.testing.assert_array_equal(seen["columns"][0].events.mass, [110, 180, 150])
    spoiled = ak.with_field(events, ak.where(events.m == 125e3, np.nan, events.score), "score")
    assert one(spoiled, layout=layout, data=True)["invalid"] == expected["invalid"]


def test_open_data_and_simulation_keep_the_window(events: ak.Array) -> None:
    layout = Layout(discriminants=(SCORE,), mass=MASS.model_copy(update={"blinded": False}))
    assert len(one(events, layout=layout, data=True)["columns"][0].events.x) == 6
    assert len(
        one(events, layout=Layout(discriminants=(SCORE,), mass=MASS))["columns"][0].events.x
    )


def test_cells_instead_of_columns(events: ak.Array) -> None:
    layout = Layout(discriminants=(SCORE,), columns=False, n_folds=2)
    output = one(events, layout=layout, weight="w")
    assert "columns" not in output
    cells = output["cells"]["p"]
    assert cells.sums[..., 0].sum() == 6
    assert cells.sums[..., 1].sum() == pytest.approx(4.5)
    assert cells.sums.shape[1] == 2


def test_spooled_columns_have_one_name_a_chunk(events: ak.Array, tmp_path: Path) -> None:
    whole = one(events, weight="w", variations={"wUp": "up"})
    for _ in range(2):  # a retried chunk writes the same file again
        spooled = one(events, weight="w", variations={"wUp": "up"}, spool=tmp_path)
    (block,) = spooled["columns"]
    assert block.events is None
    assert [str(p) for p in tmp_path.rglob("*.npz")] == [block.path]
    sample = block.sample()
    np.testing.assert_array_equal(sample.x, whole["columns"][0].events.x)
    np.testing.assert_array_equal(sample.fold, whole["columns"][0].events.fold)
    np.testing.assert_array_equal(sample.varied("wUp").weight, np.full(6, 2.0))


def test_no_events_at_all(events: ak.Array) -> None:
    output = one(events[:0], layout=Layout(discriminants=(SCORE,), mass=MASS), weight="w")
    assert output["n_events"] == 0
    assert output["columns"] == []
    assert output["histograms"]["score"].sum().value == 0


def test_arrays_and_functions_in_place_of_branches(events: ak.Array) -> None:
    named = one(events, weight="w", selection={"good": "good"})
    for source in (events.score, np.asarray(events.score), lambda e: e.score):
        output = one(
            events, discriminants={"score": source}, weight=events.w, selection={"good": "good"}
        )
        assert output["histograms"] == named["histograms"]


def test_a_shape_variation_moves_events(events: ak.Array) -> None:
    layout = Layout(discriminants=(SCORE,), mass=MASS, two_dimensional=True)
    moved = np.array([0.3, 0.3, np.nan, 0.1, 0.9, 1.7])
    output = one(
        events,
        layout=layout,
        weight="w",
        variations={
            "jesUp": {"score": moved, "mass": lambda e: e.m + 10e3, "weight": ["w", 2]},
            "jesDown": {"score": "score"},
            "wUp": "up",
        },
        selection={"good": "good"},
    )
    (block,) = output["columns"]
    up = block.events.variations["jesUp"]
    np.testing.assert_array_equal(up.x[:, 0], [0.3, 0.3, np.nan, 0.1, 1.7])
    np.testing.assert_array_equal(up.mass, [120, 135, 130, 190, 140])
    np.testing.assert_array_equal(up.weight, [2, -4, 1, 6, 2])
    assert block.events.variations["jesDown"].mass is None
    h = output["histograms"]["score"]
    np.testing.assert_array_equal(h["p", "jesUp", :].values(), [6, -2, 0, 0])
    assert h["p", "jesUp", :].sum(flow=True).value == 7  # beyond the range, or no number
    assert h["p", "jesDown", :] == h["p", "nominal", :]
    np.testing.assert_array_equal(
        output["histograms"]["mass"]["p", "jesUp", :].values(), [0, 0, 2, -3, 2, 0, 0, 0]
    )
    # a value that is no number takes an event out of the variation, not out of the sample
    assert output["invalid"]["score"] == 0
    assert len(block.events) == 5


def test_cells_hold_every_variation(events: ak.Array) -> None:
    moved = {"score": np.array([0.3, 0.3, np.nan, 0.1, 0.9, 1.7])}
    changes = {"jesUp": moved, "wUp": "up"}
    layout = Layout(discriminants=(SCORE,), columns=False, n_folds=2)
    cells = one(events, layout=layout, weight="w", variations=changes)["cells"]["p"]
    columns = one(
        events,
        layout=Layout(discriminants=(SCORE,), n_folds=2),
        weight="w",
        variations=changes,
    )["columns"][0].events
    for name in changes:
        events_there = columns.varied(name)
        index = layout.grid.index(events_there.x)
        wanted = np.bincount(index[index >= 0], events_there.weight[index >= 0], 2000)
        found = np.zeros(2000)
        found[cells.varied(name).key] = cells.varied(name).sums[..., 1].sum(axis=1)
        np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_weights_and_selections_of_coffea_are_taken_as_they_are(events: ak.Array) -> None:
    weights = Weights(len(events), storeIndividual=False)
    weights.add("w", ak.to_numpy(events.w))
    weights.add("pileup", np.full(6, 1.0), np.full(6, 1.5), np.full(6, 0.5))
    selection = PackedSelection()
    selection.add("good", ak.to_numpy(events.good))
    selection.add("high", ak.to_numpy(events.score) > 0.2)
    found = one(events, weight=weights, selection=selection)
    said = one(
        events,
        weight="w",
        variations={"pileupDown": ["w", 0.5], "pileupUp": ["w", 1.5]},
        selection={"good": "good", "high": lambda e: e.score > 0.2},
    )
    assert found["histograms"] == said["histograms"]
    assert found["cutflow"] == said["cutflow"]
    assert list(found["cutflow"]) == ["all", "good", "high", "selected"]
    shifted = one(events, weight=weights, variations={"jesUp": {"score": 0.5}})
    assert set(shifted["varied"]) == {"nominal", "pileupUp", "pileupDown", "jesUp"}
    with pytest.raises(ConfigError, match="'pileupUp' is in variations and in the coffea Weights"):
        one(events, weight=weights, variations={"pileupUp": 1.0})
