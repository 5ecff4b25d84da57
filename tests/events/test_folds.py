from __future__ import annotations

import subprocess
import sys

import numpy as np

from gato_coffea.events.folds import event_fold, text_identity


def test_folds_are_fixed_even_and_the_same_in_another_process() -> None:
    # the numbers are the contract: a new version must deal the events in the same way
    identity = [np.array([1, 1, 2]), np.array([5, 5, 5]), np.array([10, 11, 10])]
    code = (
        "import numpy as np; from gato_coffea.events.folds import event_fold, text_identity;"
        "print(*event_fold([[1,1,2],[5,5,5],[10,11,10]], n_folds=1000), text_identity('a'))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert [int(v) for v in shown[:3]] == event_fold(identity, n_folds=1000).tolist()
    assert int(shown[3]) == text_identity("a")
    assert event_fold(identity, n_folds=1000).tolist() == FIXED_FOLDS
    counts = np.bincount(event_fold([np.arange(100_000)], n_folds=5))
    assert np.abs(counts - 20_000).max() < 600  # five standard deviations of 126


FIXED_FOLDS = [65, 332, 100]


def test_negative_and_32_bit_identities() -> None:
    small = np.array([-1, 3], dtype=np.int32)
    np.testing.assert_array_equal(
        event_fold([small], n_folds=7), event_fold([small.astype(np.int64)], n_folds=7)
    )
