"""Training against gato-hep: time and significance on the same events, side by side.

Three toys: one score (``1d``), three classes (``three-class``), and three classes whose signals
are hard to tell from the background (``weak``). See README.md in this folder.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import baselines
import evaluation
import numpy as np
import tables
import training_tables
from rounds import PeerRun, run_own, run_peer
from samples import TOYS, LargeSample, Toy, fine_yields, large_sample, read_training_file
from samples import training_file as write_training_file

from gato_coffea.categories import from_dict

FULL_EPOCHS = 250
FIRST_SEED = 42

REPEATS = 3
"""Timed calls of each kind in a process, of which the median is quoted."""


@dataclass(frozen=True)
class Settings:
    """What is asked on the command line."""

    peer: Path | None
    peer_toys: tuple[str, ...]
    epochs: int
    seeds: dict[str, int]
    peer_seeds: int
    fraction: float
    test_background: int
    reference_background: int
    cache: Path


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def compare(toy: Toy, settings: Settings) -> dict[str, Any]:
    """Everything about one toy."""
    seeds = range(FIRST_SEED, FIRST_SEED + settings.seeds[toy.name])
    files = {
        s: write_training_file(toy, settings.cache, seed=s, fraction=settings.fraction)
        for s in seeds
    }
    say(f"{toy.name}: test sample of {settings.test_background:.3g} background events")
    test = large_sample(toy, settings.cache, n_bkg=settings.test_background)
    optimum = optima(toy, test, settings)
    with tempfile.TemporaryDirectory(dir=settings.cache) as name:
        folder = Path(name)
        timing, peers, own = alternate(toy, files[FIRST_SEED], settings, folder)
        samples = {FIRST_SEED: own}
        more = [files[s] for s in seeds if s != FIRST_SEED]
        if more:
            say(f"{toy.name}: {len(more)} more samples")
            found = run_own(more, folder, signals=toy.signals, calls=[toy.counts])
            samples |= {s: found[files[s]][0] for s in seeds if s != FIRST_SEED}
        peer_z = {FIRST_SEED: peer_figures(peers, files[FIRST_SEED], test, toy)}
        for s in list(seeds)[1 : settings.peer_seeds] if peers else []:
            runs = [_peer(n, files[s], settings, folder, seed=s) for n in toy.counts]
            peer_z[s] = peer_figures(runs, files[s], test, toy)
    say(f"{toy.name}: significances on the test sample")
    return {
        "toy": toy.name,
        "counts": list(toy.counts),
        "epochs": settings.epochs,
        "fraction": settings.fraction,
        "test_background": settings.test_background,
        "reference_background": settings.reference_background,
        "timing": timing,
        "optimum": optimum,
        "baselines": baseline_figures(toy, files[FIRST_SEED], test),
        "own": {s: own_figures(found, test) for s, found in samples.items()},
        "own_call_s": {s: found["call_s"] for s, found in samples.items()},
        "peer": peer_z,
    }


def _peer(n: int, sample: Path, settings: Settings, folder: Path, *, seed: int) -> PeerRun:
    assert settings.peer is not None
    say(f"{sample.stem}: peer, {n} categories, {settings.epochs} epochs")
    run = run_peer(
        settings.peer, sample, folder, n=n, epochs=settings.epochs, full=FULL_EPOCHS, seed=seed
    )
    say(f"{sample.stem}: peer, {n} categories: {run.whole_s:.0f} s, {run.epoch_s:.3f} s an epoch")
    return run


def alternate(
    toy: Toy, sample: Path, settings: Settings, folder: Path
) -> tuple[dict[str, Any], list[PeerRun], dict[str, Any]]:
    """The peer and gato_coffea by turns, one round for each number of categories.

    In every round gato_coffea is a new process. It makes `REPEATS` calls for all numbers of
    categories after a first one, which compiles and which the time of a whole process is taken
    from; and the same for this round's alone.
    """
    peers, rounds, whole, first = [], [], [], {}
    for n in toy.counts:
        if settings.peer is not None and toy.name in settings.peer_toys:
            peers.append(_peer(n, sample, settings, folder, seed=FIRST_SEED))
        say(f"{sample.stem}: gato_coffea; calls for {toy.counts}, then for {n}")
        calls = [toy.counts] * (1 + REPEATS) + [(n,)] * (1 + REPEATS)
        found = run_own([sample], folder, signals=toy.signals, calls=calls)[sample]
        first = first or found[0]
        rounds.append([f["call_s"] for f in found])
        whole.append(found[0]["whole_s"])
    together = [r[1 : 1 + REPEATS] for r in rounds]
    alone = [r[-REPEATS:] for r in rounds]
    timing: dict[str, Any] = {
        "own_s": float(np.median(together)),
        "own_all_s": together,
        "own_whole_s": median(whole),
        "own_each_s": [median(calls) for calls in alone],
        "own_each_all_s": alone,
    }
    if peers:
        starts = median(p.start_s for p in peers)
        timing |= {
            "peer_each_s": [p.loops_s(FULL_EPOCHS) for p in peers],
            "peer_s": sum(p.loops_s(FULL_EPOCHS) for p in peers),
            # One process could train all numbers of categories: its start is counted once.
            "peer_whole_s": sum(p.scaled_whole_s(FULL_EPOCHS) for p in peers)
            - (len(peers) - 1) * starts,
            "peer_first_epoch_s": [p.first_s for p in peers],
            "peer_start_s": starts,
        }
    return timing, peers, first


def _as_large(toy: Toy, sample: Path) -> LargeSample:
    """A training sample in the form of a test sample."""
    columns = read_training_file(sample)
    x = {p: np.sort(c["x"]) if toy.kind == "1d" else c["x"] for p, c in columns.items()}
    return LargeSample(toy.signals, x, {p: float(c["weight"][0]) for p, c in columns.items()})


def optima(toy: Toy, test: LargeSample, settings: Settings) -> dict[int, dict[str, float]]:
    """The best categories of a very large sample of its own: there, and on the test sample."""
    n_bkg = settings.reference_background
    say(f"{toy.name}: optimum of {n_bkg:.3g} background events")
    fine = fine_yields(toy, settings.cache, n_bkg=n_bkg)
    found = {}
    if toy.kind == "1d":
        edges = evaluation.optimum_in_row(fine, toy.counts)
        own = evaluation.optimum_in_row(evaluation.fine_yields_of(test, fine), toy.counts)
        for n in toy.counts:
            found[n] = {
                "population": evaluation.significance_on_fine(fine, edges[n]),
                "test": evaluation.significance_of_edges(test, edges[n]),
                "of_test_itself": evaluation.significance_of_edges(test, own[n]),
            }
    else:
        for n in toy.counts:
            label, value = evaluation.optimum_in_plane(fine, n)
            z = evaluation.significance_in_plane(test, label, n)
            found[n] = {"population": value, "test": z}
    return found


def baseline_figures(toy: Toy, sample: Path, test: LargeSample) -> dict[int, dict[str, float]]:
    """What users have without an optimiser, on the test sample."""
    if toy.kind == "1d":
        return {n: {"equidistant": baselines.equidistant(test, n)} for n in toy.counts}
    training, found = _as_large(toy, sample), {}
    for n in toy.counts:
        edges = baselines.argmax_optimal_edges(training, n)
        found[n] = {
            "arg-max equidistant": baselines.argmax_equidistant(test, n),
            "arg-max optimal": baselines.argmax_significance(test, edges),
        }
    return found


def own_figures(found: dict[str, Any], test: LargeSample) -> dict[int, dict[str, float]]:
    """What a call quotes, and what the test sample says, for each number of categories."""
    return {
        r["asked"]: {
            "kept": r["kept"],
            "quoted": r["held_out"]["combined"],
            "spread": r["held_out"]["spread"],
            "training": r["training"]["combined"],
            "test": evaluation.significance(test, from_dict(r["categories"])),
        }
        for r in found["results"]
    }


def peer_figures(
    runs: list[PeerRun], sample: Path, test: LargeSample, toy: Toy
) -> dict[int, dict[str, float]]:
    """Significance of the peer's categories on its training sample and on the test sample."""
    if not runs:
        return {}
    training, found = _as_large(toy, sample), {}
    for run in runs:
        categories = evaluation.plain_mixture(**run.parameters)
        found[run.n_categories] = {
            "training": evaluation.significance(training, categories),
            "test": evaluation.significance(test, categories),
        }
    return found


