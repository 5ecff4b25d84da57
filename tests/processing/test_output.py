from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from coffea.processor import accumulate

from gato_coffea.errors import InputError
from gato_coffea.events.samples import Sample
from gato_coffea.processing.output import Block

SAMPLE = Sample(x=np.array([[0.1], [0.2]]), weight=np.array([1.0, -2.0]), fold=np.array([0, 1]))
KEY = ("bkg", "a.root", 40)


def test_a_block_holds_its_events_or_the_file_that_they_lie_in(tmp_path: Path) -> None:
    held = Block.of(SAMPLE, KEY, "p", spool=None)
    spooled = Block.of(SAMPLE, KEY, "p", spool=tmp_path)
    assert (held.n, spooled.n) == (2, 2)
    assert held.sample() is SAMPLE
    assert spooled.events is None
    for name in ("x", "weight", "fold"):
        np.testing.assert_array_equal(
            getattr(spooled.sample(), name), getattr(held.sample(), name)
        )
    again = Block.of(SAMPLE, KEY, "p", spool=tmp_path)
    other = Block.of(SAMPLE, ("bkg", "a.root", 80), "p", spool=tmp_path)
    assert spooled.path == again.path != other.path


def test_blocks_add_in_a_list() -> None:
    first, second = ({"columns": [Block.of(SAMPLE, KEY, p, spool=None)]} for p in "pq")
    added = accumulate([first, second])
    assert [block.process for block in added["columns"]] == ["p", "q"]


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    block = Block.of(SAMPLE, KEY, "p", spool=tmp_path)
    assert block.path is not None
    Path(block.path).unlink()
    with pytest.raises(InputError, match="cannot read columns"):
        block.sample()
    with pytest.raises(InputError, match=r"a\.root: the block holds neither"):
        Block(key=KEY, process="p", n=2).sample()
