"""Experiment styles, figures that remember theirs, labels, legends and files.

Nothing here touches the state of pyplot: a `StyledFigure` carries its style and draws itself
under it, so fonts are the same on the screen, in the PDF and in the PNG.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import matplotlib as mpl
import mplhep
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.ticker import ScalarFormatter

from gato_coffea.config import Analysis
from gato_coffea.errors import OutputError
from gato_coffea.files import replacing
from gato_coffea.plots.ticks import quick_minor_ticks
from gato_coffea.rendering.rounding import amount

FILLS = ("#3f90da", "#ffa90e", "#94a4a2", "#a96b59", "#92dadd", "#b9ac70", "#717581", "#e76300")
"""Colours of backgrounds: the ten-colour palette of Petroff (2021) without those of `LINES`."""

LINES = ("#bd1f01", "#832db6", "#000000", "#3f90da", "#e76300", "#717581")
"""Colours of signals and of curves."""

DPI = 110
"""Dots per inch of figures and of PNGs: where they agree, texts are measured once."""

WINDOW_COLOUR = "#c9c9cf"
"""Shade of the signal window."""

DASHES = ("-", (0, (6, 2)), (0, (2, 1.2)), (0, (6, 2, 1.5, 2)))
"""Line styles, so that curves differ without colour too."""

_COMMON: Mapping[str, Any] = {
    "font.size": 18,
    "axes.labelsize": "medium",
    "axes.titlesize": "medium",
    "axes.linewidth": 1.5,
    "axes.unicode_minus": False,
    "axes.xmargin": 0.0,
    "axes.autolimit_mode": "data",
    "axes.formatter.limits": (-4, 5),
    "axes.formatter.use_mathtext": False,
    "xtick.labelsize": "small",
    "ytick.labelsize": "small",
    "xtick.major.size": 9,
    "ytick.major.size": 9,
    "xtick.minor.size": 4.5,
    "ytick.minor.size": 4.5,
    "xtick.major.width": 1.3,
    "ytick.major.width": 1.3,
    "xtick.minor.width": 1.0,
    "ytick.minor.width": 1.0,
    "xtick.major.pad": 6,
    "ytick.major.pad": 6,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.minor.visible": True,
    "ytick.minor.visible": True,
    "xtick.top": True,
    "ytick.right": True,
    "xaxis.labellocation": "right",
    "yaxis.labellocation": "top",
    "lines.linewidth": 2.0,
    "lines.markersize": 7,
    "legend.fontsize": 14,
    "legend.title_fontsize": 14,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.labelspacing": 0.35,
    "legend.borderaxespad": 0.6,
    "legend.columnspacing": 1.4,
    "hatch.linewidth": 0.6,
    "savefig.bbox": None,
    "savefig.pad_inches": 0.1,
    "figure.dpi": DPI,
}
_OWN = (
    *("axes", "errorbar", "figure", "font", "hatch", "legend", "lines", "mathtext", "patch"),
    *("savefig", "xaxis", "xtick", "yaxis", "ytick"),
)
_FONT = {"CMS": "TeX Gyre Heros", "ATLAS": "TeX Gyre Heros", "LHCb": "TeX Gyre Termes"}


@dataclass(frozen=True, kw_only=True)
class Style:
    """How the plots of a run look.

    Attributes
    ----------
    experiment
        Whose style; ``plain`` shows no experiment's name.
    label
        What stands beside the name, such as ``Simulation`` or ``Preliminary``.
    com_tev
        Centre-of-mass energy in TeV, or None to leave it out.
    luminosity_per_fb
        Integrated luminosity in 1/fb, or None to leave it out.
    """

    experiment: Literal["CMS", "ATLAS", "LHCb", "plain"] = "plain"
    label: str = "Simulation"
    com_tev: float | None = None
    luminosity_per_fb: float | None = None

    @classmethod
    def of(cls, analysis: Analysis) -> Style:
        """The style that an analysis file asks for."""
        plots = analysis.plots
        default = "" if analysis.data_processes else "Simulation"
        return cls(
            experiment=plots.style,
            label=default if plots.label is None else plots.label,
            com_tev=plots.com_tev,
            luminosity_per_fb=analysis.total_luminosity_per_fb,
        )

    @property
    def rc(self) -> Any:
        """Settings of matplotlib, complete: they do not depend on those in force."""
        sheets = {"CMS": mplhep.style.CMS, "ATLAS": mplhep.style.ATLAS, "LHCb": mplhep.style.LHCb2}
        sheet = dict(sheets.get(self.experiment, {}))
        font = _FONT.get(self.experiment)
        fonts = {} if font is None else {"font.family": [font, "DejaVu Sans"]}
        defaults = {
            key: value for key, value in mpl.rcParamsDefault.items() if key.startswith(_OWN)
        }
        return {**defaults, **sheet, **_COMMON, **fonts}

    @property
    def energy(self) -> str:
        """Luminosity and energy as they stand above a plot."""
        lumi = self.luminosity_per_fb
        parts = [] if lumi is None else [f"{lumi:.4g} $\\mathrm{{fb}}^{{-1}}$"]
        if self.com_tev is not None:
            energy = f"{self.com_tev:g} TeV"
            parts.append(f"({energy})" if parts else energy)
        return " ".join(parts)


@final
class StyledFigure(Figure):
    """A figure, of no window and no global state, that draws itself under its style."""

    def __init__(self, style: Style, **kwargs: Any) -> None:
        self.rc = style.rc
        with mpl.rc_context(self.rc):
            super().__init__(**kwargs)
        FigureCanvasAgg(self)

    def draw(self, renderer: Any) -> None:
        """Draw under the style the figure was made with."""
        with mpl.rc_context(self.rc):
            super().draw(renderer)

    def draw_without_rendering(self) -> None:
        """Lay out under the style the figure was made with."""
        with mpl.rc_context(self.rc):
            super().draw_without_rendering()


@contextmanager
def styled(
    style: Style,
    *,
    size: tuple[float, float] = (8.0, 7.0),
    heights: Sequence[float] = (1.0,),
    columns: int = 1,
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure with panels, and the settings of its style for as long as it is built.

    Parameters
    ----------
    style
        The style it is drawn in.
    size
        Width and height in inches.
    heights
        Relative height of each row of panels, from the top. Panels above each other share x.
    columns
        Number of panels beside each other.

    Yields
    ------
    tuple
        The figure and its axes, row by row.
    """
    with mpl.rc_context(style.rc):
        figure = StyledFigure(style, figsize=size, layout="constrained")
        grid = figure.subplots(
            len(heights), columns, sharex="col", squeeze=False, height_ratios=list(heights)
        )
        layout = figure.get_layout_engine()
        assert isinstance(layout, ConstrainedLayoutEngine)
        layout.set(w_pad=0.08, h_pad=0.06, hspace=0.01, wspace=0.02)
        figure.align_ylabels(grid[:, 0])
        yield figure, list(grid.flat)


