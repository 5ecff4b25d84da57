"""All stages in order; a stage whose inputs are unchanged is not run again.

What a stage depends on is summed up in a key: the sections of the analysis file that matter to
it, ``analysis.py`` and what it imports, the version of the package and its sources, and the keys
of the stages it builds on; for the events, the input files. Keys stand in ``provenance.json``
with the files of the stage and their content. A stage is forgotten there before it starts, so a
run that is killed leaves nothing that looks complete. One process at a time runs in a folder.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gato_coffea.config import Analysis
from gato_coffea.config.systematics import UP
from gato_coffea.errors import GatoError, InputError, OutputError
from gato_coffea.files import write_text
from gato_coffea.optimisation.settings import check_method
from gato_coffea.version import __version__
from gato_coffea.workflow import stages
from gato_coffea.workflow.folder import (
    CONFIG,
    remove_stale,
    require_ours,
    require_writable,
    sweep,
)
from gato_coffea.workflow.inputs import further_inputs, input_fingerprints
from gato_coffea.workflow.lock import locked
from gato_coffea.workflow.provenance import Provenance, digest, measured, source_hashes
from gato_coffea.workflow.stage import Recorder
from gato_coffea.workflow.stages import Job

PACKAGE = Path(__file__).parents[1]
EVENTS = (
    "schema",
    "tree",
    "luminosity_per_fb",
    "eras",
    "channels",
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
MAX_RUNS = 3
"""How often a stage is run again where its results are taken away or changed meanwhile."""
ALL = "all"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A stage: what it does, the stages it reads from, and the sections it depends on.

    ``run`` writes to what `Job.target` names; ``place`` is the name of that folder or file.
    """

    run: Callable[[Job], object]
    place: str
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
    "optimise": Stage(
        stages.run_optimise, "optimise", ("process",), ("mass", "processes", "systematics")
    ),
    "categorise": Stage(stages.run_categorise, "templates", ("process", "optimise"), ("mass",)),
    "sidebands": Stage(
        stages.run_sidebands,
        "sidebands",
        ("optimise", "categorise"),
        ("mass",),
        lambda a: a.mass is not None and not a.channels,
    ),
    # Before the exports, which refuse a bad fit: the plots show why it is bad.
    "plots": Stage(
        stages.run_plots, "plots", (*RESULTS, "sidebands"), LOOKS, lambda a: not a.channels
    ),
    "exports": Stage(
        stages.run_exports,
        "exports",
        ("optimise", "categorise", "sidebands"),
        ("name", "mass", "exports"),
    ),
    "report": Stage(
        stages.run_report,
        "report.html",
        (*RESULTS, "sidebands", "exports", "plots"),
        LOOKS,
        lambda a: not a.channels,
    ),
}
FIRST_USE = {
    "gato": "",
    "statistics": "optimise",
    "optimisation": "optimise",
    "exports": "exports",
    "sidebands": "sidebands",
    "plots": "plots",
    "workflow/report.py": "report",
    "workflow/report.html.jinja": "report",
}
"""Parts of the package that no stage before this one uses: an edit of a plot trains nothing.

The documented interface ``gato`` is used by none.
"""


def _first_use(path: str, otherwise: str) -> str:
    return FIRST_USE.get(path, FIRST_USE.get(path.split("/")[0], otherwise))


def stage_keys(analysis: Analysis, inputs: dict[str, Any]) -> dict[str, str]:
    """Key of every stage that the analysis has, from the fingerprints of the input files.

    Raises
    ------
    InputError
        If ``depends_on`` names a file that does not exist.
    """
    keys: dict[str, str] = {}
    settings = analysis.optimise.model_dump(mode="json")
    use = settings.pop("use")
    extra = {
        "process": [
            inputs,
            further_inputs(analysis),
            settings["folds"],
            analysis.uses_window,
            _varying(analysis),
        ],
        "optimise": [settings],
        "categorise": [use],
        "sidebands": [_sources("exports")],  # the figure with the fits is that of their model
    }
    for name, stage in STAGES.items():
        if stage.when(analysis):
            above = [keys[need] for need in stage.needs if need in keys]
            own = analysis.fingerprint(*stage.sections)
            keys[name] = digest(name, __version__, _sources(name), own, extra.get(name), above)
    return keys


def _varying(analysis: Analysis) -> dict[str, Any]:
    """Systematic uncertainties that the events are read for; those of yields alone are not."""
    return {
        name: found.model_dump(mode="json")
        for name, found in analysis.systematics.items()
        if name + UP in analysis.event_variations
    }


def _sources(name: str) -> dict[str, str]:
    """Hashes of the sources that a stage is the first to depend on, and of those of all stages."""
    hashes = source_hashes(PACKAGE).items()
    return {path: h for path, h in hashes if _first_use(path, name) == name}


@contextmanager
def results_folder(output: Path) -> Iterator[None]:
    """Hold a results folder: it is writable, ours alone, and nobody else writes to it meanwhile.

    Raises
    ------
    OutputError
        If it is not, and why.
    """
    require_writable(output)
    with locked(output):
        require_ours(output, [CONFIG, *(stage.place for stage in STAGES.values())])
        sweep(output)
        yield


