"""Categories: assignment, JSON round trip, damaged files, relabelling, NumPy alone."""

import base64
import json
import subprocess
import sys
import tracemalloc
import zlib
from dataclasses import asdict, replace
from itertools import product

import awkward as ak
import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from gato_coffea.categories import Categories, EdgeCategories, MixtureCategories, from_dict
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature, Grid
from gato_coffea.exports import as_edges

SCORE = Feature("score", 0.0, 1.0)
LOGIT = Feature("logit", 0.0, 1.0, "logit")
PT = Feature("pt", 10.0, 3000.0, "log")


def mixture(*features, k=4, seed=1):
    rng = np.random.default_rng(seed)
    d = len(features)
    ends = [f.stretch(np.array([f.low, f.high])) for f in features]
    means = np.stack([rng.uniform(*e, k) for e in ends], axis=1)
    spread = np.array([e[1] - e[0] for e in ends])
    tril = np.tril(rng.normal(0, 0.1, (k, d, d)), -1) + np.eye(d) * rng.uniform(
        0.1, 0.4, (k, d, 1)
    )
    return MixtureCategories(
        features=features,
        label=rng.permutation(k),
        means=means,
        scale_tril=tril * spread[:, None],
        log_weights=np.log(rng.dirichlet(np.ones(k))),
        training={"seed": 1, "held_out": {"combined": 1.7}},
    )


def edges(*features, n=3, seed=1):
    rng = np.random.default_rng(seed)
    tables = tuple(f.edges(n) for f in features)
    return EdgeCategories(
        features=features, label=rng.permutation(n ** len(features)), edges=tables
    )


ALL = [
    mixture(SCORE),
    mixture(LOGIT, PT),
    mixture(SCORE, LOGIT, PT, k=7),
    edges(SCORE),
    edges(LOGIT),
    edges(PT, SCORE),
    edges(SCORE, PT, n=40),  # packed table
]


def events(categories, n=5000, seed=3):
    rng = np.random.default_rng(seed)
    return np.stack([rng.uniform(f.low, f.high, n) for f in categories.features], axis=1)


@pytest.mark.parametrize("categories", ALL)
def test_file_round_trip_is_exact(categories, tmp_path):
    path = tmp_path / "sub" / "categories.json"
    categories.save(path)
    names = [f.name for f in categories.features]
    again = Categories.load(path, features=names)
    assert again.to_dict() == categories.to_dict()
    assert again.features == categories.features
    assert again.training == categories.training
    x = events(categories)
    np.testing.assert_array_equal(again.assign(x), categories.assign(x))
    content = json.loads(path.read_text())
    assert content["n_categories"] == categories.n_categories
    assert content["schema_version"] == 1


def test_mixture_assigns_the_largest_posterior():
    categories = mixture(SCORE, PT, k=5)
    x = events(categories, 500)
    u = np.stack([x[:, 0], np.log(x[:, 1])], axis=1)
    slow = [
        np.exp(w) * multivariate_normal(m, t @ t.T).pdf(u)
        for m, t, w in zip(
            categories.means, categories.scale_tril, categories.log_weights, strict=True
        )
    ]
    np.testing.assert_array_equal(categories.assign(x), categories.label[np.argmax(slow, axis=0)])


def test_more_events_than_a_block_are_assigned_alike():
    categories = mixture(LOGIT)
    x = events(categories, 250_001)[:, 0]
    parts = [categories.assign(part) for part in np.array_split(x, 7)]
    np.testing.assert_array_equal(categories.assign(x), np.concatenate(parts))


def test_edges_are_looked_up():
    categories = EdgeCategories(
        features=(SCORE, PT),
        label=np.array([0, 1, 2, 3, 4, 5]),
        edges=(np.array([0, 0.5, 1.0]), np.array([10, 20, 30, 3000.0])),
    )
    x = [[0.0, 10], [0.49, 20], [0.49, 3000], [0.5, 10], [1.0, 29.9], [1.0, 30]]
    np.testing.assert_array_equal(categories.assign(x), np.arange(6))
    with pytest.raises(InputError, match="boundaries need one discriminant, not 2"):
        _ = categories.boundaries


def test_boundaries_are_where_the_category_changes():
    categories = EdgeCategories(
        features=(SCORE,),
        label=np.array([0, 0, 2, 1]),
        edges=(np.array([0, 0.1, 0.2, 0.6, 1.0]),),
    )
    np.testing.assert_array_equal(categories.boundaries, [0.2, 0.6])
    assert categories.n_categories == 3


