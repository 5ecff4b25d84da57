"""Bins of a channel: what is done about negative and empty ones, by hand."""

import numpy as np
import pytest

from gato_coffea.exports.bins import (
    Process,
    merge,
    merged_bins,
    with_positive_yields,
    without_negative_bins,
)


def process(name, values, *, signal=False, errors=0.0, **shapes):
    return Process(
        name=name,
        signal=signal,
        values=np.array(values, dtype=float),
        errors=np.broadcast_to(np.asarray(errors, dtype=float), (len(values),)),
        shapes={k: (np.array(up), np.array(down)) for k, (up, down) in shapes.items()},
    )


def test_negative_bins_keep_the_yield():
    found, notes = without_negative_bins(
        process("b", [39.7, -17.3, 0.0], pu=([50.0, -10.0, 10.0], [30.0, 1.0, 2.0]))
    )
    assert found.values.tolist() == pytest.approx([22.4, 0, 0])
    assert found.shapes["pu"][0].tolist() == pytest.approx([50 * 50 / 60, 0, 10 * 50 / 60])
    assert found.shapes["pu"][1].tolist() == [30, 1, 2]
    assert notes == [
        "b: 1 negative bins set to zero, the others scaled by 0.5642 to keep its yield"
    ]


def test_a_variation_without_yield_leaves_a_thousandth():
    found, notes = without_negative_bins(process("b", [1.0, 2.0], pu=([-1.0, 0.5], [2.0, 2.0])))
    assert found.shapes["pu"][0].tolist() == [1e-3, 2e-3]
    assert found.shapes["pu"][1].tolist() == [2, 2]
    assert notes == [
        "b: variation puUp has no positive yield (-0.5 of 3 events): taken as 0.001 of the nominal"
    ]


def test_a_negative_process_becomes_part_of_the_largest_background():
    small = process("small", [2.0, 1.0], errors=1.0)
    large = process("large", [5.0, 6.0], errors=2.0, pu=([6.0, 7.0], [4.0, 5.0]))
    negative = process("neg", [1.0, -3.0], errors=1.5, jes=([1.0, -2.0], [1.0, -4.0]))
    signal = process("s", [9.0, 9.0], signal=True)
    kept, notes = with_positive_yields([signal, small, negative, large])
    assert [p.name for p in kept] == ["s", "small", "large"]
    total = kept[2]
    assert total.values.tolist() == [6, 3]
    assert total.errors.tolist() == [2.5, 2.5]
    assert total.shapes["pu"][0].tolist() == [7, 4]
    assert total.shapes["jes"][1].tolist() == [6, 2]
    assert notes == ["neg has no positive yield (-2): part of large"]


def test_without_any_positive_background_none_is_left():
    backgrounds = [process("a", [1.0]), process("b", [-3.0])]
    kept, notes = with_positive_yields([process("s", [-1.0], signal=True), *backgrounds])
    assert kept == []
    assert notes[-1] == "a has no positive yield (-2): left out"


def test_bins_are_merged_until_each_has_enough_entries():
    background = process("b", [0.0, 12.0, 5.0, 6.0, 4.0], errors=np.sqrt([0, 12, 5, 6, 4]))
    signal = process("s", [1.0, 2.0, 3.0, 4.0, 5.0], signal=True)
    group = merged_bins([signal, background])
    assert group.tolist() == [0, 0, 1, 1, 1]
    assert merge(signal, group).values.tolist() == [3, 12]
    assert merge(background, group).errors.tolist() == pytest.approx(np.sqrt([12, 15]).tolist())


def test_a_function_needs_only_to_be_positive():
    assert merged_bins([process("f", [1e-3, 0.0, 2e-3])]).tolist() == [0, 1, 1]


def test_too_few_entries_are_one_bin():
    assert merged_bins([process("b", [1.0, 1.0], errors=1.0)]).tolist() == [0, 0]
