"""The analysis file as one frozen, checked value.

YAML holds names and numbers; behaviour is a function in ``analysis.py`` beside it. Wherever the
file names a *source* (a discriminant, the mass, a weight, a requirement), it is either the name
of a branch or ``py:NAME``, the function ``NAME(events)`` of ``analysis.py``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from gato_coffea.errors import ConfigError

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Range = tuple[float, float]

FUNCTION_PREFIX = "py:"
RESERVED_AXES = {"weight", "sample", "threads", "process", "variation", "category"}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _increasing(value: Range) -> Range:
    if not value[0] < value[1]:
        raise ValueError(f"the lower end must be below the upper end (got {list(value)})")
    return value


class SumOfWeights(_Section):
    """Where the sum of generator weights of all generated events of a file is found.

    Exactly one of: ``branch`` (summed over the events that are read, before any selection),
    ``tree`` with ``entry`` (a ``Runs``-like tree whose branch ``entry`` is summed), or
    ``count_events`` (every entry counts one).
    """

    branch: str | None = None
    tree: str | None = None
    entry: str | None = None
    count_events: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = (self.branch is not None) + (self.tree is not None) + self.count_events
        if ways != 1:
            raise ValueError("give exactly one of branch, tree (with entry), count_events: true")
        if (self.tree is None) != (self.entry is None):
            raise ValueError("tree and entry go together")
        return self


class Dataset(_Section):
    """Files of one process that share a cross section.

    Exactly one of ``cross_section_pb``, ``data: true`` and ``already_normalised: true`` says how
    the events are weighted: scaled to cross section times luminosity over the sum of generator
    weights, one each, or by their weights as they stand.
    """

    files: tuple[str, ...] = Field(min_length=1)
    process: Name
    tree: str | None = None
    cross_section_pb: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    data: bool = False
    already_normalised: bool = False
    sum_of_weights: SumOfWeights | None = None
    weight: tuple[str, ...] | None = None
    year: str | None = None

    @field_validator("files", "weight", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

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
        return self


class Discriminant(_Section):
    """A classifier score: its source, its range and the bins of its fine histogram."""

    name: Name
    source: str | None = None
    range: Range
    bins: Annotated[int, Field(ge=2, le=100_000)] = 200
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


class Mass(_Section):
    """The mass that separates signal window from sidebands, in GeV after ``scale``."""

    source: str
    unit: Literal["GeV", "MeV", "TeV"]
    range_gev: Range
    bins: Annotated[int, Field(ge=4, le=10_000)] = 80
    window_gev: Range
    sidebands_gev: tuple[Range, ...] | None = Field(default=None, min_length=1)
    blinded: bool = True
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


class Weight(_Section):
    """The event weight: a product of sources, and replacements of it by variation name."""

    nominal: tuple[str, ...] = ()
    variations: Mapping[Name, tuple[str, ...]] = Field(default_factory=dict)

    @field_validator("nominal", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("variations", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {k: [v] if isinstance(v, str) else v for k, v in value.items()}

    @field_validator("variations")
    @classmethod
    def _up_down(cls, value: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        for name in value:
            if not name.endswith(("Up", "Down")):
                raise ValueError(f"{name!r} must end in Up or Down, as in pileupUp")
        return value


class Constraints(_Section):
    """What every category must satisfy, exactly, in the result."""

    min_effective: Annotated[float, Field(ge=0)] = 10.0
    min_background: Annotated[float, Field(ge=0)] = 0.0
    max_rel_unc: Positive | None = None


class Optimisation(_Section):
    """What to optimise and how."""

    signals: tuple[Name, ...] = Field(min_length=1)
    backgrounds: tuple[Name, ...] | None = None
    n_categories: tuple[Count, ...] | Literal["auto"] = (5,)
    use: int | None = None
    combination: Literal["geometric", "quadrature", "sum"] = "geometric"
    method: Literal["gato", "exact", "lloyd"] = "gato"
    kind: Literal["mixture", "edges"] = "mixture"
    bins_per_discriminant: tuple[Count, ...] | None = None
    mass_window: bool = False
    constraints: Constraints = Constraints()
    mc_uncertainty: bool = False
    systematic: Annotated[float, Field(ge=0, lt=1)] = 0.0
    restarts: Count = 2
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    epochs: Count = 250
    seed: Annotated[int, Field(ge=0)] = 0
    max_points: Annotated[int, Field(ge=100)] = 4_000
    smooth: bool = True

    @field_validator("n_categories", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, int) else value

    @model_validator(mode="after")
    def _rectangles(self) -> Self:
        trained = self.kind == "edges" and self.method == "gato"
        if self.bins_per_discriminant is not None and not trained:
            raise ValueError(
                "bins_per_discriminant needs kind: edges and method: gato "
                f"(got {self.kind}, {self.method})"
            )
        return self


class Plots(_Section):
    """How plots look: an experiment's style and what stands beside its name."""

    style: Literal["CMS", "ATLAS", "LHCb", "plain"] = "CMS"
    label: str = "Simulation"
    com_tev: Positive = 13.0
    signal_scale: Positive | None = None


