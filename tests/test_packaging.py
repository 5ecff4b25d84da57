"""What is used is declared, what is declared is used, and the extras are not needed without."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from gato_coffea.config import Analysis
from gato_coffea.errors import EXTRAS
from gato_coffea.workflow.cli import USER_ERROR

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

NEVER_IMPORTED = {
    "tf-keras": "TensorFlow Probability imports it, and does not declare it",
    "correctionlib": "reads the file that the exports write",
    "mypy": "a command of .ci/run",
    "ruff": "a command of .ci/run",
    "types-pyyaml": "types for mypy",
    "pandas-stubs": "types for mypy",
    "scipy-stubs": "types for mypy",
}


@cache
def distributions_of() -> Mapping[str, list[str]]:
    """Distributions by the modules that they hold."""
    return packages_distributions()


def canonical(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def declared(*extras: str) -> set[str]:
    """Distributions of the core, or of extras with the extras that they include."""
    optional = PROJECT["optional-dependencies"]
    lines = [line for extra in extras for line in optional[extra]]
    found = set()
    for line in lines if extras else PROJECT["dependencies"]:
        name, _, inner = re.fullmatch(r"([\w.-]+)(\[([\w,-]+)\])?.*", line).groups()  # type: ignore[union-attr]
        if canonical(name) == "gato-coffea":
            found |= declared(*inner.split(","))
        else:
            found.add(f"coffea[{inner}]" if inner else canonical(name))
    return found


def imported(folder: Path) -> set[str]:
    """Distributions whose modules are imported anywhere in a folder, but for type checking."""
    known = distributions_of()
    found = set()
    for path in folder.rglob("*.py"):
        tree = ast.parse(path.read_text())
        typing = [
            n
            for n in ast.walk(tree)
            if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)
        ]
        skipped = {id(n) for outer in typing for part in outer.body for n in ast.walk(part)}
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for module in {name.split(".")[0] for name in names if id(node) not in skipped}:
                if module in sys.stdlib_module_names or module == "gato_coffea":
                    continue
                found |= {canonical(name) for name in known.get(module, [])}
    return found


def test_what_the_package_imports_is_declared_and_the_core_is_imported() -> None:
    used = imported(ROOT / "gato_coffea")
    lazily = {canonical(d) for module in EXTRAS for d in distributions_of()[module]}
    assert used - lazily == declared()
    extras = declared("gato", "dask", "exports") | {"distributed"}  # coffea[dask] brings it
    assert lazily <= extras
    assert extras - {"coffea[dask]"} - used <= set(NEVER_IMPORTED)


def test_every_module_of_an_extra_names_the_extra_that_has_it() -> None:
    for module, (_, extra) in EXTRAS.items():
        (distribution,) = set(distributions_of()[module])
        assert canonical(distribution) in declared(extra) | {"distributed"}


def test_the_analyses_and_tests_import_only_what_their_extras_declare() -> None:
    core = declared()
    for folder, extra in (("analyses", "analyses"), ("tests", "test")):
        used = imported(ROOT / folder)
        assert used - core <= declared(extra) | {"distributed", "dask"}, folder
    everywhere = used | imported(ROOT / "analyses") | imported(ROOT / "gato_coffea")
    assert declared("test") - everywhere - {"coffea[dask]"} <= set(NEVER_IMPORTED)


BLOCKED = (
    "tensorflow",
    "tensorflow_probability",
    "tf_keras",
    "pandas",
    "dask",
    "distributed",
    "pyhf",
    "correctionlib",
    "sklearn",
)
"""What the core does without. (coffea brings pandas and correctionlib, and loads neither.)"""

CLI = "from gato_coffea.workflow.cli import main; main()"

FINDER = f"""
import sys


class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Nothing())
"""


@pytest.fixture
def light(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of processes, and of their workers, in which no extra is installed."""
    folder = tmp_path_factory.mktemp("light")
    (folder / "sitecustomize.py").write_text(FINDER)
    paths = [str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def command(light: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], env=light, capture_output=True, text=True, check=False
    )


