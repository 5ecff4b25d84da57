"""Results as files and back, and stages that go on from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gato_coffea.errors import InputError
from gato_coffea.exports import Headline
from gato_coffea.optimisation.result import Significance
from gato_coffea.workflow import stages
from gato_coffea.workflow.pipeline import run_stage
from gato_coffea.workflow.provenance import Provenance
from gato_coffea.workflow.results import (
    read_headline,
    read_results,
    read_summary,
    write_headline,
)
from gato_coffea.workflow.stages import Job

OPTIMISE = {
    "optimise.n_categories": [2, 3],
    "optimise.folds": 2,
    "optimise.epochs": 20,
    "optimise.kind": "edges",
    "mass": None,
}


@pytest.fixture
def job(make_analysis: Callable[..., Any], tmp_path: Path) -> Job:
    analysis = make_analysis(OPTIMISE, n=1500)
    job = Job.of(analysis, output=tmp_path / "results", progress=False)
    run_stage(job, "process")
    run_stage(job, "optimise")
    return job


def test_a_training_goes_on_from_files_and_is_animated(job: Job) -> None:
    folder = job.folder("optimise")
    before = read_results(folder)
    assert all(len(r.folds) == 2 for r in before.values())
    assert all(len(r.history.boundaries) == len(r.history.epoch) for r in before.values())
    summary = read_summary(folder)
    assert summary["recommended"] in (2, 3)
    assert str(summary["recommended"]) in summary["reason"]

    run_stage(job, "categorise")
    further = Job.of(job.analysis, output=job.output, progress=False, continued=True)
    run_stage(further, "optimise")
    assert "categorise" not in Provenance.read(job.output).stages  # made with other categories
    after = read_results(folder)
    for asked, result in after.items():
        assert any(note.startswith("continued: ") for note in result.notes)
        spread = before[asked].held_out.spread
        assert result.held_out.combined > before[asked].held_out.combined - spread

    (folder / "folds_2.json").write_text("[{}]")
    with pytest.raises(InputError, match=r"result_2.json: is damaged \(KeyError"):
        run_stage(further, "optimise")

    moving = Job.of(job.analysis, output=job.output, progress=False, animate=True)
    run_stage(moving, "optimise")
    for stage in ("categorise", "plots"):
        run_stage(moving, stage)
    gifs = [p.name for p in job.folder("plots").glob("*.gif")]
    assert gifs == [f"boundaries_{stages.used_count(job)}.gif"]


def test_the_figure_with_the_mass_fits_survives_its_file(tmp_path: Path) -> None:
    figures = [Significance(z, {"s": z}, None, z + 0.1) for z in (1.2, 1.3, 1.5, 1.6)]
    quoted = Headline(
        held_out=figures[0], training=figures[1], before=figures[2], before_training=figures[3]
    )
    path = write_headline(tmp_path, quoted)
    assert read_headline(tmp_path) == quoted
    for content in ("[1]", "{}", '{"held_out": {"combined": "x", "per_signal": {}}}'):
        path.write_text(content)
        with pytest.raises(InputError, match=r"quoted\.json: is damaged"):
            read_headline(tmp_path)
    path.unlink()
    assert read_headline(tmp_path) is None
