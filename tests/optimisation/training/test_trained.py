"""Training of rectangles, and training that goes on, through `optimise`."""

from __future__ import annotations

import hist
import numpy as np
import pytest

from gato_coffea import optimise
from gato_coffea.categories import EdgeCategories, MixtureCategories
from gato_coffea.errors import OptimisationError

OPTIONS = {"signals": ["sig"], "folds": 2, "epochs": 40, "restarts": 2, "max_points": 200}


def events(*, dim: int = 1) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(8)
    n = 4000
    signal = np.stack([rng.beta(4, 2, n) for _ in range(dim)], axis=-1)
    background = np.stack([rng.beta(2, 4, 3 * n) for _ in range(dim)], axis=-1)
    return {
        "sig": {"x": signal, "weight": np.full(n, 0.01)},
        "bkg": {"x": background, "weight": np.full(3 * n, 0.2)},
    }


@pytest.fixture(scope="module")
def trained_edges():
    return optimise(events(), kind="edges", n_categories=[3, 6], **OPTIONS)


def test_edges_of_one_discriminant_reach_the_exact_bins(trained_edges) -> None:
    for result in trained_edges:
        assert isinstance(result.categories, EdgeCategories)
        assert len(result.categories.edges[0]) == result.asked + 1
        assert result.n_categories == result.asked
        exact = result.yardsticks["exact"].held_out
        # Not below the exact bins by more than the spread that both have from the events.
        assert result.held_out.combined > exact.combined - result.held_out.spread
        assert result.held_out.combined > result.yardsticks["equidistant"].held_out.combined
        assert (result.yields.effective_background >= 10).all()


def test_boundaries_move_and_end_where_the_categories_are(trained_edges) -> None:
    for result in trained_edges:
        history = result.history
        assert len(history.boundaries) == len(history.epoch)
        assert all(len(b) == result.asked - 1 for b in history.boundaries)
        assert all((np.diff(b) > 0).all() for b in history.boundaries)


def test_the_same_seed_gives_the_same_edges(trained_edges) -> None:
    again = optimise(events(), kind="edges", n_categories=[3, 6], **OPTIONS)
    for one, other in zip(trained_edges, again, strict=True):
        np.testing.assert_array_equal(one.categories.edges[0], other.categories.edges[0])


def test_a_training_that_goes_on_is_no_worse_and_says_what_was_gained(trained_edges) -> None:
    further = optimise(
        events(), kind="edges", n_categories=6, continue_from=trained_edges, **OPTIONS
    )
    before = trained_edges[1]
    assert further.asked == 6
    assert any(note.startswith("continued: ") for note in further.notes)
    assert further.held_out.combined > before.held_out.combined - before.held_out.spread
    gained = any("went from" in note for note in further.notes)
    colder = further.history.temperature[0] < before.history.temperature[0]
    assert colder == gained  # else categories and history are those there were


def test_rectangles_in_two_discriminants() -> None:
    result = optimise(events(dim=2), kind="edges", bins_per_discriminant=[3, 2], **OPTIONS)
    assert result.asked == 6
    assert [len(e) - 1 for e in result.categories.edges] == [3, 2]
    assert result.n_categories <= 6
    first = {k: {"x": v["x"][:, 0], "weight": v["weight"]} for k, v in events(dim=2).items()}
    one = optimise(first, n_categories=6, method="exact", signals=["sig"], folds=2)
    assert result.held_out.combined > one.held_out.combined


def test_mixtures_go_on() -> None:
    first = optimise(events(), n_categories=4, **(OPTIONS | {"epochs": 10}))
    further = optimise(events(), n_categories=4, continue_from=first, **OPTIONS)
    assert isinstance(further.categories, MixtureCategories)
    assert len(first.folds) == 2
    assert any(note.startswith("continued: ") for note in further.notes)


@pytest.mark.parametrize("kind", ["mixture", "edges"])
def test_categories_of_histograms_go_on(kind) -> None:
    histograms = {
        name: hist.Hist(hist.axis.Regular(40, 0, 1, name="x"), storage="weight").fill(
            table["x"][:, 0], weight=table["weight"]
        )
        for name, table in events().items()
    }
    options = OPTIONS | {"kind": kind, "n_categories": 4}
    first = optimise(histograms, **(options | {"epochs": 10}))
    further = optimise(histograms, continue_from=first, **options)
    assert any(note.startswith("continued: ") for note in further.notes)
    bins = histograms["sig"].axes[0].edges
    assert np.isin(further.categories.edges[0].round(9), bins.round(9)).all()
    assert further.held_out.combined > first.held_out.combined - first.held_out.spread


def test_edges_of_flat_histograms_cannot_go_on() -> None:
    axes = (hist.axis.Regular(8, 0, 1, name="x"), hist.axis.Regular(8, 0, 1, name="y"))
    histograms = {
        name: hist.Hist(*axes, storage="weight").fill(*table["x"].T, weight=table["weight"])
        for name, table in events(dim=2).items()
    }
    options = OPTIONS | {"kind": "edges", "n_categories": 4, "epochs": 10}
    first = optimise(histograms, **options)
    with pytest.raises(OptimisationError, match="continue: edges of histograms need one"):
        optimise(histograms, continue_from=first, **options)


def test_what_cannot_go_on(trained_edges) -> None:
    plain = optimise(events(), n_categories=3, method="exact", signals=["sig"], folds=2)
    for options, told in (
        ({"n_categories": 4}, "no result with 4 categories"),
        ({"n_categories": 3, "kind": "mixture"}, "was not trained as mixture"),
        ({"n_categories": 3, "folds": 4}, "has 2 folds, not 4"),
        ({"n_categories": 3, "method": "exact"}, "method exact trains nothing"),
        ({"n_categories": 3, "continue_from": plain}, "was not trained as edges"),
    ):
        merged = {"kind": "edges", "continue_from": trained_edges, **OPTIONS} | options
        with pytest.raises(OptimisationError, match=f"continue: .*{told}"):
            optimise(events(), **merged)


@pytest.mark.parametrize(
    ("bins", "options", "told"),
    [
        ([3], {}, " needs kind: edges"),
        ([3], {"kind": "edges", "method": "exact"}, " needs kind: edges and method: gato"),
        ([0], {"kind": "edges"}, ": must be whole numbers above zero"),
        ([2, 2], {"kind": "edges"}, ": needs one number for each of 1 discriminants"),
    ],
)
def test_bins_that_cannot_be(bins: list[int], options: dict[str, str], told: str) -> None:
    with pytest.raises(OptimisationError, match=f"bins_per_discriminant{told}"):
        optimise(events(), signals=["sig"], bins_per_discriminant=bins, **options)
