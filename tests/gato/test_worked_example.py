"""The script in the documented style runs end to end and writes what it promises."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "analyses" / "toy_1d" / "worked_example.py"
ONCE = {"toy_data", "toy_data_log", "significance_comparison"}
EACH = {
    "score_optimised_{}bins",
    "score_optimised_{}bins_log",
    "history_loss_{}bins",
    "history_penalty_yield_{}bins",
    "history_penalty_unc_{}bins",
    "history_boundaries_{}bins",
    "bias_history_{}bins",
    "bias_history_{}bins_log",
    "mixture_{}bins",
    "yield_vs_uncertainty_{}bins",
    "yield_vs_uncertainty_{}bins_log",
}


@pytest.fixture
def script(monkeypatch):
    spec = importlib.util.spec_from_file_location("worked_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "worked_example", module)  # its dataclass looks it up
    spec.loader.exec_module(module)
    return module


def test_script(script, tmp_path, capsys):
    script.EQUIDISTANT = (2, 5)
    arguments = "--epochs 12 --gato-bins 4 --n-signal 5000 --n-bkg 8000 --lam-unc 0.5"
    arguments += " --n-independent 100000"
    significance = script.main([*arguments.split(), "--out", str(tmp_path)])
    written = {path.stem for path in tmp_path.glob("*.pdf")}
    equidistant = {f"score_equidistant_{n}bins{log}" for n in (2, 5) for log in ("", "_log")}
    assert written == ONCE | {name.format(4) for name in EACH} | equidistant
    model = json.loads((tmp_path / "checkpoints" / "4_bins" / "model.json").read_text())
    assert model["n_cats"] == 4
    printed = capsys.readouterr().out
    five_bins = float(printed.split("equidistant,  5 bins: Z = ")[1].split()[0])
    assert significance[4] > five_bins