def test_the_finder_hides_what_is_installed(light: dict[str, str]) -> None:
    for module in EXTRAS:
        assert "ModuleNotFoundError" in command(light, "-c", f"import {module}").stderr


def test_everything_but_training_runs_without_any_extra(
    make_analysis, light: dict[str, str]
) -> None:
    analysis: Analysis = make_analysis({"optimise.method": "exact", "optimise.n_categories": [2]})
    folder = analysis.directory
    workers = ("--executor", "futures", "--workers", "1")
    done = command(light, "-c", CLI, "run", str(folder), *workers)
    assert done.returncode == 0, done.stderr
    printed = " ".join(done.stdout.split())
    assert 'needs pyhf; install it with pip install "gato-coffea[exports]"' in printed
    results = folder / "results"
    for name in ("process", "optimise", "templates", "sidebands", "exports", "plots"):
        assert any((results / name).iterdir()), name
    assert (results / "report.html").is_file()
    models = json.loads((results / "exports/evaluation.json").read_text())["models"]
    assert models["counting"]["everything"] is None
    assert models["counting"]["statistics"]["combined"] > 0


ONE_LINE = {
    "gato": 'method: gato needs TensorFlow; install it with pip install "gato-coffea[gato]" '
    "(method: exact and lloyd need none)",
    "dask": "executor: dask needs dask.distributed; install it with pip install "
    '"gato-coffea[dask]" (iterative and futures need none)',
}


def test_what_is_not_installed_is_said_before_events_are_read(
    make_analysis, light: dict[str, str]
) -> None:
    folder = make_analysis({"optimise.method": "gato"}).directory
    for words in (("run",), ("check",)):
        done = command(light, "-c", CLI, *words, str(folder))
        assert done.returncode == USER_ERROR
        assert done.stderr.strip().splitlines()[-1].endswith(ONE_LINE["gato"])
    assert not (folder / "results/process").exists()
    content = yaml.safe_load((folder / "analysis.yaml").read_text())
    content["optimise"]["method"] = "exact"
    (folder / "analysis.yaml").write_text(yaml.safe_dump(content))
    done = command(light, "-c", CLI, "process", str(folder), "--executor", "dask")
    assert done.returncode == USER_ERROR
    assert done.stderr.strip().splitlines()[-1].endswith(ONE_LINE["dask"])


def test_lloyd_and_names_of_the_interface_without_any_extra(light: dict[str, str]) -> None:
    code = (
        "from gato_coffea import GatoError, collect, optimise, gato\n"
        "assert gato.sample_truncated_exponential and collect\n"
        "import numpy as np\n"
        "x = np.linspace(0.01, 0.99, 400)\n"
        "tables = {'s': {'x': x, 'weight': x}, 'b': {'x': x, 'weight': 9.0 - 8.0 * x}}\n"
        "found = optimise(tables, signals=['s'], n_categories=2, method='lloyd')\n"
        "assert set(found.categories.assign(x)) == {0, 1}\n"
        "for name in ('gato_gmm_model', 'generate_toy_data_1D'):\n"
        "    try:\n        getattr(gato, name)\n"
        "    except GatoError as error:\n        print(error)\n"
    )
    done = command(light, "-c", code)
    assert done.stdout.splitlines() == [
        'gato_gmm_model needs TensorFlow; install it with pip install "gato-coffea[gato]"',
        'generate_toy_data_1D needs pandas; install it with pip install "gato-coffea[gato]"',
    ], done.stderr


def test_only_the_toy_tables_import_pandas_when_they_are_loaded() -> None:
    package = ROOT / "gato_coffea"
    found = {
        path.stem
        for path in package.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Import) and "pandas" in ast.unparse(node)
    }
    assert found == {"toy_frames"}
