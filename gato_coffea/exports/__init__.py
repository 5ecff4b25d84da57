"""Results in the forms that other tools read."""

from gato_coffea.categories.formats import read_uhi, write_root, write_uhi
from gato_coffea.exports.corrections import (
    as_edges,
    correction_set,
    tabulated,
    write_correctionlib,
)
from gato_coffea.exports.datacards import write_combine
from gato_coffea.exports.everything import write_exports
from gato_coffea.exports.headline import Headline, headline
from gato_coffea.exports.models import channels
from gato_coffea.exports.workspaces import pyhf_workspace, write_pyhf

__all__ = [
    "Headline",
    "as_edges",
    "channels",
    "correction_set",
    "headline",
    "pyhf_workspace",
    "read_uhi",
    "tabulated",
    "write_combine",
    "write_correctionlib",
    "write_exports",
    "write_pyhf",
    "write_root",
    "write_uhi",
]
