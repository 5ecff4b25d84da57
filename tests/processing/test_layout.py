from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from gato_coffea.config import Discriminant, Mass
from gato_coffea.errors import ConfigError
from gato_coffea.processing.layout import Layout

MASS = Mass(source="m", unit="GeV", range_gev=(100, 180), window_gev=(120, 130), bins=16)
SCORES = tuple(Discriminant(name=n, range=(0, 1), bins=10, scale="logit") for n in "abc")


def test_histograms_and_their_axes() -> None:
    assert Layout(discriminants=SCORES).products == (("a",), ("b",), ("c",))
    layout = Layout(discriminants=SCORES, mass=MASS, two_dimensional=True)
    assert ["_".join(names) for names in layout.products] == (
        ["a", "b", "c", "mass", "a_mass", "b_mass", "c_mass", "a_b", "a_c", "b_c"]
    )
    h = layout.empty(("a", "mass"), processes=["p"], variations=["nominal", "xUp"])
    assert [axis.name for axis in h.axes] == ["process", "variation", "a", "mass"]
    np.testing.assert_array_equal(h.axes["a"].edges, layout.features[0].edges(10))
    np.testing.assert_array_equal(h.axes["mass"].edges, np.linspace(100, 180, 17))


def test_of_an_analysis(make_analysis: Any) -> None:
    analysis = make_analysis({"keep_columns": False, "event_id": ["event"]})
    layout = Layout.of(analysis)
    assert (layout.columns, layout.event_id, layout.moments) == (False, ("event",), True)
    assert layout.n_folds == analysis.optimise.folds
    whole = make_analysis({"optimise.extrapolate_from_sidebands": False})
    assert not Layout.of(whole).moments  # the whole mass range needs to be asked for
    assert layout.grid.features == layout.features


def test_is_small_when_pickled() -> None:
    assert len(pickle.dumps(Layout(discriminants=SCORES, mass=MASS))) < 3000


def test_histograms_of_one_name_are_refused() -> None:
    named = tuple(Discriminant(name=name, range=(0, 1)) for name in ("a", "b", "a_b"))
    assert len(Layout(discriminants=named).products) == 3
    with pytest.raises(ConfigError, match="of a_b and of a and b would both be called 'a_b'"):
        _ = Layout(discriminants=named, two_dimensional=True).products


def test_histograms_that_would_not_fit_are_refused_before_one_is_made() -> None:
    wide = tuple(Discriminant(name=n, range=(0, 1), bins=100_000) for n in "ab")
    assert len(Layout(discriminants=wide).products) == 2
    with pytest.raises(ConfigError, match=r"^histograms_2d: the histogram of a and b would have"):
        _ = Layout(discriminants=wide, two_dimensional=True).products
