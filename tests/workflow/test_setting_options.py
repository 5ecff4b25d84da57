"""A setting is a field: analysis file, Python, command line and stage keys have every one."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import pytest
from typer.main import get_command

from gato_coffea import optimise
from gato_coffea.config.settings import Constraints, Optimisation, SettingArguments, Settings
from gato_coffea.errors import GatoError
from gato_coffea.optimisation.settings import checked_settings
from gato_coffea.workflow.cli import app
from gato_coffea.workflow.pipeline import stage_keys
from gato_coffea.workflow.setting_options import FILE_ONLY, NAMES, settings_of

OTHER: dict[str, Any] = {
    "signals": ["bkg"],
    "backgrounds": ["bkg"],
    "n_categories": [2, 7],
    "bins_per_discriminant": [3],
}
"""Values of settings other than those of the small analysis, where their examples cannot be."""


def changed(name: str) -> Any:
    """A value of a setting that is not its default."""
    return OTHER.get(name, Optimisation.model_fields[name].examples[0])  # type: ignore[index]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_is_an_argument_in_python(name: str) -> None:
    shown = inspect.signature(optimise).parameters[name]
    assert shown.kind is shown.KEYWORD_ONLY
    field = Settings.model_fields[name]
    if name == "n_categories":  # one number, so that there is one result
        assert (shown.default,) == field.default
    else:
        assert name in get_type_hints(SettingArguments)
        assert shown.default == (inspect.Parameter.empty if field.is_required() else field.default)
    assert name in checked_settings({"signals": ["s"]}).arguments()


def test_python_has_no_setting_that_the_file_lacks() -> None:
    assert get_type_hints(SettingArguments).keys() == Settings.model_fields.keys() - {
        "n_categories"
    }


@pytest.mark.parametrize("name", [*Settings.model_fields, *Constraints.model_fields])
def test_a_setting_is_an_option(name: str) -> None:
    command = get_command(app).commands["optimise"]  # type: ignore[attr-defined]
    options = {option.name: option for option in command.params}
    if name == "constraints":
        assert options.keys() >= Constraints.model_fields.keys() - FILE_ONLY.keys()
        return
    field = (Settings.model_fields | Constraints.model_fields)[name]
    assert (name in options) == (name not in FILE_ONLY)
    if name in options:
        shown = options[name]
        assert shown.opts[0] == NAMES.get(name, (f"--{name.replace('_', '-')}",))[0].split("/")[0]
        assert str(field.description) in shown.help
        if not (field.is_required() or isinstance(field.default, tuple)):
            assert shown.default == field.default


@pytest.mark.parametrize("name", Optimisation.model_fields)
def test_a_setting_is_part_of_a_stage_key(make_analysis: Any, name: str) -> None:
    base: dict[str, Any] = {"optimise.n_categories": [2, 3, 5, 7]}
    if name == "round_to":
        base["optimise.method"] = "lloyd"
    before = make_analysis(base)
    wanted = {f"optimise.{name}": changed(name)}
    if name == "signals":
        wanted["optimise.backgrounds"] = ["sig"]
    if name == "bins_per_discriminant":
        wanted["optimise.kind"] = "edges"
    after = make_analysis(base | wanted)
    assert getattr(after.optimise, name) != getattr(before.optimise, name)
    keys, others = stage_keys(before, {}), stage_keys(after, {})
    stage = "categorise" if name == "use" else "optimise"
    assert keys[stage] != others[stage]


@pytest.mark.parametrize("model", [Optimisation, Constraints])
def test_every_setting_says_what_it_is(model: Any) -> None:
    for name, field in model.model_fields.items():
        assert field.description.endswith("."), name
        assert field.examples, name


def test_what_is_no_setting_is_refused_with_what_was_meant() -> None:
    with pytest.raises(GatoError, match=r"^restart: unknown key; did you mean 'restarts'\?"):
        optimise({}, signals=["s"], restart=3)  # type: ignore[call-overload]


def test_words_of_options_become_settings() -> None:
    assert settings_of({"n_categories": ["2", "7"], "signals": []}) == {"n_categories": [2, 7]}
    assert settings_of({"n_categories": ["auto"]}) == {"n_categories": "auto"}
    for wrong in (["0"], ["2.5"], ["auto", "3"], ["-1"]):
        given = settings_of({"signals": ["s"], "n_categories": wrong})
        with pytest.raises(GatoError, match="n_categories: must be whole numbers above zero"):
            checked_settings(given)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("min_effective", float("nan"), "min_effective: must be a finite number (got nan)"),
        ("min_effective", -1.0, "min_effective: must be at least 0 (got -1.0)"),
        ("min_background", float("inf"), "min_background: must be a finite number (got inf)"),
        ("max_rel_unc", 0.0, "max_rel_unc: must be above 0 (got 0.0)"),
    ],
)
def test_limits_that_cannot_be(name: str, value: float, told: str) -> None:
    with pytest.raises(GatoError) as raised:
        checked_settings(settings_of({"signals": ["s"], name: value}))
    assert str(raised.value) == f"constraints.{told}"
