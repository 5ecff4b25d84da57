"""The command line: a command per stage; each parses, calls one function, and prints."""

from __future__ import annotations

import json
import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from gato_coffea.errors import GatoError
from gato_coffea.workflow import options as opt
from gato_coffea.workflow.printing import print_optimised, print_stage
from gato_coffea.workflow.setting_options import HISTOGRAMS, settings_of, with_setting_options

if TYPE_CHECKING:
    from gato_coffea.workflow.stages import Job

USER_ERROR = 2

SHOWS_ALL = (
    "Everything in the file is shown and looked at, data in the signal window too: blinding "
    "comes with the analysis file."
)

app = typer.Typer(
    help="Event categories with the best expected significance, from ROOT ntuples to plots.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log progress.")] = False,
) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    if verbose:
        logging.getLogger("gato_coffea").setLevel(logging.INFO)


def _console() -> Console:
    """A terminal, or a file as wide as the tables."""
    console = Console(markup=False, emoji=False)  # what stands in brackets is the user's text
    if not console.is_terminal:
        console.width = 160
    return console


def _job(
    path: Path,
    output: Path | None,
    *,
    executor: opt.Executor = opt.Executor.iterative,
    workers: int | None = None,
    scheduler: str | None = None,
    chunksize: int = 100_000,
    quiet: bool = False,
    second_pass: bool = False,
    continued: bool = False,
    animate: bool = False,
) -> Job:
    from gato_coffea.config import read_analysis
    from gato_coffea.workflow.stages import Job

    return Job.of(
        read_analysis(path),
        output=output,
        executor=executor.value,
        workers=workers,
        scheduler=scheduler,
        chunksize=chunksize,
        progress=not quiet and sys.stderr.isatty(),
        second_pass=second_pass,
        continued=continued,
        animate=animate,
    )


@app.command()
def check(analysis: opt.AnalysisPath) -> None:
    """Compare an analysis file with the files that it names."""
    from gato_coffea.config import load_functions, read_analysis
    from gato_coffea.datasets.check import check_analysis
    from gato_coffea.optimisation.settings import check_method
    from gato_coffea.plots.labels import check_labels
    from gato_coffea.workflow.preparation import make_ntuples
    from gato_coffea.workflow.tables import dataset_table

    read = read_analysis(analysis)
    load_functions(read)
    check_labels(read)
    check_method(read.optimise.method)
    make_ntuples(read)
    rows = check_analysis(read)
    _console().print(dataset_table(rows))
    missing = [problem for row in rows for problem in row.missing]
    if not missing:
        from gato_coffea.processing.trial import trial_problems

        missing = list(trial_problems(read))
    for problem in missing:
        print(problem, file=sys.stderr)
    if missing:
        raise typer.Exit(USER_ERROR)


@app.command()
def inspect(file: Annotated[str, typer.Argument(metavar="FILE", help="A ROOT file.")]) -> None:
    """List the trees and branches of a ROOT file, and print an analysis file to start from."""
    from gato_coffea.datasets.check import inspect_file, starting_yaml
    from gato_coffea.workflow.tables import tree_tables

    trees = inspect_file(file)
    console = _console()
    console.print(SHOWS_ALL, soft_wrap=True)
    for table in tree_tables(trees):
        console.print(table)
    print(starting_yaml(file, trees))


@app.command()
def keys(
    section: Annotated[
        str | None,
        typer.Argument(metavar="SECTION", help="A key, such as mass or optimise.constraints."),
    ] = None,
    json_schema: Annotated[
        bool, typer.Option("--json-schema", help="Print a JSON schema, for editors of YAML.")
    ] = False,
) -> None:
    """List the keys of the analysis file with meaning, unit, allowed values and default."""
    from gato_coffea.config import reference

    if json_schema:
        print(json.dumps(reference.json_schema(), indent=1))
        return
    for key in reference.every_key(section):
        print(key.text())


@app.command()
def toy(
    kind: Annotated[opt.Toy, typer.Argument(help="Which toy.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the ntuples go.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same events.")] = 42,
) -> None:
    """Write a toy as ROOT ntuples, several files a process."""
    from gato_coffea.datasets.ntuples import write_toy_ntuples
    from gato_coffea.workflow.folder import require_writable

    require_writable(output)
    files = write_toy_ntuples(kind.value, output, seed=seed)
    for process, paths in files.items():
        print(f"{process}: {', '.join(path.name for path in paths)}")


@app.command()
def process(
    analysis: opt.AnalysisPath,
    output: opt.Output = None,
    executor: opt.ExecutorOption = opt.Executor.iterative,
    workers: opt.Workers = None,
    scheduler: opt.Scheduler = None,
    chunksize: opt.Chunksize = 100_000,
    quiet: opt.Quiet = False,
) -> None:
    """Read the events: histograms, columns, cut flow."""
    job = _job(
        analysis,
        output,
        executor=executor,
        workers=workers,
        scheduler=scheduler,
        chunksize=chunksize,
        quiet=quiet,
    )
    from gato_coffea.workflow.preparation import make_ntuples

    make_ntuples(job.analysis)
    _run_stage(job, "process")


