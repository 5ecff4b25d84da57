"""What a chunk gives: a plain mapping of things that add, and the type of each of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import hist

from gato_coffea.errors import InputError
from gato_coffea.events.columns import read_columns, write_columns
from gato_coffea.events.samples import Cells, Sample

FIRST_STEP, LAST_STEP = "all", "selected"
"""Steps of the cut flow before the first requirement, and after the last."""

SUM_OF_WEIGHTS = "sum_of_weights"
"""Where a NaN among the generator weights is counted."""


class Step(TypedDict):
    """What is left at a step of the cut flow: events, and the sum of their weights."""

    events: int
    weighted: float


Cutflow = dict[str, Step]


@dataclass(frozen=True, kw_only=True)
class Block:
    """Selected events of one chunk: held here, or in a file that a worker has written.

    Attributes
    ----------
    key
        Dataset, file and first entry of the chunk: sorts the blocks whatever order they come in.
    process
        Physics process of the events.
    n
        Number of events.
    events
        The events, or None where they lie in a file.
    path
        The file, or None where the events are held here.
    """

    key: tuple[str, str, int]
    process: str
    n: int
    events: Sample | None = None
    path: str | None = None

    @classmethod
    def of(
        cls,
        sample: Sample,
        key: tuple[str, str, int],
        process: str,
        *,
        spool: str | Path | None,
        channel: str | None = None,
    ) -> Block:
        """A block of events, which are written to the folder ``spool`` if there is one.

        The name of the file is made of the chunk's identity: a chunk that is tried again writes
        the same file again.
        """
        if spool is None:
            return cls(key=key, process=process, n=len(sample), events=sample)
        identity = "|".join(map(str, (*key, process, *([] if channel is None else [channel]))))
        name = hashlib.sha256(identity.encode()).hexdigest()[:24]
        path = Path(spool) / key[0] / f"{name}.npz"
        write_columns(path, sample)
        return cls(key=key, process=process, n=len(sample), path=str(path))

    def sample(self) -> Sample:
        """The events, read from their file if they lie in one.

        Raises
        ------
        InputError
            If the file is missing or damaged.
        """
        if self.events is not None:
            return self.events
        if self.path is None:
            raise InputError(f"{self.key[1]}: the block holds neither events nor a file of them")
        return read_columns(self.path)


class ChunkOutput(TypedDict):
    """Output of the chunks of one dataset.

    ``varied`` counts the selected events that each variation was given for. ``data``, ``era``,
    ``channel`` and ``blinding`` hold what the chunks were collected as, so that more than one
    entry is a mistake.
    """

    histograms: dict[str, hist.Hist[Any]]
    cutflow: Cutflow
    sumw: float
    sumw_variations: dict[str, float]
    n_events: int
    varied: dict[str, int]
    invalid: dict[str, int]
    out_of_range: dict[str, int]
    data: set[bool]
    era: set[str | None]
    channel: set[str | None]
    blinding: set[tuple[tuple[str, float, float], ...]]
    columns: NotRequired[list[Block]]
    cells: NotRequired[dict[str, Cells]]
    templates: NotRequired[hist.Hist[Any]]


Outputs = Mapping[str, ChunkOutput]
"""Added outputs of chunks, by dataset."""

ChannelOutputs = Mapping[str, Outputs]
"""Added outputs of chunks, by channel and dataset."""
