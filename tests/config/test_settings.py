"""The settings of an optimisation."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gato_coffea.config.settings import Optimisation


def test_a_single_number_of_categories_stands_for_a_list_and_each_counts_once() -> None:
    assert Optimisation(signals=("s",), n_categories=4).n_categories == (4,)
    assert Optimisation(signals=("s",), n_categories=[4, 2, 4]).n_categories == (4, 2)
    assert Optimisation(signals=("s",), n_categories="auto").counts == (2, 3, 5, 8, 12, 20)


def test_the_former_name_of_a_key_keeps_working() -> None:
    named = Optimisation.model_validate({"signals": ["s"], "mass_window": False})
    assert named.extrapolate_from_sidebands is False
    with pytest.raises(ValidationError, match="mass_window"):
        Optimisation.model_validate(
            {"signals": ["s"], "mass_window": False, "extrapolate_from_sidebands": True}
        )
