"""Sideband fits as a table of text."""

from __future__ import annotations

from collections.abc import Sequence

from gato_coffea.rendering.rounding import NONE, amount, uncertainty, with_error
from gato_coffea.rendering.tables import Column, TextTable
from gato_coffea.sidebands.categories import CategoryFit

FITTED_SIMULATION = "simulation (errors: those of data of this yield, and of the simulation)"
"""Where there are no data."""


def sideband_table(fits: Sequence[CategoryFit]) -> TextTable:
    """Prediction of the background in the window of every category, and how good the fit is."""
    signals = list(fits[0].signals) if fits else []
    resonant = list(fits[0].resonant) if fits else []
    fitted = "nothing" if not fits else fits[0].source
    prediction = (
        "the continuum's yield in the signal window, with its statistical error and, where "
        "several functions describe the sidebands, how far they are apart"
    )
    return TextTable(
        title=f"Sideband fits to {FITTED_SIMULATION if fitted == 'background' else fitted}",
        columns=[
            Column("category", "0 is the least signal-like"),
            Column("prediction in the window", prediction),
            Column("status", "of the fit: ok, or what is wrong with it", is_text=True),
            Column("function", "what was fitted to the sidebands", is_text=True),
            Column("p", "probability of a worse chi-squared"),
            Column("chi2/ndf", "on merged bins of the sidebands"),
            *(Column(name, f"{name} in the window, from simulation") for name in resonant),
            Column("simulated", "in the window, with its error from the finite simulation")
            if fitted == "background"
            else Column("observed", "in the window, unless blinded"),
            *(Column(name, f"expected yield of {name} in the window") for name in signals),
            Column("effective entries", "of the sidebands"),
        ],
        rows=[
            (
                str(entry.category),
                with_error(entry.fit.window_yield, entry.estimate.statistical, entry.spread),
                entry.fit.status,
                entry.fit.family,
                uncertainty(entry.fit.p_value),
                f"{entry.fit.chi2:.1f}/{entry.fit.ndf}",
                *(with_error(*entry.resonant[name]) for name in resonant),
                _found(entry),
                *(amount(entry.signals[name]) for name in signals),
                f"{entry.fit.effective_entries:.0f}",
            )
            for entry in fits
        ],
        notes=[f"category {entry.category}: {text}" for entry in fits for text in entry.cautions],
    )


def _found(entry: CategoryFit) -> str:
    """What is in the window: a count of data, or weighted simulation with its error."""
    if entry.observed is None:
        return NONE
    if entry.source == "background":
        return with_error(entry.observed, entry.observed_error)
    return amount(entry.observed, digits=5)
