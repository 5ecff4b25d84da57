"""All stages in order; a stage whose inputs are unchanged is not run again.

What a stage depends on is summed up in a key: the sections of the analysis file that matter to
it, ``analysis.py``, the version of the package and its sources, and the keys of the stages it
builds on; for the events, the input files. Keys stand in ``provenance.json`` with the files of
the stage. A stage is forgotten there before it starts, so a run that is killed leaves nothing
that looks complete.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gato_coffea import __version__, stages
from gato_coffea.config import Analysis
from gato_coffea.errors import InputError
from gato_coffea.files import write_text
from gato_coffea.provenance import (
    Provenance,
    StageRecord,
    digest,
    file_fingerprint,
    measured,
    require_writable,
    sizes,
    source_hashes,
)
from gato_coffea.stages import Job

PACKAGE = Path(__file__).parent
CONFIG = "config.json"
EVENTS = (
    "schema",
    "tree",
    "luminosity_per_fb",
    "datasets",
    "weight",
    "selection",
    "discriminants",
    "mass",
    "histograms_2d",
    "keep_columns",
    "blind",
    "unblind",
    "event_id",
    "max_invalid_fraction",
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A stage: what it does, the stages it reads from, and the sections it depends on.

    ``run`` returns the files that it has written below the results directory; ``folder`` is one
    that holds nothing else, or None.
    """

    run: Callable[[Job], list[Path]]
    folder: str | None
    needs: tuple[str, ...]
    sections: tuple[str, ...]
    when: Callable[[Analysis], bool] = lambda _: True


@dataclass(frozen=True)
class StageReport:
    """How a stage went: whether it was skipped, and what it cost when it last ran."""

    stage: str
    skipped: bool
    wall_s: float
    peak_mb: float


LOOKS = ("name", "title", "discriminants", "mass", "plots")
RESULTS = ("process", "optimise", "categorise")
STAGES: dict[str, Stage] = {
    "process": Stage(stages.run_process, "process", (), EVENTS),
    "optimise": Stage(stages.run_optimise, "optimise", ("process",), ("mass", "processes")),
    "categorise": Stage(stages.run_categorise, "templates", ("process", "optimise"), ("mass",)),
    "sidebands": Stage(
        stages.run_sidebands, "sidebands", ("categorise",), ("mass",), lambda a: a.mass is not None
    ),
    # Before the exports, which refuse a bad fit: the plots show why it is bad.
    "plots": Stage(stages.run_plots, "plots", (*RESULTS, "sidebands"), LOOKS),
    "exports": Stage(
        stages.run_exports,
        "exports",
        ("optimise", "categorise", "sidebands"),
        ("name", "mass", "exports"),
    ),
    "report": Stage(stages.run_report, None, (*RESULTS, "sidebands", "exports", "plots"), LOOKS),
}
FIRST_USE = {
    "gato": "optimise",
    "exports": "categorise",
    "sidebands": "sidebands",
    "plots": "plots",
    "report.py": "report",
}
"""Parts of the package that no stage before this one uses: an edit of a plot trains nothing."""


def input_fingerprints(analysis: Analysis) -> dict[str, dict[str, Any]]:
    """Fingerprint of every input file by its path.

    Raises
    ------
    InputError
        If a pattern of the analysis file matches no file.
    """
    from gato_coffea.datasets import fileset

    paths = {path for dataset in fileset(analysis).values() for path in dataset["files"]}
    return {path: file_fingerprint(path) for path in sorted(paths)}


def stage_keys(analysis: Analysis, inputs: dict[str, Any]) -> dict[str, str]:
    """Key of every stage that the analysis has, from the fingerprints of the input files."""
    keys: dict[str, str] = {}
    settings = analysis.optimise.model_dump(mode="json")
    use = settings.pop("use")
    extra = {
        "process": [inputs, settings["folds"], analysis.uses_window],
        "optimise": [settings],
        "categorise": [use],
    }
    for name, stage in STAGES.items():
        if stage.when(analysis):
            above = [keys[need] for need in stage.needs if need in keys]
            own = analysis.fingerprint(*stage.sections)
            keys[name] = digest(name, __version__, _sources(name), own, extra.get(name), above)
    return keys


