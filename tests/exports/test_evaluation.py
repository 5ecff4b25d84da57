"""How what pyhf makes of a model is compared with what is quoted."""

import math
import sys
from dataclasses import replace

import numpy as np
import pytest

from gato_coffea.categories import EdgeCategories
from gato_coffea.events.samples import Feature
from gato_coffea.exports.bins import Process
from gato_coffea.exports.discovery import evaluate_model
from gato_coffea.exports.evaluation import evaluate, evaluation_table
from gato_coffea.exports.models import Channel
from gato_coffea.exports.workspaces import pyhf_workspace
from gato_coffea.optimisation.result import Result, Significance, Yields

pytest.importorskip("pyhf")

SIGNAL = np.array([[5.0, 9.0, 6.0], [8.0, 2.0, 0.5]])
BACKGROUND = np.array([400.0, 60.0, 7.0])
ERROR = np.array([20.0, 9.0, 2.0])


def process(name, values, *, signal=False, errors=0.0, **shapes):
    values = np.atleast_1d(np.asarray(values, dtype=float))
    return Process(
        name=name,
        signal=signal,
        values=values,
        errors=np.broadcast_to(np.asarray(errors, dtype=float), values.shape),
        shapes={s: (values * up, values * down) for s, (up, down) in shapes.items()},
    )


def model_of(*, errors=ERROR, **shapes):
    result = []
    for k, b in enumerate(BACKGROUND):
        processes = (
            process("s1", SIGNAL[0, k], signal=True, errors=0.5),
            process("s2", SIGNAL[1, k], signal=True),
            process("b", b, errors=errors[k], **shapes),
        )
        result.append(
            Channel(
                name=f"category{k}",
                edges=np.array([0.0, 1.0]),
                processes=processes,
                observed=np.array([b]),
                is_data=False,
            )
        )
    return result


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated")
def test_other_strengths_are_fixed_free_or_common_as_pyhf_itself_has_them():
    pyhf = pytest.importorskip("pyhf")
    model = model_of(pu=(1.1, 0.9))
    found = evaluate_model(model, ["s1", "s2"], "geometric")
    content = pyhf_workspace(model)
    for i, name in enumerate(("s1", "s2")):
        pdf = pyhf.Workspace(content).model(poi_name=f"mu_{name}")
        start = pdf.config.suggested_init()
        data = pdf.expected_data(start)
        arguments = (data, pdf, start, pdf.config.suggested_bounds())
        free, held = pdf.config.suggested_fixed(), pdf.config.suggested_fixed()
        held[pdf.config.par_slice(f"mu_s{2 - i}").start] = True
        q0 = pyhf.infer.test_statistics.q0
        assert found.others_free[name] == pytest.approx(
            math.sqrt(q0(0.0, *arguments, free)), rel=2e-3
        )
        assert found.everything.per_signal[name] == pytest.approx(
            math.sqrt(q0(0.0, *arguments, held)), rel=2e-3
        )
        assert found.others_free[name] < 0.99 * found.everything.per_signal[name]
    both = [
        replace(c, processes=(replace(c.processes[0], values=SIGNAL[:, k : k + 1].sum(axis=0)), b))
        for k, c in enumerate(model)
        for b in c.processes[2:]
    ]
    wanted = evaluate_model(both, ["s1"], "geometric")
    assert found.common_strength == pytest.approx(wanted.everything.combined, rel=1e-4)
    assert wanted.others_free is None
    result = result_of(held_out=1.0, training=1.0)
    evaluation = evaluate({"counting": model}, result, combination="geometric")
    line = evaluation.strengths("counting")
    assert "the geometric mean of each signal's Z with the strengths of the others fixed" in line
    assert f"one common strength of all signals: {found.common_strength:.4g}" in line
    content = evaluation.to_dict()
    assert content["explanations"][-1] == line
    assert content["models"]["counting"]["others_free"] == found.others_free


def result_of(*, held_out, training, background=BACKGROUND, spread=0.05):
    yields = Yields(
        processes=("s1", "s2", "b"),
        signals=("s1", "s2"),
        backgrounds=("b",),
        sumw=np.vstack([SIGNAL, background]),
        sumw2=np.vstack([SIGNAL, ERROR**2]),
        count=np.ones((3, 3)),
        factor=np.ones(3),
    )
    categories = EdgeCategories(
        features=(Feature("score", 0.0, 1.0),),
        label=np.arange(3),
        edges=(np.linspace(0, 1, 4),),
    )
    return Result(
        3,
        categories,
        Significance(held_out, {"s1": held_out}, spread),
        Significance(training, {"s1": training}),
        yields,
        {},
    )


def test_the_factors_explain_the_ratio():
    models = {"counting": model_of(pu=(1.1, 0.9)), "shape": model_of(errors=0.5 * ERROR)}
    result = result_of(held_out=0.9, training=1.1, background=1.2 * BACKGROUND)
    found = evaluate(models, result, combination="geometric")
    for name in models:
        factors = found.factors(name)
        assert math.prod(factors.values()) == pytest.approx(found.ratio(name))
        assert all(f"{k} x {v:.3f}" in found.explanation(name) for k, v in factors.items())
    assert found.factors("counting")["all events"] == pytest.approx(1.1 / 0.9)
    assert "shape of the mass" in found.factors("shape")
    assert found.warnings() == [found.explanation("counting")]
    rows = evaluation_table(found.to_dict()).rows
    assert rows[0] == ("quoted, held out", "-", "-", "0.900 ± 0.050", "-")
    assert rows[3][0] == "shape"
    assert rows[2][-1] == f"{found.ratio('counting'):.3f}"


def test_without_folds_nothing_is_called_held_out():
    result = result_of(held_out=1.0, training=1.0)
    result.categories.training["folds"] = 1
    found = evaluate({"counting": model_of()}, result, combination="geometric")
    assert evaluation_table(found.to_dict()).rows[0][0] == "quoted, training"


def test_a_model_that_gives_what_is_quoted_needs_no_words():
    models = {"counting": model_of()}
    z = evaluate_model(models["counting"], ["s1", "s2"], "geometric").everything.combined
    found = evaluate(models, result_of(held_out=z, training=z), combination="geometric")
    assert found.warnings() == []
    assert found.ratio("counting") == pytest.approx(1.0)
    assert found.explanation("counting") == f"counting: Z {z:.3f}, 1.000 of the quoted {z:.3f}"


def test_without_pyhf_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyhf", None)
    found = evaluate(
        {"counting": model_of()}, result_of(held_out=1.0, training=1.0), combination="geometric"
    )
    assert found.explanation("counting") == (
        "counting: was not evaluated "
        '(needs pyhf; install it with pip install "gato-coffea[exports]")'
    )
    assert found.warnings() == []
    assert evaluation_table(found.to_dict()).rows[2][2:] == ("-", "-", "-")
    assert found.models["counting"].statistics.combined > 0
