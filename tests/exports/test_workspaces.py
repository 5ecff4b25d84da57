"""Workspaces that other tools can fit: ranges and starting values of their parameters."""

import math

import numpy as np
import pytest

from gato_coffea.exports import pyhf_workspace
from gato_coffea.exports.bins import Process, log_normal
from gato_coffea.exports.models import Channel
from gato_coffea.exports.workspaces import nuisances


def process(name, values, *, signal=False, error=0.0, norms=None):
    values = np.array(values)
    return Process(
        name=name,
        signal=signal,
        values=values,
        errors=error * values,
        shapes={},
        norms=norms or {},
    )


def model_of(*, signals=(3.0, 6.0), backgrounds=(7.0, 300.0), error=0.05):
    return [
        Channel(
            name=f"a_category{k}",
            edges=np.array([0.0, 1.0]),
            processes=(
                process("s", [s], signal=True),
                process("b", [b], error=error, norms={"lumi": log_normal(0.02)}),
            ),
            observed=np.array([b]),
            is_data=False,
        )
        for k, (s, b) in enumerate(zip(signals, backgrounds, strict=True))
    ]


def ranges_of(model, **options):
    config = pyhf_workspace(model, **options)["measurements"][0]["config"]
    return {entry["name"]: entry for entry in config["parameters"]}


def test_a_strength_may_be_negative_where_all_bins_stay_positive():
    ((low, high),) = ranges_of(model_of())["mu"]["bounds"]
    assert ranges_of(model_of())["mu"]["inits"] == [1.0]
    assert low == pytest.approx(-0.9 * 7 / 3)
    assert high == 10
    assert 7 + low * 3 > 0
    ((low, _),) = ranges_of(model_of(signals=(0.01, 0.02)))["mu"]["bounds"]
    assert low == -10


def test_an_observation_without_signal_is_fitted_with_an_error():
    """At a strength that ends at zero the fit had an error of 8.7 where it is 0.68."""
    pyhf = pytest.importorskip("pyhf")
    minuit = pytest.importorskip("iminuit").Minuit
    content = pyhf_workspace(model_of())
    parameters = content["measurements"][0]["config"]["parameters"]
    model = pyhf.Model(
        {"channels": content["channels"], "parameters": parameters}, poi_name="mu", validate=False
    )
    observed = [*(o["data"][0] for o in content["observations"]), *model.config.auxdata]

    def twice_nll(values):
        return -2.0 * float(np.asarray(model.logpdf(values, observed))[0])

    fit = minuit(twice_nll, model.config.suggested_init())
    fit.errordef, fit.limits = minuit.LEAST_SQUARES, model.config.suggested_bounds()
    fit.migrad()
    fit.hesse()
    at = model.config.par_slice("mu").start
    assert fit.values[at] == pytest.approx(0, abs=0.05)
    variances = [b + (0.05 * b) ** 2 + (0.02 * b) ** 2 for b in (7.0, 300.0)]
    wanted = 1 / math.sqrt(sum(s**2 / v for s, v in zip((3.0, 6.0), variances, strict=True)))
    assert fit.errors[at] == pytest.approx(wanted, rel=0.05)


def test_ranges_hold_what_a_large_signal_pulls():
    narrow = ranges_of(model_of(), largest_pull=4.0)
    assert set(narrow) == {"mu"}
    wide = ranges_of(model_of(signals=(300.0, 6.0)), largest_pull=22.4)
    assert wide["lumi"]["bounds"] == [[-24.0, 24.0]]
    assert wide["staterror_a_category0"]["bounds"] == [[1e-10, pytest.approx(2 * 307 / 7)]]
    assert nuisances(model_of()) == ["lumi"]


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated")
def test_cabinetry_ranks_the_parameters():
    cabinetry = pytest.importorskip("cabinetry")
    model, data = cabinetry.model_utils.model_and_data(pyhf_workspace(model_of()))
    fitted = cabinetry.fit.fit(model, data)
    ranking = cabinetry.fit.ranking(model, data, fit_results=fitted)
    at = ranking.labels.index("lumi")
    up, down = ranking.postfit_up[at], ranking.postfit_down[at]
    assert up < 0 < down
    assert up == pytest.approx(-down, rel=0.1)
