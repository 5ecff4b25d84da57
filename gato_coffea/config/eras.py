"""The section ``eras``: periods of data taking, each with a luminosity of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from gato_coffea.config.datasets import Dataset
from gato_coffea.config.fields import MAX_NAME, Positive, Section, about


def _as_text(value: object) -> object:
    """A year may be written without quotes."""
    return str(value) if type(value) is int else value


EraName = Annotated[
    str,
    BeforeValidator(_as_text),
    Field(pattern=r"^[A-Za-z0-9_]+$", max_length=MAX_NAME),
]
"""Part of the names of variations, as in jes_2022Up."""


class Era(Section):
    """A period of data taking."""

    luminosity_per_fb: Annotated[
        Positive, about("Integrated luminosity of the era.", example=34.7, unit="1/fb")
    ]


def check_eras(
    eras: Mapping[str, Era], datasets: Mapping[str, Dataset], luminosity_per_fb: float | None
) -> None:
    """Refuse datasets of no era, or of one that is not there, and a luminosity that is said twice.

    Raises
    ------
    ValueError
        With the key of the dataset or the era.
    """
    if eras and luminosity_per_fb is not None:
        raise ValueError("luminosity_per_fb: each of the eras has its own; take it away")
    for key, dataset in datasets.items():
        if dataset.era is None and eras:
            raise ValueError(
                f"datasets.{key}.era is missing (allowed: {', '.join(eras)}, as in eras)"
            )
        if dataset.era is not None and dataset.era not in eras:
            raise ValueError(
                f"datasets.{key}.era: is not in eras (got {dataset.era!r}; allowed: "
                f"{', '.join(eras) or 'none, eras is missing'})"
            )
    for era in eras:
        if all(dataset.era != era for dataset in datasets.values()):
            raise ValueError(f"eras.{era}: no dataset is of this era")
