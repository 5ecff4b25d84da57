"""Objectives of the profile likelihood: their slopes, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gato_coffea import Constraints, Free, Norm, optimise
from gato_coffea.config.settings import Settings
from gato_coffea.errors import GatoError
from gato_coffea.events.samples import Feature, Grid, Points
from gato_coffea.optimisation.densities import Densities
from gato_coffea.optimisation.objective import Counting
from gato_coffea.optimisation.profiled import Profiled, chosen_objective
from gato_coffea.optimisation.window import Window

WINDOW = Window(100.0, 180.0, 120.0, 130.0)
NORMS = (Norm("lumi", 1.02), Norm("b1", up=1.3, down=0.8, processes=["b1"]), Free("r", ("b2",)))


def densities(*, with_mass: bool = False, seed: int = 1, n: int = 40) -> Densities:
    """Two signals, two backgrounds and, with masses, a resonant one; one variation."""
    rng = np.random.default_rng(seed)
    m = 5 if with_mass else 4
    nominal = rng.uniform(1, 3, (m, n)) * np.array([1, 0.5, 40, 30, 3][:m])[:, None]
    up, down = (nominal * rng.uniform(0.9, 1.1, nominal.shape) for _ in range(2))
    variance = 0.3 * nominal[2:4].sum(axis=0)
    return Densities(
        u=np.linspace(0, 1, n)[:, None],
        signal=nominal[:2],
        background=nominal[2:4].sum(axis=0),
        variance=variance,
        moment=nominal[2:4].sum(axis=0) * rng.uniform(120, 140, n) if with_mass else None,
        peak=np.stack([nominal[4], 0.1 * nominal[4]]) if with_mass else None,
        rows=np.concatenate([nominal, up, down]),
    )


def objective(*, with_mass: bool = False, **changes: Any) -> Profiled:
    return Profiled(
        **{
            "mc_uncertainty": True,
            "window": WINDOW if with_mass else None,
            "processes": ("s1", "s2", "b1", "b2", *(("h",) if with_mass else ())),
            "signals": ("s1", "s2"),
            "variations": ("jes",),
            "normalisations": NORMS,
            "resonant": ("h",) if with_mass else (),
            **changes,
        }
    )


CASES: list[dict[str, Any]] = [
    {},
    {"with_mass": True},
    {"combination": "sum", "systematic": 0.05},
    {"combination": "quadrature", "others": "profiled"},
    {"figure": "precision", "with_mass": True},
    {"figure": "limit", "combination": "quadrature"},
    {"combination": "determinant"},
]


@pytest.mark.parametrize("case", CASES)
def test_the_linear_form_is_the_slope_of_the_objective(case: dict[str, Any]) -> None:
    """Against finite differences of the whole figure, with every nuisance parameter refitted."""
    own, d = objective(**case), densities(with_mass=case.get("with_mass", False))
    label = np.arange(40) % 5
    yields = d.yields(label, 5, own)
    form = own.around(yields).linear()
    slope = np.empty((len(yields.rows), 5))
    backgrounds = [c for c, p in enumerate(own.processes) if p not in own.signals]
    for r, k in np.ndindex(slope.shape):
        values = []
        for step in (1e-4, -1e-4):
            rows, background = yields.rows.copy(), yields.background.copy()
            # A unit of what is extrapolated is less in the window.
            size = step * (yields.factor[k] if own.window and own.extrapolated[r] else 1.0)
            rows[r, k] += size
            background[k] += size if r in backgrounds else 0.0
            moved = replace(yields, rows=rows, background=background)
            values.append(float(own.combined(moved)))
        slope[r, k] = (values[0] - values[1]) / 2e-4
    form = form[: len(slope)]
    size = float((form * slope).sum() / (slope**2).sum())
    # The square of the limit is linear in q to first order only, for each signal on its own.
    precise = 0.05 if case.get("figure") == "limit" else 1e-4
    np.testing.assert_allclose(
        form / size, slope, rtol=precise, atol=precise * np.abs(slope).max()
    )


def test_without_uncertainties_it_is_counting() -> None:
    own = objective(variations=(), normalisations=())
    d = densities()
    assert d.rows is not None
    yields = replace(d, rows=d.rows[:4]).yields(np.arange(40) % 5, 5, own)
    np.testing.assert_allclose(own.figures(yields), own.counting.figures(yields), rtol=1e-9)


def points() -> Points:
    feature = Feature("x0", 0.0, 1.0)
    some = np.ones((3, 1, 2))
    return Points(
        features=(feature,),
        processes=("s", "b1", "b2"),
        x=np.array([[0.2], [0.7]]),
        sumw=some,
        sumw2=some,
        count=some,
        grid=Grid((feature,), (np.array([0.0, 0.5, 1.0]),)),
        cell=np.arange(2),
    )


def chosen(systematics: Any = (), **settings: Any) -> Any:
    return chosen_objective(
        Settings(**{"signals": ("s",), **settings}),
        points(),
        None,
        backgrounds=("b1", "b2"),
        resonant=(),
        systematics=systematics,
    )


def test_counting_is_chosen_where_nothing_asks_for_more() -> None:
    assert isinstance(chosen(), Counting)
    assert isinstance(chosen(others="profiled"), Counting)  # there is no other signal
    assert isinstance(chosen(objective="limit"), Profiled)
    assert isinstance(chosen([Norm("lumi", 1.02)]), Profiled)


@pytest.mark.parametrize(
    ("systematics", "message"),
    [
        (Norm("lumi", 1.02), "systematics: must be a list of Norm and Free"),
        (["lumi"], "systematics: must be Norm or Free .got 'lumi'"),
        ([Norm("a", 1.1, processes=["b9"])], "systematics.a.processes: is not there .got 'b9'"),
        ([Norm("a", 1.1), Free("a", ("b1",))], "systematics.a: is given twice"),
    ],
)
def test_systematics_that_cannot_be_are_refused(systematics: Any, message: str) -> None:
    with pytest.raises(GatoError, match=message):
        chosen(systematics)


def events(variations: dict[str, Any]) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    s, b = rng.beta(4, 2, 2000), rng.beta(1, 3, 4000)
    return {
        "s": {"x": s, "weight": np.full(2000, 0.01)},
        "b": {"x": b, "weight": np.full(4000, 0.5), "variations": variations},
    }


def run(variations: dict[str, Any], **settings: Any) -> Any:
    return optimise(
        events(variations),
        signals=["s"],
        n_categories=3,
        method="exact",
        constraints=Constraints(min_effective=20),
        **settings,
    )


def with_two_backgrounds(**settings: Any) -> Any:
    rng = np.random.default_rng(3)
    drawn = {"s": (0.01, 4, 2), "b1": (0.5, 1, 3), "b2": (0.1, 2, 2)}
    samples = {
        name: {"x": rng.beta(*shape, 1000), "weight": np.full(1000, weight)}
        for name, (weight, *shape) in drawn.items()
    }
    return optimise(
        samples,
        **{
            "signals": ["s"],
            "n_categories": 2,
            "method": "exact",
            "constraints": Constraints(min_effective=20),
            "folds": 1,
            **settings,
        },
    )


@pytest.mark.parametrize("method", ["exact", "lloyd"])
def test_a_limit_with_a_free_background_has_categories(method: str) -> None:
    """To find the order of the points asks for no fit of uncertainties to each point alone."""
    free = [Norm("lumi", 1.02), Free("f", ("b1",))]
    result = with_two_backgrounds(method=method, objective="limit", systematics=free)
    assert 0 < result.training.combined < 0.95 * result.training.statistics_only


FREE_BACKGROUNDS = (Free("f", ("b1",)), Free("g", ("b2",)))


@pytest.mark.parametrize(
    ("figure", "systematics", "n"),
    [
        ("precision", [Free("f", ("s",))], 2),
        ("precision", FREE_BACKGROUNDS, 1),
        ("significance", FREE_BACKGROUNDS, 1),
    ],
)
def test_a_strength_that_is_not_measured_is_pointed_out(
    figure: str, systematics: Any, n: int
) -> None:
    names = ", ".join(one.name for one in systematics)
    said = f"the strength of s is not measured: free parameters ({names}) can imitate the signal"
    result = with_two_backgrounds(objective=figure, systematics=systematics, n_categories=n)
    assert result.notes[0].startswith(said)
    assert result.rare is None
    more = with_two_backgrounds(objective=figure, systematics=FREE_BACKGROUNDS, n_categories=4)
    assert not any("is not measured" in note for note in more.notes)


def test_a_limit_on_what_is_not_measured_is_refused() -> None:
    message = r"limit: the strength of s is not measured: free parameters \(f, g\) can imitate"
    with pytest.raises(GatoError, match=message):
        with_two_backgrounds(objective="limit", systematics=FREE_BACKGROUNDS, n_categories=1)


@pytest.mark.parametrize(
    ("variations", "message"),
    [
        ({"jesUp": np.full(4000, 0.5)}, "b.variations.jesUp: needs its opposite jesDown"),
        (
            {"jesUp": np.full(4000, 1.1), "jesDown": np.full(4000, 0.5)},
            "b.variations.jesUp: its total of .* is 2.2 times the nominal",
        ),
    ],
)
def test_variations_that_cannot_be_are_refused(variations: Any, message: str) -> None:
    with pytest.raises(GatoError, match=message):
        run(variations)


def test_a_variation_that_is_the_nominal_is_pointed_out() -> None:
    same = np.full(4000, 0.5)
    result = run({"jesUp": same, "jesDown": same})
    plain = run({})
    assert any("jes changes nothing" in note for note in result.notes)
    assert result.held_out.combined == pytest.approx(plain.held_out.combined, rel=2e-2)


def test_many_sets_of_yields_at_once_have_the_figures_of_each() -> None:
    own = objective(combination="quadrature", systematic=0.05)
    rng = np.random.default_rng(5)
    whole = densities().yields(np.arange(40) % 5, 5, own)
    drawn = [
        replace(
            whole,
            rows=whole.rows * rng.uniform(0.8, 1.2, whole.rows.shape),
            background=whole.background * rng.uniform(0.8, 1.2, 5),
        )
        for _ in range(4)
    ]
    together = replace(
        whole,
        **{
            name: np.stack([getattr(y, name) for y in drawn])
            for name in ("rows", "background", "variance")
        },
    )
    each = [own.figures(y) for y in drawn]
    np.testing.assert_allclose(own.figures(together), each, rtol=1e-6)
