"""Categories for correctionlib: every event as the categories themselves have it."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from gato_coffea.categories import EdgeCategories, MixtureCategories
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature
from gato_coffea.exports import (
    as_edges,
    tabulated,
    write_correctionlib,
)

FEATURE = Feature("score", 0.0, 1.0)
CATEGORIES = EdgeCategories(
    features=(FEATURE,), label=np.array([0, 1, 2]), edges=(np.array([0, 0.3, 0.8, 1.0]),)
)


def hard_values(low, high, edges, n=200_000):
    """Random values, every edge and its neighbours, both ends and what lies beyond."""
    rng = np.random.default_rng(0)
    special = np.concatenate([edges, [low, high, low - 1, high + 1, -1e300, 1e300, 0.0, -0.0]])
    beside = [np.nextafter(special, np.inf), np.nextafter(special, -np.inf)]
    return np.concatenate([rng.uniform(low - 0.1, high + 0.1, n), special, *beside])


def evaluate(path, *columns):
    correctionlib = pytest.importorskip("correctionlib")
    correction = correctionlib.CorrectionSet.from_file(str(path))["category"]
    return correction.evaluate(*columns)


def test_correctionlib_agrees_event_by_event(tmp_path):
    categories = replace(CATEGORIES, label=np.array([1, 0, 2]))
    write_correctionlib(categories, tmp_path / "c.json")
    x = hard_values(0, 1, categories.edges[0])
    np.testing.assert_array_equal(evaluate(tmp_path / "c.json", x), categories.assign(x))


def test_correctionlib_of_open_ranges(tmp_path):
    features = (Feature("a", 0, 1, open=True), Feature("b", 0, 1))
    table = (np.array([0, 0.4, 1.0]), np.array([0, 0.7, 1.0]))
    categories = EdgeCategories(features=features, label=np.arange(4), edges=table)
    write_correctionlib(categories, tmp_path / "c.json")
    x = np.array([[-3, 0.5], [4, 0.9], [0.5, -1], [0.5, 2], [1.0, 1.0], [-1, 5]])
    found = evaluate(tmp_path / "c.json", *x.T)
    np.testing.assert_array_equal(found, categories.assign(x))
    assert found.tolist() == [0, 3, -1, -1, 3, -1]


@pytest.mark.parametrize("open_range", [False, True])
def test_correctionlib_of_what_is_no_number(open_range, tmp_path):
    feature = replace(FEATURE, open=open_range)
    categories = replace(CATEGORIES, features=(feature,))
    write_correctionlib(categories, tmp_path / "c.json")
    found = evaluate(tmp_path / "c.json", np.array([np.nan, -np.inf, np.inf]))
    assert found.tolist() == [-1, 0 if open_range else -1, -1]
    (correction,) = json.loads((tmp_path / "c.json").read_text())["corrections"]
    assert correction["inputs"][0]["description"].endswith(
        "counts as at its end" if open_range else "is in no category"
    )


def test_correctionlib_in_two_dimensions(tmp_path):
    rng = np.random.default_rng(2)
    edges = (np.array([0, 0.2, 0.7, 1]), np.array([-5.0, 0.0, 5.0]))
    features = (FEATURE, Feature("other", -5, 5))
    label = rng.permutation(6)
    categories = EdgeCategories(features=features, label=label, edges=edges)
    write_correctionlib(categories, tmp_path / "c.json")
    x = rng.permutation(hard_values(0, 1, edges[0], 10_000))
    y = rng.permutation(hard_values(-5, 5, edges[1], 10_000))
    n = min(len(x), len(y))
    x, y = x[:n], y[:n]
    got = evaluate(tmp_path / "c.json", x, y)
    np.testing.assert_array_equal(got, categories.assign(np.stack([x, y], axis=1)))


def mixture(seed, feature, k=6):
    rng = np.random.default_rng(seed)
    low, high = feature.stretch(np.array([feature.low, feature.high]))
    return MixtureCategories(
        features=(feature,),
        label=rng.permutation(k),
        means=rng.uniform(low, high, (k, 1)),
        scale_tril=(high - low) * rng.uniform(0.02, 0.3, (k, 1, 1)),
        log_weights=np.log(rng.dirichlet(np.ones(k))),
    )


@pytest.mark.parametrize("scale", ["linear", "logit", "log"])
@pytest.mark.parametrize("seed", range(5))
def test_gaussian_categories_in_one_dimension_become_edges(seed, scale, tmp_path):
    feature = Feature(
        "score", 0.5 if scale == "log" else 0.0, 3000.0 if scale == "log" else 1.0, scale
    )
    categories = mixture(seed, feature)
    table = as_edges(categories)
    rng = np.random.default_rng(seed)
    x = np.concatenate(
        [
            rng.uniform(feature.low, feature.high, 50_000),
            feature.unstretch(np.linspace(-12, 12, 50_000)),
            *(table.edges[0] * (1 + shift) for shift in (-1e-9, -1e-12, 1e-12, 1e-9)),
            table.edges[0][[0, -1]],
        ]
    )
    # Closer to a boundary than a few units in the last place, rounding decides.
    np.testing.assert_array_equal(table.assign(x), categories.assign(x))
    write_correctionlib(categories, tmp_path / "c.json")
    np.testing.assert_array_equal(evaluate(tmp_path / "c.json", x), categories.assign(x))


def test_gaussian_categories_in_two_dimensions_have_no_edges():
    features = (FEATURE, Feature("other", 0, 1))
    categories = MixtureCategories(
        features=features,
        label=np.arange(2),
        means=np.zeros((2, 2)),
        scale_tril=np.stack([np.eye(2)] * 2),
        log_weights=np.zeros(2),
    )
    with pytest.raises(InputError, match="mixture in 2 discriminants has no rectangular form"):
        as_edges(categories)


def test_gaussian_categories_in_two_dimensions_as_a_table(tmp_path):
    features = (FEATURE, Feature("other", 0, 1, "logit"))
    categories = MixtureCategories(
        features=features,
        label=np.array([2, 0, 1]),
        means=np.array([[0.2, -3.0], [0.8, 0.0], [0.5, 4.0]]),
        scale_tril=np.array([[[0.2, 0], [0.3, 2]], [[0.1, 0], [0, 3]], [[0.3, 0], [-1, 2]]]),
        log_weights=np.zeros(3),
    )
    write_correctionlib(categories, tmp_path / "c.json", n_cells=200)
    rng = np.random.default_rng(3)
    x = np.stack([rng.uniform(0, 1, 100_000), 1 / (1 + np.exp(rng.uniform(-11, 11, 100_000)))], 1)
    differ = np.mean(evaluate(tmp_path / "c.json", *x.T) != categories.assign(x))
    # Boundaries cross some 600 of 40 000 cells, and half a cell is on the wrong side at most.
    assert 0 < differ < 0.01
    (correction,) = json.loads((tmp_path / "c.json").read_text())["corrections"]
    told = re.search(r"Approximate: .*; (\S+) % of 100000 points", correction["description"])
    assert float(told[1]) / 100 == pytest.approx(differ, rel=0.2)
    assert [entry["description"] for entry in correction["inputs"]] == [
        "from 0 to 1; a value beyond is in no category"
    ] * 2
    assert correction["output"]["description"] == "number of the category, 0 to 2; -1 is none"
    grid = tuple(f.edges(200) for f in features)
    table = tabulated(categories, grid)
    np.testing.assert_array_equal(tabulated(table, grid).label, table.label)
