"""Pairs of opposite-sign muons, and weights that split them into resonance and continuum."""

import awkward as ak
import numpy as np

WINDOW_GEV = (81.0, 101.0)
SIDEBANDS_GEV = ((60.0, 76.0), (106.0, 120.0))
SLOPE_PER_GEV = 0.0366
"""Slope of the exponential through both sidebands of all pairs with |eta| < 2.5."""


def opposite_sign_pair(events):
    """Exactly two muons, of opposite charge."""
    charge = ak.pad_none(events.Muon_charge, 2)
    opposite = charge[:, 0] * charge[:, 1] < 0
    return ak.to_numpy((events.nMuon == 2) & ak.fill_none(opposite, False))


def in_acceptance(events):
    """Both muons have |eta| < 2.5."""
    return max_abs_eta(events) < 2.5


def in_mass_range(events):
    """The pair is in the range of the fit."""
    mass = pair_mass(events)
    return (mass >= SIDEBANDS_GEV[0][0]) & (mass <= SIDEBANDS_GEV[1][1])


def _two(events, name):
    """Both muons of each event, shape (N, 2); the selection leaves no events with others."""
    if not np.all(ak.to_numpy(events.nMuon) == 2):
        raise ValueError("only events of exactly two muons have a pair; put it after that cut")
    return ak.to_numpy(ak.flatten(events[f"Muon_{name}"])).astype(np.float64).reshape(-1, 2)


def _momenta(events):
    pt, eta, phi, mass = (_two(events, name) for name in ("pt", "eta", "phi", "mass"))
    momentum = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2)
    return *(p.sum(axis=1) for p in momentum), energy.sum(axis=1)


def pair_mass(events):
    """Invariant mass in GeV."""
    px, py, pz, energy = _momenta(events)
    return np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0.0))


def pair_pt(events):
    """Transverse momentum of the pair in GeV; what is above 200 counts as 200."""
    px, py, _, _ = _momenta(events)
    return np.minimum(np.hypot(px, py), 200.0)


def max_abs_eta(events):
    """The larger |eta| of the two muons."""
    return np.abs(_two(events, "eta")).max(axis=1)


def _transfer():
    """Continuum in the window for each pair in the sidebands."""

    def integral(low, high):
        return np.exp(-SLOPE_PER_GEV * low) - np.exp(-SLOPE_PER_GEV * high)

    return integral(*WINDOW_GEV) / sum(integral(*band) for band in SIDEBANDS_GEV)


def _inside(mass, *bands):
    return np.any([(mass >= low) & (mass < high) for low, high in bands], axis=0)


def continuum_weight(events):
    """Pairs in the sidebands, scaled to the continuum in the window."""
    return _transfer() * _inside(pair_mass(events), *SIDEBANDS_GEV)


def resonance_weight(events):
    """Pairs in the window minus the continuum there."""
    return _inside(pair_mass(events), WINDOW_GEV) - continuum_weight(events)
