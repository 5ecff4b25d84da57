"""A pass over all events, on this machine or on a cluster."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
from coffea.nanoevents import BaseSchema
from coffea.processor import DaskExecutor, FuturesExecutor, Runner, accumulate
from coffea.processor.executor import ExecutorBase, FileMeta, WorkItem

from gato_coffea import errors
from gato_coffea.categories import Categories
from gato_coffea.config import Analysis
from gato_coffea.config.patience import told_if_long
from gato_coffea.datasets import Fileset, fileset
from gato_coffea.datasets.check import check_first_files
from gato_coffea.datasets.root_files import open_tree, opened
from gato_coffea.errors import ConfigError, ExecutionError, GatoError, InputError
from gato_coffea.processing.chunks import ERRORS, ChunkTask, close_files
from gato_coffea.processing.cluster import dask_client, require_same_workers, watched
from gato_coffea.processing.failures import one_line
from gato_coffea.processing.pool import worker_pool
from gato_coffea.processing.processed import Processed
from gato_coffea.processing.processor import GatoProcessor
from gato_coffea.processing.versions import here

logger = logging.getLogger(__name__)

EXECUTORS = ("iterative", "futures", "dask")
SCHEMAS = {
    "base": "BaseSchema",
    "nanoaod": "NanoAODSchema",
    "physlite": "PHYSLITESchema",
    "delphes": "DelphesSchema",
    "treemaker": "TreeMakerSchema",
}
CLUSTER_RETRIES = 2


@dataclass
class QuietIterativeExecutor(ExecutorBase):
    """One chunk after the other in this process, without a progress bar."""

    retries: int = 0
    status: bool = False

    def __call__(
        self, items: Iterable[Any], function: Callable[[Any], Any], accumulator: Any
    ) -> tuple[Any, int]:
        """Sum of the outputs of all items."""
        return accumulate(map(function, items), accumulator), 0


def _first(told: Mapping[str, Sequence[str]]) -> GatoError:
    texts = sorted((text, name) for name, found in told.items() for text in found)
    text, name = texts[0]
    kind: type[GatoError] = getattr(errors, name)
    return kind(text if len(texts) == 1 else f"{text} (and {len(texts) - 1} more chunks failed)")


def process(
    analysis: Analysis,
    *,
    executor: str | ExecutorBase = "iterative",
    workers: int | None = None,
    scheduler: str | None = None,
    client: Any = None,
    chunksize: int = 100_000,
    categories: Categories | None = None,
    progress: bool = True,
    spool: str | Path | None = None,
) -> Processed:
    """Read all events of an analysis without channels, and scale them to its luminosity.

    Parameters
    ----------
    analysis
        The checked analysis file.
    executor
        ``iterative`` (this process), ``futures`` (processes of this machine), ``dask``, or an
        executor of coffea's.
    workers
        Number of worker processes; by default one a core.
    scheduler
        Address of a running dask scheduler; ``dask`` without it starts a cluster on this machine.
    client
        A dask client of the user's own, which is left open.
    chunksize
        Events a chunk, about.
    categories
        Trained categories, where their templates are to be filled on the way.
    progress
        Whether progress bars are shown.
    spool
        Folder, seen by all workers, that columns are written to instead of being sent back.

    Raises
    ------
    ConfigError, InputError
        If the analysis, a file or a value is not what it has to be, or it has channels.
    ExecutionError
        If the executor is unknown, a scheduler does not answer, or a worker fails.
    """
    if analysis.channels:
        raise ConfigError(
            f"channels: {analysis.name} has {', '.join(analysis.channels)}; "
            "gato_coffea.process_channels gives what is processed of each"
        )
    output = _all_chunks(
        analysis,
        executor=executor,
        workers=workers,
        scheduler=scheduler,
        client=client,
        chunksize=chunksize,
        categories=categories,
        progress=progress,
        spool=spool,
    )
    return Processed.merged(output, analysis)


def process_channels(
    analysis: Analysis,
    *,
    executor: str | ExecutorBase = "iterative",
    workers: int | None = None,
    scheduler: str | None = None,
    client: Any = None,
    chunksize: int = 100_000,
    categories: Mapping[str, Categories] | None = None,
    progress: bool = True,
    spool: str | Path | None = None,
) -> dict[str, Processed]:
    """What is processed of each channel of an analysis, by its name, in one pass over the events.

    Parameters are those of `process`, but for ``categories``, which are by channel.

    Raises
    ------
    ConfigError, InputError
        If the analysis, a file or a value is not what it has to be, it has no channels, or an
        event is in two of them.
    ExecutionError
        If the executor is unknown, a scheduler does not answer, or a worker fails.
    """
    if not analysis.channels:
        raise ConfigError(f"channels: {analysis.name} has none; gato_coffea.process reads it")
    output = _all_chunks(
        analysis,
        executor=executor,
        workers=workers,
        scheduler=scheduler,
        client=client,
        chunksize=chunksize,
        categories=categories,
        progress=progress,
        spool=spool,
    )
    result = {}
    for name in analysis.channels:
        try:
            result[name] = Processed.merged(output[name], analysis.channel(name))
        except InputError as error:
            raise InputError(f"channels.{name}: {error}") from None
    return result


def _all_chunks(
    analysis: Analysis,
    *,
    executor: str | ExecutorBase,
    workers: int | None,
    scheduler: str | None,
    client: Any,
    chunksize: int,
    categories: Categories | Mapping[str, Categories] | None,
    progress: bool,
    spool: str | Path | None,
) -> Any:
    """Added outputs of all chunks."""
    processor = GatoProcessor(analysis, categories=categories, spool=spool)
    files = fileset(analysis)
    check_first_files(analysis, files)
    with (
        _executor(
            executor,
            workers=workers,
            scheduler=scheduler,
            client=client,
            progress=progress,
            compression=1 if spool is not None or not analysis.keep_columns else None,
        ) as engine,
        _quiet(engine, bars=progress or executor == "iterative"),
    ):
        return run_chunks(
            engine, files, processor, schema=SCHEMAS[analysis.schema_], chunksize=chunksize
        )


def run_chunks(
    engine: ExecutorBase,
    files: Fileset,
    processor: Any,
    *,
    schema: str = "BaseSchema",
    chunksize: int = 100_000,
) -> Any:
    """Sum of a processor's outputs over all chunks of a fileset; nothing may be missing.

    Raises
    ------
    InputError
        If a file cannot be read.
    ExecutionError
        If a chunk fails, or is missing in the end.
    """
    runner = Runner(engine, chunksize=chunksize, schema=BaseSchema, metadata_cache={})
    on_dask = isinstance(engine, DaskExecutor)
    payload = cloudpickle.dumps(processor)
    task = ChunkTask(schema, here(), None if on_dask else payload, telling=on_dask)
    with one_line(files), contextlib.ExitStack() as stack:
        if on_dask:
            require_same_workers(engine.client)
            stack.enter_context(watched(engine.client))
        stack.callback(close_files)
        work = list(work_items(runner, files))
        pass_over = engine.copy(unit="chunk", function_name=type(processor).__name__)
        if on_dask:
            pass_over.heavy_input = payload
        retries = 0 if on_dask else engine.retries
        n_files = len({item.filename for item in work})
        with told_if_long(f"process: {len(work)} chunks of {n_files} files", unless=engine.status):
            result, failure = pass_over(
                work, partial(Runner.automatic_retries, retries, False, task), None
            )
        if failure:
            raise failure
    if on_dask and ERRORS in result["out"]:
        raise _first(result["out"][ERRORS])
    missing = set(work) - set(result["processed"])
    if missing:
        first = min(missing, key=lambda item: (item.dataset, item.filename, item.entrystart))
        raise ExecutionError(
            f"{first.filename}: datasets.{first.dataset}: {len(missing)} of {len(work)} chunks "
            f"are missing in the output (the first: entries {first.entrystart} to "
            f"{first.entrystop})"
        )
    return result["out"]


def work_items(runner: Runner, files: Fileset) -> Iterator[WorkItem]:
    """Chunks of all files.

    coffea cannot look into files whose paths are not ASCII (it makes hashes of them): that is
    done here.
    """
    other = [
        (name, path)
        for name, content in files.items()
        for path in content["files"]
        if not path.isascii()
    ]
    plain = {
        name: {**content, "files": {p: t for p, t in content["files"].items() if p.isascii()}}
        for name, content in files.items()
    }
    plain = {name: content for name, content in plain.items() if content["files"]}
    if plain:
        yield from runner.preprocess(plain)
    for name, path in other:
        content, place = files[name], f"datasets.{name}"
        tree_name = content["files"][path]
        with opened(path, place=place) as file:
            tree = open_tree(file, path, tree_name, place=place)
            found = {"numentries": int(tree.num_entries), "uuid": file.file.fUUID}
        meta = FileMeta(name, path, tree_name, {**content["metadata"], **found})
        yield from meta.chunks(runner.chunksize, False)


@contextlib.contextmanager
def _executor(
    executor: str | ExecutorBase,
    *,
    workers: int | None,
    scheduler: str | None,
    client: Any,
    progress: bool,
    compression: int | None,
) -> Iterator[ExecutorBase]:
    if isinstance(executor, ExecutorBase):
        yield executor
        return
    if executor not in EXECUTORS:
        raise ExecutionError(
            f"executor: is unknown (got {executor!r}; allowed: {', '.join(EXECUTORS)})"
        )
    if executor != "dask" and (scheduler is not None or client is not None):
        raise ExecutionError(f"executor: a scheduler or client needs dask (got {executor!r})")
    if workers is not None and workers < 1:
        raise ExecutionError(f"workers: must be at least 1 (got {workers})")
    count = workers if workers is not None else os.cpu_count() or 1
    if executor == "iterative":
        from coffea.processor import IterativeExecutor

        yield IterativeExecutor(retries=0) if progress else QuietIterativeExecutor()
    elif executor == "futures":
        with worker_pool(count) as pool:
            yield FuturesExecutor(pool=pool, status=progress, compression=compression, retries=0)
    else:
        retries = 0 if scheduler is None and client is None else CLUSTER_RETRIES
        with (
            dask_client(client, scheduler=scheduler, workers=count) as connected,
            connected.as_current(),  # coffea's progress bar asks for the current client
        ):
            yield DaskExecutor(
                client=connected, status=progress, compression=compression, retries=retries
            )


@contextlib.contextmanager
def _quiet(engine: ExecutorBase, *, bars: bool) -> Iterator[None]:
    """Keep coffea from printing what is said in one line, or what nobody asked for.

    Bars are drawn in spite of ``status=False``, and the futures executor prints the traceback of
    a failed chunk. Chunks run in other processes then, so nothing that the user prints is lost.
    """
    held = io.StringIO()
    with contextlib.ExitStack() as stack:
        if not bars:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        if isinstance(engine, FuturesExecutor):
            stack.enter_context(contextlib.redirect_stderr(held))
        try:
            yield
        except GatoError:
            logger.debug("%s", held.getvalue())
            raise
    sys.stderr.write(held.getvalue())
