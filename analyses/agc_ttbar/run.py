"""Categories from published histograms with all their variations: top pair cross section.

    python analyses/agc_ttbar/run.py [--output DIR]

reads the histograms of two regions, optimises the binning of each for the precision of the cross
section, and prints what pyhf finds for both regions together, beside the published binnings. The
workspaces are written to DIR, `results` beside this file by default.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import hist
import numpy as np
import pyhf

from gato_coffea import Constraints, Norm, optimise
from gato_coffea.datasets import data_folder
from gato_coffea.datasets.histogram_files import read_histograms
from gato_coffea.files import write_text

HERE = Path(__file__).parent
FILE = "agc_ttbar_histograms/histos_all_file_per_process.json"
REGIONS = {"4j1b": "HT", "4j2b": "m_bjj"}
"""One b jet: sum of transverse momenta; two: mass of three jets, one of them b. Both in GeV."""

SIGNAL = "ttbar"
PROCESSES = (SIGNAL, "wjets", "single_top_s_chan", "single_top_t_chan", "single_top_tW")
BOTH_SIDES = {f"btag_{i}": (f"btag_var_{i}_up", f"btag_var_{i}_down") for i in range(4)} | {
    "ttbar_scale": ("scaleup", "scaledown"),
    "wjets_scale": ("scale_var_up", "scale_var_down"),
}
ONE_SIDE = {"me": "ME_var", "ps": "PS_var", "jes": "pt_scale_up", "jer": "pt_res_up"}
"""Variations by the names in the file; those with one side are mirrored, as the analysis does."""

LUMINOSITY = Norm("luminosity", 1.03)
COUNTS = (5, 10)

Yields = dict[str, dict[str, np.ndarray]]


def main() -> None:
    """Optimise, evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=HERE / "results")
    output = parser.parse_args().output
    fine = read_regions()
    edges = {region: bin_edges(region) for region in REGIONS}
    binnings = {
        "published, 25 bins of 20 GeV": edges,
        "published fit, 11 bins of 40 GeV": dict.fromkeys(REGIONS, np.arange(110, 551, 40.0)),
    }
    for n in COUNTS:
        binnings[f"{n} equal bins"] = {r: equal_bins(edges[r], n) for r in REGIONS}
        binnings[f"{n} bins of gato_coffea"] = {
            region: best_edges(fine[region], region, n) for region in REGIONS
        }
    for name, binning in binnings.items():
        spec = workspace({r: merged(fine[r], edges[r], binning[r]) for r in REGIONS})
        path = output / f"{name.replace(' ', '_').replace(',', '')}.json"
        write_text(path, json.dumps(spec, indent=1) + "\n")
        both, *alone = (
            uncertainty(spec, regions) for regions in (REGIONS, *([r] for r in REGIONS))
        )
        each = ", ".join(f"{r} {100 * z:.2f} %" for r, z in zip(REGIONS, alone, strict=True))
        print(f"{name}: {100 * both:.2f} % ({each})")
        if "gato" in name:
            for region, own in binning.items():
                print(f"    {region}: {', '.join(f'{e:g}' for e in own)} GeV")


def read_regions() -> dict[str, Yields]:
    """Bin contents by region, process and variation."""
    found = read_histograms(data_folder() / FILE)
    result: dict[str, Yields] = {}
    for region in REGIONS:
        result[region] = {}
        for process in PROCESSES:
            key = f"{region}_{process}"
            nominal = found[key].values()
            own = {"nominal": nominal}
            for name, (up, down) in BOTH_SIDES.items():
                if f"{key}_{up}" in found:
                    own[f"{name}Up"] = found[f"{key}_{up}"].values()
                    own[f"{name}Down"] = found[f"{key}_{down}"].values()
            for name, up in ONE_SIDE.items():
                if f"{key}_{up}" in found:
                    own[f"{name}Up"] = found[f"{key}_{up}"].values()
                    own[f"{name}Down"] = 2 * nominal - own[f"{name}Up"]
            result[region][process] = own
    return result


def bin_edges(region: str) -> np.ndarray:
    """Edges of the published histograms of a region."""
    axes = read_histograms(data_folder() / FILE)[f"{region}_{SIGNAL}"].axes
    return np.asarray(axes[0].edges)


