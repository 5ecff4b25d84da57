from __future__ import annotations

from typing import Any

import pytest

from gato_coffea.datasets import fileset
from gato_coffea.errors import InputError
from gato_coffea.processing.checks import check_outputs
from gato_coffea.processing.executors import QuietIterativeExecutor, run_chunks
from gato_coffea.processing.processor import GatoProcessor


@pytest.fixture
def checked(make_analysis: Any) -> Any:
    analysis = make_analysis(n=40)
    output = run_chunks(QuietIterativeExecutor(), fileset(analysis), GatoProcessor(analysis))
    check_outputs(output, analysis)
    return analysis, output


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("data", {True}, "datasets.bkg_a: data is false in the analysis file, but chunks"),
        ("era", {"2022"}, "datasets.bkg_a: era is None in the analysis file, but chunks were"),
        (
            "channel",
            {"a", "b"},
            "datasets.bkg_a: chunks of channels a and b were added up; keep the output of each "
            "channel apart",
        ),
        ("n_events", 0, "datasets.bkg_a: the tree has no entries in any of its files"),
        (
            "invalid",
            {"score": 40},
            "events are NaN or infinite (allowed: max_invalid_fraction 0.01)",
        ),
    ],
)
def test_outputs_that_do_not_fit_the_analysis(
    key: str, value: Any, told: str, checked: Any
) -> None:
    analysis, output = checked
    output["bkg_a"][key] = value
    with pytest.raises(InputError) as caught:
        check_outputs(output, analysis)
    assert told in str(caught.value)


def test_a_dataset_without_chunks(checked: Any) -> None:
    analysis, output = checked
    del output["bkg_b"]
    with pytest.raises(InputError, match=r"datasets\.bkg_b: no chunk of it was processed"):
        check_outputs(output, analysis)