def _sources(name: str) -> dict[str, str]:
    """Hashes of the sources that a stage is the first to depend on, and of those of all stages."""
    hashes = source_hashes(PACKAGE).items()
    return {path: h for path, h in hashes if FIRST_USE.get(path.split("/")[0], name) == name}


def run_stage(job: Job, name: str, *, force: bool = True) -> StageReport:
    """Run one stage on the results of those above it.

    Parameters
    ----------
    job
        The analysis and its results directory.
    name
        One of `STAGES`.
    force
        Run it also where nothing has changed.

    Raises
    ------
    InputError
        If the analysis has no such stage, or a stage that it builds on has not run or is out of
        date.
    """
    require_writable(job.output)
    inputs = input_fingerprints(job.analysis)
    keys = stage_keys(job.analysis, inputs)
    if name not in keys:
        raise InputError(
            f"{job.analysis.name}: has no stage {name!r} (allowed: {', '.join(keys)})"
        )
    record = Provenance.read(job.output)
    for need in _above(name, keys):
        if not record.is_current(need, key=keys[need], output=job.output):
            state = "is out of date" if need in record.stages else "has not run"
            raise InputError(
                f"{job.output}: stage {need} {state}; run gato-coffea {need}, or gato-coffea run"
            )
    return _run(job, name, keys=keys, inputs=inputs, force=force)


def run_all(
    job: Job, *, force: bool = False, ended: Callable[[StageReport], None] = lambda _: None
) -> list[StageReport]:
    """Run all stages in order, but for those whose inputs are unchanged.

    Parameters
    ----------
    job
        The analysis and its results directory.
    force
        Run every stage.
    ended
        Called with the report of every stage when it has ended.
    """
    require_writable(job.output)
    reports = []
    if job.analysis.ntuples is not None:
        reports.append(_make(job))
        ended(reports[-1])
    inputs = input_fingerprints(job.analysis)
    keys = stage_keys(job.analysis, inputs)
    for name in keys:
        reports.append(_run(job, name, keys=keys, inputs=inputs, force=force))
        ended(reports[-1])
    return reports


def _above(name: str, keys: dict[str, str]) -> list[str]:
    """Stages that a stage builds on, directly or through others, in order."""
    found: set[str] = set()
    waiting = list(STAGES[name].needs)
    while waiting:
        need = waiting.pop()
        found.add(need)
        waiting += STAGES[need].needs
    return [stage for stage in keys if stage in found]


def _make(job: Job) -> StageReport:
    """Ntuples lie beside the analysis file and look after themselves."""
    with measured() as cost:
        made = stages.run_ntuples(job)
    return StageReport("ntuples", not made, cost.wall_s, cost.peak_mb)


def _run(
    job: Job, name: str, *, keys: dict[str, str], inputs: dict[str, Any], force: bool
) -> StageReport:
    output, seed = job.output, job.analysis.optimise.seed
    record = Provenance.read(output)
    if not force and record.is_current(name, key=keys[name], output=output):
        log.info("%s: unchanged, skipped", name)
        last = record.stages[name]
        return StageReport(name, True, last.wall_s, last.peak_mb)
    changed = [stage for stage in keys if name in _above(stage, keys)] if job.continued else []
    record = record.without([name, *changed])
    record.write(output, seed=seed, inputs=inputs)
    write_text(output / CONFIG, _resolved(job.analysis))
    with measured() as cost:
        files = STAGES[name].run(job)
    _tidy(output, STAGES[name].folder, files)
    done = StageRecord(keys[name], sizes(files, output=output), cost.wall_s, cost.peak_mb)
    record.with_stage(name, done).write(output, seed=seed, inputs=inputs)
    return StageReport(name, False, cost.wall_s, cost.peak_mb)


def _tidy(output: Path, folder: str | None, files: list[Path]) -> None:
    """Take away what an earlier run with other settings has left, or one that was killed."""
    if folder is not None:
        for aside in output.glob(f".{folder}.*"):
            shutil.rmtree(aside)
        for path in set(stages.files_below(output / folder)) - set(files):
            path.unlink()


def _resolved(analysis: Analysis) -> str:
    return json.dumps(analysis.model_dump(mode="json", by_alias=True), indent=1) + "\n"