class Analysis(_Section):
    """One analysis: what to read, how to normalise it, what to optimise."""

    name: Name
    title: str | None = None
    schema_: Literal["base", "nanoaod", "physlite", "delphes", "treemaker"] = Field(
        default="base", alias="schema"
    )
    tree: str = "Events"
    luminosity_per_fb: Positive | None = None
    datasets: Mapping[Name, Dataset] = Field(min_length=1)
    weight: Weight = Weight()
    selection: str | tuple[str, ...] | None = None
    discriminants: tuple[Discriminant, ...] = Field(min_length=1)
    mass: Mass | None = None
    histograms_2d: bool = False
    keep_columns: bool = True
    event_id: tuple[str, ...] | None = None
    max_invalid_fraction: Annotated[float, Field(ge=0, le=1)] = 0.01
    optimise: Optimisation
    plots: Plots = Plots()
    ntuples: str | None = None
    directory: Path = Field(default=Path(), exclude=True)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [d.name for d in self.discriminants]
        if len(set(names)) != len(names):
            raise ValueError(f"discriminants: names must differ (got {names})")
        if self.mass is not None and "mass" in names:
            raise ValueError("discriminants: name 'mass' is taken by the mass section")
        if self.luminosity_per_fb is None and any(
            d.cross_section_pb is not None for d in self.datasets.values()
        ):
            raise ValueError("luminosity_per_fb is missing; datasets have a cross_section_pb")
        for key, dataset in self.datasets.items():
            if dataset.cross_section_pb is not None and dataset.sum_of_weights is None:
                raise ValueError(
                    f"datasets.{key}.sum_of_weights is missing; give branch, tree with entry, or "
                    "count_events: true"
                )
        self._check_processes()
        bins = self.optimise.bins_per_discriminant
        if bins is not None and len(bins) != len(self.discriminants):
            raise ValueError(
                f"optimise.bins_per_discriminant: needs {len(self.discriminants)} numbers "
                f"(got {list(bins)})"
            )
        if self.mass is None and self.optimise.mass_window:
            raise ValueError("optimise.mass_window needs a mass section")
        return self

    def _check_processes(self) -> None:
        simulated = self.processes
        for label in self.data_processes:
            if label in simulated:
                raise ValueError(f"datasets: process {label!r} is both data and simulation")
        for key in ("signals", "backgrounds"):
            for label in getattr(self.optimise, key) or ():
                if label not in simulated:
                    raise ValueError(
                        f"optimise.{key}: is no simulated process of the datasets (got "
                        f"{label!r}; allowed: {', '.join(simulated)})"
                    )
        if not self.backgrounds:
            raise ValueError("optimise.backgrounds: no process is left as background")
        both = set(self.optimise.signals) & set(self.backgrounds)
        if both:
            raise ValueError(f"optimise: {sorted(both)} is both signal and background")

    @property
    def processes(self) -> tuple[str, ...]:
        """Names of the processes that are not collision data, in the order of the file."""
        return tuple(dict.fromkeys(d.process for d in self.datasets.values() if not d.data))

    @property
    def data_processes(self) -> tuple[str, ...]:
        """Names of the processes that are collision data."""
        return tuple(dict.fromkeys(d.process for d in self.datasets.values() if d.data))

    @property
    def all_processes(self) -> tuple[str, ...]:
        """Names of all processes: the simulated ones, then collision data."""
        return (*self.processes, *self.data_processes)

    @property
    def backgrounds(self) -> tuple[str, ...]:
        """Processes that count as background: all that are no signal, where none are named."""
        if self.optimise.backgrounds is not None:
            return self.optimise.backgrounds
        return tuple(p for p in self.processes if p not in self.optimise.signals)

    @property
    def requirements(self) -> tuple[str, ...]:
        """Sources of the selection, in the order of the cut flow."""
        if self.selection is None:
            return ()
        return (self.selection,) if isinstance(self.selection, str) else self.selection

    @property
    def module_path(self) -> Path:
        """Where the functions of the analysis are looked for."""
        return self.directory / "analysis.py"

    def sources(self) -> dict[str, str]:
        """Every source that the file names, by the key that names it."""
        found = {f"selection[{i}]": s for i, s in enumerate(self.requirements)}
        found |= {f"discriminants.{d.name}": d.expression for d in self.discriminants}
        if self.mass is not None:
            found["mass.source"] = self.mass.source
        found |= {f"weight.nominal[{i}]": s for i, s in enumerate(self.weight.nominal)}
        for name, sources in self.weight.variations.items():
            found |= {f"weight.variations.{name}[{i}]": s for i, s in enumerate(sources)}
        for name, dataset in self.datasets.items():
            for i, source in enumerate(dataset.weight or ()):
                found[f"datasets.{name}.weight[{i}]"] = source
        return found

    def fingerprint(self, *sections: str) -> str:
        """SHA-256 of the resolved file, or of the named sections, with ``analysis.py``."""
        content = self.model_dump(mode="json", by_alias=True)
        if sections:
            content = {key: content[key] for key in sections}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
        if self.module_path.is_file():
            digest.update(self.module_path.read_bytes())
        return digest.hexdigest()


