"""Templates are filled from what is there, and from the events again where nothing else can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coffea.util import load

from gato_coffea.categories import EdgeCategories
from gato_coffea.events.samples import Feature
from gato_coffea.workflow.job import Job
from gato_coffea.workflow.pipeline import run_stage
from gato_coffea.workflow.template_filling import SECOND_PASS, filled_templates, write_templates


@pytest.mark.parametrize(
    ("changes", "cut", "source"),
    [
        ({"keep_columns": True}, 0.33, "columns"),
        ({"keep_columns": False, "mass": None}, 0.5, "fine histograms"),
        ({"keep_columns": False, "mass": None}, 0.33, SECOND_PASS),
    ],
)
def test_what_templates_are_made_of(
    changes: dict[str, Any], cut: float, source: str, make_analysis: Any, tmp_path: Path
) -> None:
    job = Job.of(make_analysis(changes, n=50), output=tmp_path / "results", progress=False)
    run_stage(job, "process")
    categories = EdgeCategories(
        features=(Feature("score", 0, 1),), label=np.arange(2), edges=(np.array([0.0, cut, 1.0]),)
    )
    ((templates, found),) = filled_templates(job, [categories])
    assert found == source
    assert templates.contents("bkg", 1).values.sum() > 0
    write_templates(templates, tmp_path / "out")
    assert load(tmp_path / "out" / "templates.coffea") == templates.histogram
