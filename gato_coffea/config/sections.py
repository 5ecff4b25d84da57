"""The sections of the analysis file, each checked in itself.

What must hold between sections is checked by `gato_coffea.config.Analysis`, which they make up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    field_validator,
    model_validator,
)

from gato_coffea.config.text import NAME_PATTERN, problem_of
from gato_coffea.errors import ConfigError

MAX_NAME = 120
"""Results are called by these names, and a file's name takes 255 bytes at most."""

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=MAX_NAME)]


def _no_truth(value: Any) -> Any:
    """Refuse true and false, which would count as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number (got {str(value).lower()})")
    return value


Number = Annotated[float, BeforeValidator(_no_truth), Field(allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_no_truth)]
Flag = Annotated[bool, Strict()]
"""True or false, and nothing that could be taken for it, as 1 or "yes"."""

Positive = Annotated[Number, Field(gt=0)]
Count = Annotated[Whole, Field(ge=1)]
Range = tuple[Number, Number]

AUTO_COUNTS = (2, 3, 5, 8, 12, 20)
"""Numbers of categories that are tried where the number is to be found."""

MAX_DISCRIMINANTS = 12
"""Two cells along each of them are about as many points as are trained on by default."""

MAX_FOLDS = 20
"""Each fold is a training of its own; more of them change no held-out figure by its spread."""

MAX_RESTARTS = 100
"""The best of so many trainings is found among far fewer; each takes memory and time."""

MAX_EPOCHS = 100_000
"""A training has come to rest after some hundreds; more of them change nothing but the time."""

RESERVED_AXES = {"weight", "sample", "threads", "process", "variation", "category", "templates"}

LARGEST_END = 1e100
"""Ends of ranges beyond this have differences, and squares of them, that are no numbers."""


def product_names(
    names: Sequence[str], *, mass: bool, two_dimensional: bool
) -> tuple[tuple[str, ...], ...]:
    """Axes of every fine histogram; joined by ``_`` they name it.

    Parameters
    ----------
    names
        Discriminants.
    mass
        Whether there is a mass.
    two_dimensional
        Whether products of two axes are kept.

    Raises
    ------
    ValueError
        If two histograms would have one name.
    """
    result: list[tuple[str, ...]] = [(name,) for name in names]
    if mass:
        result.append(("mass",))
    if two_dimensional:
        if mass:
            result += [(name, "mass") for name in names]
        result += [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    seen: dict[str, tuple[str, ...]] = {}
    for axes in result:
        other = seen.setdefault("_".join(axes), axes)
        if other != axes:
            raise ValueError(
                f"discriminants: the histograms of {' and '.join(other)} and of "
                f"{' and '.join(axes)} would both be called {'_'.join(axes)!r}; rename one"
            )
    return tuple(result)


class Section(BaseModel):
    """A part of the analysis file: frozen, without unknown keys, infinities or NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _increasing(value: Range) -> Range:
    largest = max(value, key=abs)
    if abs(largest) > LARGEST_END:
        raise ValueError(f"must lie within {LARGEST_END:g} of zero (got {largest:g})")
    if not value[0] < value[1]:
        raise ValueError(f"the lower end must be below the upper end (got {list(value)})")
    return value


