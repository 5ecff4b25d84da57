from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from coffea.processor import IterativeExecutor, accumulate
from distributed import Client

from gato_coffea.categories import EdgeCategories
from gato_coffea.categories.templates import templates_from_samples
from gato_coffea.config import read_analysis
from gato_coffea.datasets import fileset
from gato_coffea.errors import ConfigError, ExecutionError, InputError
from gato_coffea.events.samples import Feature
from gato_coffea.processing import cluster as cluster_module
from gato_coffea.processing import executors as run
from gato_coffea.processing.processor import GatoProcessor


def test_a_pass_over_the_events(make_analysis: Any) -> None:
    analysis = make_analysis()
    result = run.process(analysis, progress=False)
    assert list(result.samples or {}) == ["sig", "bkg", "data"]
    assert result.cells is None
    assert result.n_events["bkg_a"] == 810
    # scaled once: all events together give the cross section times the luminosity
    assert result.cutflow["sig"]["all"]["weighted"] == pytest.approx(1000, rel=0.1)
    nominal = result.histograms["score"]["sig", "nominal", :]
    assert nominal.sum().value == pytest.approx(result.cutflow["sig"]["selected"]["weighted"])


def test_templates_of_a_second_pass(make_analysis: Any) -> None:
    analysis = make_analysis()
    edges = (np.array([0, 0.3, 0.5, 1]),)
    categories = EdgeCategories(
        features=(Feature("score", 0, 1),), label=np.arange(3), edges=edges
    )
    result = run.process(analysis, categories=categories, progress=False, chunksize=100)
    assert result.samples is not None
    assert result.templates is not None
    expected = templates_from_samples(result.samples, categories, analysis).histogram
    for name in ("value", "variance"):
        np.testing.assert_allclose(
            result.templates.histogram.view(flow=True)[name],
            expected.view(flow=True)[name],
            rtol=1e-12,
            atol=1e-9,
        )


def test_paths_with_other_letters(make_analysis: Any, tmp_path: Any) -> None:
    analysis = make_analysis()
    expected = run.process(analysis, progress=False, chunksize=300)
    (tmp_path / "bkg_a_1.root").rename(tmp_path / "bkg_a_é Ω#%20.root")
    again = run.process(analysis, progress=False, chunksize=300)
    assert again.n_events == expected.n_events
    assert again.sumw == pytest.approx(expected.sumw, rel=1e-12)
    folder = tmp_path / "Größe" / "日本"
    folder.mkdir(parents=True)
    for path in [*tmp_path.glob("*.root"), tmp_path / "analysis.yaml", tmp_path / "analysis.py"]:
        path.rename(folder / path.name)
    moved = run.process(read_analysis(folder), progress=False)
    assert moved.n_events == expected.n_events


def test_an_executor_of_coffeas_own(make_analysis: Any) -> None:
    result = run.process(make_analysis(), executor=IterativeExecutor(retries=0))
    assert result.n_events["sig_a"] == 810


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"executor": "parsl"}, r"executor: is unknown \(got 'parsl'; allowed: iterative, "),
        ({"executor": "futures", "scheduler": "tcp://x"}, r"a scheduler or client needs dask"),
        ({"executor": "futures", "workers": 0}, r"workers: must be at least 1 \(got 0\)"),
        (
            {"executor": "dask", "scheduler": "nonsense://here"},
            r"scheduler nonsense://here: does not answer \(ValueError: ",
        ),
    ],
)
def test_executors_that_cannot_be(make_analysis: Any, options: Any, message: str) -> None:
    with pytest.raises(ExecutionError, match=message):
        run.process(make_analysis(), progress=False, **options)


def test_a_scheduler_that_does_not_answer(
    make_analysis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "SCHEDULER_TIMEOUT_S", 0.5)
    start = time.monotonic()
    with pytest.raises(ExecutionError, match=r"^scheduler tcp://127\.0\.0\.1:9: does not answer"):
        run.process(make_analysis(), executor="dask", scheduler="tcp://127.0.0.1:9")
    assert time.monotonic() - start < 5


def test_an_existing_cluster(make_analysis: Any, cluster: Any) -> None:
    analysis = make_analysis()
    result = run.process(
        analysis, executor="dask", scheduler=cluster.scheduler_address, progress=False
    )
    with Client(cluster, set_as_default=False) as client:
        again = run.process(analysis, executor="dask", client=client, progress=False)
        assert client.status == "running"  # the user's client is left open
        loaded = client.run(lambda: "tensorflow" in __import__("sys").modules)
    assert result.histograms == again.histograms
    assert not any(loaded.values())