def equal_bins(edges: np.ndarray, n: int) -> np.ndarray:
    """Edges of bins that are as equal as the published ones allow."""
    at = np.linspace(0, len(edges) - 1, n + 1)
    return np.asarray(edges[np.rint(at).astype(int)])


def best_edges(fine: Yields, region: str, n: int) -> np.ndarray:
    """Edges of the ``n`` bins with the best precision of the cross section in one region."""
    axis = hist.axis.Variable(bin_edges(region), name=REGIONS[region])
    histograms = {}
    for process, own in fine.items():
        labels = hist.axis.StrCategory(list(own), name="variation")
        histograms[process] = hist.Hist(labels, axis, storage=hist.storage.Double())
        for i, values in enumerate(own.values()):
            histograms[process].view()[i] = values
    result = optimise(
        histograms,
        signals=[SIGNAL],
        n_categories=n,
        method="exact",
        kind="edges",
        objective="precision",
        systematics=[LUMINOSITY],
        # The published model takes the contents as they are: without variances, and unsmoothed.
        smooth=False,
        mc_uncertainty=False,
        unweighted=True,
        constraints=Constraints(min_effective=0, min_effective_per_process=0, min_background=1),
    )
    return np.asarray(result.categories.edges[0])


def merged(fine: Yields, edges: np.ndarray, binning: np.ndarray) -> Yields:
    """Contents in bins whose edges are among the fine ones."""
    at = np.abs(edges[:, None] - binning).argmin(axis=0)
    assert np.allclose(edges[at], binning), (edges, binning)
    return {
        process: {name: np.add.reduceat(v[: at[-1]], at[:-1]) for name, v in own.items()}
        for process, own in fine.items()
    }


def workspace(regions: dict[str, Yields]) -> dict:
    """The likelihood of both regions, as pyhf and cabinetry read it."""
    channels = []
    for region, yields in regions.items():
        samples = []
        for process, own in yields.items():
            lumi = dict(zip(("hi", "lo"), LUMINOSITY.factors, strict=True))
            modifiers = [{"name": LUMINOSITY.name, "type": "normsys", "data": lumi}]
            if process == SIGNAL:
                modifiers.append({"name": "mu", "type": "normfactor", "data": None})
            for name in dict.fromkeys(key.removesuffix("Up") for key in own if key.endswith("Up")):
                sides = {"hi_data": own[f"{name}Up"], "lo_data": own[f"{name}Down"]}
                data = {key: values.tolist() for key, values in sides.items()}
                modifiers.append({"name": name, "type": "histosys", "data": data})
            samples.append(
                {"name": process, "data": own["nominal"].tolist(), "modifiers": modifiers}
            )
        channels.append({"name": region, "samples": samples})
    total = {c["name"]: np.sum([s["data"] for s in c["samples"]], axis=0) for c in channels}
    return {
        "channels": channels,
        "observations": [{"name": r, "data": values.tolist()} for r, values in total.items()],
        "measurements": [{"name": "cross section", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def uncertainty(spec: dict, regions: Iterable[str]) -> float:
    """Expected uncertainty of the signal's strength in some regions, all else profiled.

    From the inverse of the information on all parameters of pyhf's model, on Asimov data, where
    that is the second derivative of the likelihood.
    """
    kept = {**spec}
    for key in ("channels", "observations"):
        kept[key] = [part for part in spec[key] if part["name"] in regions]
    model = pyhf.Workspace(kept).model(
        modifier_settings={
            "normsys": {"interpcode": "code4"},
            "histosys": {"interpcode": "code4p"},
        }
    )
    at = np.array(model.config.suggested_init())
    step = 1e-4 * np.eye(len(at))
    slope = [
        (model.expected_actualdata(at + one) - model.expected_actualdata(at - one)) / 2e-4
        for one in step
    ]
    jacobian = np.array(slope).T
    expected = model.expected_actualdata(at)
    filled = expected > 0
    information = jacobian[filled].T @ (jacobian[filled] / expected[filled, None])
    prior = np.ones(len(at))  # all nuisance parameters are standard normal
    prior[model.config.poi_index] = 0.0
    covariance = np.linalg.inv(information + np.diag(prior))
    return float(np.sqrt(covariance[model.config.poi_index, model.config.poi_index]))


if __name__ == "__main__":
    main()
