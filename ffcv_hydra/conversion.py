"""Conversion of a dataset into a beton, once: what `convert.py` and the data module call, with plain values."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from ffcv_hydra.beton import BetonSummary, FieldSpecs, fingerprint, first_difference, write_beton
from ffcv_hydra.beton.appendix import normalise
from ffcv_hydra.beton.writing.encoding import OnWarning
from ffcv_hydra.beton.writing.partial import Partial
from ffcv_hydra.beton.writing.placing import replaced_path
from ffcv_hydra.beton.writing.preparing import Indices
from ffcv_hydra.beton_path import INDEX_NAME, beton_exists, is_sharded
from ffcv_hydra.collection.appending import append_to_beton
from ffcv_hydra.collection.facts import read_facts
from ffcv_hydra.collection.sharing import Worker, WorkerSummary, make_shards
from ffcv_hydra.collection.unfinished import remove_unfinished
from ffcv_hydra.collection.writing import write_sharded_beton
from ffcv_hydra.errors import BetonError, ConversionError

IfExists = Literal["keep", "overwrite", "append", "error"]


def convert(
    source: Any,
    path: str | os.PathLike[str],
    fields: FieldSpecs = None,
    *,
    if_exists: IfExists = "keep",
    shards: int | None = None,
    shard_size: int | str | None = None,
    worker: int | None = None,
    workers: int | None = None,
    description: Mapping[str, Any] | None = None,
    page_size: int | None = None,
    num_workers: int = -1,
    indices: Indices | None = None,
    chunksize: int = 100,
    shuffle_indices: bool = False,
    seed: int = 0,
    on_warning: OnWarning = "keep",
    resume: bool | None = None,
    progress: bool | None = None,
) -> BetonSummary | WorkerSummary | None:
    """Write a dataset into a beton, one file or sharded, unless it is there already.

    A second conversion of the same path waits for the first one and then keeps its file. Into how many files a beton is
    cut is no part of what it is made from: one that is there is kept however it is cut.

    Args:
        source: The dataset, or a function without arguments that builds it; called only if the beton has to be written.
        path: The beton.
        fields: How to store each item, see `resolve_fields`.
        if_exists: What to do with a beton that is at `path`: keep it if it was made from the same `description`,
            overwrite it, append what is new in the dataset (see `append_to_beton`), or raise an error. With `overwrite`
            a conversion that was interrupted begins anew.
        shards, shard_size: Write a folder of shards, see `write_sharded_beton`; one of both at most.
        worker, workers: With `shards`: this process is one of so many that make them together, see `make_shards`.
        description: What the beton is made from, as plain values. None: an existing beton is kept whatever it is.
        page_size, num_workers, indices, chunksize, shuffle_indices, seed, on_warning, progress: See `write_beton`.
        resume: Whether to go on from what an interrupted conversion has left. None: unless `if_exists` is `overwrite`.

    Returns:
        A summary, of a worker one of its part unless it has finished the whole; None if an existing beton was kept, as
        it is too if there is nothing to append.

    Raises:
        BetonError: if the beton that is at `path` was made from another description, or `if_exists` is `error`.
        ConversionError: if the dataset cannot be stored, see `write_beton`.
    """
    if if_exists not in get_args(IfExists):
        raise ConversionError(f"if_exists is {if_exists!r}; use keep, overwrite, append or error")
    if shards is not None and shard_size is not None:
        raise ConversionError(
            f"conversion.shards={shards} conversion.shard_size={shard_size}: they exclude each other; leave out one"
        )
    if (worker is None) != (workers is None):
        raise ConversionError(f"conversion.worker={worker} conversion.workers={workers}: give both, or none of them")
    if workers is not None and if_exists in ("overwrite", "append"):
        overwrites = if_exists == "overwrite"
        why = f"each would begin anew; remove {path} instead" if overwrites else "only one process appends"
        raise ConversionError(f"conversion.if_exists={if_exists} with conversion.workers: {why}")
    path = Path(os.path.expanduser(path))
    if replaced_path(path).exists():  # another process is about to replace it, or was killed then
        with Partial.locked(path):
            pass
    before = _identity(path)
    if before is not None and if_exists == "keep":
        check_description(path, description)
        return None
    if beton_exists(path) and if_exists == "error":
        raise BetonError(f"{path} exists already; use conversion.if_exists=keep or overwrite, or choose another path")
    options: dict[str, Any] = {
        "page_size": page_size,
        "num_workers": num_workers,
        "indices": indices,
        "chunksize": chunksize,
        "shuffle_indices": shuffle_indices,
        "seed": seed,
        "on_warning": on_warning,
        "description": description,
        "progress": progress,
    }
    if worker is not None and workers is not None:
        if shards is None:
            raise ConversionError(
                "conversion.workers needs conversion.shards: only of a number of shards is known where each begins"
            )
        one_of_them = Worker(worker, workers)
        done = make_shards(_built(source), path, fields, shards=shards, worker=one_of_them, **options)
        if done is None:
            check_description(path, description)
        return done
    with Partial.locked(path) as partial:
        now = _identity(path)
        appends = if_exists == "append"
        if now is not None and now != before and not appends:  # another process wrote it while this one waited
            check_description(path, description)
            return None
        dataset = _built(source)
        options |= {"resume": if_exists != "overwrite" if resume is None else resume, "partial": partial}
        if appends and now is not None:
            check_description(path, description)
            return append_to_beton(dataset, path, fields, shards=shards, shard_size=shard_size, **options)
        if shards is not None or shard_size is not None:
            return write_sharded_beton(dataset, path, fields, shards=shards, shard_size=shard_size, **options)
        remove_unfinished(partial.path)
        return write_beton(dataset, path, fields, **options)


def create_beton_wrapper(
    torch_dataset: Any,
    output_path: str | os.PathLike[str],
    fields: FieldSpecs = None,
    page_size: int | None = None,
    num_workers: int = -1,
    indices: Indices | None = None,
    chunksize: int = 100,
    shuffle_indices: bool = False,
    on_warning: OnWarning = "keep",
) -> BetonSummary | None:
    """Write a torch dataset into a beton at `output_path`, replacing what is there; goes on where it was interrupted.

    Args:
        torch_dataset: A map-style dataset whose items are tuples.
        output_path: The beton; missing directories are made.
        fields: How to store each item: None (inferred), or per item a `Field`, a dict of options, or None; as a
            sequence, or as a mapping from field names.
        page_size, num_workers, indices, chunksize, shuffle_indices, on_warning: See `write_beton`.

    Returns:
        A summary; None if another process wrote the same path in the meantime, whose file is then kept.

    Raises:
        ConversionError: if the dataset cannot be stored; names the index and the field.
    """
    return convert(  # type: ignore[return-value]  # without workers, it is no worker's
        lambda: torch_dataset,
        output_path,
        fields,
        if_exists="overwrite",
        page_size=page_size,
        num_workers=num_workers,
        indices=indices,
        chunksize=chunksize,
        shuffle_indices=shuffle_indices,
        on_warning=on_warning,
        resume=True,
    )


def check_description(path: str | os.PathLike[str], description: Mapping[str, Any] | None) -> None:
    """Raise `BetonError` if the beton at `path` is none, or says that it was made from another description.

    A beton that says nothing (written by stock FFCV or by `create_beton_wrapper`) is accepted as it is.
    """
    try:
        found = read_facts(path)
    except BetonError as error:
        if not beton_exists(path):  # any other folder is never replaced
            raise
        raise BetonError(f"{error}; conversion.if_exists=overwrite replaces it") from error
    if description is None or found is None or found.description is None:
        return
    if found.fingerprint == fingerprint(description):
        return
    difference = first_difference(found.description, normalise(description))
    key, stored, wanted = difference or ("description", found.description, description)
    raise BetonError(
        f"{path} was made from another configuration: {key} is {reprlib.repr(stored)} in the file, but "
        f"{reprlib.repr(wanted)} is wanted; use conversion.if_exists=overwrite, or choose another path"
    )


def _built(source: Any) -> Any:
    is_builder = isinstance(source, type) or (callable(source) and not hasattr(source, "__getitem__"))
    return source() if is_builder else source


def _identity(path: Path) -> tuple[int, int] | None:
    """Tells one file at `path` from a later one; None if there is none, or none that can be reached."""
    try:
        found = (path / INDEX_NAME if is_sharded(path) else path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
