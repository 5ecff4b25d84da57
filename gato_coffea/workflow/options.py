"""Options of the commands: their names, and what their help says."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gato_coffea.workflow.setting_options import HISTOGRAMS


def _binned(*names: str, help: str, **more: Any) -> Any:
    """An option that goes with histograms only."""
    return typer.Option(*names, help=help, rich_help_panel=HISTOGRAMS, **more)


class Executor(StrEnum):
    """How chunks of events are worked on."""

    iterative = "iterative"
    futures = "futures"
    dask = "dask"


class Toy(StrEnum):
    """Toys that can be written as ntuples."""

    one = "1d"
    three = "three-class"
    diphoton = "diphoton"


AnalysisPath = Annotated[
    Path, typer.Argument(metavar="ANALYSIS", help="An analysis file, or the folder it is in.")
]
MaybeAnalysis = Annotated[
    Path | None,
    typer.Argument(metavar="ANALYSIS", help="An analysis file, or the folder it is in."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        help="Results directory.",
        show_default="results beside ANALYSIS, or here",
    ),
]
ExecutorOption = Annotated[
    Executor, typer.Option("--executor", help="One process, several, or a dask cluster.")
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Worker processes.", show_default="one a core"),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler", metavar="ADDRESS", help="Address of a dask cluster that runs already."
    ),
]
Chunksize = Annotated[int, typer.Option("--chunksize", min=1, help="Events in a chunk.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]
SecondPass = Annotated[
    bool, typer.Option("--second-pass", help="Fill templates by reading the events again.")
]
Animate = Annotated[
    bool,
    typer.Option("--animate", help="Show the boundaries of one discriminant moving, as a GIF."),
]
Continue = Annotated[
    bool, typer.Option("--continue", help="Go on training from the results that are there.")
]
Force = Annotated[
    list[str] | None,
    typer.Option(
        "--force",
        metavar="STAGE",
        help="Stage to run again, with all that builds on it (repeatable), or all.",
    ),
]

FromHistograms = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Histograms by process (ROOT, UHI JSON, .coffea), without ANALYSIS. A .coffea file "
        "is unpickled, which runs code of whoever made it: give only your own.",
    ),
]
Region = Annotated[
    str | None,
    _binned("--region", metavar="REGION", help="Take the names REGION/... or REGION_... alone."),
]
Unweighted = Annotated[
    bool,
    _binned(
        "--unweighted",
        help="Entries of histograms without variances have weight one, all of them.",
    ),
]
