"""Histograms that would not fit into memory are refused in the analysis file."""

from __future__ import annotations

from typing import Any

import pytest

from gato_coffea.config.sizes import MAX_BINS, check_sizes
from gato_coffea.errors import ConfigError


def test_the_limit_itself_is_allowed() -> None:
    check_sizes([("a",)], {"a": MAX_BINS})
    check_sizes([("a",)], {"a": MAX_BINS // 10}, processes=2, variations=4)
    with pytest.raises(ValueError, match=rf"^discriminants\.a\.bins: .* \(at most {MAX_BINS}\)"):
        check_sizes([("a",)], {"a": MAX_BINS + 1})
    with pytest.raises(ValueError, match=r"for 2 processes and 5 variations"):
        check_sizes([("a",)], {"a": MAX_BINS // 10}, processes=2, variations=5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"histograms_2d": True, "mass.bins": 9600, "discriminants": [[0.0, 10_000]]},
            "histograms_2d: the histogram of score and mass would have 10000 x 9600 bins for 3 "
            "processes and 2 variations: 864000000 in all (at most 25000000); give fewer bins",
        ),
        ({"mass.bins": 9600, "discriminants": [[0.0, 10_000]]}, None),
    ],
)
def test_an_analysis_file(make_analysis: Any, changes: dict[str, Any], told: str | None) -> None:
    (low, bins), *_ = changes["discriminants"]
    axes = [{"name": "score", "range": [low, 1], "bins": bins}]
    if told is None:
        make_analysis(changes | {"discriminants": axes}, n=1)
        return
    with pytest.raises(ConfigError) as raised:
        make_analysis(changes | {"discriminants": axes}, n=1)
    assert str(raised.value).endswith(told)
