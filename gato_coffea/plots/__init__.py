"""Plots: values in, matplotlib figures out; `draw_run` writes all of a run."""

from gato_coffea.plots.run import draw_run, run_figures
from gato_coffea.plots.style import Style, save, save_as

__all__ = [
    "Style",
    "draw_run",
    "run_figures",
    "save",
    "save_as",
]
