"""Options of the commands: their names, and what their help says."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

HISTOGRAMS = "With --from-histograms"
"""Panel of the options that an analysis file replaces."""


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
        help="Run a stage again, and what builds on it; once for each, or all.",
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
Signal = Annotated[
    list[str] | None,
    _binned("--signal", metavar="NAME", help="A signal; once for each, needed."),
]
Background = Annotated[
    list[str] | None,
    _binned(
        "--background",
        metavar="NAME",
        help="A background; once for each.",
        show_default="all but signals, data and variations",
    ),
]
Region = Annotated[
    str | None,
    _binned("--region", metavar="REGION", help="Take the names REGION/... or REGION_... alone."),
]
NCategories = Annotated[
    list[str] | None,
    _binned(
        "-k",
        metavar="K",
        help="Number of categories, once for each, or auto.",
        show_default="3, 5 and 10",
    ),
]
Method = Annotated[
    str, _binned("--method", metavar="gato|exact|lloyd", help="Train, or partition the bins.")
]
Kind = Annotated[
    str,
    _binned(
        "--kind",
        metavar="mixture|edges",
        help="What gato trains: a Gaussian mixture, or rectangular bins.",
    ),
]
Combination = Annotated[
    str,
    _binned(
        "--combination",
        metavar="geometric|quadrature|sum",
        help="One figure from the significances of several signals.",
    ),
]
MinEffective = Annotated[
    float, _binned("--min-effective", help="Effective background entries a category needs.")
]
MinBackground = Annotated[
    float, _binned("--min-background", help="Background yield a category needs.")
]
MaxRelUnc = Annotated[
    float | None,
    _binned(
        "--max-rel-unc",
        help="Largest relative uncertainty of a category's background by finite simulation; "
        "0.1 is 10 %.",
        show_default="no limit",
    ),
]
McUncertainty = Annotated[
    bool,
    _binned(
        "--mc-uncertainty/--statistics-only",
        help="Whether the significance counts the background's uncertainty by finite simulation.",
    ),
]
Unweighted = Annotated[
    bool,
    _binned(
        "--unweighted",
        help="Entries of histograms without variances have weight one, all of them.",
    ),
]
Systematic = Annotated[
    float,
    _binned(
        "--systematic",
        help="Relative systematic uncertainty of each category's background in the significance.",
    ),
]
Folds = Annotated[
    int, _binned("--folds", help="Parts of the entries, each of which is held out once.")
]
Restarts = Annotated[int, _binned("--restarts", help="Trainings side by side; the best counts.")]
Epochs = Annotated[int, _binned("--epochs", help="Largest number of epochs of a training.")]
Seed = Annotated[int, _binned("--seed", help="Same seed, same result.")]
