"""What a stage works on: an analysis, its results directory, and one channel or all of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gato_coffea.config import Analysis

if TYPE_CHECKING:
    from gato_coffea.processing.processed import Processed


@dataclass(frozen=True, kw_only=True)
class Job:
    """An analysis, its results directory, and how the events are read.

    ``executor`` is ``iterative``, ``futures`` or ``dask``; ``scheduler`` the address of a dask
    cluster: how events are read changes no result. With ``continued``, training goes on from the
    results that are there; with ``animate``, plots show how boundaries moved. A stage reads from
    ``output`` and writes to ``aside``, where it is given. Of an analysis with channels, the
    results of each lie in a folder of its name.
    """

    analysis: Analysis
    output: Path
    executor: str = "iterative"
    workers: int | None = None
    scheduler: str | None = None
    chunksize: int = 100_000
    progress: bool = True
    second_pass: bool = False
    continued: bool = False
    animate: bool = False
    aside: Path | None = None
    channel: str | None = None

    @classmethod
    def of(cls, analysis: Analysis, *, output: Path | None = None, **options: Any) -> Job:
        """A job that writes to ``results`` beside the analysis file, if nothing else is said."""
        return cls(analysis=analysis, output=output or analysis.directory / "results", **options)

    def folder(self, stage: str) -> Path:
        """Where the results of a stage are read."""
        return self.output / stage / (self.channel or "")

    def target(self, place: str) -> Path:
        """Where a stage writes to."""
        return (self.aside or self.output) / place / (self.channel or "")

    def parts(self) -> list[Job]:
        """A job for each channel of the analysis, or this one where there are none."""
        if not self.analysis.channels:
            return [self]
        return [
            replace(self, analysis=self.analysis.channel(name), channel=name)
            for name in self.analysis.channels
        ]

    def optimised(self) -> list[Job]:
        """The parts whose categories are optimised: all but control regions."""
        channels = self.analysis.channels
        return [p for p in self.parts() if p.channel is None or not channels[p.channel].is_control]

    def run_options(self) -> dict[str, Any]:
        """How `gato_coffea.processing.executors.process` is to run."""
        return {
            "executor": self.executor,
            "workers": self.workers,
            "scheduler": self.scheduler,
            "chunksize": self.chunksize,
            "progress": self.progress,
        }


def load_processed(job: Job) -> Processed:
    """What the events gave, as the stage ``process`` has written it."""
    from gato_coffea.processing.processed import Processed

    return Processed.load(job.folder("process"), job.analysis)
