"""Axes: fine bins agree with category edges, and ranges are closed."""

import hist
import numpy as np
import pytest

from gato_coffea.categories.axes import discriminant_axis, fill_values, mass_axis, variation_labels
from gato_coffea.config import Discriminant, Mass, parse_analysis
from gato_coffea.events.samples import bin_index


@pytest.mark.parametrize(
    ("scale", "limits"), [("linear", (0, 1)), ("logit", (-1, 1)), ("log", (20, 3000))]
)
def test_bins_of_a_discriminant_are_those_of_the_categories(scale, limits):
    axis = discriminant_axis(Discriminant(name="score", range=limits, bins=30, scale=scale))
    # Values on every edge and beside it: where rounding decides, both sides must agree.
    x = np.concatenate([axis.edges, *(np.nextafter(axis.edges, s) for s in (-np.inf, np.inf))])
    inside = (x >= limits[0]) & (x <= limits[1])
    expected = bin_index(x, axis.edges)
    np.testing.assert_array_equal(axis.index(fill_values(x, axis))[inside], expected[inside])
    outside = axis.index(fill_values(x, axis))[~inside]
    assert set(outside) == {-1, 30}
    assert (axis.edges[0], axis.edges[-1]) == limits
    assert axis.name == axis.label == "score"


@pytest.mark.parametrize("bins", [7, 60, 80, 1000])
def test_the_upper_end_of_the_mass_lies_in_the_last_bin(bins):
    axis = mass_axis(
        Mass(
            source="m", unit="GeV", range_gev=(100.3, 180.7), bins=8, window_gev=(110.35, 120.4)
        ).model_copy(update={"bins": bins})
    )
    values = np.array([100.3, 180.7, np.nextafter(180.7, 200), 90.0, 300.0])
    index = axis.index(fill_values(values, axis))
    np.testing.assert_array_equal(index, [0, bins - 1, bins, -1, bins])
    assert axis.label == "Mass [GeV]"


def test_nan_is_left_alone():
    filled = fill_values(np.array([np.nan, 1.0]), hist.axis.Regular(2, 0, 1))
    assert np.isnan(filled[0])
    assert filled[1] == 0.75


def test_variations_come_after_nominal_in_alphabetical_order(tmp_path):
    content = {
        "name": "test",
        "datasets": {
            n: {"files": "a.root", "process": n, "already_normalised": True} for n in ("s", "b")
        },
        "weight": {"variations": {"puUp": "u", "jesDown": "d", "jesUp": "d", "puDown": "v"}},
        "discriminants": [{"name": "score", "range": [0, 1]}],
        "optimise": {"signals": ["s"]},
    }
    labels = variation_labels(parse_analysis(content, directory=tmp_path))
    assert labels == ["nominal", "jesDown", "jesUp", "puDown", "puUp"]