@pytest.mark.parametrize("categories", ALL)
def test_outside_and_nan_belong_to_no_category(categories):
    inside = events(categories, 1)[0]
    for d, f in enumerate(categories.features):
        for value in (
            np.nan,
            np.inf,
            -np.inf,
            np.nextafter(f.low, -np.inf),
            np.nextafter(f.high, np.inf),
        ):
            x = inside.copy()
            x[d] = value
            assert categories.assign(x[None])[0] == -1
    corners = np.array(list(product(*[(f.low, f.high) for f in categories.features])))
    assert (categories.assign(corners) >= 0).all()


@pytest.mark.parametrize("categories", ALL)
def test_no_events_give_no_categories(categories):
    result = categories.assign(np.empty((0, len(categories.features))))
    assert result.shape == (0,)
    assert result.dtype == np.int64


def test_one_discriminant_may_come_as_a_flat_array():
    categories = edges(SCORE)
    x = np.linspace(0, 1, 11)
    np.testing.assert_array_equal(categories.assign(x), categories.assign(x[:, None]))
    np.testing.assert_array_equal(
        categories.assign(x.astype(np.float32)), categories.assign(x.astype(np.float32)[:, None])
    )


def test_wrong_number_of_columns_is_refused():
    message = r"need 2 columns \(pt, score\) \(got shape \(5, 1\)\)"
    with pytest.raises(InputError, match=message):
        edges(PT, SCORE).assign(np.zeros(5))


@pytest.mark.parametrize("categories", ALL)
def test_relabelling_renames_and_merges(categories, tmp_path):
    x = events(categories)
    before, k = categories.assign(x), categories.n_categories
    turned = categories.relabelled(np.arange(k)[::-1])
    np.testing.assert_array_equal(turned.assign(x), k - 1 - before)
    merged = categories.relabelled(np.minimum(np.arange(k), 1))
    np.testing.assert_array_equal(merged.assign(x), np.minimum(before, 1))
    assert merged.n_categories == 2
    merged.save(tmp_path / "m.json")
    np.testing.assert_array_equal(
        Categories.load(tmp_path / "m.json").assign(x), np.minimum(before, 1)
    )


def broken(change):
    content = mixture(SCORE, PT).to_dict()
    change(content)
    return content


def cut_off(content):
    content["parameters"]["label"] = content["parameters"]["label"][:-1]


DAMAGED = {
    "schema_version is missing": lambda c: c.pop("schema_version"),
    r"schema_version must be 1 \(got 2\)": lambda c: c.update(schema_version=2),
    "is damaged .*kind must be mixture or edges, got 'tree'": lambda c: c.update(kind="tree"),
    "is damaged .KeyError: 'parameters'": lambda c: c.pop("parameters"),
    "is damaged .KeyError: 'means'": lambda c: c["parameters"].pop("means"),
    "is damaged .ValueError": lambda c: c["parameters"]["means"][0].pop(),
    "is damaged .*scale_tril must be finite": lambda c: c["parameters"].update(scale_tril=[]),
    "is damaged .*log_weights must be finite": lambda c: c["parameters"][
        "log_weights"
    ].__setitem__(0, None),
    "is damaged .*label does not fit the edges, or components .3, not 4.": cut_off,
    "is damaged .*unexpected keyword": lambda c: c["features"][0].update(colour="red"),
    "is damaged .*label must be a list of whole": lambda c: c["parameters"].update(
        label=[0.5, 1, 2, 3]
    ),
    "is damaged .*whole numbers that are not negative": lambda c: c["parameters"].update(
        label=[-1, 1, 2, 3]
    ),
    "is damaged .*label must be a list": lambda c: c["parameters"].update(label=[]),
    "is damaged .*must be a mapping, not str": lambda c: c.update(features="score"),
    "is damaged .*parameters": lambda c: c.update(parameters=[1, 2]),
    "is damaged .*diagonal of scale_tril": lambda c: c["parameters"]["scale_tril"][0][
        0
    ].__setitem__(0, 0.0),
    "is damaged .*scale of 'score' must be one of linear, logit, log": lambda c: c["features"][
        0
    ].update(scale="cubic"),
    "is damaged .*range of 'score'": lambda c: c["features"][0].update(low=2.0),
}


