"""What cannot be optimised: one clear line each, on the command line and from Python."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import hist
import numpy as np
import pytest
import uhi.io.json

from gato_coffea import optimise
from gato_coffea.config import Constraints
from gato_coffea.errors import GatoError
from gato_coffea.events.samples import Feature
from gato_coffea.workflow.cli import main

RNG = np.random.default_rng(0)
SIGNAL = 0.1 * RNG.poisson(30, 20) * np.linspace(0, 1, 20)
BACKGROUND = RNG.poisson(200, 20).astype(float)
ONE = np.arange(20) == 4
CONSTANT = {"x": np.ones(90), "weight": np.ones(90)}


def histogram(values: Any) -> hist.Hist:
    h = hist.Hist(hist.axis.Regular(len(values), 0, 1, name="x"), storage=hist.storage.Weight())
    view = h.view()
    view["value"], view["variance"] = values, np.abs(values)
    return h


def told(monkeypatch: Any, capsys: Any, folder: Path, contents: Any, *options: str) -> str:
    """The one line on stderr of a command that fails."""
    path = folder / "h.json"
    histograms = {name: histogram(values) for name, values in contents.items()}
    path.write_text(json.dumps(histograms, default=uhi.io.json.default))
    fixed = ["--from-histograms", str(path), "--signal", "s", "--output", str(folder / "out")]
    monkeypatch.setattr(
        sys, "argv", ["gato-coffea", "optimise", *fixed, "--method", "exact", *options]
    )
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert "nan" not in shown.out.lower()
    return str(shown.err)


@pytest.mark.parametrize(
    ("contents", "options", "expected"),
    [
        ({"s": 0 * SIGNAL, "b": BACKGROUND}, [], "signal s: the total yield must be above zero"),
        ({"s": -SIGNAL, "b": BACKGROUND}, [], "signal s: the total yield must be above zero"),
        ({"s": SIGNAL, "b": 0 * BACKGROUND}, [], "background b: the total yield must be above"),
        ({"s": SIGNAL, "b": BACKGROUND * np.nan}, [], "histogram b: 20 of 20 bins are NaN"),
        ({"s": SIGNAL, "b": BACKGROUND[:10]}, [], "histogram b: its axes differ"),
        (
            {"s": SIGNAL * ONE, "b": BACKGROUND * ONE},
            [],
            "x is constant, all",
        ),
        ({"s": SIGNAL}, [], "no background is left beside s"),
        ({"s": SIGNAL, "b": BACKGROUND}, ["-k", "50"], "50 categories need as many distinct"),
        ({"s": SIGNAL, "b": BACKGROUND}, ["-k", "0"], "must be whole numbers above zero, or auto"),
        ({"s": SIGNAL, "b": BACKGROUND}, ["--min-effective", "1e6"], "constraints: "),
        ({"s": SIGNAL, "b": BACKGROUND}, ["--background", "c"], "has no histogram 'c'"),
        ({"s": SIGNAL, "b": BACKGROUND}, ["--region", "sr"], "has no region 'sr'"),
        ({"s": SIGNAL, "b": BACKGROUND}, ["--method", "magic"], "method: "),
    ],
)
def test_histograms(
    monkeypatch: Any, capsys: Any, tmp_path: Path, contents: Any, options: list[str], expected: str
) -> None:
    assert expected in told(monkeypatch, capsys, tmp_path, contents, *options)


def events(n: int = 400, *, weight: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"x": RNG.random(n), "weight": np.full(n, weight), **more}


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ({"s": events(1), "b": events()}, r"s: the yield without fold \d must be above zero"),
        ({"s": events(0), "b": events()}, "s: has no events"),
        ({"s": events(weight=0.0), "b": events()}, "s.weight: all 400 weights are zero"),
        ({"s": events(), "b": 3.0}, r"b: must be a table of columns, x and weight \(got float\)"),
        ({"s": events(fold=np.full(400, np.nan)), "b": events()}, "s.fold: must be whole numbers"),
        ({"s": events(fold=np.full(400, -1)), "b": events()}, "s.fold: must be whole numbers"),
        ({"s": events(fold=np.zeros(400)), "b": events()}, "s: the yield without fold 0"),
        ({"s": CONSTANT, "b": CONSTANT}, "x0: is constant"),
        ([1, 2], "samples: must be a mapping"),
        ({}, "samples: no process is given"),
        ({"s": events(), 7: events()}, r"samples: names of processes must be text \(got 7\)"),
        (
            {"s": events(), "b": {"x": np.ones(9), "weight": 1.0}},
            "b.weight: must be an",
        ),
    ],
)
def test_events(samples: Any, expected: str) -> None:
    with pytest.raises(GatoError, match=expected) as raised:
        optimise(samples, signals=["s"], n_categories=3, method="exact")
    assert "\n" not in str(raised.value)


def test_more_folds_than_can_be_trained() -> None:
    with pytest.raises(GatoError, match=r"^folds: must be at most 20 .got 3000"):
        optimise({"s": events(), "b": events()}, signals=["s"], method="exact", folds=3000)


def test_one_category_and_scales_that_differ_are_no_trouble() -> None:
    def wide(a: int, b: int) -> Any:
        score = RNG.beta(a, b, (900, 2)) * np.array([1.0, 3000.0])
        return {"x": score, "weight": np.ones(900)}

    one, two = optimise(
        {"s": wide(4, 2), "b": wide(2, 4)}, signals=["s"], n_categories=[1, 3], method="exact"
    )
    assert one.n_categories == 1
    assert 0 < one.held_out.combined < two.held_out.combined


def test_empty_bins_belong_to_the_category_of_the_nearest() -> None:
    gap = np.where((np.arange(20) > 7) & (np.arange(20) < 12), 0.0, 1.0)
    samples = {"s": histogram(SIGNAL * gap), "b": histogram(BACKGROUND * gap)}
    result = optimise(samples, signals=["s"], n_categories=2, method="exact")
    assert (result.categories.assign(np.linspace(0, 1, 50)) >= 0).all()


def with_masses(n: int = 400, *, centre: float = 125.0) -> dict[str, Any]:
    return events(n, mass=RNG.normal(centre, 1.0, n))


WINDOW = {"window_gev": (122, 128), "mass_range_gev": (100, 180)}


@pytest.mark.parametrize(
    ("change", "options", "expected"),
    [
        ({"s": with_masses(centre=150)}, {}, "s: no event has its mass inside window_gev, 122 to"),
        ({"b": with_masses(centre=1.5e5)}, {}, "b: no event has its mass inside mass_range_gev"),
        ({"b": events()}, {}, "b: column 'mass' is missing, and a mass window is used"),
        ({}, {"window_gev": "peak"}, "window_gev: must be two masses in GeV (got 'peak')"),
        ({}, {"mass_range_gev": (100,)}, "mass_range_gev: must be two masses in GeV (got (100,))"),
        ({}, {"systematic": "5 %"}, "systematic: must be a number (got '5 %')"),
    ],
)
def test_masses(change: Any, options: Any, expected: str) -> None:
    samples = {"s": with_masses(), "b": with_masses(centre=130.0), **change}
    with pytest.raises(GatoError) as raised:
        optimise(samples, signals=["s"], n_categories=2, method="exact", **(WINDOW | options))
    assert str(raised.value).startswith(expected)


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ([Feature("a", 1, 0)], "feature a: range must be two increasing numbers (got 1 to 0)"),
        ([Feature("a", 0, np.nan)], "feature a: range must be two increasing numbers"),
        (
            [Feature("a", 0, 1, "log")],
            "feature a: scale log needs a range above zero (got",
        ),
        ([Feature("a", 0, 1, "sqrt")], "feature a: scale: unknown (got 'sqrt'; allowed linear,"),
        (7, "features: must be a list of Feature(name, low, high, scale) (got 7)"),
        (Feature("a", 0, 1), "features: must be a list of Feature(name, low, high, scale)"),
        (
            [Feature("a", -1e308, 1e308)],
            "feature a: values are too large to be binned (got 1e+308",
        ),
        (["a"], "features: must be of kind Feature(name, low, high, scale) (got 'a')"),
        ([Feature("a", 0, 1)] * 2, "features: names must differ (got ['a', 'a'])"),
        ([Feature("a", 3, 9)], "s: no event lies inside the ranges of the discriminants (got a "),
    ],
)
def test_features(features: Any, expected: str) -> None:
    with pytest.raises(GatoError) as raised:
        optimise({"s": events(), "b": events()}, signals=["s"], features=features, method="exact")
    assert str(raised.value).startswith(expected)


def test_what_lies_outside_is_said(caplog: pytest.LogCaptureFixture) -> None:
    options: dict[str, Any] = {"signals": ["s"], "n_categories": 2, "method": "exact"}
    optimise({"s": events(), "b": events()}, **options)
    assert not caplog.records
    optimise({"s": events(), "b": events()}, features=[Feature("a", 0, 0.5)], **options)
    assert "of 400 events lie outside the ranges of the discriminants" in caplog.text
    caplog.clear()
    full = {"s": histogram(SIGNAL), "b": histogram(BACKGROUND)}
    optimise(full, **options)
    assert not caplog.records
    full["b"].view(flow=True)["value"][-1] = 500
    optimise(full, **options)
    assert "histogram b: 500 of a yield of" in caplog.text
    assert "is under- or overflow, and in no category" in caplog.text


def test_one_filled_row_of_two_discriminants() -> None:
    axes = [hist.axis.Regular(8, 0, 1, name="a"), hist.axis.Regular(4, 0, 2, name="b")]
    h = hist.Hist(*axes, storage=hist.storage.Weight())
    h.fill(RNG.random(500), np.full(500, 0.7))
    with pytest.raises(GatoError, match=r"b is constant, .* \(got bin 1, 0.5 to 1\)"):
        optimise({"s": h, "b": h}, signals=["s"], n_categories=2, method="exact")


@pytest.mark.parametrize("method", ["exact", "lloyd"])
@pytest.mark.parametrize(
    ("limits", "key"),
    [
        ({"min_effective": 599}, "min_effective 599 (got 5"),
        ({"min_background": 599.9}, "min_background 599.9 (got 5"),
        ({"max_rel_unc": 1.0001 * 600**-0.5}, "max_rel_unc 0.0408"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_constraints_that_fail_only_where_a_fold_is_left_out(
    method: str, limits: dict[str, float], key: str
) -> None:
    rng = np.random.default_rng(1)
    samples = {
        name: {"x": rng.beta(*shape, 600), "weight": np.full(600, weight)}
        for name, shape, weight in (("s", (4, 2), 0.1), ("b", (2, 4), 1.0))
    }
    told = "constraints: not met even by all events of a training that leaves a fold out"
    with pytest.raises(GatoError) as raised:
        optimise(samples, signals=["s"], method=method, constraints=Constraints(**limits))
    assert str(raised.value).startswith(told)
    assert key in str(raised.value)
    assert f"change constraints.{next(iter(limits))}" in str(raised.value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"n_categories": [[2, 3]]}, "n_categories: must be whole numbers above zero, or auto"),
        ({"n_categories": None}, "n_categories: must be whole numbers above zero, or auto"),
        ({"n_categories": [2, [3]]}, "n_categories: must be whole numbers above zero, or auto"),
        ({"n_categories": []}, "n_categories: must be whole numbers above zero, or auto"),
        ({"signals": 5}, "signals: must be a list of processes (got 5)"),
        ({"signals": {"s"}}, "signals: must be a list of processes (got {'s'})"),
        (
            {"bins_per_discriminant": 5, "kind": "edges", "method": "gato"},
            "bins_per_discriminant: must be whole numbers above zero (got 5)",
        ),
        (
            {"window_gev": 5, "mass_range_gev": (0, 9)},
            "window_gev: must be two masses in GeV (got 5)",
        ),
        (
            {"continue_from": 5, "method": "gato"},
            "continue_from: must be results of optimise (got 5)",
        ),
        ({"signals": [["s"]]}, "signals.0: must be text (got ['s'])"),
        ({"backgrounds": 5}, "backgrounds: must be a list of processes (got 5)"),
        ({"backgrounds": []}, "backgrounds: no process is left as background"),
        ({"mc_uncertainty": "no"}, "mc_uncertainty: must be true or false (got 'no')"),
        ({"smooth": 0}, "smooth: must be true or false (got 0)"),
        ({"unweighted": None}, "unweighted: must be True or False (got None)"),
        ({"progress": [1]}, "progress: must be True or False (got [1])"),
        ({"restarts": 10**30}, "restarts: must be at most 100 (got 1000"),
        ({"epochs": 10**30}, "epochs: must be at most 100000 (got 1000"),
        (
            {"bins_per_discriminant": b"a", "kind": "edges", "method": "gato"},
            "bins_per_discriminant: must be whole numbers above zero (got b'a')",
        ),
        (
            {"bins_per_discriminant": [True], "kind": "edges", "method": "gato"},
            "bins_per_discriminant: must be whole numbers above zero (got [True])",
        ),
    ],
)
def test_settings_of_the_wrong_kind(options: Any, expected: str) -> None:
    with pytest.raises(GatoError) as raised:
        optimise(
            {"s": events(), "b": events()}, **({"signals": ["s"], "method": "exact"} | options)
        )
    assert str(raised.value).startswith(expected)


@pytest.mark.parametrize("x", [1e308, -1e308, 1e200])
def test_values_whose_differences_are_no_numbers(x: float) -> None:
    far = {"x": np.concatenate([[x], RNG.random(399)]), "weight": np.ones(400)}
    with pytest.raises(GatoError, match="discriminant x0: values are too large to be binned"):
        optimise({"s": events(), "b": far}, signals=["s"], method="exact")


@pytest.mark.parametrize("factor", [1e200, 1e-200])
def test_weights_without_squares(factor: float) -> None:
    samples = {"s": events(), "b": events(weight=factor)}
    with pytest.raises(GatoError, match=r"b\.weight: is too large or small to square in float64"):
        optimise(samples, signals=["s"], method="exact")
