"""Results as tables for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gato_coffea.optimisation.result import MANY, background_note, decimals, meanings
from gato_coffea.statistics.counting import COMBINATIONS

if TYPE_CHECKING:
    from gato_coffea.datasets.check import DatasetRow, Tree
    from gato_coffea.optimisation.result import Result
    from gato_coffea.sidebands import CategoryFit
    from gato_coffea.workflow.pipeline import StageReport

BASELINES = (
    "equidistant",
    "argmax equidistant",
    "argmax optimal",
    "exact",
    "lloyd",
    MANY,
)
NONE = "-"
FITTED_SIMULATION = "simulation (stat: of data of this yield, and of the simulation)"


def _table(title: str, columns: Sequence[str], *, left: int = 1) -> Table:
    """A table whose first columns are text and whose others are numbers."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i < left else "right")
    return table


def dataset_table(rows: Sequence[DatasetRow]) -> Table:
    """What was found of every dataset."""
    columns = ["dataset", "process", "kind", "tree", "files", "entries", "sum of weights"]
    table = _table("Datasets", [*columns, "problems"], left=4)
    for row in rows:
        table.add_row(
            *(row.dataset, row.process, row.kind, row.tree, str(row.files)),
            "blinded" if row.entries is None else str(row.entries),
            _number(row.sumw, "{:.8g}"),
            str(len(row.missing)),
        )
    return table


def tree_tables(trees: Sequence[Tree]) -> list[Table]:
    """Branches of every tree of a file."""
    tables = []
    for tree in trees:
        table = _table(f"{tree.path}: {tree.entries} entries", ["branch", "type"], left=2)
        for name, kind in tree.branches.items():
            table.add_row(name, kind)
        tables.append(table)
    return tables


