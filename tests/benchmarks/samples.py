"""Training samples as files for both sides, and large test samples that neither has seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gato_coffea.datasets.toys import BACKGROUNDS, Kind, signals_of, toy_arrays, weakened_means
from gato_coffea.events.samples import Feature, FloatArray, Grid, Sample
from gato_coffea.files import replacing
from gato_coffea.optimisation.inputs import adapted_grid

TEST_SEED = 2_000_000
"""First seed of the test sample; the sample that the optimum is found on has twice that."""

BLOCK = 1_000_000
SIGNAL_PER_BACKGROUND = 0.1
FINE_CELLS, FINE_POINTS = 200_000, 20_000
"""Cells of one score, and occupied cells of two."""


@dataclass(frozen=True)
class Toy:
    """A toy of the benchmark: how it is made, and how many categories are asked of it."""

    name: str
    kind: Kind
    n_signal: int
    n_bkg: int
    counts: tuple[int, ...]
    noise_scale: float = 0.3
    means: Mapping[str, tuple[float, ...]] | None = None

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals."""
        return signals_of(self.kind)

    def arrays(self, *, n_signal: int, n_bkg: int, seed: int) -> dict[str, dict[str, FloatArray]]:
        """Events of each process: ``x`` without the redundant last score, and ``weight``."""
        arrays = toy_arrays(
            self.kind,
            n_signal=n_signal,
            n_bkg=n_bkg,
            seed=seed,
            noise_scale=self.noise_scale,
            means=self.means,
        )
        return {
            name: {
                "x": c["x"] if c["x"].ndim == 1 else np.ascontiguousarray(c["x"][:, :2]),
                "weight": c["weight"],
            }
            for name, c in arrays.items()
        }


TOYS = {
    toy.name: toy
    for toy in (
        Toy("1d", "1d", 100_000, 300_000, (5, 10, 20)),
        Toy("three-class", "three-class", 100_000, 500_000, (3, 5, 10, 20)),
        Toy("weak", "three-class", 100_000, 500_000, (5, 10), 0.1, weakened_means(0.5)),
    )
}


def training_file(toy: Toy, folder: Path, *, seed: int, fraction: float = 1.0) -> Path:
    """A training sample as a file that both sides read; made where it is missing."""
    n_signal, n_bkg = round(toy.n_signal * fraction), round(toy.n_bkg * fraction)
    path = folder / f"train_{toy.name}_{n_signal}_{n_bkg}_{seed}.npz"
    if not path.is_file():
        arrays = toy.arrays(n_signal=n_signal, n_bkg=n_bkg, seed=seed)
        flat = {f"{p}.{key}": a for p, c in arrays.items() for key, a in c.items()}
        with replacing(path) as aside:
            np.savez(aside, **flat)
    return path


def read_training_file(path: Path) -> dict[str, dict[str, FloatArray]]:
    """The columns of each process."""
    samples: dict[str, dict[str, FloatArray]] = {}
    with np.load(path) as file:
        for key in file.files:
            process, column = key.split(".")
            samples.setdefault(process, {})[column] = file[key]
    return samples


@dataclass(frozen=True)
class LargeSample:
    """Events of each process, all of one weight within a process.

    Events of a single discriminant are sorted.
    """

    signals: tuple[str, ...]
    x: Mapping[str, FloatArray]
    weight: Mapping[str, float]

    @property
    def backgrounds(self) -> tuple[str, ...]:
        """Names of the backgrounds."""
        return tuple(name for name in self.x if name not in self.signals)


def large_sample(toy: Toy, folder: Path, *, n_bkg: int, seed: int = TEST_SEED) -> LargeSample:
    """A large sample with a tenth as many events of each signal, made once and then read.

    Parameters
    ----------
    toy
        What to make.
    folder
        Where it is kept.
    n_bkg
        Background events in all.
    seed
        Seed of its first block of a million; the next block has the next seed.
    """
    path = folder / f"large_{toy.name}_{n_bkg}_{seed}.npz"
    if not path.is_file():
        _write_large(toy, path, n_bkg=n_bkg, seed=seed)
    with np.load(path) as file:
        names = [key for key in file.files if not key.endswith(".weight")]
        x = {name: file[name] for name in names}
        weight = {name: float(file[f"{name}.weight"]) for name in names}
    return LargeSample(toy.signals, x, weight)