@app.command()
@with_setting_options
def optimise(
    context: typer.Context,
    analysis: opt.MaybeAnalysis = None,
    output: opt.Output = None,
    quiet: opt.Quiet = False,
    continued: opt.Continue = False,
    from_histograms: opt.FromHistograms = None,
    region: opt.Region = None,
    unweighted: opt.Unweighted = False,
    **options: Any,
) -> None:
    """Find the categories, and say how good they are on events they were not trained on."""
    settings = settings_of(options)
    if from_histograms is None:
        _refuse_binned_options(context)
        if analysis is None:
            raise typer.BadParameter("give ANALYSIS or --from-histograms FILE")
        _run_stage(_job(analysis, output, quiet=quiet, continued=continued), "optimise")
        return
    if analysis is not None or "signals" not in settings:
        raise typer.BadParameter("--from-histograms needs --signal, and no ANALYSIS")
    from gato_coffea.workflow.from_histograms import optimise_histograms

    results = optimise_histograms(
        from_histograms,
        output or Path("results"),
        region=region,
        continued=continued,
        unweighted=unweighted,
        progress=not quiet and sys.stderr.isatty(),
        **settings,
    )
    print_optimised(results, _console())


def _refuse_binned_options(context: typer.Context) -> None:
    """An analysis file says these things itself: an option beside it would be ignored."""
    given = []
    for option in context.command.params:
        source = context.get_parameter_source(str(option.name))
        binned = getattr(option, "rich_help_panel", None) == HISTOGRAMS
        if binned and source is not None and source.name == "COMMANDLINE":
            given.append(", ".join(option.opts))
    if given:
        raise typer.BadParameter(
            f"{', '.join(given)} only with --from-histograms: the section optimise of the "
            "analysis file says this"
        )


@app.command()
def categorise(
    analysis: opt.AnalysisPath,
    output: opt.Output = None,
    second_pass: opt.SecondPass = False,
    executor: opt.ExecutorOption = opt.Executor.iterative,
    workers: opt.Workers = None,
    scheduler: opt.Scheduler = None,
    chunksize: opt.Chunksize = 100_000,
    quiet: opt.Quiet = False,
) -> None:
    """Fill the templates of the categories."""
    job = _job(
        analysis,
        output,
        executor=executor,
        workers=workers,
        scheduler=scheduler,
        chunksize=chunksize,
        quiet=quiet,
        second_pass=second_pass,
    )
    _run_stage(job, "categorise")


@app.command()
def sidebands(analysis: opt.AnalysisPath, output: opt.Output = None) -> None:
    """Fit the mass sidebands of every category."""
    _run_stage(_job(analysis, output), "sidebands")


@app.command()
def exports(analysis: opt.AnalysisPath, output: opt.Output = None) -> None:
    """Write the results in the forms that combine, pyhf and others read."""
    _run_stage(_job(analysis, output), "exports")


@app.command()
def plots(
    analysis: opt.AnalysisPath, output: opt.Output = None, animate: opt.Animate = False
) -> None:
    """Draw all figures."""
    _run_stage(_job(analysis, output, animate=animate), "plots")


@app.command()
def report(analysis: opt.AnalysisPath, output: opt.Output = None) -> None:
    """Write one HTML page about the results."""
    _run_stage(_job(analysis, output), "report")


@app.command()
def run(
    analysis: opt.AnalysisPath,
    output: opt.Output = None,
    executor: opt.ExecutorOption = opt.Executor.iterative,
    workers: opt.Workers = None,
    scheduler: opt.Scheduler = None,
    chunksize: opt.Chunksize = 100_000,
    quiet: opt.Quiet = False,
    force: opt.Force = None,
) -> None:
    """Do everything that is not up to date, in order."""
    from gato_coffea.workflow.pipeline import run_all
    from gato_coffea.workflow.tables import stage_table

    job = _job(
        analysis,
        output,
        executor=executor,
        workers=workers,
        scheduler=scheduler,
        chunksize=chunksize,
        quiet=quiet,
    )
    console = _console()

    reports = run_all(job, force=force or (), ended=partial(print_stage, job, console))
    console.print(stage_table(reports))
    console.print(f"Results: {job.output}", soft_wrap=True)


def _run_stage(job: Job, stage: str) -> None:
    from gato_coffea.workflow.pipeline import run_stage
    from gato_coffea.workflow.tables import stage_table

    console = _console()
    done = run_stage(job, stage)
    print_stage(job, console, done)
    console.print(stage_table([done]))


def main() -> None:
    """Entry point: what the user can put right is one line on stderr, and exit code 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        app()
    except GatoError as error:
        print(f"gato-coffea: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(USER_ERROR)
