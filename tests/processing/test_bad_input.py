"""Ntuples that are not what they have to be: one clear line each, and nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from gato_coffea.datasets.check import check_analysis
from gato_coffea.errors import GatoError, InputError
from gato_coffea.processing import executors as run
from gato_coffea.processing.trial import trial_problems

Spoil = Callable[[dict[str, Any]], None]


def spoiled(small: Any, path: Path, spoil: Spoil, **options: Any) -> None:
    columns = small.events(400, seed=7)
    spoil(columns)
    small.write(path, columns, **options)


def message(analysis: Any, **options: Any) -> str:
    with pytest.raises(GatoError) as caught:
        run.process(analysis, progress=False, **options)
    assert len(caught.value.args) == 1
    assert "\n" not in str(caught.value)
    return str(caught.value)


def set_to(name: str, value: Any) -> Spoil:
    def spoil(columns: dict[str, Any]) -> None:
        columns[name] = value(columns[name]) if callable(value) else value

    return spoil


def jagged(column: Any) -> Any:
    return ak.unflatten(np.repeat(column, 2), np.full(len(column), 2))


def test_weights_whose_squares_are_no_numbers(
    make_analysis: Any, small: Any, tmp_path: Path
) -> None:
    analysis = make_analysis()
    enlarge = set_to("genWeight", lambda c: c * 1e200)
    spoiled(small, tmp_path / "bkg_b_1.root", enlarge)
    expected = (
        "datasets.bkg_b: weights (nominal): are too large or small to square and sum in float64"
    )
    with np.errstate(over="ignore"):
        assert message(analysis) == expected
        assert expected in trial_problems(analysis)


class Server(BaseHTTPRequestHandler):
    """Answers every request with the code in its path."""

    def do_GET(self) -> None:
        self.send_error(int(self.path.split("/")[1]))

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize("code", [403, 404, 500])
def test_a_url_that_is_not_served(make_analysis: Any, code: int) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{code}/sig.root"
        analysis = make_analysis({"datasets.sig_a.files": [url]})
        told = [message(analysis)]
        with pytest.raises(InputError) as caught:
            check_analysis(analysis)
        server.shutdown()
    for text in (*told, str(caught.value)):
        assert text.startswith(f"{url}: datasets.sig_a: cannot be read (")


@pytest.mark.parametrize("part", [0, 1], ids=["first file", "second file"])
@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda c: c.pop("pileup"), "branch 'pileup' is missing"),
        (lambda c: c.pop("m"), "branch 'm' is missing"),
        (lambda c: c.pop("trigger"), "branch 'trigger' is missing"),
        (lambda c: c.pop("genWeight"), "branch 'genWeight' is missing"),
        (set_to("score", jagged), "must be one number an event"),
        (set_to("m", lambda c: np.stack([c, c], axis=1)), "must be one number an event"),
    ],
)
def test_branches(
    make_analysis: Any, small: Any, tmp_path: Path, part: int, spoil: Spoil, expected: str
) -> None:
    analysis = make_analysis()
    path = tmp_path / f"bkg_b_{part}.root"
    spoiled(small, path, spoil)
    text = message(analysis)
    assert text.startswith(f"{path}: datasets.bkg_b: ")
    assert expected in text


def test_a_branch_of_text(make_analysis: Any, small: Any, tmp_path: Path) -> None:
    analysis = make_analysis()
    spoiled(small, tmp_path / "bkg_b_1.root", set_to("score", ["a"] * 400), rntuple=True)
    assert "discriminants.score: must be one number an event (got type string)" in message(
        analysis
    )


def test_a_jagged_requirement(make_analysis: Any, small: Any, tmp_path: Path) -> None:
    analysis = make_analysis(
        functions="def hard(events): return ak_pt(events) > 1\n"
        "def ak_pt(events): return events.jets\n"
        "def pileup_down(events): return 1\n"
    )
    for dataset in ("sig_a", "bkg_a", "bkg_b", "data"):
        for part in (0, 1):
            spoiled(
                small,
                tmp_path / f"{dataset}_{part}.root",
                lambda c: c.update(jets=jagged(c["pt"])),
            )
    assert "selection hard: must be one number an event (got type var * bool)" in message(analysis)


@pytest.mark.parametrize("part", [0, 1], ids=["first file", "second file"])
def test_files(make_analysis: Any, small: Any, tmp_path: Path, part: int) -> None:
    analysis = make_analysis()
    path = tmp_path / f"bkg_a_{part}.root"
    whole = path.read_bytes()
    for content in (b"", b"no ROOT file at all", whole[:300], whole[: len(whole) // 2]):
        path.write_bytes(content)
        assert message(analysis).startswith(f"{path}: datasets.bkg_a: ")
    small.write(path, small.events(5, seed=1), tree="other")
    assert message(analysis) == (
        f"{path}: datasets.bkg_a: tree 'ntuples/Events' is missing (got other)"
    )


@pytest.mark.parametrize("branch", ["score", "genWeight", "trigger"])
def test_a_basket_that_is_spoiled(make_analysis: Any, tmp_path: Path, branch: str) -> None:
    analysis = make_analysis()
    path = tmp_path / "bkg_a_1.root"
    with uproot.open(path) as file:
        found = file["ntuples/Events"][branch]
        start, n = int(found.member("fBasketSeek")[0]), int(found.member("fBasketBytes")[0])
    content = bytearray(path.read_bytes())
    content[start + n // 2 : start + n] = bytes(n - n // 2)
    path.write_bytes(bytes(content))
    text = message(analysis)
    assert text.startswith(f"{path}: datasets.bkg_a: ")
    assert "events cannot be read from the file (" in text
    assert "one number an event" not in text
    if branch == "genWeight":  # the one that check reads
        with pytest.raises(InputError, match=r"bkg_a\.sum_of_weights: cannot be read from the"):
            check_analysis(analysis)


def test_a_file_that_is_missing(make_analysis: Any) -> None:
    analysis = make_analysis({"datasets.bkg_a.files": ["bkg_a_0.root", "bkg_a_7.root"]})
    assert message(analysis).startswith(
        "datasets.bkg_a.files: no file matches (got 'bkg_a_7.root'; looked for "
    )


def test_empty_trees(make_analysis: Any, small: Any, tmp_path: Path) -> None:
    analysis = make_analysis()

    def empty(columns: dict[str, Any]) -> None:
        columns.update({name: column[:0] for name, column in columns.items()})

    spoiled(small, tmp_path / "sig_a_0.root", empty)
    assert run.process(analysis, progress=False).n_events["sig_a"] == 410
    spoiled(small, tmp_path / "sig_a_1.root", empty)
    assert message(analysis) == ("datasets.sig_a: the tree has no entries in any of its files")


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_sums_of_weights(make_analysis: Any, small: Any, tmp_path: Path, value: float) -> None:
    analysis = make_analysis()
    for part in (0, 1):
        spoiled(small, tmp_path / f"bkg_a_{part}.root", set_to("genWeight", np.full(400, value)))
    text = message(analysis)
    assert "datasets.bkg_a" in text
    if np.isfinite(value):
        assert "sum over 800 events must be above zero" in text
    else:
        assert "sum_of_weights: 800 of 800 events are NaN or infinite (allowed: max_" in text


@pytest.mark.parametrize(
    ("branch", "key"), [("score", "score"), ("m", "mass"), ("pileup", "weight")]
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(
    make_analysis: Any,
    small: Any,
    tmp_path: Path,
    branch: str,
    key: str,
    value: float,
    caplog: pytest.LogCaptureFixture,
) -> None:
    analysis = make_analysis({"selection": None, "weight.variations": {}})

    def some(columns: dict[str, Any]) -> None:
        columns[branch][:10] = value

    spoiled(small, tmp_path / "bkg_a_0.root", some)
    assert message(analysis) == (
        f"datasets.bkg_a: {key}: 10 of 810 events are NaN or infinite "
        "(allowed: max_invalid_fraction 0.01)"
    )
    tolerant = make_analysis(
        {"selection": None, "weight.variations": {}, "max_invalid_fraction": 0.02}
    )
    spoiled(small, tmp_path / "bkg_a_0.root", some)
    result = run.process(tolerant, progress=False)
    assert result.invalid["bkg_a"][key] == 10
    assert f"datasets.bkg_a: {key}: 10 of 810 events are NaN or infinite" in caplog.text
    sample = (result.samples or {})["bkg"]
    assert len(sample) == 2 * 810 - 10
    assert np.isfinite(sample.x).all()
    assert np.isfinite(sample.weight).all()
    for h in result.histograms.values():
        assert np.isfinite(h.values(flow=True)).all()


def test_scores_out_of_range(make_analysis: Any, caplog: pytest.LogCaptureFixture) -> None:
    analysis = make_analysis(
        {"discriminants": [{"name": "score", "range": [0.2, 0.9], "bins": 10}]}
    )
    result = run.process(analysis, progress=False)
    outside = result.out_of_range["bkg_a"]["score"]
    assert outside > 0
    assert f"datasets.bkg_a: score: {outside} of " in caplog.text
    h = result.histograms["score"]["bkg", "nominal", :]
    assert h.sum(flow=True).value != pytest.approx(h.sum().value)


def test_a_process_without_selected_events(make_analysis: Any) -> None:
    functions = "def hard(events): return events.pt < 0\ndef pileup_down(events): return 1\n"
    analysis = make_analysis(functions=functions)
    assert message(analysis) == (
        "process 'sig': no event passes the selection (of 810 events read)"
    )


def test_nothing_is_left_of_a_failed_spool(make_analysis: Any, small: Any, tmp_path: Path) -> None:
    analysis = make_analysis()
    (tmp_path / "spool").write_text("a file where a folder should be")
    assert "cannot be written" in message(analysis, spool=tmp_path / "spool")


def test_errors_are_of_one_kind(make_analysis: Any, tmp_path: Path) -> None:
    analysis = make_analysis()
    (tmp_path / "data_1.root").write_bytes(b"")
    with pytest.raises(InputError):
        run.process(analysis, progress=False)
