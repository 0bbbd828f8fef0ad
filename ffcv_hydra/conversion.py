"""Conversion of a dataset into a beton, once: what `convert.py` and the data module call, with plain values."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ffcv_hydra.beton import BetonSummary, FieldSpecs, fingerprint, first_difference, write_beton
from ffcv_hydra.beton.appendix import normalise
from ffcv_hydra.beton.reading.reader import read_appendix
from ffcv_hydra.beton.writing.encoding import OnWarning
from ffcv_hydra.beton.writing.partial import Partial
from ffcv_hydra.beton.writing.writer import Indices
from ffcv_hydra.errors import BetonError, ConversionError

IfExists = Literal["keep", "overwrite", "error"]


def convert(
    source: Any,
    path: str | os.PathLike[str],
    fields: FieldSpecs = None,
    *,
    if_exists: IfExists = "keep",
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
) -> BetonSummary | None:
    """Write a dataset into a beton, unless it is there already.

    A second conversion of the same path waits for the first one and then keeps its file.

    Args:
        source: The dataset, or a function without arguments that builds it; called only if the beton has to be written.
        path: The beton.
        fields: How to store each item, see `resolve_fields`.
        if_exists: What to do with a beton that is at `path`: keep it if it was made from the same `description`,
            overwrite it, or raise an error. With `overwrite` a conversion that was interrupted begins anew.
        description: What the beton is made from, as plain values. None: an existing beton is kept whatever it is.
        page_size, num_workers, indices, chunksize, shuffle_indices, seed, on_warning, progress: See `write_beton`.
        resume: Whether to go on from what an interrupted conversion has left. None: unless `if_exists` is `overwrite`.

    Returns:
        A summary, or None if an existing beton was kept.

    Raises:
        BetonError: if the beton that is at `path` was made from another description, or `if_exists` is `error`.
        ConversionError: if the dataset cannot be stored, see `write_beton`.
    """
    if if_exists not in ("keep", "overwrite", "error"):
        raise ConversionError(f"if_exists is {if_exists!r}; use keep, overwrite or error")
    path = Path(os.path.expanduser(path))
    before = _identity(path)
    if before is not None and if_exists == "keep":
        check_description(path, description)
        return None
    if path.is_file() and if_exists == "error":
        raise BetonError(f"{path} exists already; use conversion.if_exists=keep or overwrite, or choose another path")
    with Partial.locked(path) as partial:
        now = _identity(path)
        if now is not None and now != before:  # another process wrote it while this one waited
            check_description(path, description)
            return None
        return write_beton(
            source() if _builds_dataset(source) else source,
            path,
            fields,
            page_size=page_size,
            num_workers=num_workers,
            indices=indices,
            chunksize=chunksize,
            shuffle_indices=shuffle_indices,
            seed=seed,
            on_warning=on_warning,
            description=description,
            resume=if_exists != "overwrite" if resume is None else resume,
            progress=progress,
            partial=partial,
        )


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
    return convert(
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
        found = read_appendix(path)
    except BetonError as error:
        if not os.path.isfile(path):  # a folder is never replaced
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


def _builds_dataset(source: Any) -> bool:
    return isinstance(source, type) or (callable(source) and not hasattr(source, "__getitem__"))


def _identity(path: Path) -> tuple[int, int] | None:
    """Tells one file at `path` from a later one; None if there is none, or none that can be reached."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
