from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gato_coffea.errors import ConfigError, ExecutionError, InputError
from gato_coffea.processing.failures import one_line, translated

ITEM = (
    "WorkItem(dataset='bkg', filename='/d/b.root', treename='Events', entrystart=10, "
    "entrystop=20, fileuuid=b'1', usermeta={}, preload=frozenset())"
)


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (
            "get_meta-FileMeta(bkg_a:/data/bkg_a_0.root:ntuples/Events)",
            "/data/bkg_a_0.root: datasets.bkg_a: worker after worker died of looking into this "
            "file; give them more memory, or make chunks smaller (--chunksize)",
        ),
        (
            f"chunk-{ITEM}",
            "/d/b.root: datasets.bkg: entries 10 to 20: worker after worker died of this chunk; "
            "give them more memory, or make chunks smaller (--chunksize)",
        ),
        (
            "task-12345",
            "processing failed: worker after worker died of a file that they looked into; give "
            "them more memory, or make chunks smaller (--chunksize)",
        ),
    ],
)
def test_workers_that_die_of_the_same_work_are_told_in_one_line(task: str, told: str) -> None:
    killed: Any = pytest.importorskip("distributed").KilledWorker
    error = translated(killed(task, SimpleNamespace(address="tcp://w:1"), 3), {})
    assert isinstance(error, ExecutionError)
    assert str(error) == told


@pytest.mark.parametrize(
    ("raised", "kind", "told"),
    [
        (ConfigError("ours"), ConfigError, "ours"),
        (
            Exception(f"Failed processing file: {ITEM}. The error was: InputError('no branch')."),
            InputError,
            "no branch",
        ),
        (
            Exception(f"Failed processing file: {ITEM}. The error was: KeyError('x')."),
            InputError,
            "/d/b.root: datasets.bkg: entries 10 to 20: cannot be processed (KeyError: x)",
        ),
        (RuntimeError("boom"), ExecutionError, "processing failed (RuntimeError: boom)"),
    ],
)
def test_every_failure_becomes_one_of_ours(
    raised: Exception, kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind) as caught, one_line({}):
        raise raised
    assert str(caught.value) == told
