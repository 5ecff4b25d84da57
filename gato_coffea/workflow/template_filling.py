"""Templates of every channel: from columns, from fine histograms, or from the events again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gato_coffea.errors import InputError
from gato_coffea.files import replacing
from gato_coffea.workflow.job import Job, load_processed

if TYPE_CHECKING:
    from gato_coffea.categories import Categories
    from gato_coffea.categories.templates import Templates

SECOND_PASS = "a second pass over the events"

log = logging.getLogger(__name__)


def filled_templates(job: Job, categories: Sequence[Categories]) -> list[tuple[Templates, str]]:
    """Templates of every part of a job, and what they were made from.

    That is the columns, or the fine histograms where the categories' edges lie on their bins. The
    events are read again where neither can be, as for categories of cells, or where it is asked.
    """
    parts = job.parts()
    if not job.second_pass:
        found = [_from_processed(p, c) for p, c in zip(parts, categories, strict=True)]
        made = [templates for templates in found if templates is not None]
        if len(made) == len(parts):
            return made
    from gato_coffea.processing.executors import process, process_channels

    if parts[0].channel is None:
        again = [process(job.analysis, categories=categories[0], **job.run_options())]
    else:
        named = {str(p.channel): c for p, c in zip(parts, categories, strict=True)}
        of_all = process_channels(job.analysis, categories=named, **job.run_options())
        again = list(of_all.values())
    result = []
    for processed in again:
        assert processed.templates is not None
        result.append((processed.templates, SECOND_PASS))
    return result


def _from_processed(job: Job, categories: Categories) -> tuple[Templates, str] | None:
    """Templates from what was processed, or None where the events have to be read again."""
    from gato_coffea.categories.templates import templates_from_histograms, templates_from_samples

    processed = load_processed(job)
    if processed.samples is not None:
        made = templates_from_samples(processed.samples, categories, job.analysis)
        return made, "columns"
    try:
        made = templates_from_histograms(processed, categories, job.analysis)
    except InputError as error:
        log.info("the events are read again for the templates (%s)", error)
        return None
    return made, "fine histograms"


def write_templates(templates: Templates, folder: Path) -> None:
    """Write templates as `.coffea`, ROOT and UHI JSON."""
    from coffea.util import save

    from gato_coffea.exports import write_root, write_uhi

    with replacing(folder / "templates.coffea") as aside:
        several = len(templates.channels) > 1
        save(dict(templates.histograms) if several else templates.histogram, aside)
    write_uhi(templates, folder / "templates.json")
    write_root(templates, folder / "templates.root")
