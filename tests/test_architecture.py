"""Imports point one way between the rooms, and importing the package does nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gato_coffea"

ROOT = "root files"
RENDERING = "rendering"
ROOMS = {
    ROOT: set(),
    RENDERING: set(),
    "config": set(),
    "events": {"config"},
    "categories": {"config", "events"},
    "datasets": {"config", "events", "categories"},
    "processing": {"config", "events", "categories", "datasets"},
    "statistics": {"config", "events"},
    "optimisation": {"config", "events", "categories", "statistics"},
    "sidebands": {"config", "events", "categories"},
    "exports": {"config", "events", "categories", "statistics", "optimisation", "sidebands"},
    "plots": {
        *("config", "events", "categories", "datasets"),
        *("statistics", "optimisation", "sidebands", "exports"),
    },
    "gato": {"config", "events", "categories", "datasets", "statistics", "optimisation", "plots"},
    "workflow": {
        *("config", "events", "categories", "datasets", "processing"),
        *("statistics", "optimisation", "sidebands", "exports", "plots"),
    },
}
"""Folders of the package, and the folders that each may import beside the root files and the room
that says how numbers and tables are written."""

TENSORFLOW = {"tensorflow", "tensorflow_probability", "tf_keras", "keras"}
COFFEA = {"coffea", "awkward", "dask", "distributed", "uproot"}
DRAWING = {"matplotlib", "mplhep"}
MAY_LOAD = {
    "datasets": COFFEA,
    "processing": COFFEA,
    "categories": COFFEA,
    "exports": COFFEA,
    "optimisation/training": TENSORFLOW,
    "plots": DRAWING,
    "gato": TENSORFLOW | DRAWING,
    "workflow": COFFEA,
}
"""Heavy packages by the folder that may import them; all others import none of them."""


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


def room_of(package: Path, path: Path) -> str:
    """The folder that a module lies in."""
    parts = path.relative_to(package).parts
    return parts[0] if len(parts) > 1 else ROOT


def violations(package: Path) -> list[str]:
    """Every import of a package that goes against the order of the rooms."""
    known = modules(package)
    found = []
    for name, path in known.items():
        if not name:
            continue  # the package's own names are imported when they are asked for
        own = room_of(package, path)
        if own not in ROOMS:
            found.append(f"{name}: lies in no room")
            continue
        folder = path.relative_to(package).parent.as_posix()
        heavy = (TENSORFLOW | COFFEA | DRAWING) - MAY_LOAD.get(folder, MAY_LOAD.get(own, set()))
        for target in sorted(imports(path)):
            outer, _, inner = target.partition(".")
            if outer in heavy:
                found.append(f"{name} ({own}) imports {target}")
            if outer != "gato_coffea" or inner not in known or not inner:
                continue
            there = room_of(package, known[inner])
            if there not in {own, ROOT, RENDERING} | ROOMS[own]:
                found.append(f"{name} ({own}) imports {target} ({there})")
    return found


def test_imports_point_one_way() -> None:
    assert violations(PACKAGE) == []


def test_every_room_is_a_folder_and_no_two_import_each_other() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert folders == ROOMS.keys() - {ROOT}
    seen: set[str] = set()
    while len(seen) < len(ROOMS):
        ready = {room for room, below in ROOMS.items() if room not in seen and below <= seen}
        assert ready, f"a circle among {sorted(ROOMS.keys() - seen)}"
        seen |= ready


@pytest.mark.parametrize(
    ("module", "line", "told"),
    [
        ("processing/processor.py", "import tensorflow as tf", "imports tensorflow"),
        ("optimisation/problem.py", "from awkward import Array", "imports awkward"),
        ("optimisation/problem.py", "import tensorflow as tf", "imports tensorflow"),
        (
            "events/samples.py",
            "from gato_coffea.processing.processor import process",
            "imports gato_coffea.processing.processor",
        ),
        (
            "optimisation/problem.py",
            "from gato_coffea.gato import model",
            "imports gato_coffea.gato.model (gato)",
        ),
        ("exports/models.py", "import gato_coffea.plots.run", "imports gato_coffea.plots.run"),
        ("config/analysis.py", "def f():\n    import matplotlib.pyplot", "matplotlib.pyplot"),
        ("tools/utils.py", "", "lies in no room"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, module: str, line: str, told: str) -> None:
    for name in (
        *("events/samples", "config/analysis", "processing/processor", "optimisation/problem"),
        *("exports/models", "plots/run", "gato/model"),
    ):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert violations(tmp_path) == []
    (tmp_path / module).parent.mkdir(exist_ok=True)
    (tmp_path / module).write_text(line + "\n")
    found = violations(tmp_path)
    assert len(found) >= 1
    assert told in found[0]


def test_training_may_use_tensorflow(tmp_path: Path) -> None:
    folder = tmp_path / "optimisation" / "training"
    folder.mkdir(parents=True)
    (folder / "descent.py").write_text("import tensorflow as tf\n")
    assert violations(tmp_path) == []


def test_an_import_for_types_alone_is_no_violation(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "samples.py").write_text(
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
        "import sys\nfrom gato_coffea.workflow.cli import main\n"
        "sys.argv = ['gato-coffea', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )
    assert loaded(code) == set()


def test_heavy_packages_are_seen_when_loaded() -> None:
    assert loaded("import hist") >= {"hist"}


def test_every_public_name_can_be_imported_but_is_not_before() -> None:
    import gato_coffea

    for name in gato_coffea.__all__:
        home = gato_coffea._HOME.get(name)
        if home != "optimisation.optimise":  # its own tests import it
            assert getattr(gato_coffea, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gato_coffea.nothing


TESTS = PACKAGE.parent / "tests"

UNTESTED = {
    "optimisation": {
        "candidates",
        "checks",
        "densities",
        "objective",
        "result_tables",
        "search",
        "settings",
        "variations",
    },
    "optimisation/training": {"tensors", "window"},
    "plots": {
        "animation",
        "categories",
        "contents",
        "plot",
        "run_values",
        "scales",
        "significance",
        "spectra",
        "stacks",
        "style",
        "training",
        "uncertainties",
    },
    "processing": {"chunks", "cluster", "pool", "versions"},
    "rendering": {"drawn"},
    "sidebands": {"tables"},
}
"""Modules by folder that have no test file of their own name yet: what they do is tested by what
uses them. It is only to become shorter."""


def test_every_module_has_a_test_file_of_its_name() -> None:
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        folder = path.relative_to(PACKAGE).parent
        if path.stem != "__init__" and not (TESTS / folder / f"test_{path.name}").is_file():
            found.setdefault(folder.as_posix(), set()).add(path.stem)
    new = {room: names - UNTESTED.get(room, set()) for room, names in found.items()}
    assert {room: names for room, names in new.items() if names} == {}
