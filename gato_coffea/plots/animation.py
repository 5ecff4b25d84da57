"""The boundaries of categories moving while they are trained, as an animated GIF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.files import replacing
from gato_coffea.plots.contents import Stack
from gato_coffea.plots.stacks import draw_stack
from gato_coffea.plots.style import Style


def animate_boundaries(
    path: str | Path,
    stack: Stack,
    style: Style,
    *,
    epochs: npt.ArrayLike,
    boundaries: Sequence[npt.ArrayLike],
    significance: npt.ArrayLike | None = None,
    max_frames: int = 50,
    milliseconds: int = 120,
) -> Path:
    """Write a GIF of the boundaries on top of the stacked discriminant.

    Parameters
    ----------
    path
        The GIF.
    stack, style
        What lies under the boundaries, and its look.
    epochs, boundaries
        Boundaries of each epoch, whose number may change.
    significance
        Written beside the epoch where given.
    max_frames
        At most so many epochs are shown, evenly spread, the first and the last among them.
    milliseconds
        Time of a frame; the last one stays ten times as long.

    Raises
    ------
    InputError
        If there is no epoch.
    """
    if len(boundaries) == 0:
        raise InputError("animation: needs the boundaries of one epoch at least (got none)")
    epoch = np.asarray(epochs)
    z = None if significance is None else np.asarray(significance, dtype=np.float64)
    chosen = np.unique(np.linspace(0, len(boundaries) - 1, max_frames).round().astype(int))
    figure = draw_stack(stack, style, log=False)
    with mpl.rc_context(style.rc):
        frames = _frames(figure, chosen, epoch, boundaries, z)
    path = Path(path)
    path = path if path.suffix else path.with_suffix(".gif")
    durations = [milliseconds] * (len(frames) - 1) + [10 * milliseconds]
    with replacing(path) as aside:
        frames[0].save(aside, save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return path


def _frames(
    figure: Figure,
    chosen: IntArray,
    epoch: npt.NDArray[Any],
    boundaries: Sequence[npt.ArrayLike],
    significance: FloatArray | None,
) -> list[Image.Image]:
    """Images of the chosen epochs: what does not move is drawn once."""
    ax = figure.axes[0]
    text = ax.text(0.03, 0.95, "", transform=ax.transAxes, va="top", fontsize=15, animated=True)
    line = ax.axvline(ax.get_xlim()[0], 0, 0.75, color="black", lw=1.6, animated=True)
    figure.set_dpi(70)
    canvas: Any = figure.canvas
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    frames = []
    for i in chosen:
        canvas.restore_region(still)
        value = "" if significance is None else f"\nZ = {significance[i]:.3f}"
        text.set_text(f"Epoch {int(epoch[i])}{value}")
        ax.draw_artist(text)
        for b in np.ravel(np.asarray(boundaries[i])):
            line.set_xdata([float(b), float(b)])
            ax.draw_artist(line)
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
        frames.append(Image.fromarray(pixels.copy()).quantize(64))
    return frames