@pytest.mark.parametrize("message", DAMAGED)
def test_damaged_files_are_one_clear_line(message, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(broken(DAMAGED[message])))
    with pytest.raises(InputError, match=message) as caught:
        Categories.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


EDGE_DAMAGE = {
    "edges must increase": lambda p: p["edges"].__setitem__(0, [0.0, 0.7, 0.3, 1.0]),
    "edges must increase, one list a feature": lambda p: p["edges"].append([0, 1]),
    "label does not fit the edges": lambda p: p["edges"].__setitem__(0, [0.0, 1.0]),
    "edges must span the range of 'score'": lambda p: p["edges"].__setitem__(
        0, [0, 0.1, 0.2, 0.9]
    ),
    "edges must increase, one": lambda p: p["edges"].__setitem__(0, [0.0, None, 0.5, 1.0]),
    "label": lambda p: p.update(label="%%%"),
}


@pytest.mark.parametrize("message", EDGE_DAMAGE)
def test_damaged_tables_are_one_clear_line(message, tmp_path):
    content = edges(SCORE).to_dict()
    EDGE_DAMAGE[message](content["parameters"])
    path = tmp_path / "c.json"
    path.write_text(json.dumps(content))
    with pytest.raises(
        InputError, match=f"is damaged .*{message}" if message != "label" else "damaged"
    ):
        Categories.load(path)


def test_truncated_missing_and_foreign_files(tmp_path):
    path = tmp_path / "c.json"
    edges(SCORE, PT, n=40).save(path)
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    with pytest.raises(InputError, match="cannot read categories"):
        Categories.load(path)
    path.write_text("[1, 2, 3]")
    with pytest.raises(InputError, match="is no categories file"):
        Categories.load(path)
    path.write_bytes(b"\x80\x04\x95root")
    with pytest.raises(InputError, match="cannot read categories"):
        Categories.load(path)
    with pytest.raises(InputError, match=r"none.json: cannot read categories"):
        Categories.load(tmp_path / "none.json")
    content = edges(SCORE, PT, n=40).to_dict()
    content["parameters"]["label"] = content["parameters"]["label"][:-8]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="is damaged"):
        Categories.load(path)


def test_other_discriminants_are_refused(tmp_path):
    path = tmp_path / "c.json"
    mixture(SCORE, PT).save(path)
    message = r"made for discriminants \['score', 'pt'\] \(requested \['pt', 'score'\]\)"
    with pytest.raises(InputError, match=message):
        Categories.load(path, features=["pt", "score"])


def test_from_dict_takes_what_to_dict_gives():
    for categories in ALL:
        assert from_dict(categories.to_dict()).to_dict() == categories.to_dict()


def test_grid_and_table_agree():
    grid = Grid.fine((LOGIT, PT), n_cells=(7, 5))
    categories = EdgeCategories(features=grid.features, label=np.arange(35), edges=grid.edges)
    x = events(categories)
    np.testing.assert_array_equal(categories.assign(x), grid.index(x))


