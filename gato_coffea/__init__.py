"""Event categories with the best expected significance, learned inside a coffea analysis.

Names are imported from their modules when first asked for: importing this package loads neither
TensorFlow nor matplotlib nor coffea.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gato_coffea.version import __version__

if TYPE_CHECKING:
    from gato_coffea.categories import Categories
    from gato_coffea.categories.templates import templates_from_histograms, templates_from_samples
    from gato_coffea.config import Analysis, Constraints, parse_analysis, read_analysis
    from gato_coffea.datasets import features
    from gato_coffea.errors import GatoError
    from gato_coffea.events.samples import Feature
    from gato_coffea.optimisation.choice import recommended
    from gato_coffea.optimisation.optimise import optimise
    from gato_coffea.optimisation.result import Result
    from gato_coffea.processing.chunk import collect
    from gato_coffea.processing.executors import process, process_channels
    from gato_coffea.processing.layout import Layout
    from gato_coffea.processing.processed import Processed
    from gato_coffea.processing.processor import GatoProcessor
    from gato_coffea.sidebands import fit_categories, fit_sidebands
    from gato_coffea.statistics.uncertainties import Free, Norm

_HOME = {
    "Analysis": "config",
    "Categories": "categories",
    "Constraints": "config",
    "Feature": "events.samples",
    "Free": "statistics.uncertainties",
    "GatoError": "errors",
    "GatoProcessor": "processing.processor",
    "Layout": "processing.layout",
    "Norm": "statistics.uncertainties",
    "Processed": "processing.processed",
    "Result": "optimisation.result",
    "collect": "processing.chunk",
    "features": "datasets",
    "fit_categories": "sidebands",
    "fit_sidebands": "sidebands",
    "optimise": "optimisation.optimise",
    "parse_analysis": "config",
    "process": "processing.executors",
    "process_channels": "processing.executors",
    "read_analysis": "config",
    "recommended": "optimisation.choice",
    "templates_from_histograms": "categories.templates",
    "templates_from_samples": "categories.templates",
}

__all__ = [
    "Analysis",
    "Categories",
    "Constraints",
    "Feature",
    "Free",
    "GatoError",
    "GatoProcessor",
    "Layout",
    "Norm",
    "Processed",
    "Result",
    "__version__",
    "collect",
    "features",
    "fit_categories",
    "fit_sidebands",
    "optimise",
    "parse_analysis",
    "process",
    "process_channels",
    "read_analysis",
    "recommended",
    "templates_from_histograms",
    "templates_from_samples",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