def cutflow_table(cutflow: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    """Events and weighted yields of every process after every step of the selection."""
    steps = list(dict.fromkeys(step for steps in cutflow.values() for step in steps))
    table = _table("Cut flow: events (weighted)", ["process", *steps])
    for process, counts in cutflow.items():
        cells = [
            f"{counts[s]['events']:.0f} ({counts[s]['weighted']:.6g})" if s in counts else NONE
            for s in steps
        ]
        table.add_row(process, *cells)
    return table


def significance_table(results: Mapping[int, Result], *, used: int | None = None) -> Table:
    """Held-out and training significance of every result beside its yardsticks.

    Figures have as many decimals as show two digits of the smallest spread.
    """
    names = [b for b in BASELINES if any(b in result.yardsticks for result in results.values())]
    others = dict.fromkeys(n for r in results.values() for n in r.yardsticks if n not in names)
    names += list(others)
    first = next(iter(results.values()))
    signals = list(first.held_out.per_signal) if len(first.held_out.per_signal) > 1 else []
    together = f", {_combination(first)} of {len(signals)} signals" if signals else ""
    table = _table(
        f"Expected significance Z{together}{first.included}: held-out (on the training events)",
        [
            *("asked", "kept", "Z held-out", *(["statistics only"] if first.included else [])),
            *(f"Z {name}" for name in signals),
            *("(training)", *names),
        ],
        left=0,
    )
    digits = max(decimals(result.held_out.spread) for result in results.values())
    for asked, result in results.items():
        held_out = result.held_out
        spread = "" if held_out.spread is None else f" +- {held_out.spread:.{digits}f}"
        table.add_row(
            f"{asked} *" if asked == used else str(asked),
            str(result.n_categories),
            f"{held_out.combined:.{digits}f}{spread}{result.reach(digits)}",
            *([_counting(result, digits)] if first.included else []),
            *(f"{held_out.per_signal[name]:.{digits}f}" for name in signals),
            f"({result.training.combined:.{digits}f})",
            *(_yardstick(result, name, digits) for name in names),
        )
    caption = meanings(names, extrapolated=first.yields.extrapolated)
    if used is not None:
        caption.insert(0, "* templates are made with these")
    table.caption = "\n".join(caption)
    table.caption_justify = "left"
    return table


def _counting(result: Result, digits: int) -> str:
    """Held-out and training significance by statistics only."""
    held_out, training = (
        NONE if z is None else f"{z:.{digits}f}"
        for z in (result.held_out.statistics_only, result.training.statistics_only)
    )
    return f"{held_out} ({training})"


def _combination(result: Result) -> str:
    """How several significances became one."""
    return COMBINATIONS.get(str(result.categories.training.get("combination")), "one figure")


def _yardstick(result: Result, name: str, digits: int) -> str:
    if name not in result.yardsticks:
        return NONE
    yardstick = result.yardsticks[name]
    held = NONE if yardstick.held_out is None else f"{yardstick.held_out.combined:.{digits}f}"
    return f"{held} ({yardstick.training.combined:.{digits}f})"


def category_table(result: Result) -> Table:
    """Yields, S/B and effective background entries of every category."""
    title = f"Expected yields: {result.asked} categories asked, {result.n_categories} kept"
    title += background_note(result.yields)
    columns = ["category", *result.yields.signals, "background", "S/B", "effective entries"]
    table = _table(title, columns, left=0)
    *rows, total = result.yields.rows()
    for row in rows:
        table.add_row(*row)
    table.add_section()
    table.add_row(*total)
    return table


def note_lines(results: Mapping[int, Result]) -> dict[int | None, list[str]]:
    """Notes by number of categories, each once; those that all results have under None.

    A note that a result has three times becomes ``note (3 times)``.
    """
    each = {asked: Counter(result.notes) for asked, result in results.items()}
    shared = [
        note for note in next(iter(each.values())) if all(note in notes for notes in each.values())
    ]
    shared = shared if len(each) > 1 else []
    found: dict[int | None, list[str]] = {
        asked: [
            note if count == 1 else f"{note} ({count} times)"
            for note, count in notes.items()
            if note not in shared
        ]
        for asked, notes in each.items()
    }
    return found | {None: shared}


def sideband_table(fits: Sequence[CategoryFit]) -> Table:
    """Prediction of the background in the window of every category, and how good the fit is."""
    signals = list(fits[0].signals) if fits else []
    resonant = list(fits[0].resonant) if fits else []
    table = _table(
        "Sideband fits to "
        + ("nothing" if not fits else "data" if fits[0].source == "data" else FITTED_SIMULATION),
        [
            *("category", "function", "window", "stat", "spread", *resonant, "observed", *signals),
            *("chi2/ndf", "p", "effective entries", "status"),
        ],
        left=0,
    )
    for entry in fits:
        fit = entry.fit
        table.add_row(
            str(entry.category),
            fit.family,
            f"{fit.window_yield:.5g}",
            f"+- {entry.estimate.statistical:.2g}",
            _number(entry.spread, "+- {:.2g}"),
            *("{:.4g} +- {:.2g}".format(*entry.resonant[name]) for name in resonant),
            _number(entry.observed, "{:.5g}"),
            *(f"{entry.signals[name]:.4g}" for name in signals),
            f"{fit.chi2:.1f}/{fit.ndf}",
            _number(fit.p_value, "{:.2g}"),
            f"{fit.effective_entries:.0f}",
            fit.status,
        )
    cautions = [f"category {entry.category}: {text}" for entry in fits for text in entry.cautions]
    table.caption = "\n".join(cautions) or None
    table.caption_justify = "left"
    return table


def _number(value: float | None, form: str) -> str:
    return NONE if value is None else form.format(value)


def evaluation_table(content: Mapping[str, Any]) -> Table:
    """Expected significance of the exported models beside the quoted one."""
    from gato_coffea.exports.evaluation import COLUMNS, rows_of

    table = _table("Expected significance Z of the exported models", COLUMNS)
    for row in rows_of(content):
        table.add_row(*row)
    return table


def warning_box(warnings: Sequence[str]) -> Panel:
    """What does not agree, in a box."""
    text = Text("\n").join(Text(warning) for warning in warnings)
    return Panel(text, title="Warning", title_align="left", border_style="bold red")


def stage_table(reports: Sequence[StageReport]) -> Table:
    """What every stage cost when it last ran."""
    table = _table("Stages", ["stage", "", "wall time [s]", "peak memory [MB]"], left=2)
    for report in reports:
        state = "unchanged" if report.skipped else "done"
        table.add_row(report.stage, state, f"{report.wall_s:.1f}", f"{report.peak_mb:.0f}")
    total = sum(r.wall_s for r in reports if not r.skipped)
    peak = max((r.peak_mb for r in reports if not r.skipped), default=0.0)
    table.add_section()
    table.add_row("all that ran", "", f"{total:.1f}", f"{peak:.0f}")
    return table