def test_applying_categories_needs_numpy_alone(tmp_path):
    path = tmp_path / "c.json"
    mixture(SCORE, PT).save(path)
    code = (
        "import sys\n"
        "from gato_coffea.categories import Categories\n"
        f"print(Categories.load({str(path)!r}).assign([[0.5, 100.0]]).shape)\n"
        "heavy = {'tensorflow', 'coffea', 'hist', 'uproot', 'awkward', 'pandas', 'scipy',\n"
        "         'matplotlib', 'sklearn', 'dask', 'pydantic', 'iminuit'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "(1,)\n"


def test_beyond_the_trained_range_the_border_decides():
    # The broad component wins far out on both sides, though it stands for the middle.
    feature = Feature("score", -10.0, 10.0)
    own = MixtureCategories(
        features=(feature,),
        label=np.array([1, 0, 2]),
        means=np.array([[0.4], [0.5], [0.6]]),
        scale_tril=np.array([[[0.02]], [[0.2]], [[0.02]]]),
        log_weights=np.zeros(3),
    )
    x = np.array([-9.0, -2.0, 2.0, 9.0])
    assert own.assign(x).tolist() == [0, 1, 2, 0]
    clipped = replace(own, support=feature.stretch(np.array([[-2.0, 2.0]])))
    assert clipped.assign(x).tolist() == [1, 1, 2, 2]
    again = from_dict(clipped.to_dict())
    assert again.assign(x).tolist() == [1, 1, 2, 2]
    assert as_edges(clipped).assign(x).tolist() == [1, 1, 2, 2]


def test_small_files_do_not_grow(tmp_path):
    """A kilobyte that unpacks to gigabytes is refused before that is asked for."""
    path = tmp_path / "c.json"
    content = edges(SCORE, PT, n=40).to_dict()
    zeros = zlib.compress(bytes(60_000_000), 9)
    content["parameters"]["label"] = base64.b64encode(zeros).decode()
    path.write_text(json.dumps(content))
    wide = np.linspace(0, 1, 100_001).tolist()
    huge = content | {"features": [asdict(replace(SCORE, name=name)) for name in "abc"]}
    huge["parameters"] = content["parameters"] | {"edges": [wide] * 3}
    (tmp_path / "huge.json").write_text(json.dumps(huge))
    many = edges(SCORE).to_dict()
    many["parameters"]["label"] = [0, 1, 10**12]
    many["n_categories"] = 10**12 + 1
    (tmp_path / "many.json").write_text(json.dumps(many))
    tracemalloc.start()
    for name, told in (
        ("c", "label does not fit the edges"),
        ("huge", "no table has more than"),
        ("many", "label must be at most 32767"),
    ):
        with pytest.raises(InputError, match=told):
            Categories.load(tmp_path / f"{name}.json")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # the text itself is 6 MB, and its lists of numbers


TABLE = {
    "unused": np.arange(4.0),
    "pt": np.array([20.0, 200.0, 2000.0, 50.0]),
    "score": np.array([0.1, 0.4, 0.9, np.nan]),
}


def records(table):
    kinds = [(name, float) for name in table]
    return np.array(list(zip(*table.values(), strict=True)), dtype=kinds)


@pytest.mark.parametrize("held", [dict, pd.DataFrame, ak.Array, records])
@pytest.mark.parametrize("categories", [edges(SCORE, PT, n=5), mixture(SCORE, PT, k=6)])
def test_a_table_goes_by_the_names_of_its_columns(held, categories):
    by_hand = categories.assign(np.stack([TABLE["score"], TABLE["pt"]], axis=1))
    assert len(set(by_hand)) > 2
    np.testing.assert_array_equal(categories.assign(held(TABLE)), by_hand)
    with pytest.raises(InputError, match=r"column 'pt' is missing \(got unused, score; a table"):
        categories.assign(held({name: TABLE[name] for name in ("unused", "score")}))


def test_the_columns_of_optimise_are_a_table_too():
    x = np.array([[0.1, 20.0], [0.9, 900.0]])
    categories = edges(SCORE, PT, n=5)
    expected = categories.assign(x)
    for key in ("x", "NN_output"):
        frame = pd.DataFrame({key: list(x), "weight": [1.0, 1.0]})
        np.testing.assert_array_equal(categories.assign(frame), expected)


def test_masked_values_are_in_no_category():
    categories = edges(SCORE)
    x = np.ma.masked_array([0.1, 0.5, 0.9], [False, True, False])
    assert categories.assign(x)[1] == -1
    np.testing.assert_array_equal(categories.assign(x)[[0, 2]], categories.assign([0.1, 0.9]))
    assert categories.assign(ak.Array({"score": [0.1, None]}))[1] == -1
    for wrong, told in ((np.array([0.1 + 2j]), "complex numbers"), (["0.1"], "text")):
        with pytest.raises(InputError, match=rf"categories: must hold numbers \(got {told}\)"):
            categories.assign(wrong)


@pytest.mark.parametrize("categories", [edges(SCORE, PT), mixture(SCORE, PT)])
def test_an_open_range_has_no_outside(categories, tmp_path):
    features = (replace(SCORE, open=True), PT)
    opened = replace(categories, features=features)
    inside = np.array([[0.0, 100.0], [1.0, 100.0]])
    beyond = np.array([[-0.2, 100.0], [7.0, 100.0], [0.5, 9.0], [np.nan, 100.0]])
    assert categories.assign(beyond).tolist() == [-1] * 4
    opened.save(tmp_path / "c.json")
    again = Categories.load(tmp_path / "c.json")
    assert again.features == features
    expected = [*categories.assign(inside).tolist(), -1, -1]
    assert again.assign(beyond).tolist() == opened.assign(beyond).tolist() == expected
    closed = [f for f in again.to_dict()["features"] if "open" not in f]
    assert [f["name"] for f in closed] == ["pt"]
