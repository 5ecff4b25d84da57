"""The sections ``datasets`` and ``processes``: files, and how their events are normalised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import field_validator, model_validator

from gato_coffea.config.fields import Flag, Name, NotNegative, OneOrMore, Section, about


class SumOfWeights(Section):
    """Where the sum of generator weights of all generated events of a file is found.

    Exactly one of: ``branch`` (summed over the events that are read, before any selection),
    ``tree`` with ``entry`` (a ``Runs``-like tree whose branch ``entry`` is summed), or
    ``count_events`` (every entry counts one).
    """

    branch: Annotated[
        str | None,
        about(
            "Branch that is summed over the events that are read, before any selection.",
            example="genWeight",
        ),
    ] = None
    tree: Annotated[
        str | None,
        about("Tree, such as Runs, whose branch entry is summed.", example="Runs"),
    ] = None
    entry: Annotated[str | None, about("Branch of that tree.", example="genEventSumw")] = None
    count_events: Annotated[Flag, about("Every event counts one.", example=True)] = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = (self.branch is not None) + (self.tree is not None) + self.count_events
        if ways != 1:
            raise ValueError("give exactly one of branch, tree (with entry), count_events: true")
        if (self.tree is None) != (self.entry is None):
            raise ValueError("tree and entry go together")
        return self


class Dataset(Section):
    """Files of one process that share a cross section.

    Exactly one of ``cross_section_pb``, ``data: true`` and ``already_normalised: true`` says how
    the events are weighted: scaled to cross section times luminosity over the sum of generator
    weights, one each, or by their weights as they stand.

    ``derived_from`` names another dataset whose files are read again, with weights of their own:
    densities taken from data, or a sample split by what was generated. Otherwise a file counts
    once.
    """

    files: Annotated[
        OneOrMore,
        about(
            "Paths of ROOT files, with * and $NAME; relative to the analysis file.",
            example="ggH/*.root",
            min_length=1,
        ),
    ]
    process: Annotated[Name, about("Process that the events belong to.", example="ggH")]
    tree: Annotated[
        str | None,
        about("Tree of the events; without it that of the analysis.", example="nominal/Events"),
    ] = None
    cross_section_pb: Annotated[
        NotNegative | None,
        about("Cross section times branching ratio.", example=0.11, unit="pb"),
    ] = None
    data: Annotated[Flag, about("Collision data, of weight 1.", example=True)] = False
    already_normalised: Annotated[
        Flag, about("The weights sum to the expected yield as they stand.", example=True)
    ] = False
    sum_of_weights: Annotated[
        SumOfWeights | None,
        about(
            "Where the sum of generator weights of all generated events is found; needed with "
            "cross_section_pb.",
            example={"branch": "genWeight"},
        ),
    ] = None
    weight: Annotated[
        OneOrMore | None,
        about(
            "Sources whose product is the weight here, instead of weight.nominal.",
            example=["genWeight", "kFactor"],
        ),
    ] = None
    year: Annotated[
        str | None, about("Year of the sample; all must be of one.", example="2018")
    ] = None
    era: Annotated[
        str | None,
        about(
            "Era of the dataset, one of eras, whose luminosity it is scaled to.", example="2022"
        ),
    ] = None
    derived_from: Annotated[
        Name | None,
        about(
            "Dataset whose files are read again, with a weight of its own; otherwise a file "
            "counts once.",
            example="data_2012",
        ),
    ] = None

    @field_validator("year", "era", mode="before")
    @classmethod
    def _number_or_text(cls, value: object) -> Any:
        return str(value) if type(value) is int else value

    @model_validator(mode="after")
    def _one_normalisation(self) -> Self:
        ways = (self.cross_section_pb is not None) + self.data + self.already_normalised
        if ways == 0:
            raise ValueError(
                "cross_section_pb is missing; simulation needs one (or data: true, or "
                "already_normalised: true)"
            )
        if ways > 1:
            raise ValueError("give only one of cross_section_pb, data, already_normalised")
        if self.cross_section_pb is None and self.sum_of_weights is not None:
            raise ValueError("sum_of_weights goes with cross_section_pb only")
        if self.data and self.weight is not None:
            raise ValueError("data has weight 1; weight is not allowed with data: true")
        if self.derived_from is not None and self.weight is None:
            raise ValueError("derived_from needs a weight of its own; else events count twice")
        return self


class ProcessSettings(Section):
    """What is said of a process: whether it peaks in the signal window as a signal does."""

    resonant: Annotated[
        Flag,
        about(
            "A background that peaks in the signal window: counted there from simulation, and "
            "never extrapolated from the sidebands.",
            example=True,
        ),
    ] = False


def check_datasets(datasets: Mapping[str, Dataset]) -> None:
    """Refuse several years, and datasets derived from what they cannot be derived from.

    Raises
    ------
    ValueError
        With the key of the dataset.
    """
    years = sorted({d.year for d in datasets.values() if d.year is not None and d.era is None})
    if len(years) > 1:
        raise ValueError(
            "datasets: year: all datasets are scaled to one luminosity, so they must be of "
            f"one year, or of eras (got {', '.join(years)})"
        )
    for key, dataset in datasets.items():
        if dataset.cross_section_pb is not None and dataset.sum_of_weights is None:
            raise ValueError(
                f"datasets.{key}.sum_of_weights is missing; give branch, tree with entry, or "
                "count_events: true"
            )
    for key, dataset in datasets.items():
        if dataset.derived_from is None:
            continue
        of = datasets.get(dataset.derived_from)
        if of is None or of.derived_from is not None:
            others = [n for n, d in datasets.items() if d.derived_from is None]
            raise ValueError(
                f"datasets.{key}.derived_from: must name a dataset that is not derived itself "
                f"(got {dataset.derived_from!r}; allowed: {', '.join(others)})"
            )
        if of.data and not dataset.already_normalised:
            raise ValueError(
                f"datasets.{key}: is derived from data, which have no cross section; give "
                "already_normalised: true"
            )
