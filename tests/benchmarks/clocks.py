"""How long the compiled training steps take."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import tensorflow as tf

from gato_coffea.optimisation.training import descent as training


@dataclass
class Batch:
    """One batch of trainings: its shape, and the wall time of every compiled call."""

    training_sets: int
    restarts: int
    categories: int
    points: int
    chunk_s: list[float] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)

    @property
    def epoch_s(self) -> float:
        """Time of an epoch, compilation not counted; NaN where no later call ran any."""
        calls = zip(self.chunk_s[1:], self.epochs[1:], strict=True)
        later = [t / n for t, n in calls if n]
        return median(later) if later else float("nan")


@contextmanager
def batches_timed() -> Iterator[list[Batch]]:
    """The batches that are trained inside the block, as they come."""
    batches: list[Batch] = []
    original = training._Step

    class TimedStep(original):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            restarts, categories = self.alive.shape
            batch = Batch(self.data.shape[0], restarts, categories, self.data.shape[-1])
            batches.append(batch)
            compiled = self.chunk

            def chunk(*values: Any) -> Any:
                begin = time.perf_counter()
                result = compiled(*values)
                tf.nest.flatten(result)[-1].numpy()  # wait for the result
                batch.chunk_s.append(time.perf_counter() - begin)
                batch.epochs.append(int(values[-1]))
                return result

            self.chunk = chunk

    training._Step = TimedStep  # type: ignore[misc]
    try:
        yield batches
    finally:
        training._Step = original  # type: ignore[misc]


def peak_memory_mb() -> float:
    """Largest resident size of this process so far, in MB."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (1e6 if sys.platform == "darwin" else 1e3)
