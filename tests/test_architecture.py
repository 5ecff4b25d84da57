"""Imports point one way, and importing the package does nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gato_coffea"

SHARED = {
    "",
    "errors",
    "analysis_text",
    "sections",
    "config",
    "arrays",
    "grids",
    "identity",
    "samples",
    "categories",
    "files",
    "axes",
    "gato.result",
}
EVENT = {
    "datasets",
    "layout",
    "columns",
    "events",
    "chunk",
    "processing",
    "processor",
    "output",
    "storage",
    "run",
    "soundness",
    "trial",
    "inspect",
    "rootfiles",
    "histogram_files",
    "starting",
    "templates",
    "ntuples",
}
RESULTS = {"sidebands", "exports", "plots", "report"}
TOP = {
    "provenance",
    "preparation",
    "results",
    "stages",
    "from_histograms",
    "pipeline",
    "workflow",
    "tables",
    "options",
    "cli",
    "__main__",
}

TENSORFLOW = {"tensorflow", "tensorflow_probability", "tf_keras", "keras"}
COFFEA = {"coffea", "awkward", "dask", "distributed", "uproot"}
DRAWING = {"matplotlib", "mplhep"}
NUMPY_ONLY_OF_GATO = {"gato.toys", "gato.result", "gato.significance"}


def modules(package: Path) -> dict[str, Path]:
    """Every module by its dotted name below the package; the package itself is ''."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> set[str]:
    """Dotted names that a module imports anywhere, but for type checking only."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for part in node.body
        for inner in ast.walk(part)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(name: str) -> str:
    """Room that a module lies in."""
    first = name.split(".")[0]
    if name in SHARED or first in SHARED - {""}:
        return "shared"
    rooms = {"event": EVENT, "learning": {"gato"}, "results": RESULTS, "top": TOP}
    for label, members in rooms.items():
        if first in members:
            return label
    return "unknown"


ALLOWED = {
    "shared": {"shared"},
    "event": {"shared", "event"},
    "learning": {"shared", "learning"},
    "results": {"shared", "results", "event", "learning"},
    "top": {"shared", "event", "learning", "results", "top"},
}
FORBIDDEN = {
    "shared": TENSORFLOW | COFFEA | DRAWING,
    "event": TENSORFLOW | DRAWING,
    "learning": COFFEA | DRAWING,
    "results": TENSORFLOW,
    "top": TENSORFLOW | DRAWING,
}


def violations(package: Path) -> list[str]:
    """Every import of a package that goes against the order of the rooms."""
    known = modules(package)
    found = []
    for name, path in known.items():
        own = room(name)
        if own == "unknown":
            found.append(f"{name}: lies in no room")
            continue
        for target in sorted(imports(path)):
            outer = target.split(".")[0]
            if outer in FORBIDDEN[own]:
                found.append(f"{name} ({own}) imports {target}")
            inner = target.removeprefix("gato_coffea").lstrip(".")
            if outer != "gato_coffea" or inner not in known or not inner:
                continue
            if own == "event" and room(inner) == "learning" and inner in NUMPY_ONLY_OF_GATO:
                continue
            if own == "event" and inner == "gato":
                continue
            if room(inner) not in ALLOWED[own]:
                found.append(f"{name} ({own}) imports {target} ({room(inner)})")
    return found


def test_imports_point_one_way() -> None:
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("module", "line", "told"),
    [
        ("processor.py", "import tensorflow as tf", "imports tensorflow"),
        ("gato/model.py", "from awkward import Array", "imports awkward"),
        ("samples.py", "from gato_coffea.run import process", "imports gato_coffea.run"),
        ("run.py", "from gato_coffea.gato import training", "imports gato_coffea.gato.training"),
        ("gato/model.py", "import gato_coffea.plots", "imports gato_coffea.plots"),
        ("config.py", "def f():\n    import matplotlib.pyplot", "imports matplotlib.pyplot"),
        ("utils.py", "", "lies in no room"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, module: str, line: str, told: str) -> None:
    for name in ("samples", "config", "run", "processor", "gato/model", "gato/training", "plots"):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert violations(tmp_path) == []
    (tmp_path / module).write_text(line + "\n")
    found = violations(tmp_path)
    assert len(found) >= 1
    assert told in found[0]


def test_an_import_for_types_alone_is_no_violation(tmp_path: Path) -> None:
    (tmp_path / "samples.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import tensorflow\n"
    )
    assert violations(tmp_path) == []


HEAVY = TENSORFLOW | DRAWING | {"coffea", "awkward", "dask", "uproot", "sklearn", "pandas", "hist"}


def loaded(code: str) -> set[str]:
    """Heavy packages that a fresh interpreter has loaded after some code."""
    code += f"\nimport sys\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded("import gato_coffea; gato_coffea.read_analysis; dir(gato_coffea)") == set()


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom gato_coffea.cli import main\nsys.argv = ['gato-coffea', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )
    assert loaded(code) == set()


def test_heavy_packages_are_seen_when_loaded() -> None:
    assert loaded("import hist") >= {"hist"}


def test_every_public_name_can_be_imported_but_is_not_before() -> None:
    import gato_coffea

    for name in gato_coffea.__all__:
        home = gato_coffea._HOME.get(name)
        if home != "gato.optimise":  # loads TensorFlow; its own tests import it
            assert getattr(gato_coffea, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gato_coffea.nothing
