"""What all chunks share: the axes of the histograms and what is kept of an event."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import hist

from gato_coffea.categories.axes import MASS, Axis, discriminant_axis, era_axes, mass_axis
from gato_coffea.config import Analysis, Discriminant, Mass
from gato_coffea.config.observables import product_names
from gato_coffea.config.sizes import check_sizes
from gato_coffea.errors import ConfigError
from gato_coffea.events.samples import Feature, Grid


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What all chunks share: the axes of the histograms and what is kept of an event.

    Attributes
    ----------
    discriminants
        The classifier scores: names, ranges, fine bins, and default sources.
    mass
        Range, bins, signal window and blinding of the mass, or None.
    n_folds
        Number of folds that events are dealt into.
    columns
        Whether events are kept as columns; cells are kept where not.
    two_dimensional
        Whether products of the discriminant axes, and with the mass, are filled too.
    event_id
        Branches that identify an event, or None for the usual ones. Where events are hidden the
        fold comes from an event's discriminants and mass instead, and data have none.
    moments
        Whether cells also sum what the optimiser needs to extrapolate from the mass sidebands.
    blind
        Discriminants, and the value from which on data are hidden.
    is_data
        Of each process of the analysis, whether it is collision data; empty without one.
    derived
        Datasets that are none of these, but made of the same events: blinded like them.
    labels
        What variations are called that each era has of its own, by their name and the era.
    """

    discriminants: tuple[Discriminant, ...]
    mass: Mass | None = None
    n_folds: int = 5
    columns: bool = True
    two_dimensional: bool = False
    event_id: tuple[str, ...] | None = None
    moments: bool = False
    blind: Mapping[str, float] = field(default_factory=dict)
    is_data: Mapping[str, bool] = field(default_factory=dict)
    derived: tuple[str, ...] = ()
    labels: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def __repr__(self) -> str:
        names = [d.name for d in self.discriminants] + ([] if self.mass is None else [MASS])
        kept = "columns" if self.columns else "cells"
        return f"Layout({', '.join(names)}; {kept}, {self.n_folds} folds)"

    @classmethod
    def of(cls, analysis: Analysis) -> Self:
        """The layout that an analysis file asks for."""
        return cls(
            discriminants=analysis.discriminants,
            mass=analysis.mass,
            n_folds=analysis.optimise.folds,
            columns=analysis.keep_columns,
            two_dimensional=analysis.histograms_2d,
            event_id=analysis.event_id,
            moments=analysis.uses_window,
            blind=analysis.blinded_scores,
            is_data={p: p in analysis.data_processes for p in analysis.all_processes},
            derived=tuple(
                name
                for name, dataset in analysis.datasets.items()
                if analysis.is_from_data(name) and not dataset.data
            ),
            labels={
                (name, era): change.label(name, era)
                for name, change in analysis.event_variations.items()
                for era in analysis.eras
            },
        )

    def variation_label(self, name: str, era: str | None) -> str:
        """What a variation is called for events of an era."""
        return name if era is None else self.labels.get((name, era), name)

    @cached_property
    def blinding(self) -> tuple[tuple[str, float, float], ...]:
        """What is hidden of blinded events: a discriminant or the mass [GeV], from and to."""
        scores = tuple((name, value, math.inf) for name, value in self.blind.items())
        if self.mass is None or not self.mass.blinded:
            return scores
        return (*scores, (MASS, *self.mass.window_gev))

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The discriminants with their closed ranges."""
        return tuple(Feature.of(d) for d in self.discriminants)

    @cached_property
    def grid(self) -> Grid:
        """Grid of the cells."""
        return Grid.fine(self.features)

    @cached_property
    def axes(self) -> dict[str, Axis]:
        """Axis of each discriminant, and of the mass in GeV, by name."""
        result: dict[str, Axis] = {d.name: discriminant_axis(d) for d in self.discriminants}
        if self.mass is not None:
            result[MASS] = mass_axis(self.mass)
        return result

    @property
    def products(self) -> tuple[tuple[str, ...], ...]:
        """Names of the axes of every histogram; joined by ``_`` they name the histogram."""
        bins = {d.name: d.bins for d in self.discriminants}
        if self.mass is not None:
            bins[MASS] = self.mass.bins
        try:
            products = product_names(
                [d.name for d in self.discriminants],
                mass=self.mass is not None,
                two_dimensional=self.two_dimensional,
            )
            check_sizes(products, bins)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        return products

    def empty(
        self,
        names: Sequence[str],
        *,
        processes: Sequence[str],
        variations: Sequence[str],
        eras: Sequence[str] = (),
        growth: bool = False,
    ) -> hist.Hist[Any]:
        """An empty histogram over eras (if any), process, variation and the named axes.

        In weighted storage.
        """
        return hist.Hist(
            *era_axes(eras),
            hist.axis.StrCategory(list(processes), name="process", growth=growth),
            hist.axis.StrCategory(list(variations), name="variation", growth=growth),
            *(self.axes[name] for name in names),
            storage=hist.storage.Weight(),
        )
