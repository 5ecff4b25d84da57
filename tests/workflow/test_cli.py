import json
import re
import sys
from pathlib import Path

import pytest
import uproot
import yaml
from rich.table import Table
from typer.testing import CliRunner

from gato_coffea.workflow.cli import _console, app, main

RUNNER = CliRunner()


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Exit code of the program."""
    monkeypatch.setattr(sys, "argv", ["gato-coffea", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


ANALYSIS = {
    "name": "small",
    "luminosity_per_fb": 1.0,
    "datasets": {
        name: {
            "files": f"{name}.root",
            "process": name,
            "cross_section_pb": 0.1,
            "sum_of_weights": {"count_events": True},
        }
        for name in ("sig", "bkg")
    },
    "discriminants": [{"name": "score", "range": [0, 1], "bins": 50}],
    "optimise": {"signals": ["sig"], "n_categories": [2], "method": "exact"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, power in (("sig", 0.5), ("bkg", 2.0)):
        with uproot.recreate(tmp_path / f"{name}.root") as file:
            file.mktree("Events", {"score": "float64"})
            file["Events"].extend({"score": [((i + 0.5) / 1000) ** power for i in range(1000)]})
    (tmp_path / "analysis.yaml").write_text(yaml.safe_dump(ANALYSIS))
    return tmp_path


COMMANDS = (
    "check",
    "inspect",
    "keys",
    "toy",
    "process",
    "optimise",
    "categorise",
    "sidebands",
    "exports",
    "plots",
    "report",
    "run",
)


def test_every_stage_has_a_command_with_help() -> None:
    told = RUNNER.invoke(app, ["--help"]).output
    for name in COMMANDS:
        assert name in told
        assert RUNNER.invoke(app, [name, "--help"]).exit_code == 0


def test_exports_tell_what_pyhf_makes_of_the_models(folder: Path) -> None:
    pytest.importorskip("pyhf")
    for stage in ("process", "optimise", "categorise", "exports"):
        done = RUNNER.invoke(app, [stage, str(folder), "-o", str(folder / "out")])
        assert done.exit_code == 0
    told = " ".join(done.output.split())
    assert "Expected significance Z of the exported models" in told
    assert re.search(r"counting: Z \S+, \d\.\d{3} of the quoted ", told)
    content = json.loads((folder / "out/exports/evaluation.json").read_text())
    card = (folder / "out/exports/counting/datacard.txt").read_text()
    for warning in content["warnings"]:
        assert f"# WARNING: {warning}" in card
    assert ("Warning" in told) == bool(content["warnings"])


def test_process_prints_the_cut_flow(folder: Path) -> None:
    done = RUNNER.invoke(app, ["process", str(folder), "-o", str(folder / "out"), "-q"])
    assert done.exit_code == 0
    assert "1000 (100)" in done.output
    assert "peak memory" in done.output
    assert (folder / "out/provenance.json").is_file()


def test_optimise_takes_histograms_instead_of_an_analysis(folder: Path) -> None:
    RUNNER.invoke(app, ["process", str(folder), "-q"])
    options = ["--from-histograms", str(folder / "results/process/histograms.root")]
    with uproot.open(options[1]) as file:
        names = [n for n in file.keys(cycle=False) if "/" in n]
    signal = next(n for n in names if "sig" in n)
    options += ["--signal", signal, "-k", "2", "--method", "exact", "-o", str(folder / "h")]
    done = RUNNER.invoke(app, ["optimise", *options])
    assert done.exit_code == 0, done.output
    assert "2 categories requested, 2 after merging" in done.output
    assert done.output.startswith(f"signals: {signal}\nbackgrounds: ")
    assert (folder / "h/optimise/categories_2.json").is_file()


@pytest.mark.parametrize(
    "arguments", [[], ["--from-histograms", "h.root"], ["X", "--from-histograms", "h.root"]]
)
def test_optimise_needs_an_analysis_or_histograms_with_signals(arguments: list[str]) -> None:
    assert RUNNER.invoke(app, ["optimise", *arguments]).exit_code == 2


@pytest.mark.parametrize("option", ["--method", "-k", "--min-effective", "--seed", "--signal"])
def test_what_the_analysis_file_says_is_no_option(folder: Path, option: str) -> None:
    done = RUNNER.invoke(app, ["optimise", str(folder), option, "3"])
    assert done.exit_code == 2
    assert f"{option} only with --from-histograms" in done.output


def test_help_keeps_what_stands_in_brackets() -> None:
    told = RUNNER.invoke(app, ["optimise", "--help"], env={"COLUMNS": "150"}).output
    assert "unpickled" in told
    assert "results beside ANALYSIS, or here" in told
    assert "all that are neither signal nor data" in " ".join(told.replace("│", "").split())
    assert "gato|exact|lloyd" in told


def test_check_prints_what_the_files_hold(folder: Path) -> None:
    done = RUNNER.invoke(app, ["check", str(folder)])
    assert done.exit_code == 0
    assert "sig" in done.output
    assert "1000" in done.output


def test_inspect_prints_branches_and_a_file_to_start_from(folder: Path) -> None:
    done = RUNNER.invoke(app, ["inspect", str(folder / "sig.root")])
    assert done.exit_code == 0
    assert "score" in done.output
    assert "datasets:" in done.output
    assert "blinding comes with the analysis file" in done.output


def test_text_in_square_brackets_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title="time [s]")
    table.add_column("mass [bold]")
    table.add_row("selection[red] :smile:")
    for shown in ("signals: a[b] [/c]", table):
        _console().print(shown)
    printed = capsys.readouterr().out
    told = ("signals: a[b] [/c]", "time [s]", "mass [bold]", "selection[red] :smile:")
    assert all(text in printed for text in told)


def test_keys_lists_a_section_or_prints_a_schema() -> None:
    told = RUNNER.invoke(app, ["keys", "mass"]).output
    assert told.startswith("mass: section; default none")
    assert "mass.window_gev: list of 2: number, in GeV; required" in told
    assert "optimise" not in told
    assert "optimise.restarts: whole number from 1 to 100; default 2" in (
        RUNNER.invoke(app, ["keys"]).output
    )
    schema = json.loads(RUNNER.invoke(app, ["keys", "--json-schema"]).output)
    assert schema["properties"]["optimise"]


def test_toy_writes_ntuples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gato_coffea.datasets.ntuples.COUNTS", {"1d": (300, 600)})
    done = RUNNER.invoke(app, ["toy", "1d", "--output", str(tmp_path / "n"), "--seed", "3"])
    assert done.exit_code == 0
    assert "signal: signal_0.root" in done.output
    assert uproot.num_entries({tmp_path / "n/signal_*.root": "Events"})


def change(folder: Path, **changes: object) -> None:
    (folder / "analysis.yaml").write_text(yaml.safe_dump(ANALYSIS | changes))


def misspelt(folder: Path) -> None:
    change(folder, discriminant=[])


def missing_file(folder: Path) -> None:
    (folder / "sig.root").unlink()


def not_root(folder: Path) -> None:
    (folder / "sig.root").write_text("no ROOT file")


def missing_branch(folder: Path) -> None:
    change(folder, discriminants=[{"name": "scor", "range": [0, 1]}])


def not_yaml(folder: Path) -> None:
    (folder / "analysis.yaml").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (misspelt, "discriminant: unknown key; did you mean 'discriminants'?"),
        (missing_file, "datasets.sig.files: no file matches"),
        (not_root, "sig.root"),
        (missing_branch, "'scor'"),
        (not_yaml, "is not valid YAML"),
    ],
)
def test_what_the_user_can_put_right_is_one_line(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: object,
    told: str,
) -> None:
    assert callable(spoil)
    spoil(folder)
    assert command(monkeypatch, "run", folder, "-q") == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("gato-coffea: ")
    assert told in printed.err
    assert not (folder / "results/process").exists()


def test_output_that_cannot_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["run", folder], ["process", folder], ["toy", "1d"]):
        target = folder / "sig.root" / "results"
        assert command(monkeypatch, *arguments, "--output", target) == 2
        printed = capsys.readouterr().err
        assert "sig.root/results: cannot be written to" in printed
        assert printed.count("\n") == 1


def test_a_stage_too_early(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "optimise", folder) == 2
    assert "stage process has not run; run gato-coffea process" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["process", "X", "--executor", "condor"],
        ["toy", "4d", "--output", "X"],
        ["process", "X", "--chunksize", "0"],
        ["process"],
    ],
)
def test_wrong_options_are_refused_with_what_is_allowed(arguments: list[str]) -> None:
    done = RUNNER.invoke(app, arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_a_missing_analysis_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "run", tmp_path / "none") == 2
    assert capsys.readouterr().err == f"gato-coffea: {tmp_path}/none: no such analysis file\n"


def test_other_exceptions_are_not_swallowed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gato_coffea.config.read_analysis", fails)
    monkeypatch.setattr(sys, "argv", ["gato-coffea", "run", str(folder)])
    with pytest.raises(ZeroDivisionError):
        main()
