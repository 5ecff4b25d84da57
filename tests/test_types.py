"""A user's script on the public names passes a strict type check."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import gato_coffea

SCRIPT = """
from collections.abc import Sequence
from pathlib import Path

import gato_coffea
from gato_coffea import Analysis, Categories, Constraints, Feature, Result
from gato_coffea.datasets import fileset

samples = {"ggH": {"x": [0.5], "weight": [1.0]}, "cont": {"x": [0.5], "weight": [1.0]}}
one: Result = gato_coffea.optimise(samples, signals=["ggH"], n_categories=5, method="exact")
none_given: Result = gato_coffea.optimise(samples, signals=["ggH"])
several: list[Result] = gato_coffea.optimise(samples, signals=["ggH"], n_categories=[3, 5])
auto: list[Result] = gato_coffea.optimise(samples, signals=["ggH"], n_categories="auto")
constraints = Constraints(min_effective=20, max_rel_unc=0.3)
features = [Feature("score", 0, 1, "logit")]
best: Result = gato_coffea.recommended(
    gato_coffea.optimise(
        samples,
        signals=["ggH"],
        n_categories=[2, 3],
        constraints=constraints,
        features=features,
        window_gev=(122, 128),
        mass_range_gev=(100, 180),
        continue_from=several,
    )
)
z: float = best.held_out.combined
best.categories.save("categories.json")
loaded: Categories = Categories.load(Path("categories.json"))
label = loaded.assign([0.1, 0.9])

analysis: Analysis = gato_coffea.read_analysis("analysis.yaml")
processed = gato_coffea.process(analysis, executor="futures", workers=2)
files = fileset(analysis)
templates = gato_coffea.templates_from_samples(processed.samples or {}, loaded, analysis)
for fit in gato_coffea.fit_categories(templates, analysis):
    print(fit.category, fit.estimate.window_yield, fit.error)


def names(of: Sequence[Result]) -> list[int]:
    return [result.asked for result in of]
"""

WRONG = (
    "gato_coffea.optimise({}, n_categories=5)",
    'gato_coffea.optimise({}, signals=["s"], method="magic")',
    'gato_coffea.optimise({}, signals=["s"], restart=1)',
    'gato_coffea.optimise({}, signals=["s"], n_categories=[2]).held_out',
)
"""Lines that a type checker must refuse: signals missing, words and names that are none."""

CONFIG = """
[mypy]
strict = True
[mypy-scipy.*,hist.*,boost_histogram.*,pandas.*,matplotlib.*,mplhep.*,rich.*,typer.*,yaml.*]
follow_imports = skip
[mypy-awkward.*,uproot.*,coffea.*,dask.*,distributed.*,fsspec.*,cloudpickle.*,loky.*,uhi.*]
follow_imports = skip
ignore_missing_imports = True
[mypy-tensorflow.*,tensorflow_probability.*,iminuit.*,pyhf.*,correctionlib.*,threadpoolctl.*]
follow_imports = skip
ignore_missing_imports = True
"""
"""Strict, but for what other packages are made of, which takes most of the time."""


def checked(folder: Path, script: str) -> str:
    """What mypy says of a script."""
    (folder / "script.py").write_text(script)
    (folder / "mypy.ini").write_text(CONFIG)
    command = [sys.executable, "-m", "mypy", "--no-incremental", "script.py"]
    package = {"MYPYPATH": str(Path(gato_coffea.__file__).parents[1])}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=os.environ | package
    )
    assert not done.stderr
    return done.stdout


def test_a_script_on_the_public_names(tmp_path: Path) -> None:
    wrong = "".join(f"{line}\n" for line in WRONG)
    told = checked(tmp_path, SCRIPT + wrong)
    own = [line for line in told.splitlines() if "script.py:" in line]
    first = len(SCRIPT.splitlines()) + 1
    lines = {int(line.split(":")[1]) for line in own if ": error:" in line}
    assert lines == set(range(first, first + len(WRONG))), told
