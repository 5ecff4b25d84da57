"""A pass over the first events of every dataset, to see what is wrong before all are read."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from coffea import nanoevents
from coffea.processor import Runner

from gato_coffea.config import Analysis
from gato_coffea.datasets import fileset
from gato_coffea.errors import GatoError, InputError
from gato_coffea.processing.executors import (
    SCHEMAS,
    QuietIterativeExecutor,
    work_items,
)
from gato_coffea.processing.failures import translated
from gato_coffea.processing.processed import Processed
from gato_coffea.processing.processor import GatoProcessor

CHUNK = 50_000
"""Events that are read at a time."""

FIRST_CHUNKS = 4
"""Chunks that are read of a dataset: seconds for most, and enough to see a wrong unit."""

logger = logging.getLogger(__name__)


def trial_problems(analysis: Analysis) -> tuple[str, ...]:
    """What a pass over all events would refuse, found with the first events of every dataset.

    What it would only point out is pointed out in the log; so is what it might refuse, where the
    first events are not all.
    """
    analysis = analysis.model_copy(update={"keep_columns": True})
    try:
        output, complete = _first_events(analysis)
    except GatoError as error:
        return (str(error),)
    for channel in analysis.channels or (None,):
        try:
            if channel is None:
                Processed.merged(output, analysis)
            else:
                Processed.merged(output[channel], analysis.channel(channel))
        except InputError as error:
            told = str(error) if channel is None else f"channels.{channel}: {error}"
            if complete:
                return (told,)
            logger.warning("of the first events of every dataset: %s", told)
    return ()


def _first_events(analysis: Analysis) -> tuple[dict[str, Any], bool]:
    """The added outputs of the first chunks, and whether these are all."""
    files = fileset(analysis)
    processor = GatoProcessor(analysis)
    runner = Runner(
        QuietIterativeExecutor(),
        chunksize=CHUNK,
        schema=getattr(nanoevents, SCHEMAS[analysis.schema_]),
        metadata_cache={},
    )
    try:
        work = list(work_items(runner, files))
        read: Counter[str] = Counter()
        chosen = []
        for item in work:
            if read[item.dataset] < FIRST_CHUNKS:
                read[item.dataset] += 1
                chosen.append(item)
        return runner(chosen, processor), len(chosen) == len(work)
    except GatoError:
        raise
    except Exception as error:  # coffea raises bare Exception; nothing is swallowed here
        raise translated(error, files) from error
