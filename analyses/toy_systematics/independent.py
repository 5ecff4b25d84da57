"""The categories on events that nothing was trained on, by a likelihood that is not ours.

    python analyses/toy_systematics/independent.py [--events 10000000]

prints for each number of categories the significance that pyhf finds: by counting alone, and with
all uncertainties profiled.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pyhf
import yaml

from gato_coffea import Categories
from gato_coffea.datasets.toys import CROSS_SECTIONS_PB, LUMINOSITY_PER_PB, toy_arrays

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from prepare import N_BACKGROUND, varied  # noqa: E402

BLOCK = 2_000_000
SIGNALS_A_BACKGROUND = 0.1
"""Signal needs fewer events than background: it is spread over all categories."""


def yields(categories: Categories, n_background: int, seed: int = 20_000) -> dict[str, dict]:
    """Expected events by process, nominal and varied, in every category."""
    found: dict[str, dict[str, np.ndarray]] = {}
    generated: dict[str, int] = {}
    n = categories.n_categories
    for block in range(max(n_background // BLOCK, 1)):
        size = min(BLOCK, n_background)
        toy = toy_arrays(
            "1d", n_signal=int(size * SIGNALS_A_BACKGROUND), n_bkg=size, seed=seed + block
        )
        for process, columns in toy.items():
            x = columns["x"]
            other = varied(x, is_signal=process == "signal")

            def count(score: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
                label = categories.assign(score)
                inside = label >= 0
                weight = weight if weight is None else weight[inside]
                return np.bincount(label[inside], weight, n).astype(float)

            sums = found.setdefault(process, {})
            parts = {
                "nominal": count(x),
                "scale_up": count(other["score_up"]),
                "scale_down": count(other["score_down"]),
                "tilt_up": count(x, other["tilt_up"]),
                "tilt_down": count(x, other["tilt_down"]),
            }
            for name, part in parts.items():
                sums[name] = sums.get(name, 0.0) + part
            generated[process] = generated.get(process, 0) + len(x)
    for process, sums in found.items():
        scale = CROSS_SECTIONS_PB[process] * LUMINOSITY_PER_PB / generated[process]
        for name in sums:
            sums[name] *= scale
    return found


def pyhf_model(found: dict[str, dict], systematics: dict, *, profiled: bool) -> pyhf.Model:
    """The likelihood as HistFactory writes it; finite simulation as that of the training."""
    total = sum(CROSS_SECTIONS_PB[p] for p in found if p != "signal")
    event = total * LUMINOSITY_PER_PB / N_BACKGROUND  # weight of a simulated background event
    backgrounds = np.array([sums["nominal"] for p, sums in found.items() if p != "signal"])
    # pyhf adds the errors of all samples in quadrature to that of the total background
    relative = np.sqrt(event * backgrounds.sum(axis=0) / np.square(backgrounds).sum(axis=0))
    samples = []
    for process, sums in found.items():
        nominal = sums["nominal"]
        modifiers = []
        if process == "signal":
            modifiers.append({"name": "mu", "type": "normfactor", "data": None})
        elif profiled:
            data = (relative * nominal).tolist()
            modifiers.append({"name": "simulation", "type": "staterror", "data": data})
        for name, said in systematics.items() if profiled else ():
            if process not in said.get("processes", process):
                continue
            if said["kind"] == "norm":
                data = {"hi": said["value"], "lo": 1 / said["value"]}
                modifiers.append({"name": name, "type": "normsys", "data": data})
            else:
                both = {"hi_data": sums[f"{name}_up"], "lo_data": sums[f"{name}_down"]}
                data = {key: values.tolist() for key, values in both.items()}
                modifiers.append({"name": name, "type": "histosys", "data": data})
        samples.append({"name": process, "data": nominal.tolist(), "modifiers": modifiers})
    spec = {"channels": [{"name": "categories", "samples": samples}]}
    settings = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
    return pyhf.Model(spec, poi_name="mu", validate=False, modifier_settings=settings)


def significance(model: pyhf.Model) -> float:
    """Expected discovery significance on Asimov data with the signal."""
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4))
    truth = np.array(model.config.suggested_init())
    truth[model.config.poi_index] = 1.0
    data = model.expected_data(truth)
    if len(truth) == 1:  # nothing is left to be fitted
        without = -2 * float(model.logpdf([0.0], data)[0])
    else:
        _, without = pyhf.infer.mle.fixed_poi_fit(
            0.0, data, model, init_pars=truth.tolist(), return_fitted_val=True
        )
    return float(np.sqrt(max(float(without) + 2 * float(model.logpdf(truth, data)[0]), 0.0)))


def main() -> None:
    """Print a line for each number of categories."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000, help="background events")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="results folder")
    given = parser.parse_args()
    systematics = yaml.safe_load((HERE / "analysis.yaml").read_text())["systematics"]
    paths = sorted(
        (given.results / "optimise").glob("categories_*.json"),
        key=lambda path: int(path.stem.split("_")[1]),
    )
    for path in paths:
        found = yields(Categories.load(path), given.events)
        z = [
            significance(pyhf_model(found, systematics, profiled=profiled))
            for profiled in (False, True)
        ]
        print(f"{path.stem}: counting {z[0]:.4f}, profiled {z[1]:.4f}")


if __name__ == "__main__":
    main()
