"""Files that someone has damaged: read, or refused in one line, whatever was done to them.

Seeded, so that a failure is found again: first single values of the content are replaced, then
bytes of the file.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hist
import numpy as np
import pytest
import uhi.io.json
import yaml

from gato_coffea import optimise
from gato_coffea.categories import Categories, EdgeCategories
from gato_coffea.config import read_analysis
from gato_coffea.datasets.histogram_files import read_histograms
from gato_coffea.errors import GatoError
from gato_coffea.events.columns import read_columns, write_columns
from gato_coffea.events.samples import Feature, Sample
from gato_coffea.exports import read_uhi
from gato_coffea.workflow.provenance import Provenance
from gato_coffea.workflow.results import read_results, read_summary, write_results
from gato_coffea.workflow.stages import Job, read_cutflow

DEEP = "@deep"
VALUES: list[Any] = [None, True, -1, 0, 7, 1e308, 10**400, "x", "", [], [[]], {}, {"a": 1}, DEEP]
VALUES += [float("nan"), float("inf"), -(2**63), [1, [2]], ["x", 3], "1e5"]
ROUNDS = 120
"""Damaged copies of each file and kind of damage; more of them take longer than they are worth."""


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Keys that lead to every value of a content."""
    yield path
    items: Any = ()
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, list):
        items = enumerate(content[:3])
    for key, value in items:
        yield from places(value, (*path, key))


