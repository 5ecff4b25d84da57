"""A figure with its uncertainty has two significant digits of the uncertainty, everywhere."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from gato_coffea.rendering.rounding import amount, decimals, rounded, uncertainty, with_error

PACKAGE = Path(__file__).resolve().parents[2] / "gato_coffea"


@pytest.mark.parametrize(
    ("value", "errors", "text"),
    [
        (1.2345, [0.0999], "1.23 ± 0.10"),  # rounded up, 0.0999 is 0.10
        (1.2345, [0.0994], "1.234 ± 0.099"),
        (121.4567, [1.35], "121.5 ± 1.4"),
        (25891.4, [1348.0], "25900 ± 1300"),
        (0.94, [0.33, 0.07], "0.940 ± 0.330 ± 0.070"),
        (0.94, [0.33, 0.007], "0.94 ± 0.33 ± 0.01"),
        (8.6, [1.3, None], "8.6 ± 1.3"),
        (0.0, [0.25], "0.00 ± 0.25"),
        (-0.001, [0.25], "0.00 ± 0.25"),
        (1.5, [None], "1.500"),
        (1234.5, [0.0], "1234"),
        (math.nan, [1.0], "-"),
        (2.0, [math.inf], "2"),
        (2.51e-6, [1.2e-7], "(2.51 ± 0.12)e-06"),
        (9.7e-5, [2.3e-6], "(9.70 ± 0.23)e-05"),
        (3.14159e12, [1.0e10], "(3.142 ± 0.010)e+12"),
    ],
)
def test_a_figure_with_its_uncertainties(value, errors, text):
    assert with_error(value, *errors) == text


def test_two_digits_of_any_uncertainty():
    rng = np.random.default_rng(3)
    for error in 10 ** rng.uniform(-3.9, 7, 500):
        text = with_error(1.0, error).partition(" ± ")[2]
        digits = text.replace(".", "").strip("0") if "." not in text else text.replace(".", "")
        assert len(digits.lstrip("0")) <= 2 or "." not in text
        assert float(text) == pytest.approx(error, rel=0.051)


def test_numbers_by_themselves():
    assert [amount(v) for v in (0, 3.0, 1234.6, None, -5000.4)] == ["0", "3", "1235", "-", "-5000"]
    assert [uncertainty(v) for v in (135.0, 0.8, 1e-9, 0.0)] == ["140", "0.80", "1.0e-09", "0"]
    assert rounded(2.0, -1) == "0"
    assert decimals(0.0, math.inf, math.nan, None) == 3


def test_no_other_module_rounds_figures_with_an_uncertainty():
    own = PACKAGE / "rendering"
    wrong = re.compile(r"\+-|±\s*\{[^}]*:[.0-9{]")
    for path in sorted(PACKAGE.rglob("*.py")):
        if own not in path.parents:
            assert not wrong.findall(path.read_text()), path
