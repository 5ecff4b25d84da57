"""Results as tables of text: what the terminal, the report, notebooks and ``print`` show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from gato_coffea.optimisation.result import MANY, Result
from gato_coffea.rendering.rounding import NONE, amount, decimals, rounded, with_error
from gato_coffea.rendering.tables import Column, TextTable
from gato_coffea.statistics.counting import COMBINATIONS

if TYPE_CHECKING:
    from gato_coffea.optimisation.result import Breakdown, Yields

ORDER = (
    *("equidistant", "TransfoD", "TransfoF", "signal quantiles"),
    *("argmax equidistant", "argmax optimal", "exact", "lloyd", MANY),
)
"""Yardsticks in the order of their columns, from the simplest; any others follow."""

MEANINGS = {
    "training": "training: Z of the yields in the templates, which exported models are made of",
    "extrapolated": "training: Z of all events, with the background extrapolated from all masses "
    "to the window; templates and exported models have what is in the window, or its fit",
    "exact": "exact: the best categories of the training, by dynamic programming in the order of "
    "S/B; on held-out events others may be better",
    MANY: f"{MANY}: as many, found like exact or lloyd; no upper limit, each is estimated",
}
"""What the names of figures mean."""

PULL_DECIMALS = 2
"""Decimals of a pull: those of its own error of one standard deviation."""

HELD_OUT = "Z on events that the categories were not trained on, with its spread from the finite \
simulation: the figure to quote"
NOT_HELD_OUT = (
    "Z on the events of the training, with its spread from the finite simulation: without \
folds nothing is held out, and it is biased upwards"
)
STATISTICS_ONLY = "{} Z with the background known exactly; in brackets on all events"
TRAINING = "Z on all events, those of the training among them"


def meanings(yardsticks: Iterable[str], *, extrapolated: bool = False) -> list[str]:
    """A sentence for each figure whose name needs one.

    ``extrapolated`` is `Yields.extrapolated` of the yields that the figures are of.
    """
    training = "extrapolated" if extrapolated else "training"
    return [text for name, text in MEANINGS.items() if name in (training, *yardsticks)]


def background_note(yields: Yields) -> str:
    """What the background of a table of yields is, where a reader could take it for another."""
    if not yields.extrapolated:
        return ""
    return "; background of all masses, extrapolated to the window by an exponential"


def counts(result: Result) -> str:
    """How many categories were requested, and how many there are."""
    return f"{result.asked} categories requested, {result.n_categories} after merging"


def headline(result: Result) -> str:
    """The figure to quote, with its spread and what one event more would change."""
    z = result.held_out
    return with_error(z.combined, z.spread) + result.reach(decimals(z.spread))


def significance_table(
    results: Mapping[int, Result], *, used: int | None = None, before_fits: bool = False
) -> TextTable:
    """Held-out and training significance of every result beside its yardsticks.

    All figures of a row have the decimals of its spread. With ``before_fits`` the title says that
    the figures are those before the mass is fitted.
    """
    before = " before the mass fits" if before_fits else ""
    known = dict.fromkeys(name for result in results.values() for name in result.yardsticks)
    names = [*(n for n in ORDER if n in known), *(n for n in known if n not in ORDER)]
    first = next(iter(results.values()))
    signals = list(first.held_out.per_signal) if len(first.held_out.per_signal) > 1 else []
    together = f", {_combination(first)} of {len(signals)} signals" if signals else ""
    columns = [
        Column("requested", "number of categories that was asked for"),
        Column("after merging", "number of categories that satisfy the constraints"),
        Column(
            f"{first.figure} {first.basis}", HELD_OUT if first.cross_validated else NOT_HELD_OUT
        ),
        *(
            [Column("statistics only", STATISTICS_ONLY.format(first.basis))]
            if first.included
            else []
        ),
        *(Column(f"{first.figure} {name}", f"{first.basis}, of {name}") for name in signals),
        Column("(training)", TRAINING),
        *(Column(name, _meaning(name, first)) for name in names),
    ]
    rows = []
    for asked, result in results.items():
        held_out, digits = result.held_out, decimals(result.held_out.spread)
        rows.append(
            (
                f"{asked} *" if asked == used else str(asked),
                str(result.n_categories),
                headline(result),
                *([_counting(result, digits)] if first.included else []),
                *(rounded(held_out.per_signal.get(name), digits) for name in signals),
                f"({rounded(result.training.combined, digits)})",
                *(_yardstick(result, name, digits) for name in names),
            )
        )
    notes = meanings(names, extrapolated=first.yields.extrapolated)
    if used is not None:
        notes.insert(0, "* templates are made with these")
    return TextTable(
        title=f"Expected {named_figure(first)}{before}{together}{first.included}: "
        + ("held-out (on the training events)" if first.cross_validated else "training"),
        columns=columns,
        rows=rows,
        marked=None if used is None else list(results).index(used),
        notes=notes,
    )


def category_table(result: Result) -> TextTable:
    """Yields, S/B and effective background entries of every category, and their sums."""
    y = result.yields
    s, b, error = y.signal_stack, y.background, np.sqrt(y.background_sumw2)
    s = np.concatenate([s, s.sum(axis=1, keepdims=True)], axis=1)
    b, error = np.append(b, b.sum()), np.append(error, np.sqrt(np.square(error).sum()))
    entries = [*(f"{value:.0f}" for value in y.effective_background), ""]
    names = [*map(str, range(len(entries) - 1)), "all"]
    return TextTable(
        title=f"Expected yields: {counts(result)}{background_note(y)}",
        columns=[
            Column("category", "0 is the least signal-like"),
            *(Column(name, f"expected yield of {name}") for name in y.signals),
            Column("background", "expected yield, with its error from the finite simulation"),
            Column("S/B", "all signals over all backgrounds"),
            Column(
                "effective entries",
                "of the background: the squared sum of weights over the sum of squared weights",
            ),
        ],
        rows=[
            (
                *(names[k], *map(amount, s[:, k]), with_error(b[k], float(error[k]))),
                amount(s[:, k].sum() / b[k], digits=3) if b[k] > 0 else NONE,
                entries[k],
            )
            for k in range(len(names))
        ],
        has_total=True,
    )


def uncertainty_table(result: Result) -> TextTable:
    """What each uncertainty costs, and where the fit without a signal pulls it; costly first."""
    found = result.uncertainties
    assert found is not None
    digits = decimals(result.held_out.spread)
    everything, shown = found.everything, result.figure
    names = sorted(found.without, key=lambda name: -found.without[name])
    rows = [
        (
            name,
            rounded(found.without[name], digits),
            f"{100 * (everything / found.without[name] - 1):+.1f} %" if everything else NONE,
            *(rounded(pulls.get(name), PULL_DECIMALS) for pulls in found.pulls.values()),
        )
        for name in names
    ]
    only = result.training.statistics_only
    notes = [
        f"{shown} on all events: {rounded(everything, digits)} with everything, "
        f"{rounded(only, digits)} with statistics only"
    ]
    notes += _bound_notes(result, found, digits)
    return TextTable(
        title=f"Uncertainties: {shown} without each, on all events: {counts(result)}",
        columns=[
            Column("uncertainty", is_text=True),
            Column(f"{shown} without", "with this one known exactly, all others as they are"),
            Column("cost", "what the uncertainty changes the figure by"),
            *(
                Column(
                    "pull" if len(found.pulls) == 1 else f"pull ({signal})",
                    f"nuisance parameter of the fit without {signal}, in standard deviations",
                )
                for signal in found.pulls
            ),
        ],
        rows=rows,
        notes=notes,
    )


def _bound_notes(result: Result, found: Breakdown, digits: int) -> list[str]:
    """What no categories exceed on the densities, and why a figure from events may."""
    if found.bound is None or found.reached is None:
        return []
    gap = 100 * (found.bound / found.reached - 1)
    bound = rounded(found.bound, digits + 1)
    groups = "groups" if found.groups is None else f"{found.groups} groups"
    notes = [
        f"bound: on the densities of the training, with cuts between {groups} of points in the "
        f"order of S/B (or of a single discriminant), no categories exceed {bound}; "
        f"{rounded(found.reached, digits + 1)} is reached ({gap:.2g} % below)"
    ]
    if found.everything > found.bound:
        exact = result.categories.training.get("method") == "exact"
        notes.append(
            f"{result.figure} on all events, {rounded(found.everything, digits + 1)}, is above "
            f"{bound}, which does not bound it: events fluctuate about the densities"
            f"{'' if exact else ', and these categories need not lie in that order'}"
        )
    return notes


def tables_of(result: Result) -> list[TextTable]:
    """All tables of one result."""
    tables = [significance_table({result.asked: result}), category_table(result)]
    if result.uncertainties is not None:
        tables.append(uncertainty_table(result))
    return tables


def plain_text(result: Result) -> str:
    """The significances and the yields of the categories as plain text, held-out first."""
    digits = decimals(result.held_out.spread)
    training = rounded(result.training.combined, digits)
    lines = [
        f"{result.figure} {result.basis} {headline(result)}{result.included}"
        f"{f', training {training}' if result.cross_validated else ''}; {counts(result)}"
    ]
    counting = result.held_out.statistics_only, result.training.statistics_only
    if result.included and None not in counting:
        known = dict(zip(("held-out", "training"), counting, strict=True))
        shown = [f"{name} {rounded(z, digits)}" for name, z in known.items()]
        lines.append(f"  statistics only: {', '.join(shown[not result.cross_validated :])}")
    for name, z in result.held_out.per_signal.items():
        if len(result.held_out.per_signal) > 1:
            lines.append(f"  {name}: {result.basis} {rounded(z, digits)}")
    for name, yardstick in result.yardsticks.items():
        figures = [f"training {rounded(yardstick.training.combined, digits)}"]
        if yardstick.held_out is not None:
            figures.insert(0, f"held-out {rounded(yardstick.held_out.combined, digits)}")
        lines.append(f"  {name}: {', '.join(figures)}")
    if result.yields.extrapolated:
        lines.append(f"yields{background_note(result.yields)}")
    lines += category_table(result).lines()
    if result.uncertainties is not None:
        table = uncertainty_table(result)
        lines += [table.title, *table.lines(), *table.notes]
    lines += meanings(result.yardsticks, extrapolated=result.yields.extrapolated)
    return "\n".join([*lines, *result.notes])


def named_figure(result: Result) -> str:
    """The figure of merit in words."""
    names = {"Z": "significance Z", "1/sigma(mu)": "precision 1/sigma(mu)", "1/mu95": "1/limit"}
    return names[result.figure]


def _meaning(name: str, result: Result) -> str:
    """What a yardstick is, for its column."""
    plain = {
        "equidistant": "categories of equal width in the discriminant",
        "TransfoD": "equal shares of signal and background, as TRExFitter makes them, z = n / 2",
        "TransfoF": "equal shares of background and significance, as TRExFitter makes them",
        "signal quantiles": "categories that hold equal parts of the signal",
        "argmax equidistant": "the class of the largest score, in bins of equal width",
        "argmax optimal": "the class of the largest score, in the best bins",
        "exact": "the best categories by dynamic programming in the order of S/B",
        "lloyd": "the best categories that alternating assignment finds from many starts",
        MANY: "50 categories: what more of them lead to",
    }
    meaning = plain.get(name, "the edges of that name, which the analysis gave")
    on = "held-out, and in brackets on all events" if result.cross_validated else "on all events"
    return f"{meaning}; {on}"


def _counting(result: Result, digits: int) -> str:
    """Held-out and training significance by statistics only."""
    held_out, training = result.held_out.statistics_only, result.training.statistics_only
    return f"{rounded(held_out, digits)} ({rounded(training, digits)})"


def _combination(result: Result) -> str:
    """How several significances became one."""
    return COMBINATIONS.get(str(result.categories.training.get("combination")), "one figure")


def _yardstick(result: Result, name: str, digits: int) -> str:
    if name not in result.yardsticks:
        return NONE
    yardstick = result.yardsticks[name]
    held_out = None if yardstick.held_out is None else yardstick.held_out.combined
    return f"{rounded(held_out, digits)} ({rounded(yardstick.training.combined, digits)})"
