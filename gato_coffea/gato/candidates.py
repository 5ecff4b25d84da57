"""Categories by each method, before constraints are imposed on the events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gato_coffea.categories import Categories, MixtureCategories
from gato_coffea.gato.methods import table_categories
from gato_coffea.gato.result import History
from gato_coffea.gato.search import Search
from gato_coffea.gato.start import mixtures_from_labels
from gato_coffea.gato.yardsticks import partition_yardstick
from gato_coffea.samples import IntArray


@dataclass(frozen=True)
class Candidate:
    """Categories from all events, and those of each training set that leaves a fold out."""

    full: Categories
    folds: tuple[Categories, ...]
    history: History | None = None
    notes: tuple[str, ...] = ()


def _mixture_candidates(search: Search, counts: Sequence[int]) -> list[Candidate]:
    """Train mixtures of all sizes, from all starts, on all training sets, as one batch."""
    from gato_coffea.gato.training import Schedule, train

    problem = search.problem
    starts = [search.partitions(n) for n in counts]
    sizes = [max(int(labels[0].max()) + 1 for labels in rows) for rows in starts]
    rows = [labels for own in starts for labels in own]
    owner = np.repeat(np.arange(len(counts)), [len(own) for own in starts])
    largest = max(sizes)
    alive = np.arange(largest) < np.array(sizes)[owner][:, None]
    mixtures, histories = train(
        problem,
        search.sets,
        mixtures_from_labels(problem.u, rows, search.weight, largest),
        Schedule(epochs=search.epochs),
        alive=alive,
        progress=search.progress,
    )

    def categories(g: int, r: int) -> MixtureCategories:
        n = sizes[owner[r]]
        return MixtureCategories(
            features=problem.points.features,
            label=np.arange(n),
            means=mixtures.means[g, r, :n],
            scale_tril=mixtures.scale_tril[g, r, :n],
            log_weights=mixtures.log_weights[g, r, :n],
        )

    n_sets, x = len(search.sets), problem.points.x
    found = []
    for c in range(len(counts)):
        judged = {}
        for r in np.flatnonzero(owner == c).tolist():
            labels = [categories(g, r).assign(x) for g in range(n_sets)]
            mark = partition_yardstick(search, labels)
            judged[r] = (mark.held_out or mark.training).combined
        best = max(judged, key=judged.__getitem__)
        folds = tuple(categories(g, best) for g in range(1, n_sets))
        found.append(Candidate(categories(0, best), folds, histories[best]))
    return found


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
        for n, candidate in zip(trained, _mixture_candidates(search, trained), strict=True):
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
