"""Categories by each method, before constraints are imposed on the events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gato_coffea.events.samples import IntArray
from gato_coffea.optimisation.methods import table_categories
from gato_coffea.optimisation.search import Candidate, Search
from gato_coffea.optimisation.training.trained import trained_candidates


def _table_candidate(search: Search, labels: Sequence[IntArray]) -> Candidate:
    """Partitions of the points as tables over their grid."""
    tables = [table_categories(search.problem, label) for label in labels]
    return Candidate(tables[0], tuple(tables[1:]))


def _on_bins(search: Search, candidate: Candidate) -> Candidate:
    """The same categories with their edges on the bins: nothing is known inside of them."""
    x = search.problem.points.x
    tables = [
        table_categories(search.problem, categories.assign(x))
        for categories in (candidate.full, *candidate.folds)
    ]
    return replace(candidate, full=tables[0], folds=tuple(tables[1:]))


def candidates(search: Search) -> list[Candidate]:
    """Categories for every number of them that is asked, before constraints."""
    found = {}
    trained = [n for n in search.counts if n > 1 and search.method == "gato"]
    if trained:
        for n, candidate in zip(trained, trained_candidates(search, trained), strict=True):
            found[n] = _on_bins(search, candidate) if search.binned else candidate
    for n in search.counts:
        if n == 1:
            one = np.zeros(len(search.problem.points), dtype=np.int64)
            found[n] = _table_candidate(search, [one] * len(search.sets))
        elif search.method == "exact":
            found[n] = _table_candidate(search, [e.labels(n) for e in search.exact])
        elif search.method == "lloyd":
            found[n] = _table_candidate(search, search.lloyd(n)[0])
    return [found[n] for n in search.counts]
