"""Histograms of other frameworks: one for each process, from ROOT, ``.coffea`` or JSON."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import hist

from gato_coffea.categories.axes import (
    NOMINAL,
    PROCESS_AXES,
    VARIATION_AXES,
    by_process,
    named_data,
)
from gato_coffea.datasets.root_files import nearest, opened
from gato_coffea.errors import GatoError, InputError
from gato_coffea.events.arrays import numbers
from gato_coffea.files import is_damaged, read_json

OPPOSITE = {"up": "down", "down": "up"}
FREE_CELLS = 1_000_000
"""A histogram of so many cells may be read from any file, however small: sparse ones are."""
MAX_LISTED = 8
"""Names that are listed in a message: more do not fit into a line of a terminal."""
RESERVED_NAMES = {*PROCESS_AXES, *VARIATION_AXES, "weight", "threads"}
"""Names that an axis of numbers cannot have."""
Histograms = dict[str, "hist.Hist[Any]"]

log = logging.getLogger(__name__)


def read_histograms(path: str | Path) -> Histograms:
    """Histograms of a file by name.

    ``.root``: every one- or two-dimensional histogram, by its path in the file; of a folder with
    one called ``nominal`` that one alone, by the folder's path; axes go by their titles where
    these are single words. ``.coffea`` (which is unpickled: only open your own) and ``.json``
    (UHI): one histogram, or histograms in nested mappings, whose keys are joined by ``/``. A
    category axis called process, dataset or sample is split into names; of an axis called
    variation, systematic or syst the nominal entry is taken. JSON with plain ``edges`` and
    ``contents``, flow included or not, is read also, into a histogram without variances.

    Raises
    ------
    InputError
        If the file is missing or damaged, of another kind, or holds no histogram.
    """
    path = Path(path)
    readers = {".root": _from_root, ".coffea": _from_coffea, ".json": _from_json}
    if path.suffix not in readers:
        raise InputError(f"{path}: is of no known kind (allowed: {', '.join(readers)})")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        found = {
            name: one
            for key, histogram in readers[path.suffix](path)
            for name, one in by_process(key, histogram)
        }
    except GatoError:
        raise
    except Exception as error:  # whatever the reading library raises is told as one line
        raise is_damaged(path, error) from None
    if not found:
        raise InputError(f"{path}: holds no histogram")
    return found


def chosen_histograms(
    path: str | Path,
    *,
    signals: Sequence[str],
    backgrounds: Sequence[str] | None = None,
    region: str | None = None,
) -> Histograms:
    """Those of a file that are signals or backgrounds.

    Parameters
    ----------
    path
        As in `read_histograms`.
    signals, backgrounds
        Names. By default all others in the folders of the signals (what comes before the last
        ``/``) are backgrounds but for data (data, pseudodata, data_obs, observed) and for
        variations (`varied`), like ``ttbar_jesUp`` and ``ttbar_jesDown`` beside ``ttbar``.
    region
        Only names that begin with it and with ``/`` or ``_`` count, and go by what follows.

    Raises
    ------
    InputError
        If a name or the region is not in the file, or no background is left.
    """
    found = read_histograms(path)
    if region is not None:
        found = _in_region(path, found, region)
    for name in (*signals, *(backgrounds or ())):
        if name not in found:
            raise InputError(f"{path}: has no histogram {name!r}{_elsewhere(name, found, region)}")
    names = [*signals, *(backgrounds or _others(path, found, signals))]
    return {name: found[name] for name in names}


def _in_region(path: str | Path, found: Histograms, region: str) -> Histograms:
    for separator in "/_":
        prefix = region + separator
        inside = {n.removeprefix(prefix): h for n, h in found.items() if n.startswith(prefix)}
        if inside:
            return inside
    regions = {name.split("/")[0] if "/" in name else name.split("_")[0] for name in found}
    raise InputError(f"{path}: has no region {region!r}{nearest(region, sorted(regions))}")


def _elsewhere(name: str, found: Histograms, region: str | None) -> str:
    """Where a name stands that is not there: in regions, or misspelt."""
    regions = dict.fromkeys(
        other.removesuffix(separator + name)
        for separator in "/_"
        for other in found
        if other.endswith(separator + name)
    )
    if regions and region is None:
        return f", but in {', '.join(map(repr, regions))}: give one as --region"
    return f"{nearest(name, found)} (it holds {shown_names(found)})"


def shown_names(names: Iterable[str]) -> str:
    """The first few of many names."""
    listed = list(names)
    more = f" and {len(listed) - MAX_LISTED} more" if len(listed) > MAX_LISTED else ""
    return ", ".join(listed[:MAX_LISTED]) + more


def varied(name: str, found: Iterable[str]) -> Literal["both", "half"] | None:
    """Whether a name continues another one as its variation.

    It is one of ``both`` if it ends in up or down and its opposite is there, or in ``_var``; and
    ``half`` of one if it ends in Up, Down, _up or _down without an opposite.

    Examples
    --------
    >>> names = ["b", "b_warmup", "b_jesUp", "b_jesDown", "b_resUp"]
    >>> [varied(name, names) for name in names]
    [None, None, 'both', 'both', 'half']
    """
    names = set(found)
    half = False
    for other in names:
        if not name.startswith((f"{other}_", f"{other}/")):
            continue
        rest = name[len(other) + 1 :]
        if re.search(r"(^|_)var$", rest):
            return "both"
        ending = re.search(r"(up|down)$", rest, re.IGNORECASE)
        if ending is None:
            continue
        stem, opposite = name[: -len(ending[0])], OPPOSITE[ending[0].lower()]
        if names & {stem + o for o in (opposite, opposite.capitalize(), opposite.upper())}:
            return "both"
        half |= re.search(r"(^|_|[0-9])(up|down)$|(Up|Down|UP|DOWN)$", rest) is not None
    return "half" if half else None


def _others(path: str | Path, found: Histograms, signals: Sequence[str]) -> list[str]:
    """Names beside the signals that are neither data nor the variation of another one."""
    folders = {name.rpartition("/")[0] for name in signals}
    beside = [name for name in found if name not in signals]
    near = [name for name in beside if name.rpartition("/")[0] in folders]
    data = [name for name in near if named_data(name)]
    kind = {name: varied(name, found) for name in near}
    variations = [name for name in near if kind[name] is not None]
    half = [name for name in near if kind[name] == "half"]
    if half:
        log.warning(
            "%s: named as variations, without their opposites, and no backgrounds: %s; name the "
            "backgrounds (--background) if they are some",
            *(path, shown_names(half)),
        )
    result = [name for name in near if name not in data and name not in variations]
    if not result:
        far = [name for name in beside if name not in near]
        kinds = {"data": data, "variations": variations, "in other folders": far}
        left = [f"{kind}: {shown_names(names)}" for kind, names in kinds.items() if names]
        told = "; ".join(left) if left else "the file holds nothing else"
        raise InputError(f"{path}: no background is left beside {', '.join(signals)} ({told})")
    log.info("%s: backgrounds are %s", path, ", ".join(result))
    return result


def _from_root(path: Path) -> Iterator[tuple[str, Any]]:
    with opened(str(path), place="histograms") as file:
        kinds = file.classnames(cycle=False, recursive=True)
        names = [name for name, kind in kinds.items() if kind.startswith(("TH1", "TH2"))]
        varied = {parent for name in names if (parent := _nominal_of(name)) is not None}
        for name in names:
            parent = _nominal_of(name)
            if parent is not None or name.rpartition("/")[0] not in varied:
                yield parent or name, _titled(file[name].to_hist())


def _titled(histogram: Any) -> Any:
    """Axes go by their titles where these can be names: in ROOT they are all called xaxis."""
    titles = list(histogram.axes.label)
    free = all(title.isidentifier() and title not in RESERVED_NAMES for title in titles)
    if free and len(set(titles)) == len(titles):
        histogram.axes.name = titles
    return histogram


def _nominal_of(name: str) -> str | None:
    """Folder of a histogram called nominal, whose neighbours are then its variations."""
    folder, _, last = name.rpartition("/")
    return folder if folder and last == NOMINAL else None


def _from_coffea(path: Path) -> Iterator[tuple[str, Any]]:
    from coffea.util import load

    yield from _flat("", load(path))


def _from_json(path: Path) -> Iterator[tuple[str, Any]]:
    import uhi.io.json

    content = read_json(path, what="JSON of histograms", object_hook=uhi.io.json.object_hook)
    found = dict(_flat("", content, largest=max(FREE_CELLS, path.stat().st_size)))
    for name, value in found.items():
        yield name, value if hasattr(value, "axes") else _from_contents(name, value)


def _flat(name: str, value: object, *, largest: float = math.inf) -> Iterator[tuple[str, Any]]:
    """Histograms, or their plain edges and contents, in nested mappings, by their keys joined.

    Those that would have more than ``largest`` cells are refused before they are made.
    """
    if isinstance(value, hist.BaseHist):
        yield name, value
    elif isinstance(value, Mapping) and {"axes", "storage"} <= set(value):
        cells = math.prod(map(_n_cells, value["axes"]))
        if cells > largest:
            raise InputError(
                f"histogram {name or 'histogram'}: has {cells} cells, more than the file holds"
            )
        yield name, hist.Hist(dict(value))
    elif isinstance(value, Mapping) and {"edges", "contents"} <= set(value):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            inside = f"{name}/{key}" if name else str(key)
            yield from _flat(inside, inner, largest=largest)


def _n_cells(axis: Mapping[str, Any]) -> int:
    """Cells of an axis of UHI JSON, those of its flow included."""
    if "bins" in axis:
        return int(axis["bins"]) + 2
    labels = axis.get("edges", axis.get("categories", (False, True)))
    return len(labels) + 1


def _from_contents(name: str, value: Mapping[str, Any]) -> hist.Hist[Any]:
    edges = numbers(value["edges"], place=f"histogram {name}: edges")
    contents = numbers(value["contents"], place=f"histogram {name}: contents")
    n = edges.size - 1
    if edges.ndim != 1 or n < 1 or contents.shape not in ((n,), (n + 2,)):
        raise InputError(
            f"histogram {name}: {contents.shape} contents do not fit {edges.shape} edges"
        )
    result = hist.Hist(hist.axis.Variable(edges, name="x"), storage=hist.storage.Double())
    result.view(flow=len(contents) == n + 2)[...] = contents
    return result
