"""What `check` finds before all events are read, and that the pass over all of them agrees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gato_coffea.errors import GatoError
from gato_coffea.processing import executors as run
from gato_coffea.processing import trial
from gato_coffea.processing.trial import trial_problems
from gato_coffea.workflow.cli import app

HARD_RISE = """
def hard(events):
    return (events.pt > 20) & ((events.m > 115) | (events.event % 10 == 0))


def pileup_down(events):
    return 2.0 - events.pileup_up


def far(events):
    return 5.0


def nothing(events):
    return events.pt > 1e9 * (events.score < 2)
"""


def refused(analysis: Any) -> str:
    with pytest.raises(GatoError) as caught:
        run.process(analysis, progress=False)
    return str(caught.value)


def test_an_analysis_without_columns_and_paths_with_other_letters(
    make_analysis: Any, tmp_path: Path
) -> None:
    analysis = make_analysis({"keep_columns": False})
    (tmp_path / "bkg_a_1.root").rename(tmp_path / "bkg_a_é.root")
    assert trial_problems(analysis) == ()


def test_a_sound_analysis(make_analysis: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert trial_problems(make_analysis()) == ()
    assert not caplog.records


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"mass.unit": "MeV"},
            "process 'sig': mass.range_gev [100.0, 180.0]: no event lies there (got 0.1",
        ),
        (
            {"discriminants": [{"name": "score", "range": [2, 3]}]},
            "process 'sig': discriminants.score: range [2.0, 3.0]: no event lies there (got 0.0",
        ),
        (
            {"selection": "py:nothing"},
            "process 'sig': no event passes the selection (of 210 events read)",
        ),
        (
            {"weight.nominal": ["genWeight", "py:hrad"]},
            "analysis.py: has no function 'hrad'",
        ),
    ],
)
def test_what_is_refused(make_analysis: Any, changes: dict[str, Any], told: str) -> None:
    analysis = make_analysis({**changes, "mass.blinded": False}, functions=HARD_RISE, n=100)
    if "hrad" in told:
        with pytest.raises(GatoError, match="hrad"):
            run.process(analysis, progress=False)
        assert "hrad" in trial_problems(analysis)[0]
        return
    (problem,) = trial_problems(analysis)
    assert problem.startswith(told)
    assert refused(analysis) == problem


def test_the_unit_that_would_do_is_named(make_analysis: Any) -> None:
    (problem,) = trial_problems(make_analysis({"mass.unit": "MeV"}, n=100))
    assert problem.endswith(" GeV with mass.unit MeV; GeV would do)")


def test_cells_are_refused_too(make_analysis: Any) -> None:
    changes = {"mass.unit": "MeV", "keep_columns": False, "histograms_2d": True}
    assert refused(make_analysis(changes, n=100)) == (
        "process 'sig': mass.range_gev [100.0, 180.0]: no event lies there"
    )


def test_what_is_only_pointed_out(make_analysis: Any, caplog: pytest.LogCaptureFixture) -> None:
    analysis = make_analysis(
        {"weight.variations": {"pileupUp": "py:far", "pileupDown": "pileup"}},
        functions=HARD_RISE,
        n=1500,
    )
    assert trial_problems(analysis) == ()
    told = [record.getMessage() for record in caplog.records]
    caplog.clear()
    run.process(analysis, progress=False)
    assert told == [record.getMessage() for record in caplog.records]
    variation, rise = told[0], told[-1]
    assert variation.startswith("process 'sig': weight.variations.pileupUp: its total of ")
    assert rise.startswith("mass.range_gev: the data rises from 10")
    assert rise.endswith("a turn-on of the selection? A higher lower end would avoid it")


def test_one_sample_as_two_datasets(make_analysis: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert trial_problems(make_analysis({"datasets.bkg_b.cross_section_pb": 20.0})) == ()
    (record,) = caplog.records
    assert record.getMessage() == (
        "datasets.bkg_b: process 'bkg' has the same cross section in datasets.bkg_a, and each is "
        "scaled to the whole luminosity; files of one sample belong into one dataset"
    )


def test_the_first_events_are_not_all(
    make_analysis: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the first events lack, later ones may have: nothing is refused for it."""
    monkeypatch.setattr(trial, "CHUNK", 50)
    monkeypatch.setattr(trial, "FIRST_CHUNKS", 1)
    analysis = make_analysis({"selection": "py:late"}, functions=HARD_RISE + LATE, n=100)
    assert trial_problems(analysis) == ()
    assert caplog.records[-1].getMessage() == (
        "of the first events of every dataset: process 'sig': no event passes the selection "
        "(of 50 events read)"
    )


LATE = """

def late(events):
    return events.event > 60
"""


def test_the_command(make_analysis: Any, tmp_path: Path) -> None:
    make_analysis({"mass.unit": "MeV"}, n=100)
    done = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert done.exit_code == 2
    assert "mass.range_gev [100.0, 180.0]: no event lies there" in done.stderr
