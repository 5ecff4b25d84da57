"""What the README says is what happens."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import uproot
import yaml

from gato_coffea.config import parse_analysis, read_analysis
from gato_coffea.workflow.stages import Job, load_results, run_optimise

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def ntuples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the README's analysis file, with ntuples that fit it."""
    rng = np.random.default_rng(1)
    n = 3000
    for path, a, b, mass in (
        ("ggH/0.root", 5, 2, rng.normal(125, 2, n)),
        ("ggH/1.root", 5, 2, rng.normal(125, 2, n)),
        ("cont0.root", 2, 4, 100 + np.minimum(rng.exponential(40, n), 80)),
    ):
        columns = {
            "score": rng.beta(a, b, n),
            "mass": mass,
            "genWeight": np.where(rng.random(n) < 0.05, -2.0, 2.0),
        }
        (tmp_path / path).parent.mkdir(exist_ok=True)
        with uproot.recreate(tmp_path / path) as file:
            file.mktree("Events", {name: x.dtype for name, x in columns.items()})
            file["Events"].extend(columns)
    (tmp_path / "analysis.yaml").write_text(blocks("yaml")[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_ten_lines_of_yaml_are_an_analysis(ntuples: Path) -> None:
    assert len(blocks("yaml")[0].strip().splitlines()) == 10
    analysis = read_analysis(ntuples)
    assert analysis.processes == ("ggH", "continuum")
    assert analysis.optimise.n_categories == (2, 3, 5)


def test_its_systematics_go_with_that_analysis(tmp_path: Path) -> None:
    first, systematics = blocks("yaml")
    analysis = parse_analysis(yaml.safe_load(first + systematics), directory=tmp_path)
    assert set(analysis.event_variations) == {"btagUp", "btagDown", "jesUp", "jesDown"}
    assert analysis.event_variations["jesUp"].values == {
        "score": "score_jes_up",
        "mass": "mass_jes_up",
    }


def test_the_python_of_the_readme_runs(ntuples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    on_arrays, from_python, own_processor = blocks("python")
    rng = np.random.default_rng(4)
    names: dict[str, object] = {
        "frame": pd.DataFrame({"x": rng.beta(5, 2, 2000), "weight": np.full(2000, 0.01)}),
        "scores": rng.beta(2, 4, 6000),
        "weights": np.full(6000, 0.3),
    }
    exec(compile(on_arrays, "README.md", "exec"), names)
    assert capsys.readouterr().out.startswith("Z held-out")
    assert set(np.unique(names["category"])) <= set(range(5))  # type: ignore[call-overload]
    exec(compile(from_python, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "held-out" in printed
    assert (ntuples / "categories.json").is_file()
    first = names["processed"]
    exec(compile(own_processor, "README.md", "exec"), names)
    second = names["processed"]
    assert first is not second
    for process in ("ggH", "continuum"):
        a, b = (getattr(p, "samples")[process] for p in (first, second))  # noqa: B009
        np.testing.assert_array_equal(a.x, b.x)
        np.testing.assert_array_equal(a.weight, b.weight)
    assert names["output"]["my_count"] == 9000  # type: ignore[index]


def test_the_recipe_gives_what_the_command_gives(ntuples: Path) -> None:
    rng = np.random.default_rng(3)
    with uproot.recreate(ntuples / "peak.root") as file:
        columns = {"score": rng.beta(3, 2, 800), "mass": rng.normal(125, 2, 800)}
        columns["genWeight"] = np.full(800, 2.0)
        file.mktree("Events", {name: x.dtype for name, x in columns.items()})
        file["Events"].extend(columns)
    content = yaml.safe_load((ntuples / "analysis.yaml").read_text())
    content["datasets"]["ZH"] = {
        **content["datasets"]["ggH"],
        "files": "peak.root",
        "process": "ZH",
        "cross_section_pb": 0.05,
    }
    content["processes"] = {"ZH": {"resonant": True}}
    content["optimise"]["n_categories"] = [2, 3]
    (ntuples / "analysis.yaml").write_text(yaml.safe_dump(content))
    names: dict[str, Any] = {}
    exec(compile(blocks("python")[1], "README.md", "exec"), names)
    job = Job.of(names["analysis"], progress=False)
    names["processed"].save(job.target("process"))
    run_optimise(job)
    theirs = load_results(job)
    for ours in names["results"]:
        assert ours.yields.resonant == ("ZH",)
        assert ours.held_out == theirs[ours.asked].held_out
        assert ours.training == theirs[ours.asked].training


def test_the_processor_of_the_readme_on_data(ntuples: Path) -> None:
    rng = np.random.default_rng(2)
    mass = rng.uniform(100, 180, 2000)
    with uproot.recreate(ntuples / "data.root") as file:
        file.mktree("Events", {"score": np.float64, "mass": np.float64})
        file["Events"].extend({"score": rng.random(2000), "mass": mass})
    content = yaml.safe_load((ntuples / "analysis.yaml").read_text())
    content["datasets"]["data"] = {"files": "data.root", "process": "data", "data": True}
    (ntuples / "analysis.yaml").write_text(yaml.safe_dump(content))
    names: dict[str, Any] = {"analysis": read_analysis(ntuples)}
    own_processor = blocks("python")[2]
    exec(compile(own_processor, "README.md", "exec"), names)
    seen = names["processed"].samples["data"]
    assert seen.data
    np.testing.assert_array_equal(seen.mass, mass[(mass < 122) | (mass > 128)])
    np.testing.assert_array_equal(seen.weight, np.ones(len(seen.mass)))


def test_the_checks_run_the_test_command_of_the_readme() -> None:
    install_and_run, install_and_test = (b for b in blocks("bash") if "pip install" in b)
    script = (ROOT / ".ci/run").read_text()
    assert script.splitlines()[-1] == install_and_test.strip()
    assert install_and_test.strip().endswith(".venv/bin/pytest")
    assert install_and_run.strip().endswith("gato-coffea run analyses/diphoton")
    for command in (install_and_run, install_and_test):
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_linked_files_exist_and_the_picture_is_small() -> None:
    linked = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert linked
    for name in linked:
        assert (ROOT / name).exists(), name
    picture = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert len(picture) == 1
    assert (ROOT / picture[0]).stat().st_size < 200_000


def test_commands_that_are_named_exist() -> None:
    from gato_coffea.workflow.cli import app

    known = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    stages = README.split("Each stage is a command of its own:")[1].split(". A stage")[0]
    assert set(re.findall(r"`(\w+)`", stages)) <= known
    assert set(re.findall(r"gato-coffea (\w+)", README)) <= known


def test_every_analysis_is_in_the_table() -> None:
    table = README.split("## Analyses")[1]
    for path in (ROOT / "analyses").glob("*/analysis.yaml"):
        name = path.parent.name
        assert f"[{name}](analyses/{name})" in table
        assert yaml.safe_load(path.read_text())["name"] == name