def run_stage(job: Job, name: str, *, force: bool = True) -> StageReport:
    """Run one stage on the results of those above it; all below it are forgotten.

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
    OutputError
        If the results directory cannot be written to, holds files of another's, or another
        process writes to it.
    """
    with results_folder(job.output):
        run = _Run.of(job)
        run.require(name)
        record = Provenance.read(job.output)
        for need in _above(name, run.keys):
            if not run.is_current(record, need):
                state = "is out of date" if need in record.stages else "has not run"
                raise InputError(
                    f"{job.output}: stage {need} {state}; run gato-coffea {need}, or "
                    "gato-coffea run"
                )
        if not force and run.is_current(record, name):
            return run.skipped(record, name)
        return run.stage(name, forget_below=True)


def run_all(
    job: Job,
    *,
    force: Collection[str] = (),
    ended: Callable[[StageReport], None] = lambda _: None,
) -> list[StageReport]:
    """Run all stages in order, but for those whose inputs are unchanged.

    Results that are taken away or changed meanwhile are made again.

    Parameters
    ----------
    job
        The analysis and its results directory.
    force
        Names of stages to run in any case, with all that build on them; ``all`` means every one.
    ended
        Called with the report of every stage when it has ended.

    Raises
    ------
    InputError
        If the analysis has no such stage.
    OutputError
        If the results directory cannot be written to, holds files of another's, another process
        writes to it, or results vanish again and again.
    """
    from gato_coffea.plots.labels import check_labels

    check_labels(job.analysis)
    reports = []

    def report(done: StageReport) -> None:
        reports.append(done)
        ended(done)

    with results_folder(job.output):
        if job.analysis.ntuples is not None:
            report(_make(job))
        run = _Run.of(job)
        for name in force:
            if name != ALL:
                run.require(name)
        if {"optimise", ALL} & set(force) or not run.is_current(
            Provenance.read(job.output), "optimise"
        ):
            check_method(job.analysis.optimise.method)  # before all events are read
        names = list(run.keys)
        wanted = set(names if ALL in force else force)
        run.drop_others()
        runs, told, at = Counter[str](), set[str](), 0
        while at < len(names):
            record = Provenance.read(job.output)
            stale = [n for n in names[:at] if not run.is_current(record, n)]
            if stale:  # taken away, or changed, since it was made or looked at
                at = names.index(stale[0])
            name = names[at]
            if name not in wanted and run.is_current(record, name):
                if name not in told:
                    report(run.skipped(record, name))
                told.add(name)
                at += 1
                continue
            if runs[name] == MAX_RUNS:
                raise OutputError(
                    f"{job.output}: results of stage {name} were taken away or changed "
                    f"{MAX_RUNS} times while gato-coffea was at work; something else writes there"
                )
            runs[name] += 1
            try:
                report(run.stage(name, forget_below=name in wanted))
            except GatoError:
                record = Provenance.read(job.output)
                if all(run.is_current(record, need) for need in _above(name, run.keys)):
                    raise
                continue  # what it reads was taken away meanwhile
            wanted.discard(name)
            told.add(name)
            at += 1
            if at == len(names):
                record = Provenance.read(job.output)
                at = next((i for i, n in enumerate(names) if not run.is_current(record, n)), at)
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


@dataclass(frozen=True)
class _Run:
    """A pass over stages in a results folder that is held: what was asked, and the keys."""

    job: Job
    inputs: dict[str, Any]
    keys: dict[str, str]

    @classmethod
    def of(cls, job: Job) -> _Run:
        inputs = input_fingerprints(job.analysis)
        return cls(job, inputs, stage_keys(job.analysis, inputs))

    @property
    def _recorder(self) -> Recorder:
        return Recorder(self.job.output, self.job.analysis.optimise.seed, self.inputs)

    def require(self, name: str) -> None:
        if name not in self.keys:
            raise InputError(
                f"{self.job.analysis.name}: has no stage {name!r} (allowed: "
                f"{', '.join(self.keys)})"
            )

    def is_current(self, record: Provenance, name: str) -> bool:
        return record.is_current(
            name, key=self.keys[name], output=self.job.output, needs=STAGES[name].needs
        )

    def drop_others(self) -> None:
        """Take away the results of stages that the analysis no longer has."""
        record = Provenance.read(self.job.output)
        gone = [name for name in record.stages if name not in self.keys]
        if gone:
            places = {STAGES[name].place for name in gone if name in STAGES}
            record = record.without(gone)
            stale = {p: m for p, m in record.left.items() if Path(p).parts[0] in places}
            remove_stale(self.job.output, stale)
            self._recorder.write(record.less(stale))

    def skipped(self, record: Provenance, name: str) -> StageReport:
        log.info("%s: unchanged, skipped", name)
        last = record.stages[name]
        return StageReport(name, True, last.wall_s, last.peak_mb)

    def stage(self, name: str, *, forget_below: bool) -> StageReport:
        job, stage = self.job, STAGES[name]

        def make(aside: Path) -> None:
            write_text(job.output / CONFIG, _resolved(job.analysis))
            stage.run(replace(job, aside=aside))

        below = [other for other in self.keys if name in _above(other, self.keys)]
        done = self._recorder.run(
            name,
            make,
            place=stage.place,
            key=self.keys[name],
            needs=stage.needs,
            forget=below if forget_below else (),
        )
        return StageReport(name, False, done.wall_s, done.peak_mb)


def _resolved(analysis: Analysis) -> str:
    return json.dumps(analysis.model_dump(mode="json", by_alias=True), indent=1) + "\n"
