"""Public values say in one short line what they are, and show tables in a notebook."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gato_coffea
from gato_coffea.categories import EdgeCategories
from gato_coffea.categories.templates import templates_from_samples
from gato_coffea.config import Analysis, parse_analysis
from gato_coffea.events.samples import Sample
from gato_coffea.optimisation.result import Result
from gato_coffea.processing.layout import Layout
from gato_coffea.processing.processed import Processed
from gato_coffea.sidebands import fit_categories

LONGEST = 120


def an_analysis() -> Analysis:
    return parse_analysis(
        {
            "name": "small",
            "datasets": {
                n: {"files": ["x.root"], "process": n, "already_normalised": True}
                for n in ("ggH",)
            }
            | {"cont": {"files": ["x.root"], "process": "qcd", "already_normalised": True}},
            "discriminants": [{"name": "score", "range": [0, 1]}],
            "mass": {
                "source": "m",
                "unit": "GeV",
                "range_gev": [100, 180],
                "bins": 40,
                "window_gev": [120, 130],
            },
            "optimise": {"signals": ["ggH"]},
        },
        directory=Path(),
    )


@pytest.fixture(scope="module")
def values() -> dict[str, object]:
    rng = np.random.default_rng(2)
    samples = {
        "ggH": Sample(
            x=rng.beta(3, 1, (900, 1)), weight=np.full(900, 0.02), mass=rng.normal(125, 1, 900)
        ),
        "qcd": Sample(
            x=rng.beta(1, 3, (3000, 1)),
            weight=np.ones(3000),
            mass=100 + np.clip(rng.exponential(30, 3000), 0, 79.9),
        ),
    }
    analysis = an_analysis()
    result = gato_coffea.optimise(
        samples,
        signals=["ggH"],
        n_categories=2,
        method="exact",
        features=gato_coffea.features(an_analysis()),
    )
    assert isinstance(result, Result)
    templates = templates_from_samples(samples, result.categories, analysis)
    (fit, _) = fit_categories(templates, analysis)
    processed = Processed(
        histograms={},
        samples=samples,
        cells=None,
        cutflow={"ggH": {"all": {"events": 900, "weighted": 18.0}}},
        n_events={"ggH": 900},
    )
    return {
        "Result": result,
        "Yields": result.yields,
        "EdgeCategories": result.categories,
        "Templates": templates,
        "CategoryFit": fit,
        "SidebandFit": fit.fit,
        "BackgroundEstimate": fit.estimate,
        "Processed": processed,
        "Sample": samples["qcd"],
        "Layout": Layout.of(analysis),
        "Analysis": analysis,
    }


def test_each_is_one_short_line(values: dict[str, object]) -> None:
    for name, value in values.items():
        assert repr(value).startswith(f"{name}("), name
        assert len(repr(value)) <= LONGEST, repr(value)
        assert "\n" not in repr(value)
        assert "array" not in repr(value)
    assert repr(values["Sample"]) == "Sample(3000 events of 3000 in 1-D)"
    assert repr(values["Processed"]) == "Processed(900 events of 1 datasets, columns kept)"


@pytest.mark.parametrize(
    "name", ["Result", "EdgeCategories", "Templates", "CategoryFit", "Processed"]
)
def test_each_is_a_table_in_a_notebook(values: dict[str, object], name: str) -> None:
    shown = values[name]._repr_html_()  # type: ignore[attr-defined]
    assert shown.startswith("<table>")
    assert shown.count("<tr>") >= 2
    assert shown.count("<table>") == shown.count("</table>")


def test_a_notebook_shows_where_edges_lie() -> None:
    categories = EdgeCategories(
        features=(gato_coffea.Feature("<score>", 0.0, 1.0),),
        label=np.array([0, 1]),
        edges=(np.array([0.0, 0.4, 1.0]),),
    )
    shown = categories._repr_html_()
    assert "boundaries: 0.4" in shown
    assert "<score>" not in shown
