"""What an index says of a beton."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffcv_hydra.beton.data_digest import data_digest
from ffcv_hydra.beton.reading.checks import pointer_column
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.collection.index import ShardEntry


def shard_entry(beton: Beton, file: str) -> ShardEntry:
    """What an index says of a beton that it calls `file`."""
    data = data_digest(beton)
    return ShardEntry(
        file,
        beton.num_samples,
        beton.files[0].num_bytes,
        beton.checksum,
        "" if data is None else str(data),
        beton.page_size,
        extremes_of(beton),
    )


def extremes_of(beton: Beton) -> dict[str, tuple[int, int]]:
    """The least and the largest of each of its columns of whole numbers, but for pointers."""
    return {key: (int(column.min()), int(column.max())) for key, column in _columns(beton)}


def sizes_key(name: str) -> str:
    """What `ShardEntry.extremes` calls the stored bytes of a field."""
    return f"{name}: bytes"


def _columns(beton: Beton) -> Iterator[tuple[str, np.ndarray]]:
    """The columns of whole numbers, but for pointers: of metadata by `field` or `field.column`, and stored sizes."""
    for name, field in beton.fields.items():
        metadata, extents = beton.field_metadata(name), beton.extents(name)
        pointers = pointer_column(field, metadata)
        parts = {name: metadata}
        if metadata.dtype.names:
            parts = {f"{name}.{column}": metadata[column] for column in metadata.dtype.names}
        for key, column in parts.items():
            is_pointer = pointers is not None and column.ctypes.data == pointers.ctypes.data
            if column.dtype.kind in "iu" and not is_pointer:
                yield key, column
        if extents is not None:
            yield sizes_key(name), extents[1]
