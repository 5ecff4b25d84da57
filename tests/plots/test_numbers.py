"""The CSV beside a figure has its numbers, and no blinded one."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from gato_coffea.categories.templates import Contents
from gato_coffea.optimisation.result import History
from gato_coffea.plots.categories import Regions
from gato_coffea.plots.contents import Stack
from gato_coffea.plots.numbers import (
    history_numbers,
    region_numbers,
    scan_numbers,
    spectrum_numbers,
    stack_numbers,
    write_csv,
)
from gato_coffea.plots.significance import Scan, SignificanceScan
from gato_coffea.plots.spectra import Curve, Spectrum


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_stack_without_blinded_data(tmp_path: Path) -> None:
    stack = Stack(
        edges=np.array([0.0, 1.0, 2.0]),
        backgrounds={"qcd, light": Contents(np.array([10.0, 1 / 3]), np.array([4.0, 1.0]))},
        signals={"ggH": Contents(np.ones(2), np.ones(2))},
        data=Contents(np.array([9.0, 7.0]), np.array([9.0, 7.0])),
    ).blinded((1.0, 2.0))
    rows = read(write_csv(tmp_path / "a.csv", stack_numbers(stack)))
    assert rows[0]["low"] == "0"
    assert rows[0]["qcd, light"] == "10"
    assert rows[0]["background_error_up"] == "2"
    assert float(rows[0]["data_error_up"]) > float(rows[0]["data_error_down"]) > 2.5
    assert rows[1]["background"] == "0.3333333333"
    assert [rows[1][k] for k in ("data", "data_error_down", "data_error_up")] == ["", "", ""]


def test_a_spectrum_without_blinded_points() -> None:
    edges = np.arange(100.0, 106.0)
    spectrum = Spectrum(
        edges=edges,
        points=Contents(np.full(5, 50.0), np.full(5, 50.0)),
        points_label="Data",
        window=(102.0, 103.0),
        fitted=[(100.0, 102.0), (103.0, 105.0)],
        blinded=True,
        counted=True,
        curve=Curve(x=edges, y=np.full(6, 40.0), per_bin=np.full(5, 40.0), error=np.full(6, 2.0)),
    )
    numbers = spectrum_numbers(spectrum)
    for name in ("points", "points_error_up", "pull"):
        np.testing.assert_array_equal(np.isnan(numbers[name].astype(float)), np.arange(5) == 2)
    np.testing.assert_array_equal(numbers["expected_error"], 2.0)


def test_a_scan_a_history_and_regions(tmp_path: Path) -> None:
    n = np.array([2.0, 5.0])
    scan = SignificanceScan(
        held_out=Scan(n, np.array([1.0, 2.0]), np.array([0.1, 0.2])),
        training=Scan(n, np.array([1.1, 2.1])),
        yardsticks={"exact": Scan(n[1:], np.array([2.05]))},
    )
    rows = read(write_csv(tmp_path / "scan.csv", scan_numbers(scan)))
    assert [row["exact"] for row in rows] == ["", "2.05"]
    assert rows[1]["held_out_spread"] == "0.2"
    epoch = np.arange(2.0)
    history = History(*[epoch] * 9, boundaries=(np.array([0.7, 0.3]), np.array([0.5])))
    rows = read(write_csv(tmp_path / "history.csv", history_numbers(history)))
    assert [row["boundary_1"] for row in rows] == ["0.3", "0.5"]
    assert [row["boundary_2"] for row in rows] == ["0.7", ""]
    regions = Regions(
        x_edges=np.array([0.0, 1.0, 2.0]),
        y_edges=np.array([0.0, 2.0]),
        category=np.array([[0], [1]]),
        n_categories=2,
        labels=("a", "b"),
    )
    (row,) = read(write_csv(tmp_path / "regions.csv", region_numbers(regions)))
    assert row == {"b | a": "1", "0.5": "0", "1.5": "1"}
