"""CSV of the challenge -> ROOT ntuples with the score as it is and at other tau energy scales.

Reading, weights and classifier are those of the analysis `higgsml` beside this one. At another
scale the tau's transverse momentum and, opposite to it, the missing momentum change, and with
them every feature that is made of them (`at_scale`); the models are the same.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import uproot

from gato_coffea.files import replacing

TAU_SCALE = 0.01
"""Relative uncertainty of the tau energy scale, that of the challenge of 2024."""

BASE = Path(__file__).parents[1] / "higgsml" / "prepare.py"


def prepare(directory: Path) -> None:
    """Write ``signal.root`` and ``background.root`` with weights, event numbers and scores."""
    spec = importlib.util.spec_from_file_location("higgsml_prepare", BASE)
    base = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(base)
    tables = {name: base._read(name) for name in base.FILES}
    both = pd.concat(tables.values(), ignore_index=True)
    is_signal = np.repeat([True, False], [len(t) for t in tables.values()])
    varied = {"tau_up": at_scale(both, 1 + TAU_SCALE), "tau_down": at_scale(both, 1 - TAU_SCALE)}
    scores = base.cross_fitted_scores(both, is_signal, varied)
    for name, rows in (("signal", is_signal), ("background", ~is_signal)):
        with replacing(directory / f"{name}.root") as aside, uproot.recreate(aside) as file:
            branches = {
                "event": both["EventId"].to_numpy(np.int64)[rows],
                "weight": both["weight"].to_numpy(np.float64)[rows],
                "score": scores["nominal"][rows],
                "score_tau_up": scores["tau_up"][rows],
                "score_tau_down": scores["tau_down"][rows],
            }
            file.mktree("Events", {key: value.dtype for key, value in branches.items()})
            file["Events"].extend(branches)


def at_scale(table: pd.DataFrame, factor: float) -> pd.DataFrame:
    """The features with the tau's momentum times a factor.

    Features of the file are rounded: what is made of them changes by the difference to the same
    at a factor of one. The mass of the two taus with their neutrinos (``DER_mass_MMC``) cannot be
    computed again; it goes with the root of the factor, as the mass of two momenta does. No event
    comes in or goes out: those below the thresholds are not in the files.
    """
    new, same, result = _made_of(table, factor), _made_of(table, 1.0), table.copy()
    for name, values in new.items():
        result[name] = table[name] + (values - same[name])
    known = table["DER_mass_MMC"] > 0
    result.loc[known, "DER_mass_MMC"] = table["DER_mass_MMC"][known] * np.sqrt(factor)
    result["PRI_met_phi"] = (result["PRI_met_phi"] + np.pi) % (2 * np.pi) - np.pi
    return result


def _made_of(table: pd.DataFrame, factor: float) -> dict[str, np.ndarray]:
    """Every feature that the tau's momentum goes into, by name; momenta and masses in GeV."""
    tau, lepton = (_momentum(table, f"PRI_{name}") for name in ("tau", "lep"))
    jets = [_momentum(table, f"PRI_jet_{name}") for name in ("leading", "subleading")]
    phi, moved = table["PRI_met_phi"], factor * tau
    missing = np.stack([table["PRI_met"] * np.cos(phi), table["PRI_met"] * np.sin(phi)])
    missing = missing - (moved - tau)[:2]
    met, met_phi = np.hypot(*missing), np.arctan2(missing[1], missing[0])
    tau_pt, lepton_pt = factor * table["PRI_tau_pt"], table["PRI_lep_pt"]
    higgs = (moved + lepton)[:2] + missing
    return {
        "PRI_tau_pt": tau_pt,
        "PRI_met": met,
        "PRI_met_phi": met_phi,
        "DER_mass_vis": table["DER_mass_vis"] * np.sqrt(factor),  # tau and lepton are massless
        "DER_mass_transverse_met_lep": np.sqrt(
            2 * lepton_pt * met * (1 - np.cos(table["PRI_lep_phi"] - met_phi))
        ),
        "DER_pt_h": np.hypot(*higgs),
        "DER_pt_tot": np.hypot(*(higgs + sum(jet[:2] for jet in jets))),
        "DER_sum_pt": tau_pt,
        "DER_pt_ratio_lep_tau": lepton_pt / tau_pt,
        "DER_met_phi_centrality": _centrality(met_phi, table["PRI_tau_phi"], table["PRI_lep_phi"]),
    }


def _momentum(table: pd.DataFrame, name: str) -> np.ndarray:
    """Momentum along x, y and z in GeV; zero for a jet that is not there."""
    pt = table[f"{name}_pt"].where(table[f"{name}_pt"] > 0, 0.0)
    phi, eta = table[f"{name}_phi"], table[f"{name}_eta"].where(pt > 0, 0.0)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])


def _centrality(at: np.ndarray, first: pd.Series, second: pd.Series) -> np.ndarray:
    """Where a direction lies between two others: sqrt(2) halfway, -sqrt(2) opposite to it."""
    a = np.sin(at - first) * np.sign(np.sin(second - first))
    b = np.sin(second - at) * np.sign(np.sin(second - first))
    return np.asarray((a + b) / np.hypot(a, b))
