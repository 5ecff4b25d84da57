"""Processes of both sides: started, timed by wall clock, and read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class PeerRun:
    """One training of the peer.

    Attributes
    ----------
    epochs
        How many were run.
    epoch_s
        Wall time of an epoch, the first, which compiles, not counted.
    first_s
        Wall time of the first epoch.
    start_s
        From the start of the process until the sample was in memory.
    whole_s
        From the start of the process until the result was on disk.
    parameters
        ``means``, ``scale_tril`` and ``log_weights`` of the mixture.
    """

    n_categories: int
    epochs: int
    epoch_s: float
    first_s: float
    start_s: float
    whole_s: float
    parameters: dict[str, Any]

    def loops_s(self, epochs: int) -> float:
        """Time of so many epochs, compilation not counted."""
        return self.epoch_s * epochs

    def scaled_whole_s(self, epochs: int) -> float:
        """Time of the whole process, had it run so many epochs."""
        return self.whole_s + self.epoch_s * (epochs - self.epochs)


def _run(command: Sequence[str | Path], log: Path) -> float:
    """Run a command; the time at which it was started. Its messages go to a file."""
    begin = time.time()
    with log.open("w") as file:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
    if process.wait():
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{log.read_text()[-3000:]}")
    return begin


def run_peer(
    python: Path, sample: Path, folder: Path, *, n: int, epochs: int, full: int, seed: int
) -> PeerRun:
    """Train the peer once in its own interpreter; the schedules are those of ``full`` epochs."""
    output = folder / f"peer_{sample.stem}_{n}_{epochs}.json"
    command: list[str | Path] = [python, HERE / "peer_training.py", sample, output]
    command += ["--n-categories", str(n), "--epochs", str(epochs)]
    command += ["--schedule-epochs", str(full), "--seed", str(seed)]
    begin = _run(command, output.with_suffix(".log"))
    found = json.loads(output.read_text())
    first, *later = found["epoch_s"]
    return PeerRun(
        n_categories=n,
        epochs=epochs,
        epoch_s=sum(later) / len(later),
        first_s=first,
        start_s=found["ready"] - begin,
        whole_s=found["finished"] - begin,
        parameters={key: found[key] for key in ("means", "scale_tril", "log_weights")},
    )


def run_own(
    samples: Sequence[Path],
    folder: Path,
    *,
    signals: Sequence[str],
    calls: Sequence[Sequence[int]],
) -> dict[Path, list[dict[str, Any]]]:
    """Optimise every sample, once for each list of numbers of categories, in one new process.

    Returns
    -------
    dict
        For each sample and call ``results``, ``call_s`` and ``whole_s``: from the start of the
        process until the call's result was on disk.
    """
    command: list[str | Path] = [sys.executable, HERE / "own_training.py", *samples]
    command += ["--results", folder, "--signals", *signals]
    for counts in calls:
        command += ["--counts", ",".join(map(str, counts))]
    begin = _run(command, folder / f"own_{samples[0].stem}.log")
    found = {}
    for path in samples:
        contents = [
            json.loads((folder / f"{path.stem}_{i}.json").read_text()) for i in range(len(calls))
        ]
        found[path] = [c | {"whole_s": c["finished"] - begin} for c in contents]
    return found
