"""Categories and templates as tables."""

from __future__ import annotations

import numpy as np
import pytest

from gato_coffea.categories import EdgeCategories, MixtureCategories
from gato_coffea.categories.tables import category_summary
from gato_coffea.events.samples import Feature

SCORE = Feature("score", 0.0, 1.0, "logit")


def test_boundaries_of_one_discriminant_are_shown() -> None:
    found = EdgeCategories(
        features=(SCORE,), label=np.arange(3), edges=(np.array([0, 0.25, 0.75, 1]),)
    )
    table = category_summary(found)
    assert table.rows == [("score", "0 to 1", "logit")]
    assert any("0.25, 0.75" in note for note in table.notes)
    assert any("least signal-like" in note for note in table.notes)


@pytest.mark.parametrize("dim", [1, 2])
def test_each_discriminant_has_a_row(dim: int) -> None:
    found = MixtureCategories(
        features=tuple(Feature(f"x{d}", 0.0, 1.0 + d) for d in range(dim)),
        label=np.arange(2),
        means=np.array([[0.2, 0.2], [0.6, 0.4]])[:, :dim],
        scale_tril=np.tile(0.1 * np.eye(dim), (2, 1, 1)),
        log_weights=np.log(np.full(2, 0.5)),
    )
    table = category_summary(found)
    assert [row[0] for row in table.rows] == [f"x{d}" for d in range(dim)]
    assert [row[1] for row in table.rows] == ["0 to 1", "0 to 2"][:dim]
