"""Results of a search: constraints imposed on the events, and honest figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from gato_coffea.categories import Categories
from gato_coffea.optimisation.baselines import (
    better_yardsticks,
    many_categories,
    own_yardsticks,
    yardsticks,
)
from gato_coffea.optimisation.bootstrap import freedom
from gato_coffea.optimisation.breakdown import breakdown
from gato_coffea.optimisation.choice import best_of
from gato_coffea.optimisation.constraints import enough_events, merge_offenders, parts_of
from gato_coffea.optimisation.edge_rounding import rounded_edges
from gato_coffea.optimisation.evaluation import (
    PointTally,
    Sums,
    yields_of,
)
from gato_coffea.optimisation.methods import match_categories
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.quotes import (
    difference_spread,
    pooled_significance,
    significance_of,
    unmeasured_notes,
    zero_note,
)
from gato_coffea.optimisation.rare import deciding_process
from gato_coffea.optimisation.result import MANY, Result, Significance, Yardstick
from gato_coffea.optimisation.search import Candidate, Search
from gato_coffea.optimisation.window_check import window_note

CELLS_NOTE = (
    "yields and significances are sums over cells of a fine grid, each cell as a whole in the "
    "category of its mean position: single events may lie in the next category"
)


RANGE_NOTE = (
    "events have masses, but no mass window is used: Z is that of the whole mass range, and not "
    "what a model of the signal window gives"
)


def _held_out(
    search: Search, folds: Sequence[Categories], full: Categories, training: Significance
) -> Significance:
    """Pool the yields of each fold in the categories of the model that did not see it."""
    x, n = search.problem.points.x, full.n_categories
    named = _named(search, folds, full)
    labels = [c.assign(x) for c in named]
    return pooled_significance(
        search.problem,
        search.tally.total([c.assign for c in named], n, by_fold=True),
        training=training,
        each=search.expected(labels, n),
        freedom=freedom(search.problem, search.points, labels, n),
        seed=search.seed,
    )


def _named(search: Search, folds: Sequence[Categories], full: Categories) -> list[Categories]:
    """The categories of each fold, called as those of all events that they stand for."""
    x, result = search.problem.points.x, []
    reference = full.assign(x)
    for categories in folds:
        names = match_categories(
            categories.assign(x), reference, search.weight, n=categories.n_categories
        )
        result.append(categories.relabelled(names))
    return result


def with_differences(
    search: Search, found: Sequence[Candidate], results: Sequence[Result]
) -> list[Result]:
    """The results with the spread of their difference to the best of them."""
    if len(results) < 2 or search.problem.points.n_folds < 2:
        return list(results)
    x = search.problem.points.x
    labels = [
        [c.assign(x) for c in _named(search, candidate.folds, result.categories)]
        for candidate, result in zip(found, results, strict=True)
    ]
    best = labels[results.index(best_of(results))]
    spread = partial(difference_spread, search.problem, search.points, seed=search.seed)
    return [
        replace(result, difference_spread=spread(own, best))
        for result, own in zip(results, labels, strict=True)
    ]


def references(search: Search) -> list[dict[str, Yardstick]]:
    """The yardsticks of each number of categories."""
    many = many_categories(search)
    own = own_yardsticks(search)
    return [{**yardsticks(search, n), **own, MANY: many} for n in search.counts]


def finished(
    search: Search, candidate: Candidate, asked: int, references: dict[str, Yardstick]
) -> Result:
    """Impose the constraints on the events, and evaluate."""
    problem, tally = search.problem, search.tally
    full, folds, rounding = candidate.full, candidate.folds, []
    components = tally.total([full.assign], full.n_categories, by_fold=False)
    if not search.binned:
        full, components = enough_events(problem, tally, full, components)
    if search.round_to is not None:
        before = components
        full = rounded_edges(full, search.round_to)
        folds = tuple(rounded_edges(c, search.round_to, may_vanish=True) for c in folds)
        components = tally.total([full.assign], full.n_categories, by_fold=False)
        rounding.append(_rounding_note(problem, before, components, search.round_to))
    label, notes = merge_offenders(problem, parts_of(problem, components))
    full = full.relabelled(label)
    if full.n_categories + len(notes) < asked:
        notes.append(
            f"number of categories: {full.n_categories} instead of {asked}, because more would "
            "not satisfy the constraints, or add nothing"
        )
    notes += rounding
    sums = components.relabelled(label, full.n_categories)
    training = significance_of(problem, sums)
    if folds:
        held_out = _held_out(search, folds, full, training)
        if training.combined - held_out.combined > (held_out.spread or 0.0):
            notes.append(
                f"training Z {training.combined:.3f} is above held-out Z {held_out.combined:.3f} "
                f"by more than its spread {held_out.spread:.3f}: quote the held-out one"
            )
        notes += zero_note(held_out)
        notes += better_yardsticks(held_out, references)
    else:
        training = held_out = significance_of(problem, sums, seed=search.seed)
        notes.append("no cross-validation: Z is that of the training events, and biased upwards")
    unmeasured = unmeasured_notes(problem, sums, training)
    rare = None if unmeasured else deciding_process(problem, sums, held_out)
    notes = [*unmeasured, *notes]
    if rare is not None:
        notes.insert(0, rare.sentence())
    yields = yields_of(problem, sums)
    counted = tally.in_window(full.assign, full.n_categories)
    off = window_note(problem, yields, sums, counted, held_out)
    notes += search.notes if off is None else (off, *search.notes)
    if search.tally.whole_range:
        notes.append(RANGE_NOTE)
    if not search.binned and isinstance(tally, PointTally):
        notes.append(CELLS_NOTE)
    return Result(
        asked=asked,
        categories=full,
        held_out=held_out,
        training=training,
        yields=yields,
        yardsticks=references,
        history=candidate.history,
        folds=() if candidate.history is None else folds,
        notes=(*candidate.notes, *notes),
        rare=rare,
        uncertainties=breakdown(
            problem, sums, asked=asked, exact=search.exact[0] if search.additive else None
        ),
    )


def _rounding_note(problem: Problem, before: Sums, after: Sums, step: float) -> str:
    """What rounding of the edges costs, with the constraints imposed before and after."""
    z = []
    for sums in (before, after):
        label, _ = merge_offenders(problem, parts_of(problem, sums))
        merged = sums.relabelled(label, int(label.max()) + 1)
        z.append(significance_of(problem, merged).combined)
    return f"edges are rounded to multiples of {step:g}: training Z {z[1]:.4g}, {z[0]:.4g} before"
