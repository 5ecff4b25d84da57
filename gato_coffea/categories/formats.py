"""Templates as ROOT histograms and as UHI JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hist
import uhi.io.json
import uproot

from gato_coffea.categories.axes import NOMINAL
from gato_coffea.files import is_damaged, read_json, replacing, write_text


def write_root(templates: hist.Hist[Any], path: str | Path) -> None:
    """Write one TH1 for each category, process and variation, whole or not at all.

    Names are ``category0/ggH`` and ``category0/ggH_pileupUp``. Values, variances and flow bins
    are exact. A variation that a process does not have (nothing was filled) is left out.

    Parameters
    ----------
    templates
        Axes process, variation, category and one more.
    path
        A file ending in ``.root``.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with replacing(path) as aside, uproot.recreate(aside) as file:
        for category in range(len(templates.axes[2])):
            for name, histogram in category_histograms(templates, category).items():
                file[f"category{category}/{name}"] = histogram


def category_histograms(templates: hist.Hist[Any], category: int) -> dict[str, hist.Hist[Any]]:
    """Histograms of one category by name: ``process`` and ``process_variation``.

    A variation is left out where the process has it in no category.
    """
    result: dict[str, hist.Hist[Any]] = {}
    for process in templates.axes[0]:
        for variation in variations_of(templates, process):
            suffix = "" if variation == NOMINAL else f"_{variation}"
            selected: Any = {"process": process, "variation": variation, "category": category}
            histogram: Any = templates[selected]
            result[f"{process}{suffix}"] = histogram
    return result


def variations_of(templates: hist.Hist[Any], process: str) -> list[str]:
    """Variations that a process has: the nominal one, and those that were filled."""
    view: Any = templates.view(flow=True)
    at = list(templates.axes[0]).index(process)
    return [
        name
        for i, name in enumerate(templates.axes[1])
        if name == NOMINAL or view["variance"][at, i].any()
    ]


def write_uhi(templates: hist.Hist[Any], path: str | Path) -> None:
    """Write histograms as UHI JSON, which keeps every number exactly.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    write_text(path, json.dumps(templates, default=uhi.io.json.default) + "\n")


def read_uhi(path: str | Path) -> hist.Hist[Any]:
    """Read histograms that `write_uhi` wrote.

    Raises
    ------
    InputError
        If the file is missing or holds no histogram.
    """
    content = read_json(path, what="a UHI histogram", object_hook=uhi.io.json.object_hook)
    try:
        return hist.Hist(content)
    except Exception as error:  # whatever the histogram library raises is told as one line
        raise is_damaged(path, error) from None
