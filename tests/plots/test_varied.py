"""Variations make the band of a stack, and the largest stand in its ratio panel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hist
import numpy as np
import pytest

from gato_coffea.plots.contents import Stack, stack_of
from gato_coffea.plots.numbers import stack_numbers
from gato_coffea.plots.stacks import draw_stack
from gato_coffea.plots.style import Style, save
from gato_coffea.plots.varied import with_variations
from gato_coffea.statistics.uncertainties import Free, Norm

pytestmark = pytest.mark.usefixtures("untouched_pyplot")

STYLE = Style()
NORMS = (Norm("lumi", 1.1), Norm("qcd_norm", up=1.3, down=0.8, processes=("qcd",)))


def a_histogram() -> hist.Hist[Any]:
    h: hist.Hist[Any] = hist.Hist(
        hist.axis.StrCategory(["sig", "qcd", "top"], name="process"),
        hist.axis.StrCategory(["nominal", "jesDown", "jesUp"], name="variation"),
        hist.axis.Regular(4, 0, 4, name="score"),
        storage=hist.storage.Weight(),
    )
    at = np.arange(4) + 0.5
    for process in ("sig", "qcd", "top"):
        h.fill(process, "nominal", at, weight=[40.0, 30.0, 20.0, 10.0])
    h.fill("qcd", "jesUp", at, weight=[36.0, 30.0, 22.0, 12.0])
    h.fill("qcd", "jesDown", at, weight=[44.0, 30.0, 18.0, 11.0])
    return h


def a_stack(**more: Any) -> Stack:
    h = a_histogram()
    stack = stack_of(h, axis="score", backgrounds=["qcd", "top"], signals=["sig"], **more)
    return with_variations(stack, h, axis="score", normalisations=(*NORMS, Free("f", ("top",))))


def test_totals_by_hand() -> None:
    stack = a_stack()
    assert list(stack.varied) == ["jes", "lumi", "qcd_norm"]
    np.testing.assert_allclose(stack.varied["jes"][0], [76, 60, 42, 22])  # top as nominal
    np.testing.assert_allclose(stack.varied["lumi"][0], [88, 66, 44, 22])
    np.testing.assert_allclose(stack.varied["qcd_norm"][0], [92, 69, 46, 23])
    np.testing.assert_allclose(stack.varied["qcd_norm"][1], [72, 54, 36, 18])


def test_the_band_is_everything_in_quadrature() -> None:
    stack = a_stack()
    down, up = stack.band
    sumw2 = 2 * np.array([40.0, 30.0, 20.0, 10.0]) ** 2
    np.testing.assert_allclose(stack.total.variances, sumw2)
    # In the last bin both sides of jes go up: nothing of it below.
    np.testing.assert_allclose(up[3] ** 2, sumw2[3] + 2.0**2 + 2.0**2 + 3.0**2)
    np.testing.assert_allclose(down[3] ** 2, sumw2[3] + (20 - 20 / 1.1) ** 2 + 2.0**2)
    numbers = stack_numbers(stack)
    np.testing.assert_array_equal(numbers["background_error_up"], up)
    np.testing.assert_array_equal(numbers["jesDown"], stack.varied["jes"][1])


def test_the_panel_shows_the_largest_over_the_nominal(tmp_path: Path) -> None:
    figure = draw_stack(a_stack(), STYLE)
    assert [ax.get_ylabel() for ax in figure.axes] == ["Events / 1", "Varied / nom."]
    lower = figure.axes[1].get_legend()
    assert lower is not None
    assert {t.get_text() for t in lower.get_texts()} == {"jes", "lumi", "qcd_norm"}
    drawn = {p.get_label(): p.get_data().values for p in figure.axes[1].patches}
    np.testing.assert_allclose(drawn["jes"], [76 / 80, 1.0, 42 / 40, 22 / 20])
    names = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert "Stat. + syst. unc." in names
    save(figure, tmp_path / "varied")


def test_without_uncertainties_nothing_is_added() -> None:
    h: hist.Hist[Any] = hist.Hist(
        hist.axis.StrCategory(["qcd"], name="process"),
        hist.axis.StrCategory(["nominal"], name="variation"),
        hist.axis.Regular(4, 0, 4, name="score"),
        storage=hist.storage.Weight(),
    )
    h.fill("qcd", "nominal", [0.5, 1.5, 1.5, 2.5])
    stack = stack_of(h, axis="score", backgrounds=["qcd"])
    plain = with_variations(stack, h, axis="score")
    assert plain.varied == {}
    np.testing.assert_array_equal(plain.band[1], np.sqrt(plain.total.variances))
    figure = draw_stack(plain, STYLE)
    assert len(figure.axes) == 1
    names = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert "Stat. unc." in names
