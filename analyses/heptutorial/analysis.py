"""Leading jet and missing transverse momentum."""

import awkward as ak
import numpy as np


def _jet_pt(events):
    return np.hypot(events.Jet_Px, events.Jet_Py)


def has_jet(events):
    """At least one jet above 30 GeV."""
    return ak.to_numpy(ak.any(_jet_pt(events) > 30.0, axis=1))


def met(events):
    """Missing transverse momentum in GeV, kept between 1 and 300."""
    return np.clip(ak.to_numpy(np.hypot(events.MET_px, events.MET_py)), 1.0, 300.0)


def leading_jet_pt(events):
    """Transverse momentum of the hardest jet in GeV; what is above 500 counts as 500."""
    leading = ak.fill_none(ak.max(_jet_pt(events), axis=1), np.nan)
    return np.minimum(ak.to_numpy(leading), 500.0)
