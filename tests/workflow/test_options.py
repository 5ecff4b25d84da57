"""Options of the commands: every one is explained, and histogram options go with histograms."""

from __future__ import annotations

import typing

import pytest
from typer.models import ArgumentInfo, OptionInfo

from gato_coffea.workflow import options
from gato_coffea.workflow.stages import Job

NAMED = {
    name: typing.get_args(value)
    for name, value in vars(options).items()
    if typing.get_origin(value) is typing.Annotated
}


def info(name: str) -> OptionInfo | ArgumentInfo:
    (found,) = [a for a in NAMED[name][1:] if isinstance(a, OptionInfo | ArgumentInfo)]
    return found


@pytest.mark.parametrize("name", NAMED)
def test_each_is_explained_in_a_sentence(name: str) -> None:
    text = info(name).help
    assert text
    assert text.endswith(".")
    assert text[0].isupper()


def test_no_two_options_have_one_name() -> None:
    used = [d for name in NAMED for d in (getattr(info(name), "param_decls", None) or ())]
    flags = [flag for text in used for flag in text.split("/") if flag.startswith("-")]
    assert len(flags) == len(set(flags))


def test_executors_are_those_of_the_processing() -> None:
    from gato_coffea.processing.executors import EXECUTORS

    assert {e.value for e in options.Executor} == set(EXECUTORS)
    assert Job.__dataclass_fields__["executor"].default in EXECUTORS


def test_toys_are_those_that_can_be_made() -> None:
    from gato_coffea.datasets.toys import toy_arrays

    for toy in options.Toy:
        assert toy_arrays(toy.value, n_signal=5, n_bkg=5, seed=1)
