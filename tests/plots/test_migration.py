"""A migration matrix holds every event once, in its nominal category and where it is moved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gato_coffea.categories import EdgeCategories
from gato_coffea.events.samples import Feature, Sample
from gato_coffea.events.variations import Variation
from gato_coffea.plots.migration import draw_migration, migration_numbers, migrations
from gato_coffea.plots.style import Style, save

pytestmark = pytest.mark.usefixtures("untouched_pyplot")

CATEGORIES = EdgeCategories(
    features=(Feature("score", 0.0, 1.0),),
    label=np.array([0, 1]),
    edges=(np.array([0.0, 0.5, 1.0]),),
)


def samples() -> dict[str, Sample]:
    x = np.array([[0.2], [0.45], [0.7], [np.nan]])
    weight = np.array([1.0, 2.0, 4.0, 0.0])
    up = Variation(x=np.array([[0.2], [0.55], [np.nan], [0.9]]), weight=weight + 8.0)
    down = Variation(x=x)
    weights = Variation(weight=2 * weight)
    variations = {"jesUp": up, "jesDown": down, "puUp": weights, "puDown": weights}
    return {
        "qcd": Sample(x=x, weight=weight, variations=variations),
        "top": Sample(x=np.array([[0.1]]), weight=np.array([9.0])),
        "data": Sample(x=np.array([[0.1]]), weight=np.array([1.0]), data=True),
    }


def test_events_by_hand(tmp_path: Path) -> None:
    found = migrations(samples(), CATEGORIES, ["qcd", "top"])
    assert list(found) == ["jes"]  # pu moves no event
    up, down = found["jes"]
    assert (up.variation, down.variation) == ("jesUp", "jesDown")
    # 1 + 9 stay, 2 go up, 4 leave, and one comes in with its weight there.
    np.testing.assert_array_equal(up.weight, [[10, 2, 0], [0, 0, 4], [0, 8, 0]])
    np.testing.assert_array_equal(down.weight, np.diag([12.0, 4.0, 0.0]))
    np.testing.assert_allclose(up.fraction[0], [10 / 12, 2 / 12, 0])
    assert np.isnan(down.fraction[2]).all()
    figure = draw_migration(found["jes"], Style())
    written = [t.get_text() for t in figure.axes[0].texts]
    assert {"83.3", "16.7", "100.0"} <= set(written)
    save(figure, tmp_path / "migration")
    numbers = migration_numbers(found["jes"])
    assert numbers["nominal"].tolist()[:4] == ["0", "0", "0", "1"]
    assert numbers["varied"].tolist()[2] == "none"
    assert numbers["jesUp"].sum() == up.weight.sum()
