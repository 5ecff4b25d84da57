"""Plots: values in, matplotlib figures out; `draw_run` writes all of a run."""

from gato_coffea.plots.plot import Plot
from gato_coffea.plots.run import Run, draw_run, run_plots
from gato_coffea.plots.style import Style, save, save_as

__all__ = [
    "Plot",
    "Run",
    "Style",
    "draw_run",
    "run_plots",
    "save",
    "save_as",
]
