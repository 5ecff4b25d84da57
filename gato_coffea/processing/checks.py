"""Whether the outputs of all chunks are what the analysis has, and fit to be merged."""

from __future__ import annotations

import logging

from gato_coffea.categories.axes import NOMINAL
from gato_coffea.config import Analysis
from gato_coffea.errors import InputError
from gato_coffea.processing.layout import Layout
from gato_coffea.processing.output import LAST_STEP, SUM_OF_WEIGHTS, ChunkOutput, Outputs

logger = logging.getLogger(__name__)


def check_outputs(output: Outputs, analysis: Analysis) -> None:
    """Refuse outputs that are not what the analysis has, and too many values that are no numbers.

    Raises
    ------
    InputError
        If a dataset is missing, was collected otherwise than the analysis file says, has no
        entries or too many values that are not finite, or no event of a process is selected.
    """
    for name in analysis.datasets:
        if name not in output:
            raise InputError(f"datasets.{name}: no chunk of it was processed")
        part = output[name]
        _check_kind(name, part, analysis)
        _check_labels(name, part, analysis)
        hidden = analysis.is_blinded and analysis.is_from_data(name)
        if part["n_events"] == 0 and not hidden:
            raise InputError(f"datasets.{name}: the tree has no entries in any of its files")
        _check_values(name, part, analysis)
    _check_selected(output, analysis)


def _check_kind(name: str, part: ChunkOutput, analysis: Analysis) -> None:
    """Refuse chunks that were not collected as the data, or blinded, that the analysis has."""
    wanted = analysis.datasets[name].data
    if part["data"] != {wanted}:
        got = " and ".join(str(value) for value in sorted(part["data"]))
        raise InputError(
            f"datasets.{name}: data is {str(wanted).lower()} in the analysis file, but chunks "
            f"were collected with data={got} (Layout.of(analysis) tells collect)"
        )
    era = analysis.datasets[name].era
    if part["era"] != {era}:
        got = " and ".join(sorted(str(value) for value in part["era"]))
        raise InputError(
            f"datasets.{name}: era is {era} in the analysis file, but chunks were collected with "
            f"era={got}"
        )
    if len(part["channel"]) > 1:
        got = " and ".join(sorted(str(value) for value in part["channel"]))
        raise InputError(
            f"datasets.{name}: chunks of channels {got} were added up; keep the output of each "
            "channel apart"
        )
    blinding = Layout.of(analysis).blinding
    if analysis.is_from_data(name) and part["blinding"] != {blinding} and blinding:
        raise InputError(
            f"datasets.{name}: chunks were collected without the blinding of the analysis file "
            f"({', '.join(f'{key} {low:g} to {high:g}' for key, low, high in blinding)})"
        )


def _check_labels(name: str, part: ChunkOutput, analysis: Analysis) -> None:
    """Refuse processes and variations that nobody declared, or that were given for some events."""
    strange = {p for h in part["histograms"].values() for p in h.axes[0]} - {
        analysis.datasets[name].process
    }
    if strange:
        raise InputError(
            f"datasets.{name}: events are of process {min(strange)!r} (the analysis file has "
            f"{analysis.datasets[name].process!r})"
        )
    declared = analysis.variation_labels
    unknown = set(part["varied"]) - {NOMINAL, *declared}
    if unknown:
        raise InputError(
            f"datasets.{name}: variation {min(unknown)!r} is neither in weight.variations nor in "
            f"systematics of the analysis file (allowed: {', '.join(declared) or 'none'})"
        )
    for variation, count in part["varied"].items():
        if count != part["varied"][NOMINAL]:
            raise InputError(
                f"datasets.{name}: variation {variation!r} was given for {count} of "
                f"{part['varied'][NOMINAL]} events; it must be given for all or none"
            )


def _check_values(name: str, part: ChunkOutput, analysis: Analysis) -> None:
    """Refuse too many values that are not finite; tell of those, and of those out of range."""
    selected = part["cutflow"][LAST_STEP]["events"]
    for source, count in part["invalid"].items():
        of = part["n_events"] if source.startswith(SUM_OF_WEIGHTS) else selected
        text = f"datasets.{name}: {source}: {count} of {of} events are NaN or infinite"
        if count > analysis.max_invalid_fraction * of:
            raise InputError(
                f"{text} (allowed: max_invalid_fraction {analysis.max_invalid_fraction:g})"
            )
        if count:
            logger.warning("%s and left out", text)
    for source, count in part["out_of_range"].items():
        if count:
            logger.warning(
                "datasets.%s: %s: %d of %d selected events lie outside the declared range",
                *(name, source, count, selected),
            )


def _check_selected(output: Outputs, analysis: Analysis) -> None:
    for process in analysis.all_processes:
        names = [n for n, d in analysis.datasets.items() if d.process == process]
        if not sum(output[n]["cutflow"][LAST_STEP]["events"] for n in names):
            read = f"of {sum(output[n]['n_events'] for n in names)} events read"
            if analysis.is_blinded and any(analysis.is_from_data(n) for n in names):
                read = "outside of what is blinded"
            raise InputError(f"process {process!r}: no event passes the selection ({read})")
