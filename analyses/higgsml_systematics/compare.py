"""Categories trained with the uncertainties and without them, on events that they did not see.

    python analyses/higgsml_systematics/compare.py

Each fifth of the events is put into the categories that the others were trained for; the yields
of all fifths together have the significances that are printed, everything profiled.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gato_coffea import optimise, process, read_analysis
from gato_coffea.categories import Categories
from gato_coffea.datasets import features
from gato_coffea.events.samples import Sample
from gato_coffea.events.variations import uncertainties
from gato_coffea.statistics.declared import declared_normalisations
from gato_coffea.statistics.figures import significance
from gato_coffea.statistics.likelihood import Likelihood
from gato_coffea.statistics.yields import BinnedYields
from gato_coffea.workflow.preparation import make_ntuples

FOLDS = 5
PROCESSES = ("htautau", "background")


def main() -> None:
    """Print a line for each number of categories."""
    analysis = read_analysis(Path(__file__).parent)
    make_ntuples(analysis)
    samples = process(analysis, progress=False).samples
    norms = declared_normalisations(analysis)
    counting = {name: replace(sample, variations={}) for name, sample in samples.items()}
    settings = {"features": features(analysis), "method": "exact", "signals": ["htautau"]}
    for mc_uncertainty in (True, False):
        for n in analysis.optimise.counts:
            found = {"with": [], "without": []}
            for fold in range(FOLDS):
                for key, events, systematics in (
                    ("with", samples, norms),
                    ("without", counting, ()),
                ):
                    seen = {p: s.where(s.fold != fold) for p, s in events.items()}
                    result = optimise(
                        {p: replace(s, fold=None) for p, s in seen.items()},
                        n_categories=n,
                        systematics=systematics,
                        mc_uncertainty=mc_uncertainty,
                        folds=2,
                        **settings,
                    )
                    found[key].append(result.categories)
            z = {
                key: pooled(samples, parts, norms, mc_uncertainty) for key, parts in found.items()
            }
            told = ", ".join(f"{key} {value:.3f}" for key, value in z.items())
            simulation = "" if mc_uncertainty else ", simulation as if unlimited"
            print(f"{n} categories{simulation}: trained {told}")


def pooled(
    samples: dict[str, Sample], categories: list[Categories], norms: tuple, mc_uncertainty: bool
) -> float:
    """Significance of the events of each fold in the categories that did not see them."""
    n = max(c.n_categories for c in categories)

    def sums(sample: Sample, power: int = 1) -> np.ndarray:
        total = np.zeros(n)
        for fold, own in enumerate(categories):
            part = sample.where(sample.fold == fold)
            label = own.assign(part.x)
            # the last is the most signal-like; a fold may have fewer of them
            at = np.where(label < 0, n, label + n - own.n_categories)
            total += np.bincount(at, part.weight**power, n + 1)[:n]
        return total

    def of(name: str | None) -> np.ndarray:
        each = [samples[p] if name is None else samples[p].varied(name) for p in PROCESSES]
        return np.array([sums(sample) for sample in each])

    variations = uncertainties(samples["htautau"].variations)
    yields = BinnedYields(
        processes=PROCESSES,
        signals=PROCESSES[:1],
        nominal=of(None),
        sumw2=sums(samples["background"], power=2) * mc_uncertainty,
        variations=variations,
        up=np.array([of(f"{v}Up") for v in variations]),
        down=np.array([of(f"{v}Down") for v in variations]),
    )
    return float(significance(Likelihood(yields=yields, normalisations=norms), "htautau").value)


if __name__ == "__main__":
    main()