def add_label(ax: Axes, style: Style, *, energy: bool = True) -> None:
    """Write the experiment's name, label, luminosity and energy above the axes.

    They stand outside the frame in every style, where no curve and no legend can meet them.
    """
    place: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "va": "baseline",
    }
    if style.experiment == "plain":
        ax.annotate(style.label, (0, 1), (0, 7), ha="left", fontsize=18, **place)
    else:
        name = ax.annotate(
            style.experiment, (0, 1), (0, 7), ha="left", fontsize=23, fontweight="bold", **place
        )
        beside = place | {"xycoords": name, "va": "bottom"}
        ax.annotate(
            style.label, (1, 0), (6, 0), ha="left", fontsize=18, fontstyle="italic", **beside
        )
    if energy:
        ax.annotate(style.energy, (1, 1), (0, 7), ha="right", fontsize=17, **place)


def add_legend(ax: Axes, *, n_columns: int | None = None, title: str | None = None) -> Legend:
    """A legend along the upper edge; `head_room` keeps what is drawn out of it."""
    handles, labels = ax.get_legend_handles_labels()
    if n_columns is None:
        longest = max((len(label) for label in labels), default=0)
        n_columns = 1 if len(labels) < 2 else 3 if len(labels) > 4 and longest < 16 else 2
    legend = ax.legend(handles, labels, loc="upper right", ncols=n_columns, title=title)
    legend.set_in_layout(False)  # it lies inside the panel
    return legend


