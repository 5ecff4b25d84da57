"""What must hold between the sections of an analysis file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gato_coffea.config.datasets import check_datasets
from gato_coffea.config.eras import check_eras
from gato_coffea.config.observables import MAX_DISCRIMINANTS, product_names
from gato_coffea.config.sizes import check_sizes
from gato_coffea.config.systematics import UP, FreeUncertainty, check_systematics

if TYPE_CHECKING:
    from gato_coffea.config.analysis import Analysis

OBSERVATION = "data_obs"
"""What combine calls the histogram of collision data."""


def check_consistency(analysis: Analysis) -> None:
    """Refuse sections that contradict each other.

    Raises
    ------
    ValueError
        With the key, and what is allowed there.
    """
    check_datasets(analysis.datasets)
    _check_discriminants(analysis)
    if (
        not analysis.eras
        and analysis.luminosity_per_fb is None
        and any(d.cross_section_pb is not None for d in analysis.datasets.values())
    ):
        raise ValueError("luminosity_per_fb is missing; datasets have a cross_section_pb")
    check_eras(analysis.eras, analysis.datasets, analysis.luminosity_per_fb)
    _check_blinding(analysis)
    _check_variations(analysis)
    _check_processes(analysis)
    _check_free(analysis)
    _check_counts(analysis)
    _check_mass(analysis)
    for name in analysis.channels:
        try:
            check_consistency(analysis.channel(name))
        except ValueError as error:
            raise ValueError(f"channels.{name}: {error}") from None


def _check_discriminants(analysis: Analysis) -> None:
    """Refuse discriminants, or their histograms, of one name, and too many of them."""
    names = [d.name for d in analysis.discriminants]
    if len(set(names)) != len(names):
        raise ValueError(f"discriminants: names must differ (got {names})")
    if len(names) > MAX_DISCRIMINANTS:
        raise ValueError(
            f"discriminants: at most {MAX_DISCRIMINANTS} can be optimised together (got "
            f"{len(names)}); combine them in a classifier first"
        )
    if analysis.mass is not None and "mass" in names:
        raise ValueError("discriminants: name 'mass' is taken by the mass section")
    mass = analysis.mass
    check_sizes(
        product_names(names, mass=mass is not None, two_dimensional=analysis.histograms_2d),
        {d.name: d.bins for d in analysis.discriminants}
        | ({} if mass is None else {"mass": mass.bins}),
        processes=len(analysis.all_processes) * max(len(analysis.eras), 1),
        variations=len(analysis.variation_labels),
    )


def _check_mass(analysis: Analysis) -> None:
    """Refuse what needs a mass section without one, and a signal from data that may mean two."""
    if analysis.mass is None and analysis.optimise.extrapolate_from_sidebands:
        raise ValueError("optimise.extrapolate_from_sidebands needs a mass section")
    derived = [p for p in analysis.optimise.signals if p in analysis.from_data]
    if (
        analysis.mass is not None
        and analysis.optimise.extrapolate_from_sidebands is None
        and derived
    ):
        raise ValueError(
            f"optimise.extrapolate_from_sidebands: is missing; {derived[0]} is derived from data: "
            "say false if its weights at all masses sum to the yield in the window, true if those "
            "in the window do"
        )
    if analysis.mass is None and analysis.exports.accept_poor_fits:
        raise ValueError("exports.accept_poor_fits needs a mass section, whose fits it accepts")


def _check_counts(analysis: Analysis) -> None:
    """Refuse counts that cannot be used or trained."""
    settings, counts = analysis.optimise, analysis.optimise.counts
    bins = settings.bins_per_discriminant
    if bins is not None and len(bins) != len(analysis.discriminants):
        raise ValueError(
            f"optimise.bins_per_discriminant: needs {len(analysis.discriminants)} numbers "
            f"(got {list(bins)})"
        )
    if settings.round_to is not None and len(analysis.discriminants) > 1:
        raise ValueError(
            "optimise.round_to: edges need one discriminant (got "
            f"{', '.join(d.name for d in analysis.discriminants)})"
        )
    try:
        settings.check_yardsticks({d.name: d.range for d in analysis.discriminants})
    except ValueError as error:
        raise ValueError(f"optimise.{error}") from None
    if settings.use is not None and settings.use not in counts:
        raise ValueError(
            f"optimise.use: is none of the numbers of categories (got {settings.use}; "
            f"allowed: {', '.join(map(str, counts))})"
        )
    if analysis.keep_columns and max(counts) > settings.max_points:
        raise ValueError(
            f"optimise.n_categories: {max(counts)} categories need as many points to train "
            f"on (optimise.max_points is {settings.max_points})"
        )


def _check_blinding(analysis: Analysis) -> None:
    """Refuse blinding of what is no discriminant, or of every score beside a mass."""
    if analysis.blind and analysis.mass is not None:
        raise ValueError(
            "blind: with a mass section data are hidden in its window (mass.blinded); fits of "
            "the sidebands need the data at every score"
        )
    ranges = {d.name: d.range for d in analysis.discriminants}
    for name, value in analysis.blind.items():
        if name not in ranges:
            raise ValueError(f"blind.{name}: is no discriminant (allowed: {', '.join(ranges)})")
        low, high = ranges[name]
        if not low < value < high:
            raise ValueError(
                f"blind.{name}: must lie inside the range {[low, high]} (got {value:g})"
            )


def _check_processes(analysis: Analysis) -> None:
    """Refuse signals and backgrounds that are none, or both."""
    simulated = analysis.processes
    for label in analysis.data_processes:
        if label in simulated:
            raise ValueError(f"datasets: process {label!r} is both data and simulation")
    if OBSERVATION in simulated:
        raise ValueError(
            f"datasets: process {OBSERVATION!r} is the name of the observation in a combine "
            "card; call a simulated process otherwise"
        )
    for key in ("signals", "backgrounds"):
        for label in getattr(analysis.optimise, key) or ():
            if label not in simulated:
                raise ValueError(
                    f"optimise.{key}: is no simulated process of the datasets (got "
                    f"{label!r}; allowed: {', '.join(simulated)})"
                )
    if not analysis.backgrounds:
        raise ValueError("optimise.backgrounds: no process is left as background")
    both = set(analysis.optimise.signals) & set(analysis.backgrounds)
    if both:
        raise ValueError(f"optimise: {sorted(both)} is both signal and background")
    _check_resonant(analysis)


def _check_free(analysis: Analysis) -> None:
    """Refuse free normalisations that no region can tell from something else that is free."""
    seen: dict[tuple[str, ...], str] = {}
    for name, found in analysis.systematics.items():
        if not isinstance(found, FreeUncertainty):
            continue
        processes = tuple(sorted(found.processes or ()))
        for label in processes:
            if label in analysis.optimise.signals:
                raise ValueError(
                    f"systematics.{name}: {label!r} is a signal, whose strength is free already; "
                    "no region constrains a second one"
                )
            if label not in analysis.backgrounds:
                raise ValueError(
                    f"systematics.{name}: {label!r} is not among optimise.backgrounds, so that "
                    f"nothing constrains it (allowed: {', '.join(analysis.backgrounds)})"
                )
        other = seen.setdefault(processes, name)
        if other != name:
            raise ValueError(
                f"systematics.{name}: is free for the same processes as {other}; no region "
                "constrains both"
            )


def _check_resonant(analysis: Analysis) -> None:
    """Refuse resonant processes that cannot be, or that leave no continuum."""
    for label, settings in analysis.process_settings.items():
        if label not in analysis.processes:
            raise ValueError(
                f"processes.{label}: is no simulated process of the datasets (got "
                f"{label!r}; allowed: {', '.join(analysis.processes)})"
            )
        if not settings.resonant:
            continue
        if analysis.mass is None:
            raise ValueError(f"processes.{label}.resonant: needs a mass section")
        if label in analysis.optimise.signals:
            raise ValueError(
                f"processes.{label}.resonant: is a signal, which peaks in any case; only a "
                "background is declared resonant"
            )
        if label not in analysis.backgrounds:
            raise ValueError(
                f"processes.{label}.resonant: is not among optimise.backgrounds (got "
                f"{label!r}; allowed: {', '.join(analysis.backgrounds)})"
            )
    if not analysis.continuum and not analysis.data_processes:
        raise ValueError(
            "processes: every background is resonant, and without data the sidebands need "
            "one that is not"
        )


def _check_variations(analysis: Analysis) -> None:
    """Refuse variations without their opposite, or without a sum of weights."""
    variations = analysis.weight.variations
    for name, variation in variations.items():
        stem, ending = (name[:-2], "Down") if name.endswith("Up") else (name[:-4], "Up")
        if stem + ending not in variations:
            raise ValueError(
                f"weight.variations: {name!r} needs its opposite {stem + ending!r}; without "
                "it nothing would be made of it"
            )
        if not variation.sources:
            raise ValueError(f"weight.variations.{name}: needs at least one source")
    for name in analysis.systematics:
        if name + UP in variations:
            raise ValueError(
                f"systematics.{name}: is in weight.variations too; say it in one of them"
            )
    check_systematics(
        analysis.systematics,
        known={
            "processes": analysis.processes,
            "eras": tuple(analysis.eras),
            "channels": tuple(analysis.channels),
        },
        # of channels each has its own, and is checked with them
        discriminants=None if analysis.channels else [d.name for d in analysis.discriminants],
        mass=analysis.mass is not None,
    )
    changes = analysis.event_variations.values()
    named = [c.key for c in changes if c.weight is not None and c.weight.normalise]
    for key, dataset in analysis.datasets.items():
        way = dataset.sum_of_weights
        if named and not analysis.is_from_data(key) and (way is None or way.tree is not None):
            raise ValueError(
                f"{named[0]}.normalise: needs the sum of weights of every "
                f"event; datasets.{key} has no sum_of_weights with branch or count_events"
            )
