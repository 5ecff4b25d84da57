"""The worked one-dimensional example, written against the documented interface.

Trains categories of a score by hand: a model of one's own, a compiled step, a Keras optimiser and
schedulers. `gato-coffea run` does the same from an analysis file, on cells instead of events, with
restarts and folds, and is what an analysis should use; this script shows the parts.

Figures and saved models go to ``--out``. Every significance that is compared is that of an
independent sample; the one that training sees is printed beside it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hist
import numpy as np
import pandas as pd
import tensorflow as tf

from gato_coffea.gato import (
    LearningRateScheduler,
    TemperatureScheduler,
    compute_significance_from_hists,
    create_hist,
    df_dict_to_tensors,
    gato_gmm_model,
    generate_toy_data_1D,
    high_bkg_uncertainty_penalty,
    low_bkg_penalty,
    plot_bias_history,
    plot_gmm_1d,
    plot_history,
    plot_significance_comparison,
    plot_stacked_histograms,
    plot_yield_vs_uncertainty,
)

Frames = Mapping[str, pd.DataFrame]
Histograms = tuple[hist.Hist[Any], list[hist.Hist[Any]]]

BACKGROUNDS = [f"bkg{i}" for i in range(1, 6)]
BACKGROUND_LABELS = [f"Background {i}" for i in range(1, 6)]
SIGNAL_SCALE = 100
EQUIDISTANT = (2, 5, 10, 20)
FINE_BINS = 1500
LOOK_EVERY = 10


class ScoreCategories(gato_gmm_model):
    """Categories of a score between 0 and 1."""

    def __init__(self, n_cats: int) -> None:
        super().__init__(n_cats, dim=1, mean_norm="sigmoid", mean_range=(0.0, 1.0))

    def call(self, data_dict: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        """Negative significance, background yields and their sums of squared weights."""
        significance, yields, sumw2 = self.get_differentiable_significance(
            data_dict, signal_labels=["signal"], return_details=True
        )
        return -significance["signal"], yields, sumw2


@dataclass
class Record:
    """What happened during training: every epoch, and every few epochs."""

    loss: list[float] = field(default_factory=list)
    penalty_yield: list[float] = field(default_factory=list)
    penalty_unc: list[float] = field(default_factory=list)
    boundaries: list[Any] = field(default_factory=list)
    bias_epoch: list[int] = field(default_factory=list)
    bias: list[float] = field(default_factory=list)
    temperature: list[float] = field(default_factory=list)


def binned(data: Frames, bins: Any) -> Histograms:
    """Histogram of the signal, and of each background."""
    signal, *backgrounds = (
        create_hist(data[name]["NN_output"], data[name]["weight"], bins=bins, name=name)
        for name in ["signal", *BACKGROUNDS]
    )
    return signal, backgrounds


def draw_stack(path: Path, histograms: Histograms, label: str) -> None:
    """Stacked backgrounds under the scaled signal, on a linear and a logarithmic scale."""
    signal, backgrounds = histograms
    for log in (False, True):
        plot_stacked_histograms(
            stacked_hists=backgrounds,
            process_labels=BACKGROUND_LABELS,
            signal_hists=[signal * SIGNAL_SCALE],
            signal_labels=[f"Signal x {SIGNAL_SCALE}"],
            output_filename=path.with_name(f"{path.stem}_log.pdf") if log else path,
            axis_labels=(label, "Events"),
            log=log,
        )


def compare_equidistant(data: Frames, out: Path) -> dict[int, float]:
    """Significance of equidistant bins, with a figure of each binning."""
    fine_signal, fine_backgrounds = binned(data, FINE_BINS)
    significance = {}
    for n in EQUIDISTANT:
        merge = slice(None, None, hist.rebin(FINE_BINS // n))
        coarse = fine_signal[merge], [h[merge] for h in fine_backgrounds]
        significance[n] = compute_significance_from_hists(*coarse)
        draw_stack(out / f"score_equidistant_{n}bins.pdf", coarse, "Toy score")
        print(f"equidistant, {n:2d} bins: Z = {significance[n]:.3f}")
    return significance


def compiled_step(model: ScoreCategories, optimizer: Any, arguments: argparse.Namespace) -> Any:
    """One step of gradient descent as a compiled function of the data."""
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=True)
    def step(data: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        with tf.GradientTape() as tape:
            loss, yields, sumw2 = model.call(data)
            too_few = low_bkg_penalty(yields, threshold=arguments.thr_yield)
            too_uncertain = high_bkg_uncertainty_penalty(
                sumw2, yields, rel_threshold=arguments.thr_unc
            )
            total = loss + arguments.lam_yield * too_few + arguments.lam_unc * too_uncertain
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(total, variables), variables, strict=True))
        return loss, too_few, too_uncertain

    return step


def train(
    model: ScoreCategories, data: Mapping[str, Any], arguments: argparse.Namespace
) -> Record:
    """Train a model and keep the record."""
    epochs = arguments.epochs
    optimizer = tf.keras.optimizers.RMSprop(learning_rate=0.1)
    rate = LearningRateScheduler(optimizer, 0.1, 0.001, total_epochs=epochs, mode="cosine")
    temperature = TemperatureScheduler(model, 1.0, 0.05, total_epochs=epochs, mode="cosine")
    step = compiled_step(model, optimizer, arguments)
    record = Record()
    for epoch in range(epochs):
        rate_now = rate.update(epoch)
        temperature.update(epoch)
        loss, too_few, too_uncertain = (float(value) for value in step(data))
        record.loss.append(loss)
        record.penalty_yield.append(too_few)
        record.penalty_unc.append(too_uncertain)
        record.boundaries.append(model.get_effective_boundaries_1d().numpy())
        if epoch % LOOK_EVERY == 0 or epoch == epochs - 1:
            record.bias_epoch.append(epoch)
            record.bias.append(float(np.mean(np.abs(model.get_bias(data)))))
            record.temperature.append(model.temperature)
        if epoch % 50 == 0 or epoch == epochs - 1:
            print(f"  epoch {epoch}: loss {loss:.4f}, learning rate {rate_now:.5f}")
    return record


def draw_training(record: Record, out: Path, n: int) -> None:
    """Histories of loss, penalties, boundaries and bias."""
    for values, name, label in (
        (record.loss, "loss", "Negative significance"),
        (record.penalty_yield, "penalty_yield", "Low-background penalty"),
        (record.penalty_unc, "penalty_unc", "High-uncertainty penalty"),
    ):
        plot_history(values, out / f"history_{name}_{n}bins.pdf", y_label=label)
    plot_history(
        record.boundaries,
        out / f"history_boundaries_{n}bins.pdf",
        y_label="Boundary",
        boundaries=True,
    )
    for log in (False, True):
        plot_bias_history(
            record.bias,
            out / f"bias_history_{n}bins{'_log' if log else ''}.pdf",
            epochs=record.bias_epoch,
            temp_points=record.temperature,
            log_scale=log,
        )


def draw_model(model: ScoreCategories, data: Mapping[str, Any], out: Path) -> None:
    """Components of the mixture, and background against its uncertainty."""
    n = model.n_cats
    plot_gmm_1d(model, out / f"mixture_{n}bins.pdf", n_points=2000)
    yields, relative, _ = model.compute_hard_bkg_stats(data)
    for log in (False, True):
        name = f"yield_vs_uncertainty_{n}bins{'_log' if log else ''}.pdf"
        plot_yield_vs_uncertainty(yields, relative, out / name, log=log)


def optimise(
    n: int, data: Frames, independent: Frames, arguments: argparse.Namespace
) -> tuple[float, float]:
    """Train ``n`` categories; significance of the independent and of the training sample."""
    print(f"optimised, {n} bins")
    started = time.perf_counter()
    tensors = df_dict_to_tensors(data)
    model = ScoreCategories(n)
    if not arguments.even_start:
        model.initialise(data)
    record = train(model, tensors, arguments)
    model.save(arguments.out / "checkpoints" / f"{n}_bins")
    boundaries = model.get_effective_boundaries_1d().numpy()
    edges = np.concatenate([[0.0], boundaries, [1.0]])
    histograms = binned(independent, edges)
    significance = compute_significance_from_hists(*histograms)
    seen = compute_significance_from_hists(*binned(data, edges))
    print(f"  boundaries {np.array2string(boundaries, precision=4, max_line_width=90)}")
    print(f"  Z = {significance:.3f} on independent events, {seen:.3f} in training")
    print(f"  {time.perf_counter() - started:.1f} s")
    draw_stack(arguments.out / f"score_optimised_{n}bins.pdf", histograms, "Toy score")
    draw_training(record, arguments.out, n)
    draw_model(model, tensors, arguments.out)
    return significance, seen


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Categories of the one-dimensional toy")
    here = Path(__file__).parent
    parser.add_argument("--epochs", type=int, default=250)
    parser.add_argument("--gato-bins", type=int, nargs="+", default=[5, 10, 20], metavar="N")
    parser.add_argument("--lam-yield", type=float, default=0.01, help="weight of a penalty")
    parser.add_argument("--lam-unc", type=float, default=1.0, help="weight of a penalty")
    parser.add_argument("--thr-yield", type=float, default=1.0, help="least background yield")
    parser.add_argument("--thr-unc", type=float, default=0.3, help="largest rel. uncertainty")
    parser.add_argument("--n-signal", type=int, default=100_000)
    parser.add_argument("--n-bkg", type=int, default=300_000)
    parser.add_argument("--n-independent", type=int, default=3_000_000, help="background events")
    parser.add_argument("--even-start", action="store_true", help="do not start from the data")
    parser.add_argument("--out", type=Path, default=here / "results" / "worked_example")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> dict[int, float]:
    """Run the example; significance on independent events by number of categories."""
    arguments = parsed(argv)
    data = generate_toy_data_1D(arguments.n_signal, arguments.n_bkg, seed=42)
    # Ten times as large, or the last bins would say more about its few events than about Z.
    independent = generate_toy_data_1D(1_000_000, arguments.n_independent, seed=43)
    draw_stack(arguments.out / "toy_data.pdf", binned(data, 50), "Toy score")
    equidistant = compare_equidistant(independent, arguments.out)
    optimised = {n: optimise(n, data, independent, arguments)[0] for n in arguments.gato_bins}
    plot_significance_comparison(
        {"": equidistant}, {"": optimised}, arguments.out / "significance_comparison.pdf"
    )
    print(f"figures and models in {arguments.out}")
    return optimised


if __name__ == "__main__":
    main()