def head_room(
    ax: Axes,
    bottom: float,
    top: float,
    *,
    log: bool = False,
    extra: float = 0.04,
) -> float:
    """Set the y range so that values from ``bottom`` to ``top`` end below the legend.

    Parameters
    ----------
    ax
        Axes whose legend, if any, lies along the upper edge.
    bottom, top
        Range of what is drawn; ``bottom`` is the lower end of the axis.
    log
        Draw the y axis logarithmically.
    extra
        Free part of the height between ``top`` and the legend.

    Returns
    -------
    float
        The part of the height that lies below the legend.
    """
    legend = ax.get_legend()
    used = 0.0
    if legend is not None:
        # Before the figure is laid out the axes are a little smaller than they will be, so the
        # legend's share is a little overestimated, which is the safe side.
        box = legend.get_window_extent()
        used = (ax.bbox.y1 - box.y0) / ax.bbox.height
    used = min(used, 0.7)
    keep = 1.0 - used - extra
    if log:
        ax.set_yscale("log")
        ax.set_ylim(bottom, bottom * (top / bottom) ** (1.0 / keep))
    else:
        ax.set_ylim(bottom, bottom + (top - bottom) / keep)
        # Mathematical tick labels are slow to set; a power of ten needs them.
        if max(abs(bottom), abs(top) / keep) >= 1e5 and isinstance(
            ax.yaxis.get_major_formatter(), ScalarFormatter
        ):
            ax.ticklabel_format(axis="y", useMathText=True)
            # Left of the frame: the experiment's name stands above it.
            power = ax.yaxis.get_offset_text()
            power.set_horizontalalignment("right")
            power.set_x(-0.005)
    return 1.0 - used


def log_floor(values: npt.ArrayLike, *, decades: float = 6.0) -> float:
    """Lower end of a logarithmic axis: a little below the smallest positive value.

    At most ``decades`` below the largest one; 0.1 where nothing is positive.
    """
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array) & (array > 0)]
    if array.size == 0:
        return 0.1
    return float(max(array.min() / 2.0, array.max() / 10.0**decades))


def with_unit(label: str, unit: str | None) -> str:
    """An axis label with its unit in brackets, once."""
    return label if unit is None or "[" in label else f"{label} [{unit}]"


def unit_of(label: str) -> str | None:
    """The unit at the end of an axis label.

    >>> unit_of("Pair $p_T$ [GeV]"), unit_of("Score")
    ('GeV', None)
    """
    found = re.search(r"\[([^\]]+)\]\s*$", label)
    return found.group(1) if found else None


def events_per(width: float, unit: str | None = None) -> str:
    """Title of an axis of events in bins of a width."""
    return f"Events / {amount(width, digits=3)}" + (f" {unit}" if unit else "")


def save(figure: Figure, path: str | Path) -> list[Path]:
    """Write a figure as PDF and PNG, each whole or not at all.

    Parameters
    ----------
    figure
        What to write.
    path
        Path with or without a suffix; a suffix ``.pdf`` or ``.png`` is replaced by each.

    Returns
    -------
    list of Path
        The PDF and the PNG.

    Raises
    ------
    OutputError
        If the folder cannot be written to.
    """
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in {".pdf", ".png"} else path
    return [save_as(figure, stem.with_name(f"{stem.name}{end}")) for end in (".pdf", ".png")]


@contextmanager
def _ready(figure: Figure) -> Iterator[None]:
    """Lay a figure out, once and not again for every file, with minor ticks that cost little."""
    if not isinstance(figure, StyledFigure):
        yield
        return
    with mpl.rc_context(figure.rc), quick_minor_ticks(figure) as show:
        layout = figure.get_layout_engine()
        if layout is not None:
            for ax in figure.axes:
                ax.spines[:].set_in_layout(False)  # they lie on the panel's border
            layout.execute(figure)
            figure.set_layout_engine(None)  # "none" would leave one, and a second drawing with it
        show()
        yield


def save_as(figure: Figure, path: str | Path, *, dpi: int = DPI) -> Path:
    """Write a figure to one file of the format that its suffix names (PDF without one).

    Raises
    ------
    OutputError
        If the suffix is no format of a figure, or the folder cannot be written to.
    """
    path = Path(path)
    path = path if path.suffix else path.with_suffix(".pdf")
    known = figure.canvas.get_supported_filetypes()
    kind = path.suffix[1:].lower()
    if kind not in known:
        allowed = ", ".join(sorted(known))
        raise OutputError(f"{path}: is no format of a plot (got {kind!r}; allowed {allowed})")
    settings: Any = {"pdf.compression": 6, "pdf.fonttype": 3, "svg.hashsalt": "gato_coffea"}
    fixed = {"CreationDate": None} if kind == "pdf" else None
    with _ready(figure), mpl.rc_context(settings), replacing(path) as aside:
        figure.savefig(aside, dpi=dpi, metadata=fixed)
    return path