def replaced(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The content with another value at a place."""
    if not path:
        return value
    copy = dict(content) if isinstance(content, dict) else list(content)
    copy[path[0]] = replaced(content[path[0]], path[1:], value)
    return copy


def damaged(path: Path, rng: random.Random) -> Iterator[bytes]:
    """Damaged copies of a file."""
    whole = path.read_bytes()
    if path.suffix == ".json":
        content = json.loads(whole)
        everywhere = list(places(content))
        for _ in range(ROUNDS):
            text = json.dumps(replaced(content, rng.choice(everywhere), rng.choice(VALUES)))
            yield text.replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000).encode()
    for _ in range(ROUNDS):
        found = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(max(len(found), 1))
            how = rng.randrange(4)
            if how == 0:
                found[at : at + 1] = bytes([rng.randrange(256)])
            elif how == 1:
                del found[at : at + rng.randint(1, 20)]
            elif how == 2:
                found[at:at] = rng.choice(
                    [b"[", b"{", b"}", b"-", b"e9", b"null,", b": ", b"\xff"]
                )
            else:
                found = found[: max(at, 1)]
        yield bytes(found)


def check_all(path: Path, read: Callable[[], Any], *, seed: int = 1) -> None:
    """Damaged copies are read, or refused in one line; the file is put back."""
    whole = path.read_bytes()
    refused = []
    try:
        for text in damaged(path, random.Random(seed)):
            path.write_bytes(text)
            try:
                read()
            except GatoError as error:
                refused.append(str(error))
    finally:
        path.write_bytes(whole)
    assert refused
    for line in refused:
        assert "\n" not in line
        assert len(line) < 2000


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an optimisation leaves."""
    rng = np.random.default_rng(3)
    samples = {
        name: {"x": rng.beta(*shape, 900), "weight": np.full(900, weight)}
        for name, shape, weight in (("sig", (4, 2), 0.1), ("bkg", (2, 4), 1.0))
    }
    folder = tmp_path_factory.mktemp("results")
    write_results(folder, [optimise(samples, signals=["sig"], n_categories=3, method="exact")])
    return folder


MIXTURE = {
    "means": [[0.2], [0.7]],
    "scale_tril": [[[0.1]], [[0.2]]],
    "log_weights": [-0.5, -0.9],
    "support": [[0.0, 1.0]],
    "label": [0, 1],
}
TABLE = EdgeCategories(
    features=(Feature("a", 0, 1), Feature("b", 1, 9, "log")),
    label=np.arange(1200) % 7,
    edges=(np.linspace(0, 1, 41), np.linspace(1, 9, 31)),
)


def mixture() -> dict[str, Any]:
    return {
        **TABLE.to_dict(),
        "kind": "mixture",
        "n_categories": 2,
        "features": [asdict(Feature("a", 0, 1, open=True))],
        "parameters": MIXTURE,
    }


@pytest.mark.parametrize("kind", ["table", "mixture"])
def test_categories(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(TABLE.to_dict() if kind == "table" else mixture()))

    def read() -> None:
        categories = Categories.load(path)
        x = np.random.default_rng(1).uniform(-1, 10, (50, len(categories.features)))
        assert categories.assign(x).shape == (50,)
        categories.save(tmp_path / "again.json")

    check_all(path, read)


@pytest.mark.parametrize("name", ["summary", "result_3", "categories_3"])
def test_results(results: Path, name: str) -> None:
    def read() -> None:
        read_summary(results)
        for result in read_results(results).values():
            result.table()

    check_all(results / f"{name}.json", read)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("objective", "x", "objective must be significance, precision, limit"),
        ("systematics", 5, "systematics must be a list"),
        ("folds", "x", "folds must be a number"),
    ],
)
def test_circumstances_that_no_table_can_name(
    results: Path, tmp_path: Path, key: str, value: Any, told: str
) -> None:
    folder = tmp_path / "optimise"
    shutil.copytree(results, folder)
    path = folder / "categories_3.json"
    content = json.loads(path.read_text())
    content["training"][key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(GatoError, match=told):
        read_results(folder)


def test_a_resonant_process_that_is_no_background(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "optimise"
    shutil.copytree(results, folder)
    path = folder / "result_3.json"
    content = json.loads(path.read_text())
    content["yields"]["resonant"] = ["x"]
    path.write_text(json.dumps(content))
    with pytest.raises(GatoError, match="resonant must be among the backgrounds"):
        read_results(folder)


@pytest.mark.parametrize("storage", [hist.storage.Weight(), hist.storage.Double()])
def test_histograms(tmp_path: Path, storage: Any) -> None:
    labels = hist.axis.StrCategory(["a", "b"], name="process")
    axes = labels, hist.axis.Regular(4, 0, 1, name="x"), hist.axis.Variable([0, 1, 3], name="y")
    h = hist.Hist(*axes, storage=storage)
    h.fill("a", [0.1, 0.4], [0.5, 2.0])
    path = tmp_path / "h.json"
    path.write_text(json.dumps({"one": h}, default=uhi.io.json.default))
    check_all(path, lambda: read_histograms(path))
    path.write_text(json.dumps(h, default=uhi.io.json.default))
    check_all(path, lambda: read_uhi(path), seed=2)
    path.write_text(json.dumps({"a": {"edges": [0, 1, 2], "contents": [3, 4]}}))
    check_all(path, lambda: read_histograms(path), seed=3)


def test_columns(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    x = np.arange(6.0).reshape(3, 2)
    write_columns(path, Sample(x=x, weight=np.ones(3), fold=np.arange(3), data=True))
    check_all(path, lambda: read_columns(path))


def test_coffea_files(tmp_path: Path) -> None:
    """Not those that are pickles still: these run what they hold, as the help says."""
    path = tmp_path / "h.coffea"
    for content in (b"", b"no pickle", bytes(range(256))):
        path.write_bytes(content)
        with pytest.raises(GatoError, match=r"h\.coffea: is damaged"):
            read_histograms(path)


def test_a_feature_without_scale_is_refused(tmp_path: Path) -> None:
    content = mixture()
    del content["features"][0]["scale"]
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(GatoError, match=r"c\.json: .*a feature must say its scale"):
        Categories.load(tmp_path / "c.json")


def test_analysis_files(small: Any, tmp_path: Path) -> None:
    path = tmp_path / "analysis.yaml"
    path.write_text(yaml.safe_dump(small.content))
    check_all(path, lambda: read_analysis(path))


def test_the_record_of_a_run(tmp_path: Path) -> None:
    files = {"a": {"size": 3, "modified_ns": 5, "sha256": "ab"}}
    record = {"key": "ab", "files": files, "wall_s": 0.5, "peak_mb": 100.0, "above": {"x": "y"}}
    content = {"versions": {}, "seed": 0, "inputs": {}, "stages": {"p": record}, "left": files}
    path = tmp_path / "provenance.json"
    path.write_text(json.dumps(content))
    for text in damaged(path, random.Random(4)):
        path.write_bytes(text)
        found = Provenance.read(tmp_path)
        found.is_current("p", key="ab", output=tmp_path)


def test_a_damaged_file_of_a_stage_is_one_line(make_analysis: Any, tmp_path: Path) -> None:
    job = Job.of(make_analysis(n=20), output=tmp_path / "results")
    path = job.folder("process") / "process.json"
    path.parent.mkdir(parents=True)
    for text in ("{", "[]", '{"cutflow": 3}', "[" * 100_000):
        path.write_text(text)
        with pytest.raises(GatoError, match=r"process\.json: (cannot read|is damaged)"):
            read_cutflow(job)
