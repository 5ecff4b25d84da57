"""Templates as ROOT histograms and as UHI JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hist
import uhi.io.json
import uproot

from gato_coffea.categories.axes import NOMINAL, of_eras
from gato_coffea.categories.templates import Templates
from gato_coffea.files import is_damaged, read_json, replacing, write_text


def write_root(templates: Templates, path: str | Path) -> None:
    """Write one TH1 for each category, process and variation, whole or not at all.

    Names are ``category0/ggH`` and ``category0/ggH_pileupUp``; of several channels,
    ``boosted/category0/ggH``. Values, variances and flow bins are exact. A variation that a
    process does not have (nothing was filled) is left out.

    Parameters
    ----------
    templates
        Templates of any number of channels.
    path
        A file ending in ``.root``.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with replacing(path) as aside, uproot.recreate(aside) as file:
        for channel in templates.channels:
            folder = f"{channel}/" if len(templates.channels) > 1 else ""
            one = templates.of(channel)
            for category in range(one.n_categories):
                for name, histogram in category_histograms(one, category).items():
                    file[f"{folder}category{category}/{name}"] = histogram


def category_histograms(templates: Templates, category: int) -> dict[str, hist.Hist[Any]]:
    """Histograms of one category by name: ``process`` and ``process_variation``.

    A variation is left out where the process has it in no category.
    """
    result: dict[str, hist.Hist[Any]] = {}
    for process in templates.processes:
        for variation in templates.variations_of(process):
            suffix = "" if variation == NOMINAL else f"_{variation}"
            selected: Any = {"process": process, "variation": variation, "category": category}
            histogram: Any = of_eras(templates.histogram)[selected]
            result[f"{process}{suffix}"] = histogram
    return result


def write_uhi(templates: Templates, path: str | Path) -> None:
    """Write histograms as UHI JSON, which keeps every number exactly.

    The file holds one histogram; of several channels, a mapping of one for each.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    content = templates.histogram if len(templates.channels) == 1 else dict(templates.histograms)
    write_text(path, json.dumps(content, default=uhi.io.json.default) + "\n")


def read_uhi(path: str | Path) -> Templates:
    """Read templates that `write_uhi` wrote.

    Raises
    ------
    InputError
        If the file is missing or holds no histogram.
    """
    content = read_json(path, what="a UHI histogram", object_hook=uhi.io.json.object_hook)
    try:
        if content and isinstance(content, dict) and "uhi_schema" not in content:
            return Templates({channel: hist.Hist(h) for channel, h in content.items()})
        return Templates.single(hist.Hist(content))
    except Exception as error:  # whatever the histogram library raises is told as one line
        raise is_damaged(path, error) from None
