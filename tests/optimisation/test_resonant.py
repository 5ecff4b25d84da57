"""Backgrounds that peak in the signal window are counted there, like a signal."""

from __future__ import annotations

import numpy as np
import pytest

from gato_coffea import Feature, optimise
from gato_coffea.errors import OptimisationError
from gato_coffea.optimisation.window import Window, window_fraction
from gato_coffea.statistics.counting import profiled_z2

WINDOW = {"window_gev": (122.0, 128.0), "mass_range_gev": (100.0, 180.0)}
SCORE = Feature("score", 0.0, 1.0)
YIELDS = {"sig": 50.0, "peak": 60.0, "cont": 2000.0}


def samples(seed: int, n: int = 4000) -> dict[str, dict[str, np.ndarray]]:
    """A signal, a background with its mass and nearly its score, and a falling continuum."""
    rng = np.random.default_rng(seed)
    score = {"sig": rng.beta(6, 2, n), "peak": rng.beta(5, 2, n), "cont": rng.beta(2, 4, 2 * n)}
    found = {}
    for name, x in score.items():
        mass = rng.normal(125, 1.5, len(x))
        if name == "cont":
            mass = 100 - 40 * np.log1p(-rng.random(len(x)) * -np.expm1(-2))
        weight = np.full(len(x), YIELDS[name] / len(x))
        found[name] = {"x": x, "weight": weight, "mass": mass, "fold": np.arange(len(x)) % 5}
    return found


def by_hand(categories, events) -> tuple[float, np.ndarray, np.ndarray]:
    """Significance in the window, background and its variance, from what each kind counts."""
    k = categories.n_categories
    sums = {}
    for name, s in events.items():
        low, high = WINDOW["mass_range_gev" if name == "cont" else "window_gev"]
        inside = (s["mass"] >= low) & (s["mass"] <= high)
        label, w, m = (a[inside] for a in (categories.assign(s["x"]), s["weight"], s["mass"]))
        sums[name] = [np.bincount(label, column, k) for column in (w, w * w, w * m)]
    cont, peak = sums["cont"], sums["peak"]
    factor = window_fraction(cont[2] / cont[0], Window(100.0, 180.0, 122.0, 128.0))
    background = cont[0] * factor + peak[0]
    variance = cont[1] * factor**2 + peak[1]
    return (
        float(np.sqrt(profiled_z2(sums["sig"][0], background, variance).sum())),
        background,
        variance,
    )


@pytest.mark.parametrize("method", ["exact", "lloyd", "gato"])
def test_a_resonant_background_is_counted_in_the_window(method: str) -> None:
    events = samples(1)
    options = {"signals": ["sig"], "method": method, "n_categories": 4, "features": [SCORE]}
    options |= WINDOW | {"epochs": 40}
    result = optimise(events, resonant=["peak"], **options)
    z, background, variance = by_hand(result.categories, events)
    assert result.training.combined == pytest.approx(z)
    np.testing.assert_allclose(result.yields.background, background)
    np.testing.assert_allclose(result.yields.background_sumw2, variance)
    np.testing.assert_allclose(result.yields.effective_background, background**2 / variance)
    assert result.yields.resonant == ("peak",)
    true = by_hand(result.categories, samples(2, 100_000))[0]
    assert result.held_out.statistics_only == pytest.approx(true, rel=0.05)
    if method == "exact":
        assert (
            result.training.combined
            > 0.99
            * optimise(
                events, resonant=["peak"], **options | {"method": "lloyd"}
            ).training.combined
        )
        # Extrapolated with the continuum it all but vanishes from the window.
        wrong = optimise(events, **options)
        assert wrong.held_out.combined > 1.5 * by_hand(wrong.categories, events)[0]


def test_what_may_be_resonant() -> None:
    options = {"signals": ["sig"], "method": "exact", "n_categories": 2}
    for resonant, window, told in (
        (["sig"], WINDOW, "resonant: 'sig' is no background"),
        (["peak"], {}, "resonant: needs window_gev and mass_range_gev"),
        (["peak", "cont"], WINDOW, "resonant: one background must be left for the continuum"),
        ("peak", WINDOW, "resonant: must be a list of processes"),
    ):
        with pytest.raises(OptimisationError, match=told):
            optimise(samples(1, 100), resonant=resonant, **options, **window)


def test_numbers_of_categories_that_train_together_train_like_one_alone() -> None:
    options = {"signals": ["sig"], "method": "gato", "folds": 2, "epochs": 40, **WINDOW}
    events = {name: sample for name, sample in samples(3).items() if name != "peak"}
    together = optimise(events, n_categories=[2, 4], **options)
    for result in together:
        assert result.history is not None
        assert np.isfinite(result.history.loss).all()
    alone = optimise(events, n_categories=2, **options)
    assert together[0].training.combined == pytest.approx(alone.training.combined, rel=0.01)