class SumOfWeights(Section):
    """Where the sum of generator weights of all generated events of a file is found.

    Exactly one of: ``branch`` (summed over the events that are read, before any selection),
    ``tree`` with ``entry`` (a ``Runs``-like tree whose branch ``entry`` is summed), or
    ``count_events`` (every entry counts one).
    """

    branch: str | None = None
    tree: str | None = None
    entry: str | None = None
    count_events: Flag = False

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

    files: tuple[str, ...] = Field(min_length=1)
    process: Name
    tree: str | None = None
    cross_section_pb: Annotated[Number, Field(ge=0)] | None = None
    data: Flag = False
    already_normalised: Flag = False
    sum_of_weights: SumOfWeights | None = None
    weight: tuple[str, ...] | None = None
    year: str | None = None
    derived_from: Name | None = None

    @field_validator("files", "weight", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("year", mode="before")
    @classmethod
    def _number_or_text(cls, value: Any) -> Any:
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

    resonant: Flag = False


def check_datasets(datasets: Mapping[str, Dataset]) -> None:
    """Refuse several years, and datasets derived from what they cannot be derived from."""
    years = sorted({d.year for d in datasets.values() if d.year is not None})
    if len(years) > 1:
        raise ValueError(
            "datasets: year: all datasets are scaled to one luminosity, so they must be of "
            f"one year (got {', '.join(years)})"
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


class Discriminant(Section):
    """A classifier score: its source, its range and the bins of its fine histogram."""

    name: Name
    source: str | None = None
    range: Range
    bins: Annotated[Whole, Field(ge=2, le=100_000)] = 200
    scale: Literal["linear", "logit", "log"] = "linear"
    label: str | None = None

    _range = field_validator("range")(_increasing)

    @model_validator(mode="after")
    def _axis_name(self) -> Self:
        if self.name in RESERVED_AXES:
            raise ValueError(f"name {self.name!r} is reserved; choose another")
        if self.scale == "log" and self.range[0] <= 0:
            raise ValueError(f"scale log needs a range above zero (got {list(self.range)})")
        return self

    @property
    def expression(self) -> str:
        """The source, which is the branch of the same name where none is given."""
        return self.source if self.source is not None else self.name


class Mass(Section):
    """The mass that separates signal window from sidebands, in GeV after ``scale``."""

    source: str
    unit: Literal["GeV", "MeV", "TeV"]
    range_gev: Range
    bins: Annotated[Whole, Field(ge=4, le=10_000)] = 80
    window_gev: Range
    sidebands_gev: tuple[Range, ...] | None = Field(default=None, min_length=1)
    blinded: Flag = True
    functions: tuple[Literal["exponential", "power", "bernstein", "laurent"], ...] = Field(
        default=("exponential", "power", "bernstein", "laurent"), min_length=1
    )
    label: str = "Mass"

    _ranges = field_validator("range_gev", "window_gev")(_increasing)

    @model_validator(mode="after")
    def _inside(self) -> Self:
        low, high = self.range_gev
        if not low < self.window_gev[0] < self.window_gev[1] < high:
            raise ValueError(
                f"window_gev {list(self.window_gev)} must lie inside range_gev "
                f"{list(self.range_gev)} with a sideband on both sides"
            )
        for band in self.sidebands:
            if not low <= band[0] < band[1] <= high:
                raise ValueError(f"sidebands_gev: {list(band)} is not inside {[low, high]}")
            if band[0] < self.window_gev[1] and band[1] > self.window_gev[0]:
                raise ValueError(f"sidebands_gev: {list(band)} overlaps the window")
        for first, second in pairwise(self.sidebands):
            if second[0] < first[1]:
                raise ValueError(
                    f"sidebands_gev: must be in increasing order without overlap "
                    f"(got {[list(band) for band in self.sidebands]})"
                )
        if not self.sidebands[0][0] < self.window_gev[0] < self.sidebands[-1][1]:
            raise ValueError(
                "sidebands_gev: one must lie below the window and one above "
                f"(got {[list(band) for band in self.sidebands]})"
            )
        return self

    @model_validator(mode="after")
    def _on_bin_edges(self) -> Self:
        for key, value in self._cuts():
            if not self._aligned(value, self.bins):
                fitting = (
                    n
                    for n in range(self.bins + 1, 20 * self.bins)
                    if all(self._aligned(v, n) for _, v in self._cuts())
                )
                hint = next((f"; bins: {n} would do" for n in fitting), "")
                raise ValueError(f"{key}: {value:g} GeV lies inside one of {self.bins} bins{hint}")
        return self

    def _cuts(self) -> list[tuple[str, float]]:
        bands = [("sidebands_gev", edge) for band in self.sidebands for edge in band]
        return [*(("window_gev", edge) for edge in self.window_gev), *bands]

    def _aligned(self, value: float, bins: int) -> bool:
        position = bins * (value - self.range_gev[0]) / (self.range_gev[1] - self.range_gev[0])
        return abs(position - round(position)) < 1e-6

    @property
    def sidebands(self) -> tuple[Range, ...]:
        """The fitted mass intervals in GeV; all of the range outside the window by default."""
        if self.sidebands_gev is not None:
            return self.sidebands_gev
        return (self.range_gev[0], self.window_gev[0]), (self.window_gev[1], self.range_gev[1])

    @property
    def to_gev(self) -> float:
        """Factor from the unit of the source to GeV."""
        return {"GeV": 1.0, "MeV": 1e-3, "TeV": 1e3}[self.unit]


class Variation(Section):
    """What a variation does to the nominal weight: sources that replace it, or that multiply it.

    With ``normalise`` the sum of generator weights is taken with the variation too, so that what
    is generated keeps its cross section: for the variations of scales and PDFs.
    """

    replace: tuple[str, ...] | None = None
    multiply: tuple[str, ...] | None = None
    normalise: Flag = False

    @field_validator("replace", "multiply", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.replace is None) == (self.multiply is None):
            raise ValueError("give exactly one of replace, multiply")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that it names."""
        return self.multiply or self.replace or ()


class Factors(NamedTuple):
    """Sources whose product a weight is, and sources that it is divided by."""

    multiplied: tuple[str, ...]
    divided: tuple[str, ...] = ()


class Weight(Section):
    """The event weight: a product of sources, and its variations by name.

    A plain list of sources replaces the nominal product.
    """

    nominal: tuple[str, ...] = ()
    variations: Mapping[Name, Variation] = Field(default_factory=dict)

    @field_validator("nominal", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("variations", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        plain = str, list, tuple
        return {k: {"replace": v} if isinstance(v, plain) else v for k, v in value.items()}

    @field_validator("variations")
    @classmethod
    def _up_down(cls, value: Mapping[str, Variation]) -> Mapping[str, Variation]:
        for name in value:
            if not name.endswith(("Up", "Down")):
                raise ValueError(f"{name!r} must end in Up or Down, as in pileupUp")
        return value

    def change(self, variation: str) -> Factors:
        """What the nominal weight is multiplied with, and divided by, for a variation."""
        found = self.variations[variation]
        if found.multiply is not None:
            return Factors(found.multiply)
        return Factors(*_cancelled(found.sources, self.nominal))

    def varied(self, variation: str, own: tuple[str, ...] | None) -> Factors:
        """The whole weight for a variation, in a dataset with a weight of its ``own`` or without.

        What a variation changes of the nominal product it changes of a dataset's own weight.
        """
        found = self.variations[variation]
        if own is None and found.replace is not None:
            return Factors(found.replace)
        change = self.change(variation)
        kept, divided = _cancelled(self.nominal if own is None else own, change.divided)
        return Factors((*kept, *change.multiplied), divided)


def _cancelled(
    above: tuple[str, ...], below: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A fraction of sources without those that stand on both sides.

    >>> _cancelled(("w", "pileup_up"), ("w", "pileup"))
    (('pileup_up',), ('pileup',))
    """
    kept, left = [], list(below)
    for source in above:
        if source in left:
            left.remove(source)
        else:
            kept.append(source)
    return tuple(kept), tuple(left)


class _Spoken(Section):
    """A section that is made in Python too, where what is wrong is said in the same words."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            kind = type(self)
            told = problem_of(error, model=kind, content=values)
            raise ConfigError(f"{kind.__name__}: {told}") from None

    # inside an analysis file pydantic makes the section itself, and its place stands in the error
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


class ProcessConstraints(_Spoken):
    """What every category must hold of one background process."""

    min_effective: Annotated[Number, Field(ge=0)]


class Constraints(_Spoken):
    """What every category must satisfy, exactly, in the result.

    Of the total background ``min_effective`` effective entries, ``min_background`` yield, and at
    most ``max_rel_unc`` relative uncertainty; of single backgrounds what ``per_process`` says. A
    background that it does not name needs ``min_effective_per_process``, if it has at least the
    share ``exempt_below`` of the background and events so heavy that one more of them in the
    category would break ``min_effective``.
    """

    min_effective: Annotated[Number, Field(ge=0)] = 10.0
    min_background: Annotated[Number, Field(ge=0)] = 0.0
    max_rel_unc: Positive | None = None
    per_process: Mapping[Name, ProcessConstraints] = Field(default_factory=dict)
    min_effective_per_process: Annotated[Number, Field(ge=0)] = 1.0
    exempt_below: Annotated[Number, Field(ge=0, le=1)] = 0.05


class Optimisation(Section):
    """What to optimise and how.

    With a mass section the significance is that of the signal window, as in the exported models;
    ``mass_window: false`` asks for that of the whole mass range. ``mc_uncertainty`` is whether it
    knows of the background's uncertainty from finite simulation.
    """

    signals: tuple[Name, ...] = Field(min_length=1)
    backgrounds: tuple[Name, ...] | None = None
    n_categories: Annotated[tuple[Count, ...], Field(min_length=1)] | Literal["auto"] = (5,)
    use: Whole | None = None
    combination: Literal["geometric", "quadrature", "sum"] = "geometric"
    method: Literal["gato", "exact", "lloyd"] = "gato"
    kind: Literal["mixture", "edges"] = "mixture"
    bins_per_discriminant: tuple[Count, ...] | None = None
    mass_window: Flag | None = None
    constraints: Constraints = Constraints()
    mc_uncertainty: Flag = True
    systematic: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    restarts: Annotated[Whole, Field(ge=1, le=MAX_RESTARTS)] = 2
    folds: Annotated[Whole, Field(ge=2, le=MAX_FOLDS)] = 5
    epochs: Annotated[Whole, Field(ge=1, le=MAX_EPOCHS)] = 250
    seed: Annotated[Whole, Field(ge=0)] = 0
    max_points: Annotated[Whole, Field(ge=100)] = 4_000
    smooth: Flag = True

    @field_validator("n_categories", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _rectangles(self) -> Self:
        trained = self.kind == "edges" and self.method == "gato"
        if self.bins_per_discriminant is not None and not trained:
            raise ValueError(
                "bins_per_discriminant needs kind: edges and method: gato "
                f"(got {self.kind}, {self.method})"
            )
        return self

    @property
    def counts(self) -> tuple[int, ...]:
        """Numbers of categories that are asked for."""
        if self.bins_per_discriminant is not None:
            return (math.prod(self.bins_per_discriminant),)
        return AUTO_COUNTS if isinstance(self.n_categories, str) else self.n_categories


class Exports(Section):
    """Categories that are exported though no function describes their mass sidebands."""

    accept_poor_fits: tuple[Annotated[Whole, Field(ge=0)], ...] = ()


class Plots(Section):
    """How plots look: an experiment's style and what stands beside its name.

    Without a label it is ``Simulation``, and nothing where there are data.
    """

    style: Literal["CMS", "ATLAS", "LHCb", "plain"] = "plain"
    label: str | None = None
    com_tev: Positive = 13.0
    signal_scale: Positive | None = None