@pytest.mark.parametrize("executor", ["futures", "dask"])
def test_errors_of_workers_in_one_line(
    executor: str, make_analysis: Any, cluster: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    analysis = make_analysis(functions=WRONG)
    where = {"scheduler": cluster.scheduler_address} if executor == "dask" else {"workers": 2}
    with pytest.raises(ConfigError) as caught:
        run.process(analysis, executor=executor, progress=False, **where)
    text = str(caught.value)
    assert "\n" not in text
    assert "selection hard: hard(events) failed (ZeroDivisionError: division by zero" in text
    assert ".root: datasets." in text
    shown = capfd.readouterr()
    assert shown.out + shown.err == ""


def test_bars_and_one_line_on_a_cluster(
    make_analysis: Any, cluster: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    where = {"executor": "dask", "scheduler": cluster.scheduler_address, "progress": True}
    run.process(make_analysis(), **where)
    assert "Processing" in capfd.readouterr().out
    with pytest.raises(ConfigError, match=r"and 7 more chunks failed"):
        run.process(make_analysis(functions=WRONG), **where)
    shown = capfd.readouterr()
    assert "Traceback" not in shown.out + shown.err


def test_a_worker_that_dies(make_analysis: Any) -> None:
    functions = "import os\ndef hard(events): os._exit(3)\ndef pileup_down(events): return 1\n"
    with pytest.raises(ExecutionError, match="TerminatedWorkerError: A worker process") as caught:
        run.process(
            make_analysis(functions=functions), executor="futures", workers=2, progress=False
        )
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Missing cross-reference:RuntimeWarning")
def test_jagged_branches_through_a_schema(make_analysis: Any, small: Any, tmp_path: Any) -> None:
    functions = (
        "import awkward as ak\n"
        "def hard(events): return ak.num(events.Thing) > 0\n"
        "def lead(events): return ak.firsts(events.Thing.pt) / 200\n"
    )
    analysis = make_analysis(
        {
            "schema": "nanoaod",
            "selection": ["py:hard"],
            "weight": {"nominal": ["genWeight"]},
            "discriminants": [{"name": "lead", "source": "py:lead", "range": [0, 1]}],
        },
        functions=functions,
    )
    rng = np.random.default_rng(4)
    for path in tmp_path.glob("*.root"):
        columns = small.events(50, seed=4)
        pt = ak.unflatten(rng.uniform(0, 200, 100), [0, 1, 2, 3, 4] * 10)
        columns["Thing"] = ak.zip({"pt": pt, "eta": pt / 100})
        del columns["pileup_up"]
        small.write(path, columns)
    result = run.process(analysis, progress=False, chunksize=20)
    assert result.cutflow["sig"]["hard"]["events"] == 80
    assert len((result.samples or {})["sig"]) == 80


WRONG = """
def hard(events):
    return events.pt > 1 / 0


def pileup_down(events):
    return 1.0
"""


def test_a_file_that_breaks_while_it_is_read(make_analysis: Any, tmp_path: Any) -> None:
    analysis = make_analysis()
    path = tmp_path / "bkg_a_1.root"
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(InputError, match=rf"^{path}: datasets\.bkg_a: ") as caught:
        run.process(analysis, progress=False)
    assert "\n" not in str(caught.value)


def test_chunks_that_are_missing_are_told(make_analysis: Any) -> None:
    analysis = make_analysis()

    class Forgetful(run.QuietIterativeExecutor):
        def __call__(self, items: Any, function: Any, accumulator: Any) -> Any:
            kept = list(items) if self.function_name == "get_metadata" else list(items)[1:]
            return accumulate(map(function, kept), accumulator), 0

    with pytest.raises(ExecutionError, match=r"1 of 8 chunks are missing in the output \(the fir"):
        run.run_chunks(Forgetful(), fileset(analysis), GatoProcessor(analysis))


def test_no_process_is_left_behind(make_analysis: Any) -> None:
    before = len(multiprocessing.active_children())
    run.process(make_analysis(), executor="dask", workers=1, progress=False)
    assert len(multiprocessing.active_children()) == before


def test_dask_says_nothing_of_a_cluster_of_our_own(make_analysis: Any, tmp_path: Path) -> None:
    make_analysis(n=20)
    script = "import sys; from gato_coffea.workflow.cli import main; main()"
    command = [sys.executable, "-c", script, "process", str(tmp_path), "-q", "--executor", "dask"]
    done = subprocess.run([*command, "--workers", "1"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
