"""What a stage has made, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from gato_coffea.optimisation.result import Result
    from gato_coffea.workflow.pipeline import StageReport
    from gato_coffea.workflow.stages import Job


def print_stage(job: Job, console: Console, done: StageReport) -> None:
    """What a stage took, and its tables, from the files that it has written."""
    state = "unchanged" if done.skipped else f"{done.wall_s:.1f} s"
    console.rule(f"{done.stage}: {state}", align="left")
    parts = {"optimise": job.optimised(), "exports": [job]}  # one model holds all channels
    for part in parts.get(done.stage, job.parts()):
        if part.channel is not None:
            console.print(f"channel {part.channel}")
        _print_tables(part, console, done.stage)


def _print_tables(job: Job, console: Console, stage: str) -> None:
    """Tables of a stage, of one channel."""
    from gato_coffea.exports.evaluation import evaluation_table
    from gato_coffea.processing.cutflow import cutflow_table, hidden_processes
    from gato_coffea.sidebands.tables import sideband_table
    from gato_coffea.workflow import stages
    from gato_coffea.workflow.tables import terminal_table, warning_box

    if stage == "process":
        hidden = hidden_processes(job.analysis)
        console.print(terminal_table(cutflow_table(stages.read_cutflow(job), hidden=hidden)))
    elif stage == "optimise":
        used, fitted = stages.used_count(job), job.analysis.mass is not None
        print_optimised(stages.load_results(job), console, used=used, before_fits=fitted)
    elif stage == "categorise":
        console.print(f"templates from: {stages.read_template_source(job)}", soft_wrap=True)
    elif stage == "sidebands":
        console.print(terminal_table(sideband_table(stages.load_fits(job))))
        if headline := stages.load_headline(job):
            console.print(headline.sentence(), soft_wrap=True)
    elif stage == "exports" and (content := stages.read_evaluation(job)) is not None:
        console.print(terminal_table(evaluation_table(content)))
        for line in content["explanations"]:
            console.print(line, soft_wrap=True)
        if content["warnings"]:
            console.print(warning_box(content["warnings"]))


def print_optimised(
    results: Mapping[int, Result],
    console: Console,
    *,
    used: int | None = None,
    before_fits: bool = False,
) -> None:
    """Figures of every number of categories, which is recommended, and what each holds."""
    from gato_coffea.optimisation.choice import recommendation_of
    from gato_coffea.optimisation.result_tables import (
        category_table,
        significance_table,
        uncertainty_table,
    )
    from gato_coffea.workflow.tables import fitting_tables, note_lines

    notes, yields = note_lines(results), next(iter(results.values())).yields
    console.print(f"signals: {', '.join(yields.signals)}", soft_wrap=True)
    console.print(f"backgrounds: {', '.join(yields.backgrounds)}", soft_wrap=True)
    table = significance_table(results, used=used, before_fits=before_fits)
    yardsticks = {name for result in results.values() for name in result.yardsticks}
    for part in fitting_tables(table, console.width, n_last=len(yardsticks)):
        console.print(part)
    if len(results) > 1:
        reason = recommendation_of(list(results.values())).reason
        console.print(f"recommended: {reason}", soft_wrap=True)
    for asked, result in results.items():
        tables = [category_table(result)]
        if result.uncertainties is not None:
            tables.append(uncertainty_table(result))
        for table in tables:
            for part in fitting_tables(table, console.width):
                console.print(part)
        for note in notes[asked]:
            console.print(f"  {note}", soft_wrap=True)
    for note in notes[None]:
        console.print(f"all: {note}", soft_wrap=True)