def main() -> None:
    """Run the benchmark and write its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, help="the peer's Python; without it the peer rests")
    parser.add_argument("--peer-toys", nargs="+", choices=list(TOYS), default=list(TOYS))
    parser.add_argument("--toys", nargs="+", choices=list(TOYS), default=list(TOYS))
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[1],
        help="training samples, seed 42 and on: one number for all toys, or one for each",
    )
    parser.add_argument("--peer-seeds", type=int, default=1, help="samples the peer is trained on")
    parser.add_argument("--epochs", type=int, default=FULL_EPOCHS, help="epochs of the peer")
    parser.add_argument("--fraction", type=float, default=1.0, help="of the training events")
    parser.add_argument("--test-background", type=float, default=1e7)
    parser.add_argument("--reference-background", type=float, default=5e7)
    parser.add_argument("--cache", type=Path, help="folder for samples that are made once")
    parser.add_argument("--output", type=Path, help="Markdown file; JSON is written beside it")
    options = parser.parse_args()
    seeds = options.seeds if len(options.seeds) > 1 else options.seeds * len(options.toys)
    if len(seeds) != len(options.toys):
        parser.error(f"--seeds: needs one number, or {len(options.toys)}")
    cache = options.cache or Path(tempfile.gettempdir()) / "gato_coffea_benchmarks"
    cache.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        peer=options.peer,
        peer_toys=tuple(options.peer_toys),
        epochs=options.epochs,
        seeds=dict(zip(options.toys, seeds, strict=True)),
        peer_seeds=options.peer_seeds,
        fraction=options.fraction,
        test_background=int(options.test_background),
        reference_background=int(options.reference_background),
        cache=cache,
    )
    machine = tables.machine()
    found: list[dict[str, Any]] = []
    for name in options.toys:  # written after each: the peer takes long
        found.append(compare(TOYS[name], settings))
        values = {
            "machine": machine,
            "settings": {k: str(v) for k, v in asdict(settings).items()},
            "toys": found,
        }
        text = tables.described(machine) + "\n" + training_tables.all_tables(found, FULL_EPOCHS)
        tables.write(options.output, text, values)


if __name__ == "__main__":
    main()
