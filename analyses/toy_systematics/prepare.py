"""Toy of one score with systematic uncertainties -> ROOT ntuples with a branch for each variation.

Another energy scale moves the score of every event, and a model of the backgrounds gives their
events other weights. What `varied` does to scores and weights is all there is to know of them.
"""

from pathlib import Path

import numpy as np
import uproot
from scipy.special import expit, logit

from gato_coffea.datasets.toys import CROSS_SECTIONS_PB, toy_arrays
from gato_coffea.files import replacing

N_SIGNAL, N_BACKGROUND = 100_000, 300_000
SCALE = 0.10
"""How far the logit of every score moves at one standard deviation."""

TILT = 0.15
"""Change of a background's weight at a score of 1; at 0 it is the opposite."""


def prepare(directory: Path) -> None:
    """Write a file a process with scores, weights, their variations and event numbers."""
    toy = toy_arrays("1d", n_signal=N_SIGNAL, n_bkg=N_BACKGROUND, seed=42)
    for number, (process, columns) in enumerate(toy.items(), start=1):
        score = columns["x"]
        branches = {"score": score, **varied(score, is_signal=process == "signal")}
        branches["genWeight"] = np.full(len(score), CROSS_SECTIONS_PB[process])
        branches["run"] = np.full(len(score), number, dtype=np.int64)
        branches["event"] = np.arange(len(score))
        with replacing(directory / f"{process}.root") as aside, uproot.recreate(aside) as file:
            file.mktree("Events", {name: values.dtype for name, values in branches.items()})
            file["Events"].extend(branches)


def varied(score: np.ndarray, *, is_signal: bool) -> dict[str, np.ndarray]:
    """Scores and factors on the weight at plus and at minus one standard deviation."""
    tilt = np.zeros_like(score) if is_signal else TILT * (2 * score - 1)
    return {
        "score_up": expit(logit(score) + SCALE),
        "score_down": expit(logit(score) - SCALE),
        "tilt_up": 1 + tilt,
        "tilt_down": 1 - tilt,
    }
