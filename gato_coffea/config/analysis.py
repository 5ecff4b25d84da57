"""The analysis file as one frozen, checked value.

YAML holds names and numbers; behaviour is a function in ``analysis.py`` beside it. Wherever the
file names a *source* (a discriminant, the mass, a weight, a requirement), it is either the name
of a branch or ``py:NAME``, the function ``NAME(events)`` of ``analysis.py``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from gato_coffea.config.sections import (
    AUTO_COUNTS,
    MAX_DISCRIMINANTS,
    MAX_FOLDS,
    Constraints,
    Dataset,
    Discriminant,
    Exports,
    Flag,
    Mass,
    Name,
    Number,
    Optimisation,
    Plots,
    Positive,
    ProcessSettings,
    Section,
    SumOfWeights,
    Weight,
    check_datasets,
    product_names,
)
from gato_coffea.config.sizes import check_sizes
from gato_coffea.config.text import problem_of, read_yaml
from gato_coffea.errors import ConfigError

__all__ = [
    "AUTO_COUNTS",
    "MAX_DISCRIMINANTS",
    "MAX_FOLDS",
    "Analysis",
    "Constraints",
    "Dataset",
    "Discriminant",
    "Exports",
    "Mass",
    "Optimisation",
    "Plots",
    "ProcessSettings",
    "SumOfWeights",
    "Weight",
    "function_name",
    "load_functions",
    "parse_analysis",
    "read_analysis",
]

FUNCTION_PREFIX = "py:"
OBSERVATION = "data_obs"
"""What combine calls the histogram of collision data."""


class Analysis(Section):
    """One analysis: what to read, how to normalise it, what to optimise.

    ``depends_on`` lists what results depend on beside that: files that ``analysis.py`` reads, and
    environment variables as ``$NAME``.
    """

    name: Name
    title: str | None = None
    schema_: Literal["base", "nanoaod", "physlite", "delphes", "treemaker"] = Field(
        default="base", alias="schema"
    )
    tree: str = "Events"
    luminosity_per_fb: Positive | None = None
    datasets: Mapping[Name, Dataset] = Field(min_length=1)
    process_settings: Mapping[Name, ProcessSettings] = Field(
        default_factory=dict, alias="processes"
    )
    weight: Weight = Weight()
    selection: str | tuple[str, ...] | None = None
    discriminants: tuple[Discriminant, ...] = Field(min_length=1)
    mass: Mass | None = None
    histograms_2d: Flag = False
    keep_columns: Flag = True
    blind: Mapping[Name, Number] = Field(default_factory=dict)
    unblind: Flag = False
    event_id: tuple[str, ...] | None = None
    max_invalid_fraction: Annotated[Number, Field(ge=0, le=1)] = 0.01
    optimise: Optimisation
    exports: Exports = Exports()
    plots: Plots = Plots()
    ntuples: str | None = None
    depends_on: tuple[str, ...] = ()
    directory: Path = Field(default=Path(), exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _open(cls, content: Any) -> Any:
        """``unblind: true`` opens the signal window too."""
        if content.get("unblind") is True and isinstance(content.get("mass"), Mapping):
            return {**content, "mass": {**content["mass"], "blinded": False}}
        return content

    @field_validator("schema_", mode="before")
    @classmethod
    def _name_of_class(cls, value: Any) -> Any:
        """Coffea's classes are named too, as NanoAODSchema."""
        return value.lower().removesuffix("schema") if isinstance(value, str) else value

    @field_validator("depends_on", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [d.name for d in self.discriminants]
        if len(set(names)) != len(names):
            raise ValueError(f"discriminants: names must differ (got {names})")
        if len(names) > MAX_DISCRIMINANTS:
            raise ValueError(
                f"discriminants: at most {MAX_DISCRIMINANTS} can be optimised together (got "
                f"{len(names)}); combine them in a classifier first"
            )
        if self.mass is not None and "mass" in names:
            raise ValueError("discriminants: name 'mass' is taken by the mass section")
        check_sizes(
            product_names(names, mass=self.mass is not None, two_dimensional=self.histograms_2d),
            {d.name: d.bins for d in self.discriminants}
            | ({} if self.mass is None else {"mass": self.mass.bins}),
            processes=len(self.all_processes),
            variations=len(self.weight.variations),
        )
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
        check_datasets(self.datasets)
        self._check_blinding()
        self._check_variations()
        self._check_processes()
        bins = self.optimise.bins_per_discriminant
        if bins is not None and len(bins) != len(self.discriminants):
            raise ValueError(
                f"optimise.bins_per_discriminant: needs {len(self.discriminants)} numbers "
                f"(got {list(bins)})"
            )
        self._check_counts()
        if self.mass is None and self.optimise.mass_window:
            raise ValueError("optimise.mass_window needs a mass section")
        derived = [p for p in self.optimise.signals if p in self.from_data]
        if self.mass is not None and self.optimise.mass_window is None and derived:
            raise ValueError(
                f"optimise.mass_window: is missing; {derived[0]} is derived from data: say false "
                "if its weights at all masses sum to the yield in the window, true if those in "
                "the window do"
            )
        if self.mass is None and self.exports.accept_poor_fits:
            raise ValueError(
                "exports.accept_poor_fits needs a mass section, whose fits it accepts"
            )
        return self

    def _check_counts(self) -> None:
        settings, counts = self.optimise, self.optimise.counts
        if settings.use is not None and settings.use not in counts:
            raise ValueError(
                f"optimise.use: is none of the numbers of categories (got {settings.use}; "
                f"allowed: {', '.join(map(str, counts))})"
            )
        if self.keep_columns and max(counts) > settings.max_points:
            raise ValueError(
                f"optimise.n_categories: {max(counts)} categories need as many points to train "
                f"on (optimise.max_points is {settings.max_points})"
            )

    def _check_blinding(self) -> None:
        if self.blind and self.mass is not None:
            raise ValueError(
                "blind: with a mass section data are hidden in its window (mass.blinded); fits of "
                "the sidebands need the data at every score"
            )
        ranges = {d.name: d.range for d in self.discriminants}
        for name, value in self.blind.items():
            if name not in ranges:
                raise ValueError(
                    f"blind.{name}: is no discriminant (allowed: {', '.join(ranges)})"
                )
            low, high = ranges[name]
            if not low < value < high:
                raise ValueError(
                    f"blind.{name}: must lie inside the range {[low, high]} (got {value:g})"
                )

    def _check_processes(self) -> None:
        simulated = self.processes
        for label in self.data_processes:
            if label in simulated:
                raise ValueError(f"datasets: process {label!r} is both data and simulation")
        if OBSERVATION in simulated:
            raise ValueError(
                f"datasets: process {OBSERVATION!r} is the name of the observation in a combine "
                "card; call a simulated process otherwise"
            )
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
        self._check_resonant()

    def _check_resonant(self) -> None:
        for label, settings in self.process_settings.items():
            if label not in self.processes:
                raise ValueError(
                    f"processes.{label}: is no simulated process of the datasets (got "
                    f"{label!r}; allowed: {', '.join(self.processes)})"
                )
            if not settings.resonant:
                continue
            if self.mass is None:
                raise ValueError(f"processes.{label}.resonant: needs a mass section")
            if label in self.optimise.signals:
                raise ValueError(
                    f"processes.{label}.resonant: is a signal, which peaks in any case; only a "
                    "background is declared resonant"
                )
            if label not in self.backgrounds:
                raise ValueError(
                    f"processes.{label}.resonant: is not among optimise.backgrounds (got "
                    f"{label!r}; allowed: {', '.join(self.backgrounds)})"
                )
        if not self.continuum and not self.data_processes:
            raise ValueError(
                "processes: every background is resonant, and without data the sidebands need "
                "one that is not"
            )

    @property
    def processes(self) -> tuple[str, ...]:
        """Names of the processes that are not collision data, in the order of the file."""
        return tuple(dict.fromkeys(d.process for d in self.datasets.values() if not d.data))

    @property
    def data_processes(self) -> tuple[str, ...]:
        """Names of the processes that are collision data."""
        return tuple(dict.fromkeys(d.process for d in self.datasets.values() if d.data))

    def _check_variations(self) -> None:
        variations = self.weight.variations
        for name, variation in variations.items():
            stem, ending = (name[:-2], "Down") if name.endswith("Up") else (name[:-4], "Up")
            if stem + ending not in variations:
                raise ValueError(
                    f"weight.variations: {name!r} needs its opposite {stem + ending!r}; without "
                    "it nothing would be made of it"
                )
            if not variation.sources:
                raise ValueError(f"weight.variations.{name}: needs at least one source")
        named = [name for name, v in self.weight.variations.items() if v.normalise]
        for key, dataset in self.datasets.items():
            way = dataset.sum_of_weights
            if named and not self.is_from_data(key) and (way is None or way.tree is not None):
                raise ValueError(
                    f"weight.variations.{named[0]}.normalise: needs the sum of weights of every "
                    f"event; datasets.{key} has no sum_of_weights with branch or count_events"
                )

    def is_from_data(self, dataset: str) -> bool:
        """Whether the events of a dataset are collision data, whatever they are used for."""
        found = self.datasets[dataset]
        return found.data or (
            found.derived_from is not None and self.datasets[found.derived_from].data
        )

    @property
    def blinded_scores(self) -> Mapping[str, float]:
        """Discriminants, and the value from which on data are hidden; none if unblinded."""
        return {} if self.unblind else self.blind

    @property
    def is_blinded(self) -> bool:
        """Whether data are hidden, in the signal window or above a score."""
        return bool(self.blinded_scores) or (self.mass is not None and self.mass.blinded)

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
    def uses_window(self) -> bool:
        """Whether the significance is that of the signal window; with a mass it is by default."""
        return self.mass is not None and self.optimise.mass_window is not False

    @property
    def resonant(self) -> tuple[str, ...]:
        """Backgrounds that peak in the signal window: counted there, and never extrapolated."""
        settings = self.process_settings
        return tuple(p for p in self.backgrounds if p in settings and settings[p].resonant)

    @property
    def continuum(self) -> tuple[str, ...]:
        """Backgrounds that are not resonant, which a fit of the mass sidebands predicts."""
        return tuple(p for p in self.backgrounds if p not in self.resonant)

    @property
    def from_data(self) -> tuple[str, ...]:
        """Signals and backgrounds whose events are collision data with weights of their own."""
        names = (d.process for key, d in self.datasets.items() if self.is_from_data(key))
        return tuple(p for p in dict.fromkeys(names) if p not in self.data_processes)

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
        for name, variation in self.weight.variations.items():
            for i, source in enumerate(variation.sources):
                found[f"weight.variations.{name}[{i}]"] = source
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


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Modules of a folder can be imported in the block, and are forgotten when it ends.

    Another analysis may then have a module of the same name, and functions travel to workers
    together with the modules that they use, as those cannot be imported there.
    """
    place, before = str(folder.resolve()), set(sys.modules)
    sys.path.insert(0, place)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(place)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and Path(file).is_relative_to(place):
                del sys.modules[name]


def load_functions(analysis: Analysis) -> dict[str, Callable[..., Any]]:
    """Functions of ``analysis.py`` that the analysis file refers to, by name.

    It may import modules beside it, at its top.

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
        with _importable(path.parent):
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
        told = problem_of(error, model=Analysis, content=content)
        raise ConfigError(f"{place}: {told}") from None


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
        content = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not valid YAML ({error})") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    return parse_analysis(content, directory=path.parent, place=str(path))
