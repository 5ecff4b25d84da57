"""A long step says once what is waited for, a short one nothing."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from gato_coffea.config import patience
from gato_coffea.config.patience import told_if_long
from gato_coffea.optimisation.optimise import optimise


def test_a_long_step_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with told_if_long("fits: 7 categories", patience_s=0.02):
        time.sleep(0.2)
    assert [record.getMessage() for record in caplog.records] == [
        "fits: 7 categories: still running after 0.02 s"
    ]


def test_a_short_step_is_not_told_and_leaves_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    before = threading.active_count()
    for _ in range(3):
        with told_if_long("fits", patience_s=60):
            pass
    with pytest.raises(ZeroDivisionError), told_if_long("fits", patience_s=60):
        _ = 1 / 0
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
    assert not caplog.records


def test_a_progress_bar_is_enough(caplog: pytest.LogCaptureFixture) -> None:
    with told_if_long("fits", unless=True, patience_s=0.01):
        time.sleep(0.1)
    assert not caplog.records


def test_partitions_say_what_they_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_S", 1e-4)
    rng = np.random.default_rng(1)
    samples: dict[str, Any] = {
        "s": {"x": rng.beta(4, 2, 2000), "weight": np.full(2000, 0.05)},
        "b": {"x": rng.beta(2, 4, 2000), "weight": np.full(2000, 1.0)},
    }
    optimise(samples, signals=["s"], n_categories=3, method="exact")
    told = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("optimise: exact partitions of ") for line in told)
    assert any(line.startswith("optimise: yields and uncertainties of ") for line in told)


def test_events_say_what_they_are(
    make_analysis: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from gato_coffea.processing.executors import process

    monkeypatch.setattr(patience, "PATIENCE_S", 1e-4)
    process(make_analysis(n=50), progress=False)
    assert caplog.records[0].getMessage().startswith("process: 8 chunks of 8 files: still running")
