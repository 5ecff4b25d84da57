"""Random models of analyses, and the same as pyhf sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyhf
import pytest

from gato_coffea.statistics.likelihood import Likelihood
from gato_coffea.statistics.uncertainties import Free, Norm
from gato_coffea.statistics.yields import BinnedYields


def random_model(
    seed: int,
    *,
    categories: int = 5,
    backgrounds: int = 3,
    signals: int = 1,
    variations: int = 3,
    norms: int = 3,
    free: bool = False,
    simulation: bool = True,
) -> Likelihood:
    """Falling backgrounds and signals with variations of 8 % and norms of up to 40 %."""
    rng = np.random.default_rng(seed)
    falling = np.exp(-3.0 * np.arange(categories) / categories)
    b = rng.uniform(5, 400, (backgrounds, categories)) * falling
    s = rng.uniform(0.5, 8, (signals, categories))
    nominal = np.vstack([s, b])
    names = [f"s{i}" for i in range(signals)] + [f"b{i}" for i in range(backgrounds)]
    up, down = (
        nominal * (1 + rng.normal(0, 0.08, (variations, *nominal.shape))) for _ in range(2)
    )
    sumw2 = (b.sum(axis=0) * rng.uniform(0.02, 0.2, categories)) ** 2 * simulation
    yields = BinnedYields(
        processes=tuple(names),
        signals=tuple(names[:signals]),
        nominal=nominal,
        sumw2=sumw2,
        variations=tuple(f"v{j}" for j in range(variations)),
        up=up,
        down=down,
    )
    each: list[Norm | Free] = []
    for j in range(norms):
        acts_on = None if j == 0 else (names[rng.integers(0, len(names))],)
        if j % 2:
            factors = {"up": rng.uniform(1.01, 1.4), "down": rng.uniform(0.7, 0.99)}
            each.append(Norm(f"n{j}", **factors, processes=acts_on))
        else:
            each.append(Norm(f"n{j}", rng.uniform(1.01, 1.4), processes=acts_on))
    if free:
        each.append(Free("rate", ("b0",)))
    return Likelihood(yields=yields, normalisations=tuple(each))


def pyhf_model(likelihood: Likelihood, signal: str) -> pyhf.Model:
    """The same in pyhf: histosys code 4p, normsys code 4, staterror, normfactor."""
    y = likelihood.yields
    assert y.up is not None
    assert y.down is not None
    background = y.nominal[~y.is_signal]
    samples = []
    for c, process in enumerate(y.processes):
        modifiers: list[dict[str, Any]] = []
        if process == signal:
            modifiers.append({"name": "mu", "type": "normfactor", "data": None})
        if process not in y.signals and y.sumw2.any():
            share = y.nominal[c] / np.sqrt((background**2).sum(axis=0))
            data = (np.sqrt(y.sumw2) * share).tolist()
            modifiers.append({"name": "simulation", "type": "staterror", "data": data})
        for j, name in enumerate(y.variations):
            data = {"hi_data": y.up[j, c].tolist(), "lo_data": y.down[j, c].tolist()}
            modifiers.append({"name": name, "type": "histosys", "data": data})
        for n in likelihood.normalisations:
            if n.processes is None or process in n.processes:
                kind = "normsys" if n.constrained else "normfactor"
                data = dict(zip(("hi", "lo"), n.factors, strict=True))
                given = data if n.constrained else None
                modifiers.append({"name": n.name, "type": kind, "data": given})
        samples.append({"name": process, "data": y.nominal[c].tolist(), "modifiers": modifiers})
    return pyhf.Model(
        {"channels": [{"name": "categories", "samples": samples}]},
        poi_name="mu",
        validate=False,
        modifier_settings={
            "normsys": {"interpcode": "code4"},
            "histosys": {"interpcode": "code4p"},
        },
    )


def pyhf_q(likelihood: Likelihood, signal: str, *, present: float, tested: float) -> float:
    """``-2 ln L`` at a tested strength less its minimum, on Asimov data of another strength."""
    with pyhf_minuit():
        model = pyhf_model(likelihood, signal)
        truth = np.array(model.config.suggested_init(), dtype=np.float64)
        truth[model.config.poi_index] = present
        data = model.expected_data(truth)
        bounds = model.config.suggested_bounds()
        bounds[model.config.poi_index] = (0.0, 100.0)
        _, fixed = pyhf.infer.mle.fixed_poi_fit(
            tested,
            data,
            model,
            init_pars=truth.tolist(),
            par_bounds=bounds,
            return_fitted_val=True,
        )
        return float(fixed + 2 * model.logpdf(truth.tolist(), data)[0])


class pyhf_minuit:  # noqa: N801
    """pyhf with its most precise minimiser; its former one afterwards."""

    def __enter__(self) -> None:
        self.before = pyhf.get_backend()
        pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4))

    def __exit__(self, *_: object) -> None:
        pyhf.set_backend(*self.before)


@pytest.fixture(params=range(8))
def any_model(request: pytest.FixtureRequest) -> Likelihood:
    """Models from one category to twenty, with and without each kind of uncertainty."""
    seed = request.param
    rng = np.random.default_rng(100 + seed)
    return random_model(
        seed,
        categories=[1, 2, 3, 5, 8, 12, 20, 30][seed],
        backgrounds=int(rng.integers(1, 5)),
        variations=[0, 1, 2, 0, 4, 6, 10, 20][seed],
        norms=[1, 0, 2, 3, 0, 5, 8, 20][seed],
        free=seed in (3, 5),
        simulation=seed % 2 == 1,
    )


@pytest.fixture
def make_model() -> Callable[..., Likelihood]:
    """`random_model`."""
    return random_model


@pytest.fixture
def q_of_pyhf() -> Callable[..., float]:
    """`pyhf_q`."""
    return pyhf_q


@pytest.fixture
def in_pyhf() -> Callable[[Likelihood, str], pyhf.Model]:
    """`pyhf_model`."""
    return pyhf_model
