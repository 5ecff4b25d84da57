"""Values that an optimisation hands back, their table and their JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from gato_coffea.categories import Categories, EdgeCategories
from gato_coffea.events.samples import Feature
from gato_coffea.optimisation.result import (
    Result,
    Significance,
    Yardstick,
    Yields,
    effective_entries,
)


def yields(factor=None):
    return Yields(
        processes=("ggH", "vbf", "qcd", "top"),
        signals=("vbf", "ggH"),
        backgrounds=("qcd", "top"),
        sumw=np.array([[1.0, 2.0], [0.5, 4.0], [100.0, 10.0], [20.0, 0.0]]),
        sumw2=np.array([[0.1, 0.2], [0.1, 0.2], [50.0, 5.0], [4.0, 0.0]]),
        count=np.array([[9.0, 9.0], [8.0, 8.0], [200.0, 20.0], [100.0, 0.0]]),
        factor=np.ones(2) if factor is None else factor,
    )


def result(**changes):
    z = Significance(1.5, {"vbf": 1.0, "ggH": 2.25}, 0.07)
    values = {
        "asked": 3,
        "categories": EdgeCategories(
            features=(Feature("score", 0.0, 1.0),),
            label=np.array([0, 1]),
            edges=(np.array([0.0, 0.4, 1.0]),),
        ),
        "held_out": z,
        "training": Significance(1.6, {"vbf": 1.1, "ggH": 2.3}),
        "yields": yields(),
        "yardsticks": {
            "exact": Yardstick(z, z),
            "50 categories": Yardstick(None, Significance(1.9, {"vbf": 1.2, "ggH": 3.0})),
        },
        "notes": ("one category was merged",),
    }
    return Result(**{**values, **changes})


def test_yields_by_hand():
    found = yields()
    np.testing.assert_array_equal(found.signal("ggH"), [1, 2])
    np.testing.assert_array_equal(found.signal_stack, [[0.5, 4], [1, 2]])  # in their order
    np.testing.assert_array_equal(found.background, [120, 10])
    np.testing.assert_array_equal(found.background_sumw2, [54, 5])
    np.testing.assert_allclose(found.effective_background, [120**2 / 54, 20])
    with pytest.raises(ValueError, match="not in"):
        found.signal("data")


def test_a_mass_window_scales_the_background_and_not_its_statistics():
    found, whole = yields(np.array([0.1, 0.5])), yields()
    np.testing.assert_allclose(found.background, [12, 5])
    np.testing.assert_allclose(found.background_sumw2, [0.54, 1.25])
    np.testing.assert_array_equal(found.effective_background, whole.effective_background)
    np.testing.assert_array_equal(found.signal_stack, whole.signal_stack)


def test_effective_entries():
    # Equal weights are so many events, whatever their size; unequal ones are fewer.
    w = np.full(50, 0.3)
    assert effective_entries(w.sum(), (w**2).sum()) == pytest.approx(50)
    w = np.array([1.0, 1.0, 10.0])
    assert 1 < effective_entries(w.sum(), (w**2).sum()) < 3
    found = effective_entries(np.array([0.0, -3.0, 2.0]), np.array([0.0, 1.0, 0.0]))
    np.testing.assert_array_equal(found, 0)


def test_table():
    lines = str(result()).splitlines()
    expected = "Z held-out 1.500 ± 0.070, training 1.600; 3 categories requested, 2 after merging"
    assert lines[0] == expected
    assert [line for line in lines[1:] if line.startswith("  ") and ":" in line] == [
        "  vbf: held-out 1.000",
        "  ggH: held-out 2.250",
        "  exact: held-out 1.500, training 1.500",
        "  50 categories: training 1.900",
    ]
    assert lines[5].split() == [
        "category", "vbf", "ggH", "background", "S/B", "effective", "entries"
    ]  # fmt: skip
    assert lines[6].split() == ["0", "0.5", "1", "120.0", "±", "7.3", "0.0125", "267"]
    assert lines[7].split() == ["1", "4", "2", "10.0", "±", "2.2", "0.6", "20"]
    assert lines[8].split() == ["all", "4.5", "3", "130.0", "±", "7.7", "0.0577"]
    assert lines[9].startswith("training: Z of the yields in the templates")
    assert [line.split(":")[0] for line in lines[9:12]] == ["training", "exact", "50 categories"]
    assert lines[12] == "one category was merged"
    assert len({len(line) for line in lines[5:8]}) == 1  # columns are flush


def test_the_figure_by_statistics_only_stands_beside_that_with_everything():
    found = result(
        held_out=Significance(4.32, {"s": 4.32}, 0.4, 7.34),
        training=Significance(4.5, {"s": 4.5}, None, 7.9),
    )
    settings = {"mc_uncertainty": True, "systematic": 0.1}
    found = replace(found, categories=replace(found.categories, training=settings))
    lines = str(found).splitlines()
    assert lines[0].startswith(
        "Z held-out 4.32 ± 0.40 with finite simulation and 10 % systematic, training 4.50;"
    )
    assert lines[1] == "  statistics only: held-out 7.34, training 7.90"
    assert found.to_dict()["held_out"]["statistics_only"] == 7.34


def test_figures_have_the_decimals_of_their_spread():
    told = {s: str(result(held_out=Significance(154.74, {"s": 1.0}, s))) for s in (1.83, 0.0123)}
    assert told[1.83].startswith("Z held-out 154.7 ± 1.8, training 1.6;")
    assert told[0.0123].startswith("Z held-out 154.740 ± 0.012, training 1.600;")


def test_table_without_background_or_spread():
    empty = Yields(
        processes=("s", "b"),
        signals=("s",),
        backgrounds=("b",),
        sumw=np.array([[1.0, 1.0], [9.0, 0.0]]),
        sumw2=np.zeros((2, 2)),
        count=np.zeros((2, 2)),
        factor=np.ones(2),
    )
    text = result(yields=empty, held_out=Significance(1.0, {"s": 1.0})).table()
    row = next(line for line in text.splitlines() if line.split()[0] == "1")
    assert row.split()[3:] == ["-", "0"]
    assert "Z held-out 1.000, training" in text
    assert "nan" not in text


def test_json_round_trip():
    found = result()
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert content["asked"] == 3
    assert content["kept"] == 2
    assert Significance(**content["held_out"]) == found.held_out
    assert Significance(**content["training"]) == found.training
    stick = content["yardsticks"]["50 categories"]
    assert stick["held_out"] is None
    assert Significance(**stick["training"]) == found.yardsticks["50 categories"].training
    arrays = {"sumw", "sumw2", "count", "factor"}
    again = Yields(
        **{k: np.array(v) if k in arrays else tuple(v) for k, v in content["yields"].items()}
    )
    np.testing.assert_array_equal(again.background, found.yields.background)
    assert again.signals == found.yields.signals
    assert content["notes"] == ["one category was merged"]


def test_number_of_categories_is_that_of_the_categories(tmp_path):
    found = result()
    assert found.n_categories == 2
    found.categories.save(tmp_path / "categories.json")
    again = Categories.load(tmp_path / "categories.json")
    np.testing.assert_array_equal(again.assign([0.1, 0.4, 0.9]), [0, 1, 1])


def test_reading_results_needs_numpy_alone():
    code = (
        "import sys, gato_coffea.optimisation.result\n"
        "print(sorted({'tensorflow', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
