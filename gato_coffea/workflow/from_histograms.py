"""Categories from the histograms of a file, where there are no events: the same files come out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gato_coffea.datasets.histogram_files import chosen_histograms
from gato_coffea.errors import InputError
from gato_coffea.workflow.inputs import fingerprints
from gato_coffea.workflow.results import SUMMARY, read_results, write_results
from gato_coffea.workflow.stage import Recorder

if TYPE_CHECKING:
    from gato_coffea.optimisation.result import Result

FROM_HISTOGRAMS = "from histograms"
"""Key of a stage that no analysis file takes for its own."""


def optimise_histograms(
    path: Path,
    output: Path,
    *,
    region: str | None = None,
    continued: bool = False,
    unweighted: bool = False,
    progress: bool = False,
    **settings: Any,
) -> dict[int, Result]:
    """Find categories in the histograms of a file, and write them to ``output/optimise``.

    Parameters
    ----------
    path
        As `gato_coffea.datasets.histogram_files.read_histograms` reads it.
    output
        Results directory.
    region
        As `gato_coffea.datasets.histogram_files.chosen_histograms` takes it.
    continued
        Go on from the results that are in ``output``.
    unweighted, progress, settings
        As `gato_coffea.optimise` takes them.

    Returns
    -------
    dict
        Result by number of categories asked.

    Raises
    ------
    InputError, OptimisationError
        If the file lacks a name, or there are no such categories.
    OutputError
        If the results cannot be written.
    """
    from gato_coffea.optimisation.settings import checked_settings
    from gato_coffea.workflow.pipeline import STAGES, results_folder
    from gato_coffea.workflow.stages import optimiser

    asked = checked_settings(settings)  # before TensorFlow is loaded
    histograms = chosen_histograms(
        path, signals=asked.signals, backgrounds=asked.backgrounds, region=region
    )
    # Which histograms are backgrounds was chosen by their names in the file.
    options: dict[str, Any] = asked.arguments() | {"backgrounds": None}
    with results_folder(output):
        folder = output / "optimise"
        if continued:
            if not (folder / SUMMARY).is_file():
                raise InputError(f"continue: {folder} holds no results to go on from")
            options["continue_from"] = list(read_results(folder).values())
        found: list[Result] = []

        def make(aside: Path) -> None:
            found.extend(
                optimiser(asked.method)(
                    histograms, unweighted=unweighted, progress=progress, **options
                )
            )
            write_results(aside / "optimise", found)

        Recorder(output, asked.seed, fingerprints([str(path)])).run(
            "optimise", make, place="optimise", key=FROM_HISTOGRAMS, forget=tuple(STAGES)
        )
    return {result.asked: result for result in found}
