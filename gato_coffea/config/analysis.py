"""The analysis file as one frozen, checked value.

YAML holds names and numbers; behaviour is a function in ``analysis.py`` beside it. Wherever the
file names a *source* (a discriminant, the mass, a weight, a requirement), it is either the name
of a branch or ``py:NAME``, the function ``NAME(events)`` of ``analysis.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from gato_coffea.config.channels import Channel, analysis_of_channel
from gato_coffea.config.consistency import check_consistency
from gato_coffea.config.datasets import Dataset, ProcessSettings
from gato_coffea.config.eras import Era, EraName
from gato_coffea.config.fields import Flag, Name, Number, OneOrMore, Positive, Section, about
from gato_coffea.config.observables import Discriminant, Mass
from gato_coffea.config.outputs import Exports, Plots
from gato_coffea.config.settings import Optimisation
from gato_coffea.config.systematics import EventVariation, Systematic, event_variations
from gato_coffea.config.weights import Weight


class Analysis(Section):
    """One analysis: what to read, how to normalise it, what to optimise.

    ``depends_on`` lists what results depend on beside that: files that ``analysis.py`` reads, and
    environment variables as ``$NAME``.
    """

    def __repr__(self) -> str:
        return (
            f"Analysis({self.name}: {len(self.datasets)} datasets; signals "
            f"{', '.join(self.optimise.signals)}; backgrounds {', '.join(self.backgrounds)})"
        )

    name: Annotated[Name, about("Name of the analysis, in results and files.", example="mine")]
    title: Annotated[
        str | None, about("Title of the report; without it the name.", example="H to tau tau")
    ] = None
    schema_: Annotated[
        Literal["base", "nanoaod", "physlite", "delphes", "treemaker"],
        about(
            "Schema of coffea that the events are read with; base is for flat ntuples.",
            example="nanoaod",
        ),
    ] = Field(default="base", alias="schema")
    tree: Annotated[
        str, about("Tree of the events, with its directory.", example="nominal/Events")
    ] = "Events"
    luminosity_per_fb: Annotated[
        Positive | None,
        about(
            "Integrated luminosity; needed where a dataset has a cross section.",
            example=59.8,
            unit="1/fb",
        ),
    ] = None
    eras: Annotated[
        Mapping[EraName, Era],
        about(
            "Periods of data taking, each with its luminosity; without it luminosity_per_fb.",
            example={"2022": {"luminosity_per_fb": 34.7}},
        ),
    ] = Field(default_factory=dict)
    datasets: Annotated[
        Mapping[Name, Dataset],
        about(
            "Files, cross section and process of every dataset, by its name.",
            example={"data": {"files": "data/*.root", "process": "data", "data": True}},
            min_length=1,
        ),
    ]
    process_settings: Annotated[
        Mapping[Name, ProcessSettings],
        about("What is said of single processes.", example={"ZH": {"resonant": True}}),
    ] = Field(default_factory=dict, alias="processes")
    weight: Annotated[
        Weight, about("The weight of simulated events.", example={"nominal": "genWeight"})
    ] = Weight()
    channels: Annotated[
        Mapping[Name, Channel],
        about(
            "Regions that exclude each other, each with categories of its own; without it one of "
            "everything.",
            example={"boosted": {"selection": "py:boosted"}},
        ),
    ] = Field(default_factory=dict)
    systematics: Annotated[
        Mapping[Name, Systematic],
        about(
            "Uncertainties by name: kind norm, free, weight or shape.",
            example={
                "lumi": {"kind": "norm", "value": 1.016},
                "jes": {"kind": "shape", "up": {"score": "s_up"}, "down": {"score": "s_down"}},
            },
        ),
    ] = Field(default_factory=dict)
    selection: Annotated[
        str | tuple[str, ...] | None,
        about(
            "Requirements that events pass: branches of true and false, or py:NAME; in a list in "
            "the order of the cut flow.",
            example=["trigger", "py:two_photons"],
        ),
    ] = None
    discriminants: Annotated[
        tuple[Discriminant, ...],
        about(
            "The classifier scores in which categories are found.",
            example=[{"name": "score", "range": [0, 1]}],
            min_length=1,
        ),
    ]
    mass: Annotated[
        Mass | None,
        about(
            "The mass, its signal window and sidebands; without it the significance is that of "
            "all events.",
            example={
                "source": "mass",
                "unit": "GeV",
                "range_gev": [100, 180],
                "window_gev": [122, 128],
            },
        ),
    ] = None
    histograms_2d: Annotated[
        Flag,
        about("Whether fine histograms of two discriminants are kept too.", example=True),
    ] = False
    keep_columns: Annotated[
        Flag,
        about(
            "Whether events are kept as columns; false keeps sums over the cells of a fine grid, "
            "whose size does not grow with the number of events.",
            example=False,
        ),
    ] = True
    blind: Annotated[
        Mapping[Name, Number],
        about(
            "Discriminants, and the value from which on data reach no output; without a mass.",
            example={"score": 0.8},
        ),
    ] = Field(default_factory=dict)
    unblind: Annotated[
        Flag,
        about("Open the signal window and the scores that blind names.", example=True),
    ] = False
    event_id: Annotated[
        tuple[str, ...] | None,
        about(
            "Branches that identify an event, from which its fold is made. Without it run, "
            "luminosityBlock and event where they are, else file and entry.",
            example=["run", "event"],
        ),
    ] = None
    max_invalid_fraction: Annotated[
        Number,
        about(
            "Largest fraction of a dataset's events with a score or mass that is NaN or infinite.",
            example=0.001,
            ge=0,
            le=1,
        ),
    ] = 0.01
    optimise: Annotated[
        Optimisation,
        about("What to optimise and how.", example={"signals": ["ggH"], "n_categories": [3, 5]}),
    ]
    exports: Annotated[Exports, about("What is exported.", example={"accept_poor_fits": [2]})] = (
        Exports()
    )
    plots: Annotated[Plots, about("How plots look.", example={"style": "CMS"})] = Plots()
    ntuples: Annotated[
        str | None,
        about(
            "A toy (1d, three-class, diphoton), or a Python file with a function "
            "prepare(directory), that makes the files on first use.",
            example="prepare.py",
        ),
    ] = None
    depends_on: Annotated[
        OneOrMore,
        about(
            "What results depend on beside the file: files that analysis.py reads, and "
            "environment variables as $NAME.",
            example=["sf.json", "$ERA"],
        ),
    ] = ()
    directory: Annotated[Path, about("Folder of the analysis file; not a key of it.")] = Field(
        default=Path(), exclude=True
    )

    @model_validator(mode="before")
    @classmethod
    def _open(cls, content: Any) -> Any:
        """``unblind: true`` opens the signal window too."""
        if content.get("unblind") is True and isinstance(content.get("mass"), Mapping):
            return {**content, "mass": {**content["mass"], "blinded": False}}
        return content

    @field_validator("schema_", mode="before")
    @classmethod
    def _name_of_class(cls, value: object) -> Any:
        """Coffea's classes are named too, as NanoAODSchema."""
        return value.lower().removesuffix("schema") if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_consistency(self)
        return self

    @property
    def processes(self) -> tuple[str, ...]:
        """Names of the processes that are not collision data, in the order of the file."""
        return tuple(dict.fromkeys(d.process for d in self.datasets.values() if not d.data))

    @property
    def data_processes(self) -> tuple[str, ...]:
        """Names of the processes that are collision data."""
        return tuple(dict.fromkeys(d.process for d in self.datasets.values() if d.data))

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
        return self.mass is not None and self.optimise.extrapolate_from_sidebands is not False

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
    def event_variations(self) -> Mapping[str, EventVariation]:
        """Variations of events by name: of ``weight.variations``, then of ``systematics``."""
        plain = {
            name: EventVariation(key=f"weight.variations.{name}", weight=variation)
            for name, variation in self.weight.variations.items()
        }
        names = [d.name for d in self.discriminants]
        return plain | event_variations(self.systematics, discriminants=names)

    def channel(self, name: str) -> Analysis:
        """The analysis of the events of one channel: its selection, scores and uncertainties."""
        return analysis_of_channel(self, name)

    def variations_of(self, dataset: str) -> dict[str, str]:
        """Variations of a dataset: what they are called there, and their name in the file.

        In an analysis with eras a variation that is not correlated between them is called after
        the era too, as jes_2022Up. Data have none.
        """
        found = self.datasets[dataset]
        if self.is_from_data(dataset):
            return {}
        return {
            change.label(name, found.era): name
            for name, change in self.event_variations.items()
            if change.acts_on(found.process, found.era)
        }

    @property
    def variation_labels(self) -> tuple[str, ...]:
        """What the variations of all datasets are called, in alphabetical order."""
        labels = {label for name in self.datasets for label in self.variations_of(name)}
        return tuple(sorted(labels))

    def luminosity_of(self, dataset: str) -> float | None:
        """Integrated luminosity [1/fb] that a dataset is scaled to: that of its era."""
        era = self.datasets[dataset].era
        return self.luminosity_per_fb if era is None else self.eras[era].luminosity_per_fb

    @property
    def total_luminosity_per_fb(self) -> float | None:
        """Integrated luminosity of all eras together."""
        if not self.eras:
            return self.luminosity_per_fb
        return sum(era.luminosity_per_fb for era in self.eras.values())

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
        for change in self.event_variations.values():
            found |= change.sources()
        for name, dataset in self.datasets.items():
            for i, source in enumerate(dataset.weight or ()):
                found[f"datasets.{name}.weight[{i}]"] = source
        for name, channel in self.channels.items():
            for i, source in enumerate(channel.selection):
                found[f"channels.{name}.selection[{i}]"] = source
            for d in channel.discriminants or ():
                found[f"channels.{name}.discriminants.{d.name}"] = d.expression
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