def _blocks(toy: Toy, *, n_bkg: int, seed: int) -> Iterator[dict[str, dict[str, FloatArray]]]:
    """Events of each process in blocks; weights are those of all blocks together."""
    n_blocks = max(1, round(n_bkg / BLOCK))
    block = n_bkg // n_blocks
    for i in range(n_blocks):
        n_signal = round(block * SIGNAL_PER_BACKGROUND)
        arrays = toy.arrays(n_signal=n_signal, n_bkg=block, seed=seed + i)
        yield {name: {"x": c["x"], "weight": c["weight"] / n_blocks} for name, c in arrays.items()}


def _write_large(toy: Toy, path: Path, *, n_bkg: int, seed: int) -> None:
    parts: dict[str, list[FloatArray]] = {name: [] for name in (*toy.signals, *BACKGROUNDS)}
    weight = {}
    for arrays in _blocks(toy, n_bkg=n_bkg, seed=seed):
        for name, columns in arrays.items():
            parts[name].append(columns["x"])
            weight[f"{name}.weight"] = columns["weight"][0]
    joined = {name: np.concatenate(p) for name, p in parts.items()}
    if toy.kind == "1d":
        joined = {name: np.sort(x) for name, x in joined.items()}
    with replacing(path) as aside:
        np.savez(aside, **joined, **weight)


@dataclass(frozen=True)
class FineYields:
    """A very large sample as yields on a fine grid.

    ``signal`` has the shape ``(signals, cells)`` and ``background`` ``(cells,)``; ``unit`` is the
    smallest weight of a background event.
    """

    grid: Grid
    signal: FloatArray
    background: FloatArray
    unit: float


def fine_yields(toy: Toy, folder: Path, *, n_bkg: int, seed: int = 2 * TEST_SEED) -> FineYields:
    """Yields of a sample of its own, which the optimum is found on; kept in a file."""
    path = folder / f"fine_{toy.name}_{n_bkg}_{seed}.npz"
    features = tuple(
        Feature(f"x{d}", 0.0, 1.0, "logit") for d in range(1 if toy.kind == "1d" else 2)
    )
    if not path.is_file():
        _write_fine(toy, path, features, n_bkg=n_bkg, seed=seed)
    with np.load(path) as file:
        edges = tuple(file[f.name] for f in features)
        return FineYields(
            Grid(features, edges), file["signal"], file["background"], float(file["unit"])
        )


def _write_fine(
    toy: Toy, path: Path, features: tuple[Feature, ...], *, n_bkg: int, seed: int
) -> None:
    grid: Grid | None = None
    signal, background, unit = np.zeros(0), np.zeros(0), np.inf
    for arrays in _blocks(toy, n_bkg=n_bkg, seed=seed):
        if grid is None:
            grid = _fine_grid(features, arrays)
            signal = np.zeros((len(toy.signals), int(np.prod(grid.shape))))
            background = np.zeros(signal.shape[1])
        for name, columns in arrays.items():
            cell = grid.index(columns["x"].reshape(len(columns["x"]), -1))
            w = columns["weight"][0]
            into = signal[toy.signals.index(name)] if name in toy.signals else background
            into += w * np.bincount(cell[cell >= 0], minlength=len(background))
            if name not in toy.signals:
                unit = min(unit, w)
    assert grid is not None
    edges = {f.name: e for f, e in zip(features, grid.edges, strict=True)}
    with replacing(path) as aside:
        np.savez(aside, signal=signal, background=background, unit=unit, **edges)


def _fine_grid(features: tuple[Feature, ...], arrays: dict[str, dict[str, FloatArray]]) -> Grid:
    if len(features) == 1:
        return Grid.fine(features, n_cells=[FINE_CELLS])
    samples = {name: Sample(x=c["x"], weight=c["weight"]) for name, c in arrays.items()}
    return adapted_grid(features, samples, max_points=FINE_POINTS)
