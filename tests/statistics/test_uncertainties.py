import numpy as np
import pytest

from gato_coffea.errors import OptimisationError
from gato_coffea.statistics.uncertainties import Free, Norm, normalisation_factors

PLACE = {
    "processes": ("s", "b", "b"),
    "eras": ("2022", "2022", "2023"),
    "channels": ("sr", "sr", "cr"),
}


def test_where_an_uncertainty_acts() -> None:
    up, down = normalisation_factors(
        [
            Norm("lumi", 1.1, eras=["2022"]),
            Norm("b", up=1.3, down=0.8, processes=["b"]),
            Free("cr", ["b"], channels=["cr"]),
        ],
        **PLACE,
    )
    assert up.shape == down.shape == (3, 3, 3)
    assert up[0, :, 0].tolist() == [1.1, 1.1, 1.0]
    assert up[1, :, 1].tolist() == [1.0, 1.3, 1.3]
    assert down[1, :, 1].tolist() == [1.0, 0.8, 0.8]
    assert up[2, 1].tolist() == [1.0, 1.0, pytest.approx(np.e)]
    assert down[0, 0, 0] == pytest.approx(1 / 1.1)


def test_one_column_where_all_channels_are_alike() -> None:
    up, _ = normalisation_factors([Norm("lumi", 1.1)], **PLACE)
    assert up.shape == (1, 3, 1)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Norm("x"), "systematics.x: give either value, or up and down"),
        (lambda: Norm("x", 1.1, up=1.2, down=0.9), "give either value, or up and down"),
        (lambda: Norm("x", up=1.2), "up and down go together"),
        (lambda: Norm("x", -0.1), r"systematics.x.value: must be a positive factor.*-0.1"),
        (lambda: Norm("x", up=1.1, down=0.0), "systematics.x.down: must be a positive factor"),
        (lambda: Norm("x", float("nan")), "must be a positive factor"),
        (lambda: Norm("x", "1.1"), r"^systematics\.x\.value: must be a positive factor.*'1\.1'"),
        (lambda: Norm("x", up=True, down=0.9), r"systematics\.x\.up: must be a positive factor"),
        (lambda: Norm("x", [1.1]), r"systematics\.x\.value: must be a positive factor"),
        (lambda: Norm("x", 1.1, processes="b"), "systematics.x.processes: must be a list"),
        (lambda: Norm("x", 1.1, processes=()), r"^systematics\.x\.processes: is empty, so that"),
        (lambda: Norm("x", 1.1, channels=[]), r"systematics\.x\.channels: is empty"),
        (lambda: Norm("x", 1.1, eras=[]), r"systematics\.x\.eras: is empty"),
        (lambda: Free("x", []), r"systematics\.x\.processes: is empty"),
    ],
)
def test_impossible_uncertainties(make: object, told: str) -> None:
    with pytest.raises(OptimisationError, match=told):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("uncertainty", "told"),
    [
        (Norm("x", 1.1, processes=["c"]), r"x.processes: is not there \(got 'c'; allowed: s, b\)"),
        (Norm("x", 1.1, eras=["2016"]), r"x.eras: is not there \(got '2016'"),
        (Free("x", ["b"], channels=["vr"]), r"x.channels: is not there \(got 'vr'"),
    ],
)
def test_unknown_places(uncertainty: Norm | Free, told: str) -> None:
    with pytest.raises(OptimisationError, match=told):
        normalisation_factors([uncertainty], **PLACE)


@pytest.mark.parametrize("key", ["eras", "channels"])
def test_samples_without_eras_or_channels(key: str) -> None:
    place = PLACE | {"eras": (None,) * 3, "channels": (None,)}
    told = rf"x\.{key}: is not there \(got '2022'; allowed: none, the samples have no {key}\)"
    with pytest.raises(OptimisationError, match=told):
        normalisation_factors([Norm("x", 1.1, **{key: ["2022"]})], **place)


def test_a_name_counts_once() -> None:
    with pytest.raises(OptimisationError, match=r"systematics\.x: is given twice"):
        normalisation_factors([Norm("x", 1.1), Norm("x", 1.2)], **PLACE)
