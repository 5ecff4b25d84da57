"""Categories from the histograms of a file, where there are no events: the same files come out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from gato_coffea.config import Constraints
from gato_coffea.datasets.histogram_files import chosen_histograms
from gato_coffea.errors import InputError
from gato_coffea.workflow.inputs import fingerprints
from gato_coffea.workflow.results import SUMMARY, read_results, write_results
from gato_coffea.workflow.stage import Recorder

if TYPE_CHECKING:
    from gato_coffea.optimisation.result import Result

FROM_HISTOGRAMS = "from histograms"
"""Key of a stage that no analysis file takes for its own."""


def counts_of(words: Sequence[str]) -> Any:
    """Numbers of categories from words, or the one word auto.

    Raises
    ------
    InputError
        If a word is neither.

    Examples
    --------
    >>> counts_of(["3", "5"]), counts_of(["auto"])
    ([3, 5], 'auto')
    """
    if list(words) == ["auto"]:
        return "auto"
    for word in words:
        if not word.isdecimal() or int(word) < 1:
            raise InputError(
                f"n_categories: must be whole numbers above zero, or auto alone (got {word!r})"
            )
    return [int(word) for word in words]


def limits_of(
    *, min_effective: float, min_background: float, max_rel_unc: float | None
) -> Constraints:
    """Constraints from numbers.

    Raises
    ------
    InputError
        If a number is NaN or negative, or ``max_rel_unc`` is zero.
    """
    for key, value in (("min_effective", min_effective), ("min_background", min_background)):
        if not 0 <= value < float("inf"):
            raise InputError(f"constraints.{key}: must be a number from 0 on (got {value:g})")
    if max_rel_unc is not None and not 0 < max_rel_unc < float("inf"):
        raise InputError(
            f"constraints.max_rel_unc: must be a number above 0 (got {max_rel_unc:g}; 0.1 is 10 %)"
        )
    return Constraints(
        min_effective=min_effective, min_background=min_background, max_rel_unc=max_rel_unc
    )


def optimise_histograms(
    path: Path,
    output: Path,
    *,
    signals: Sequence[str],
    backgrounds: Sequence[str] | None = None,
    region: str | None = None,
    method: str = "gato",
    continued: bool = False,
    **settings: Any,
) -> dict[int, Result]:
    """Find categories in the histograms of a file, and write them to ``output/optimise``.

    Parameters
    ----------
    path
        As `gato_coffea.datasets.histogram_files.read_histograms` reads it.
    output
        Results directory.
    signals, backgrounds, region
        Names, as `gato_coffea.datasets.histogram_files.chosen_histograms` takes them.
    method, settings
        As `gato_coffea.optimise` takes them.
    continued
        Go on from the results that are in ``output``.

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
    from gato_coffea.optimisation.search import Method
    from gato_coffea.optimisation.settings import check_choice
    from gato_coffea.workflow.pipeline import STAGES, results_folder
    from gato_coffea.workflow.stages import optimiser

    check_choice("method", method, get_args(Method))  # before TensorFlow is loaded for it
    histograms = chosen_histograms(path, signals=signals, backgrounds=backgrounds, region=region)
    with results_folder(output):
        folder = output / "optimise"
        if continued:
            if not (folder / SUMMARY).is_file():
                raise InputError(f"continue: {folder} holds no results to go on from")
            settings["continue_from"] = list(read_results(folder).values())
        found: list[Result] = []

        def make(aside: Path) -> None:
            results = optimiser(method)(histograms, signals=signals, method=method, **settings)
            found.extend(results if isinstance(results, list) else [results])
            write_results(aside / "optimise", found)

        Recorder(output, settings.get("seed", 0), fingerprints([str(path)])).run(
            "optimise", make, place="optimise", key=FROM_HISTOGRAMS, forget=tuple(STAGES)
        )
    return {result.asked: result for result in found}