def function_name(source: str) -> str | None:
    """Name of the function that a source refers to, or None for a branch.

    >>> function_name("py:dimuon_mass"), function_name("score")
    ('dimuon_mass', None)
    """
    return source.removeprefix(FUNCTION_PREFIX) if source.startswith(FUNCTION_PREFIX) else None


def load_functions(analysis: Analysis) -> dict[str, Callable[..., Any]]:
    """Functions of ``analysis.py`` that the analysis file refers to, by name.

    Raises
    ------
    ConfigError
        If the module is missing, does not import, or has no such function.
    """
    wanted = {
        name: key
        for key, source in analysis.sources().items()
        if (name := function_name(source)) is not None
    }
    if not wanted:
        return {}
    path = analysis.module_path
    if not path.is_file():
        key = next(iter(wanted.values()))
        raise ConfigError(f"{path}: file is missing, and {key} refers to a function of it")
    spec = importlib.util.spec_from_file_location(f"gato_coffea_analysis_{analysis.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's module raises is told as one line
        raise ConfigError(f"{path}: does not import ({type(error).__name__}: {error})") from error
    found = {}
    for name, key in wanted.items():
        function = getattr(module, name, None)
        if not callable(function):
            raise ConfigError(f"{path}: has no function {name!r}, which {key} refers to")
        found[name] = function
    return found


def _problem(error: ValidationError) -> str:
    found = error.errors()
    unknown = [e for e in found if e["type"] == "extra_forbidden"]
    first = (unknown or found)[0]  # a misspelt key explains the one that is missing
    parts = [str(part) for part in first["loc"]]
    place = ".".join(part for part in parts if "[" not in part)  # a union adds its type's name
    if first["type"] == "extra_forbidden":
        return f"{place}: unknown key{_nearest(error, first)}"
    if first["type"] == "missing":
        return f"{place}: is missing"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{place}: {message}" if place else message
    return f"{place}: {message[0].lower()}{message[1:]} (got {first['input']!r})"


def _nearest(error: ValidationError, detail: Any) -> str:
    import difflib

    section: Any = Analysis
    for part in detail["loc"][:-1]:
        section = _step(section, part)
    if section is None:
        return ""
    allowed = [field.alias or key for key, field in section.model_fields.items()]
    allowed.remove("directory") if "directory" in allowed else None
    close = difflib.get_close_matches(str(detail["loc"][-1]), allowed, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} (allowed: {', '.join(allowed)})"


def _step(section: Any, part: Any) -> Any:
    """Model class that a location part leads to; mappings and sequences lead to their items."""
    import typing

    def models(annotation: Any) -> list[Any]:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return [annotation]
        return [m for a in typing.get_args(annotation) for m in models(a)]

    if section is None or part not in section.model_fields:
        return section
    found = models(section.model_fields[part].annotation)
    return found[0] if found else None


def parse_analysis(content: Any, *, directory: Path, place: str = "analysis") -> Analysis:
    """Check the content of an analysis file.

    Parameters
    ----------
    content
        What the YAML holds.
    directory
        Folder that relative paths and ``analysis.py`` are looked for in.
    place
        What an error message calls the file.

    Raises
    ------
    ConfigError
        With the first thing that is wrong.
    """
    if not isinstance(content, Mapping):
        raise ConfigError(f"{place}: must be a mapping of keys (got {type(content).__name__})")
    try:
        return Analysis.model_validate({**content, "directory": directory})
    except ValidationError as error:
        raise ConfigError(f"{place}: {_problem(error)}") from None


def read_analysis(path: str | Path) -> Analysis:
    """Read ``analysis.yaml``, or the one in a folder, into a checked value.

    Raises
    ------
    ConfigError
        If the file is missing, is not YAML, or says something that cannot be.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "analysis.yaml"
    if not path.is_file():
        raise ConfigError(f"{path}: no such analysis file")
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid YAML ({' '.join(str(error).split())})") from None
    return parse_analysis(content, directory=path.parent, place=str(path))
