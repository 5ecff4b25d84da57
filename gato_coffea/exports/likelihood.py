"""An exported model as the likelihood of `gato_coffea.statistics`: the figure it gives.

pyhf and combine compute the same from the files (`gato_coffea.exports.evaluation` asks pyhf).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gato_coffea.errors import InputError
from gato_coffea.exports.models import Channel
from gato_coffea.optimisation.result import Significance
from gato_coffea.statistics.counting import Combination, combine, signal_significances
from gato_coffea.statistics.figures import significance
from gato_coffea.statistics.likelihood import Likelihood
from gato_coffea.statistics.uncertainties import Free, Norm, Normalisation
from gato_coffea.statistics.yields import BinnedYields


def likelihood_of(model: Sequence[Channel]) -> Likelihood:
    """Yields and uncertainties of a model, the bins of all channels one after the other.

    Parameters
    ----------
    model
        From `channels`.
    """
    found = [p for channel in model for p in channel.processes]
    names = list(dict.fromkeys(p.name for p in found))
    sources = list(dict.fromkeys(s for p in found for s in p.shapes))
    at = np.cumsum([0, *(len(channel.observed) for channel in model)])
    nominal = np.zeros((len(names), at[-1]))
    varied = np.zeros((2, len(sources), *nominal.shape))
    sumw2 = np.zeros(at[-1])
    for k, channel in enumerate(model):
        bins = slice(at[k], at[k + 1])
        for process in channel.processes:
            row = names.index(process.name)
            nominal[row, bins] = process.values
            for j, source in enumerate(sources):
                pair = process.shapes.get(source, (process.values, process.values))
                varied[:, j, row, bins] = pair
            if not process.signal:
                sumw2[bins] += process.errors**2
    yields = BinnedYields(
        processes=tuple(names),
        signals=tuple(n for n in names if any(p.signal for p in found if p.name == n)),
        nominal=nominal,
        sumw2=sumw2,
        variations=tuple(sources),
        up=varied[0],
        down=varied[1],
        channels=tuple(np.repeat([channel.name for channel in model], np.diff(at)).tolist()),
    )
    return Likelihood(yields=yields, normalisations=tuple(_normalisations(model)))


def _normalisations(model: Sequence[Channel]) -> list[Normalisation]:
    """The factors on whole yields, each with the processes and channels that it acts on."""
    factors: dict[str, tuple[float, float] | None] = {}
    cells: dict[str, list[tuple[str, str]]] = {}
    for channel in model:
        for process in channel.processes:
            here = {**process.norms, **dict.fromkeys(process.free)}
            for name, pair in here.items():
                if factors.setdefault(name, pair) != pair:
                    raise InputError(
                        f"exports: {name} has other factors for {process.name} in {channel.name} "
                        f"than elsewhere (got {pair} and {factors[name]}); give them two names"
                    )
                cells.setdefault(name, []).append((process.name, channel.name))
    found: list[Normalisation] = []
    for name, pair in factors.items():
        processes, channels = (tuple(dict.fromkeys(c)) for c in zip(*cells[name], strict=True))
        if pair is None:
            found.append(Free(name, processes, channels))
        else:
            up, down = pair
            found.append(Norm(name, up=up, down=down, processes=processes, channels=channels))
    return found


def counting_significance(
    model: Sequence[Channel], signals: Sequence[str], combination: Combination
) -> Significance:
    """Significance of a model with all its yields known, from the closed form.

    The parameters are those of `model_significance`.
    """
    stack = [
        [sum((p.values for p in c.processes if p.name == s), 0.0 * c.background) for c in model]
        for s in signals
    ]
    signal = np.stack([np.concatenate(row) for row in stack])
    z = signal_significances(signal, np.concatenate([c.background for c in model]))
    return together(dict(zip(signals, z.tolist(), strict=True)), combination)


def model_significance(
    model: Sequence[Channel], signals: Sequence[str], combination: Combination
) -> Significance:
    """Expected significance of a model with everything that it holds.

    Each signal's is that of the discovery test of Asimov data, with the strengths of the others
    fixed at one.

    Parameters
    ----------
    model
        From `channels`.
    signals
        Those to evaluate; one that no channel has gets zero.
    combination
        How their significances become one.

    Raises
    ------
    OptimisationError
        If a fit finds no minimum.
    """
    likelihood = likelihood_of(model)
    known = likelihood.yields.signals
    z = {s: float(significance(likelihood, s).value) if s in known else 0.0 for s in signals}
    return together(z, combination)


def together(z: dict[str, float], combination: Combination) -> Significance:
    """Significances of the signals, and the one figure that they become."""
    return Significance(float(combine(np.array(list(z.values())), combination)), z)
