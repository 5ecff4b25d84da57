"""Mass sidebands: fits per category and the background that they predict in the signal window."""

from gato_coffea.sidebands.categories import CategoryFit, fit_categories
from gato_coffea.sidebands.estimates import BackgroundEstimate, choose_order, fit_functions
from gato_coffea.sidebands.families import FAMILIES, SEQUENCES, family_named
from gato_coffea.sidebands.fits import SidebandFit, fit_sidebands

__all__ = [
    "FAMILIES",
    "SEQUENCES",
    "BackgroundEstimate",
    "CategoryFit",
    "SidebandFit",
    "choose_order",
    "family_named",
    "fit_categories",
    "fit_functions",
    "fit_sidebands",
]
