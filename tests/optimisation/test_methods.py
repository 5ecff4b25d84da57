"""Partitions of points by each method, and the yardsticks, on small toys and by brute force."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from gato_coffea.config import Constraints
from gato_coffea.datasets.toys import signals_of, toy_arrays
from gato_coffea.errors import OptimisationError
from gato_coffea.events.samples import Feature, Points
from gato_coffea.optimisation import methods
from gato_coffea.optimisation.densities import Densities
from gato_coffea.optimisation.inputs import (
    as_samples,
    default_features,
    points_from_samples,
    with_folds,
)
from gato_coffea.optimisation.objective import Counting
from gato_coffea.optimisation.partitions import lloyd
from gato_coffea.optimisation.problem import Problem
from gato_coffea.optimisation.targets import TrainingSet, training_sets


def toy_problem(kind, *, n_signal=3000, n_bkg=12_000, max_points=600, **changes):
    samples = with_folds(as_samples(toy_arrays(kind, n_signal=n_signal, n_bkg=n_bkg, seed=3)), 3)
    signals = signals_of(kind)
    points = points_from_samples(
        samples,
        features=default_features(samples),
        signals=signals,
        n_folds=3,
        max_points=max_points,
    )
    backgrounds = tuple(name for name in samples if name not in signals)
    return replace(Problem(points, signals, backgrounds, Counting(), Constraints()), **changes)


@pytest.fixture(scope="module")
def one_score():
    own = toy_problem("1d")
    return own, training_sets(own)


@pytest.fixture(scope="module")
def three_classes():
    own = toy_problem("three-class")
    return own, training_sets(own)


def tiny(n, *, dim=1, m=1, seed=0, constraints=None):
    """A problem of a few points, each its own group, and its raw training set."""
    rng = np.random.default_rng([seed, n, dim])
    sumw = rng.exponential(1, (m + 1, 1, n)) + 0.2
    sumw[-1] *= 8
    names = tuple(f"s{i}" for i in range(m))
    points = Points(
        features=tuple(Feature(f"x{d}", 0.0, 1.0) for d in range(dim)),
        processes=(*names, "b"),
        x=rng.uniform(0, 1, (n, dim)),
        sumw=sumw,
        sumw2=sumw * 0.3,
        count=np.ones_like(sumw),
    )
    own = Problem(
        points,
        names,
        ("b",),
        Counting("quadrature"),
        constraints or Constraints(min_effective=0.0),
        smooth=False,
    )
    raw = own.densities([0])
    return own, TrainingSet(raw, raw)


def best_of(labels, own, raw, k):
    best = -np.inf
    for label in labels:
        yields = raw.yields(label, k, own.objective)
        if (own.satisfied(yields) >= 1).all():
            best = max(best, float(own.objective.combined(yields)))
    return best


def value_of(own, raw, label):
    n = int(label.max()) + 1
    return float(own.objective.combined(raw.yields(label, n, own.objective)))


@pytest.mark.parametrize("constraints", [None, Constraints(min_effective=50.0)])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_exact_bins_of_one_discriminant(k, constraints):
    own, training = tiny(9, constraints=constraints)
    label = methods.ExactPartition(own, training, n_max=4).labels(k)
    order = np.argsort(own.points.x[:, 0])
    assert (np.diff(label[order]) >= 0).all()
    rows = []
    for cuts in itertools.combinations(range(1, 9), k - 1):
        row = np.empty(9, dtype=int)
        row[order] = np.searchsorted(cuts, np.arange(9), side="right")
        rows.append(row)
    best = best_of(rows, own, training.raw, k)
    if np.isfinite(best):
        assert value_of(own, training.raw, label) == pytest.approx(best, rel=1e-12)
    else:
        assert label.max() + 1 < k


@pytest.mark.parametrize("k", [2, 3])
def test_exact_categories_of_two_discriminants_are_the_best_of_all(k):
    for seed in range(3):
        own, training = tiny(7, dim=2, seed=seed)
        label = methods.ExactPartition(own, training, n_max=3).labels(k)
        everything = (np.array(row) for row in itertools.product(range(k), repeat=7))
        filled = (row for row in everything if len(set(row)) == k)
        best = best_of(filled, own, training.raw, k)
        assert value_of(own, training.raw, label) == pytest.approx(best, rel=1e-12)


def test_training_density_decides_and_raw_events_constrain():
    own, training = tiny(9, constraints=Constraints(min_effective=50.0))
    flat = replace(training.target, signal=np.ones((1, 9)), background=np.full(9, 8.0))
    label = methods.ExactPartition(own, TrainingSet(training.raw, flat), n_max=3).labels(3)
    yields = training.raw.yields(label, label.max() + 1, own.objective)
    assert (own.satisfied(yields) >= 1).all()


def test_impossible_constraints_are_one_line():
    own, training = tiny(6, constraints=Constraints(min_effective=1e6))
    with pytest.raises(OptimisationError, match=r"min_effective 1e.06 .got 155.5."):
        methods.ExactPartition(own, training, n_max=3).labels(2)


def test_grouping_the_points_costs_next_to_nothing(one_score):
    own, sets = one_score
    own = replace(own, constraints=Constraints(min_effective=0))
    training = TrainingSet(sets[0].target, sets[0].target)
    fine = methods.ExactPartition(own, training, n_max=6, n_runs=2000)
    coarse = methods.ExactPartition(own, training, n_max=6)
    for k in (2, 4, 6):
        a, b = (value_of(own, training.target, e.labels(k)) for e in (fine, coarse))
        # A boundary misplaced by 1 / 500 of the sample loses the square of that.
        assert a * (1 - 1e-3) <= b <= a * (1 + 1e-12)


def test_all_numbers_of_categories_at_once(one_score):
    own, sets = one_score
    many = methods.ExactPartition(own, sets[0], n_max=8)
    for k in (3, 8):
        alone = methods.ExactPartition(own, sets[0], n_max=k).labels(k)
        np.testing.assert_array_equal(many.labels(k), alone)
        assert len(many.first_points(k)) == k - 1
        # The named points are the lowest of each bin.
        x = own.points.x[:, 0]
        lowest = [x[alone == c].min() for c in range(1, k)]
        np.testing.assert_array_equal(np.sort(x[many.first_points(k)]), lowest)


def test_order_of_points_does_not_matter(one_score):
    own, sets = one_score
    order = np.random.default_rng(0).permutation(len(own.points))
    points = own.points
    shuffled = replace(
        points,
        x=points.x[order],
        sumw=points.sumw[..., order],
        sumw2=points.sumw2[..., order],
        count=points.count[..., order],
        cell=points.cell[order],
    )
    other = replace(own, points=shuffled)
    training = TrainingSet(sets[0].raw.ordered(order), sets[0].target.ordered(order))
    first = methods.ExactPartition(own, sets[0], n_max=5).labels(5)
    again = methods.ExactPartition(other, training, n_max=5).labels(5)
    # Sums in another order differ in the last digit, which may move a group by one point.
    assert (first[order] != again).mean() < 0.01


def test_atoms_and_their_unions_satisfy_the_constraints(three_classes):
    own, sets = three_classes
    for training in sets[:2]:
        atoms = methods.Atoms(own, training, seed=0)
        assert atoms.size > 20
        raw = training.raw.yields(atoms.part, atoms.size, own.objective)
        assert (own.satisfied(raw, scale=training.raw.scale) >= 1).all()
        union = np.arange(atoms.size)[atoms.part] % 7
        yields = training.raw.yields(union, 7, own.objective)
        assert (own.satisfied(yields, scale=training.raw.scale) >= 1).all()
        expected = training.target.grouped(atoms.part, atoms.size).signal
        np.testing.assert_allclose(atoms.target.signal, expected)


def test_atoms_follow_a_partition_of_the_points(three_classes):
    own, sets = three_classes
    atoms = methods.Atoms(own, sets[0], seed=0)
    mine = np.arange(atoms.size) % 5
    votes = atoms.of_points(mine[atoms.part], np.ones(len(own.points)))
    np.testing.assert_array_equal(votes, mine)


def test_lloyd_finds_the_exact_categories_of_one_signal():
    own = toy_problem(
        "three-class", signals=("signal1",), constraints=Constraints(min_effective=0)
    )
    own = replace(own, backgrounds=tuple(n for n in own.points.processes if n != "signal1"))
    target = training_sets(own)[0].target  # positive everywhere: nothing is forbidden
    training = TrainingSet(target, target)
    exact = methods.ExactPartition(own, training, n_max=4).labels(4)
    atoms = methods.Atoms(own, training, seed=0)
    found = methods.lloyd_starts(atoms, 4, own.objective, seed=0, count=2)
    best = value_of(own, target, exact)
    # Either groups the points by their ratios before it starts: 1 / 500 of them, 600 atoms.
    assert value_of(own, target, found[0]) == pytest.approx(best, rel=5e-3)


def test_lloyd_starts_come_best_first_and_again(three_classes):
    own, sets = three_classes
    atoms = methods.Atoms(own, sets[0], seed=1)
    found = methods.lloyd_starts(atoms, 5, own.objective, seed=1, count=4)
    values = [value_of(own, sets[0].target, label) for label in found]
    assert values == sorted(values, reverse=True)
    again = methods.lloyd_starts(
        methods.Atoms(own, sets[0], seed=1), 5, own.objective, seed=1, count=4
    )
    for a, b in zip(found, again, strict=True):
        np.testing.assert_array_equal(a, b)
    for label in found:
        yields = sets[0].raw.yields(label, 5, own.objective)
        assert (own.satisfied(yields) >= 1)[np.unique(label)].all()
    # None of them can be improved by another iteration, of whole atoms or of their parts.
    on_atoms = atoms.of_points(found[0], np.ones(len(own.points)))
    assert lloyd(atoms.target, on_atoms, 5, own.objective)[1] <= values[0] * (1 + 1e-12)
    assert atoms.value(atoms.refined(on_atoms, 5), 5) <= values[0] * (1 + 1e-4)


def test_two_signals_gain_over_the_classes_of_the_arg_max(three_classes):
    own, sets = three_classes
    training = sets[0]
    atoms = methods.Atoms(own, training, seed=0)
    lloyd_value = value_of(
        own, training.target, methods.lloyd_starts(atoms, 5, own.objective, seed=0, count=1)[0]
    )
    partition = methods.ArgmaxPartition(own, training, n_max=5)
    optimal = methods.argmax_labels(own.points.x, partition.edges(5))
    equal = methods.argmax_labels(own.points.x, methods.argmax_edges(own, 5))
    values = [value_of(own, training.target, label) for label in (equal, optimal)]
    assert values[0] < values[1] < lloyd_value
    assert optimal.max() == equal.max() == 4


@pytest.mark.parametrize("seed", range(3))
def test_matching_undoes_a_permutation(seed):
    rng = np.random.default_rng(seed)
    reference, names = rng.integers(0, 6, 400), rng.permutation(6)
    label = np.argsort(names)[reference]
    noisy = np.where(rng.random(400) < 0.2, rng.integers(0, 6, 400), label)
    weight = rng.exponential(1, 400)
    np.testing.assert_array_equal(methods.match_categories(noisy, reference, weight, n=6), names)


def test_matching_of_other_numbers_of_categories():
    reference = np.repeat([0, 1, 2], 40)
    split = np.concatenate([np.zeros(40), np.repeat([1, 2], [30, 10]), np.full(40, 3)]).astype(int)
    one = np.ones(120)
    # The smaller half of a split category goes where its points are.
    assert methods.match_categories(split, reference, one, n=4).tolist() == [0, 1, 1, 2]
    merged = np.minimum(reference, 1)
    found = methods.match_categories(merged, reference, one, n=2)
    assert found[0] == 0
    assert found[1] in (1, 2)
    # A category without points still gets a number.
    empty = methods.match_categories(reference, reference, one, n=4)
    assert empty[:3].tolist() == [0, 1, 2]
    assert 0 <= empty[3] <= 2


@pytest.mark.parametrize("kind", ["1d", "three-class"])
def test_tables_say_what_the_points_say(kind, one_score, three_classes):
    own, sets = one_score if kind == "1d" else three_classes
    atoms = methods.Atoms(own, sets[0], seed=0)
    label = methods.lloyd_starts(atoms, 4, own.objective, seed=0, count=1)[0]
    table = methods.table_categories(own, label)
    assert table.n_categories == label.max() + 1
    np.testing.assert_array_equal(table.assign(own.points.x), label)
    everywhere = np.random.default_rng(0).uniform(0, 1, (2000, own.u.shape[1]))
    assert (table.assign(everywhere) >= 0).all()  # also where no event was seen


def test_a_table_of_one_discriminant_is_a_list_of_edges(one_score):
    own, sets = one_score
    label = methods.ExactPartition(own, sets[0], n_max=5).labels(5)
    table = methods.table_categories(own, label)
    assert len(table.boundaries) == 4
    assert len(table.edges[0]) == 6
    assert table.edges[0][0] == 0
    assert table.edges[0][-1] == 1
    assert (np.diff(table.label) == 1).all()


def test_empty_cells_go_by_the_nearest_point(three_classes):
    own, _ = three_classes
    label = np.random.default_rng(1).integers(0, 9, len(own.points))
    table = methods.table_categories(own, label)
    grid, width = own.points.grid, own.u.std(axis=0)
    for cell in np.random.default_rng(2).integers(0, np.prod(grid.shape), 50):
        if cell in own.points.cell:
            continue
        index = np.unravel_index(cell, grid.shape)
        centre = np.array([e[i : i + 2].mean() for e, i in zip(grid.edges, index, strict=True)])
        u = [f.stretch(c) for f, c in zip(grid.features, centre, strict=True)]
        distance = (((own.u - u) / width) ** 2).sum(axis=1)
        assert table.assign(centre[None])[0] == label[distance.argmin()]


def test_a_table_needs_a_grid():
    own, _ = tiny(5)
    with pytest.raises(OptimisationError, match="needs points on a grid"):
        methods.table_categories(own, np.zeros(5, dtype=int))


def test_equidistant_bins():
    own, _ = tiny(5)
    wide = replace(own.points, features=(Feature("x", -2.0, 6.0),))
    own = replace(own, points=wide)
    x = np.array([[-2.0], [-0.01], [0.0], [3.99], [4.0], [6.0], [7.0], [-3.0]])
    assert methods.equidistant_labels(own, x, 4).tolist() == [0, 0, 1, 2, 3, 3, 3, 0]


@pytest.mark.parametrize("n_signals", [1, 2, 3])
def test_arg_max_shares_out_the_categories(n_signals):
    for n in range(n_signals + 1, 12):
        bins = methods.argmax_bins(n, n_signals)
        assert sum(bins) + 1 == n
        assert max(bins) - min(bins) <= 1
        assert min(bins) >= 1


def test_arg_max_labels_by_hand():
    edges = [np.array([0.6]), np.array([])]
    x = np.array([[0.5, 0.3], [0.7, 0.1], [0.6, 0.3], [0.1, 0.8], [0.2, 0.3], [0.45, 0.4]])
    assert methods.argmax_labels(x, edges).tolist() == [1, 2, 2, 3, 0, 1]


def test_class_scores_are_recognised(one_score, three_classes):
    assert methods.has_class_scores(three_classes[0])
    assert not methods.has_class_scores(one_score[0])
    two = replace(three_classes[0], signals=("signal1",))
    assert not methods.has_class_scores(two)
    above = replace(three_classes[0].points, x=np.ones((len(three_classes[0].points), 3)))
    assert not methods.has_class_scores(replace(three_classes[0], points=above))


def test_arg_max_with_a_class_that_wins_nowhere():
    own, _ = tiny(30, dim=2, m=2)
    points = replace(own.points, x=own.points.x * [0.5, 0.1])
    own = replace(own, points=points)
    raw = own.densities([0])
    partition = methods.ArgmaxPartition(own, TrainingSet(raw, raw), n_max=4)
    edges = partition.edges(4)
    assert len(edges[1]) == 0
    assert (methods.argmax_labels(points.x, edges) <= 2).all()


def test_ratio_order():
    own, training = tiny(12, dim=3)
    order = methods.rank_order(own, training.target)
    ratio = training.target.signal[0] / training.target.background
    assert (np.diff(ratio[order]) >= 0).all()
    own, training = tiny(12)
    order = methods.rank_order(own, training.target)
    assert (np.diff(own.points.x[order, 0]) >= 0).all()
    empty = Densities(
        u=np.zeros((2, 2)),
        signal=np.ones((1, 2)),
        background=np.array([0.0, 1.0]),
        variance=np.ones(2),
    )
    two, _ = tiny(2, dim=2)
    assert methods.rank_order(two, empty).tolist() == [1, 0]


@pytest.mark.parametrize("method", ["exact", "lloyd"])
def test_points_whose_events_are_all_held_out_go_by_their_neighbours(method, three_classes):
    own, sets = three_classes
    if method == "exact":
        own = replace(
            own,
            signals=("signal1",),
            backgrounds=tuple(n for n in own.points.processes if n != "signal1"),
            smooth=False,
        )
        sets = training_sets(own)
    lonely = np.arange(len(own.points)) % 4 == 1
    raw, target = (
        replace(
            d,
            signal=np.where(lonely, 0.0, d.signal),
            background=np.where(lonely, 0.0, d.background),
            variance=np.where(lonely, 0.0, d.variance),
        )
        for d in (sets[0].raw, sets[0].target)
    )
    training = TrainingSet(raw, target)
    if method == "exact":
        label = methods.ExactPartition(own, training, n_max=4).labels(4)
    else:
        atoms = methods.Atoms(own, training, seed=0)
        label = methods.lloyd_starts(atoms, 4, own.objective, seed=0, count=1)[0]
    width = own.u.std(axis=0)
    for i in np.flatnonzero(lonely)[:40]:
        distance = (((own.u - own.u[i]) / width) ** 2).sum(axis=1)
        assert label[i] == label[np.where(lonely, np.inf, distance).argmin()]
