"""What must hold before a beton's tables are trusted: a wrong pointer read by compiled code ends the process."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from ffcv.fields import Field, JSONField, NDArrayField, RGBImageField, TorchTensorField
from ffcv.types import ALLOC_TABLE_TYPE, CURRENT_VERSION, TYPE_ID_HANDLER, HeaderType

from ffcv_hydra.beton.inference import STORABLE_KINDS
from ffcv_hydra.beton.layout import CUSTOM_TYPE_ID
from ffcv_hydra.errors import BetonError

AGAIN = "convert the dataset again"
JPG, RAW = 0, 1  # `mode` of an image's metadata


def check_header(header: np.ndarray, num_bytes: int) -> np.void:
    """The header, if it can be one."""
    if num_bytes == 0:
        raise BetonError(f"is empty; {AGAIN}")
    if len(header) == 0:
        raise BetonError(f"is not a beton: it has only {num_bytes} of {HeaderType.itemsize} bytes of header; {AGAIN}")
    found = header[0]
    page_size = int(found["page_size"])
    if found["version"] != CURRENT_VERSION or page_size == 0 or page_size & (page_size - 1):
        raise BetonError(f"is not a beton of FFCV's format {CURRENT_VERSION}; name another file, or {AGAIN}")
    if found["num_fields"] == 0 or found["num_samples"] == 0:
        raise BetonError(f"holds no samples; {AGAIN}")
    return found


def check_fields(
    descriptors: np.ndarray, num_fields: int, custom_fields: Mapping[str, type[Field]]
) -> dict[str, Field]:
    """The fields by name."""
    if len(descriptors) < num_fields:
        raise BetonError(f"was cut short: it describes {len(descriptors)} of {num_fields} fields; {AGAIN}")
    fields: dict[str, Field] = {}
    for position, descriptor in enumerate(descriptors):
        try:
            name = descriptor["name"].tobytes().split(b"\0")[0].decode("ascii")
        except UnicodeDecodeError as error:
            raise BetonError(f"the name of field {position} cannot be decoded; {AGAIN}") from error
        if not name or name in fields:
            raise BetonError(f"field {position} has no name of its own ({name!r}); {AGAIN}")
        fields[name] = _build_field(name, descriptor, custom_fields.get(name))
    unknown = [name for name in custom_fields if name not in fields]
    if unknown:
        raise BetonError(f"has no field {unknown[0]!r} for custom_fields; it has {', '.join(fields)}")
    return fields


def check_regions(metadata_end: int, table_start: int, num_bytes: int) -> int:
    """Whether metadata, data and allocation table fit into the file; returns the number of allocations."""
    if table_start == 0:
        raise BetonError(f"was never finished (it has no allocation table); {AGAIN}")
    if metadata_end > num_bytes or table_start > num_bytes:
        expected = max(metadata_end, table_start)
        raise BetonError(f"was cut short: it has {num_bytes} bytes, and must have at least {expected}; {AGAIN}")
    if table_start < metadata_end:
        raise BetonError(f"is damaged: its allocation table stands before the end of its metadata; {AGAIN}")
    num_allocations, rest = divmod(num_bytes - table_start, ALLOC_TABLE_TYPE.itemsize)
    if rest:
        raise BetonError(f"was cut short: the last entry of its allocation table is not whole; {AGAIN}")
    return num_allocations


def check_allocations(
    pointers: np.ndarray, sizes: np.ndarray, sample_ids: np.ndarray, start: int, stop: int, num_samples: int
) -> None:
    """Whether all allocations, uint64 (num_allocations,), lie in the data region from `start` to `stop`."""
    # Compared this way around, nothing can overflow.
    outside = (pointers < start) | (pointers > stop) | (sizes > np.uint64(stop) - np.minimum(pointers, np.uint64(stop)))
    if outside.any():
        pointer = pointers[np.flatnonzero(outside)[0]]
        raise BetonError(f"is damaged: the allocation at {pointer} lies outside of its data; {AGAIN}")
    if (sample_ids >= num_samples).any():
        raise BetonError(f"is damaged: its allocation table names a sample beyond its {num_samples}; {AGAIN}")


def check_extents(
    name: str, field: Field, metadata: np.ndarray, pointers: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Byte offsets and sizes of a field's data, uint64 (num_samples,) each; None if it has none.

    Args:
        name: The field's name.
        field: The field.
        metadata: The field's metadata (num_samples,).
        pointers: uint64 (num_allocations,), sorted; of equal ones the largest allocation comes last.
        sizes: uint64 (num_allocations,).
    """
    offsets = _pointer_column(field, metadata)
    if offsets is None:
        return None
    if np.array_equal(offsets, pointers):  # the only field with data, as written here
        found = sizes
    else:
        slots = np.searchsorted(pointers, offsets, side="right") - 1
        lost = np.flatnonzero((slots < 0) | (pointers[slots] != offsets if len(pointers) else True))
        if lost.size:
            raise BetonError(f"is damaged: sample {lost[0]}, field {name!r} is not in its allocation table; {AGAIN}")
        found = sizes[slots]
    found = _check_sizes(name, field, metadata, found)
    offsets.setflags(write=False)
    found.setflags(write=False)
    return offsets, found


def _build_field(name: str, descriptor: np.void, custom_field: type[Field] | None) -> Field:
    type_id = int(descriptor["type_id"])
    field_class = custom_field or TYPE_ID_HANDLER.get(type_id)
    if field_class is None:
        what = "of a class that FFCV does not know" if type_id == CUSTOM_TYPE_ID else f"of unknown type {type_id}"
        raise BetonError(f"field {name!r} is {what}; name its class in custom_fields")
    try:
        field = _own_class(field_class, field_class.from_binary(descriptor["arguments"]))
        itemsize = field.metadata_type.itemsize
    except Exception as error:  # whatever a field makes of damaged bytes
        raise BetonError(f"field {name!r} cannot be read from its description; {AGAIN}") from error
    if (isinstance(field, NDArrayField) and field.dtype.kind not in STORABLE_KINDS) or itemsize == 0:
        raise BetonError(f"field {name!r} has a dtype that cannot be stored; {AGAIN}")
    return field


def _own_class(field_class: type[Field], field: Field) -> Field:
    """FFCV reads JSON fields back as bytes fields and tensor fields as array fields; give them their class again."""
    if field_class is JSONField:
        return JSONField()
    if field_class is TorchTensorField and isinstance(field, NDArrayField):
        return TorchTensorField(torch.from_numpy(np.empty(0, dtype=field.dtype)).dtype, field.shape)
    return field


def _pointer_column(field: Field, metadata: np.ndarray) -> np.ndarray | None:
    pointer = np.dtype("<u8")
    for column in ("data_ptr", "ptr"):
        if metadata.dtype.fields is not None and column in metadata.dtype.fields:
            is_pointer = metadata.dtype.fields[column][0] == pointer
            return np.ascontiguousarray(metadata[column]) if is_pointer else None
    if isinstance(field, NDArrayField) and metadata.dtype == pointer:
        return np.ascontiguousarray(metadata)
    return None


def _check_sizes(name: str, field: Field, metadata: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The sizes (num_samples,) that the metadata imply, if the allocations hold them."""
    wrong = np.zeros(len(sizes), dtype=bool)
    if isinstance(field, NDArrayField):
        wrong = sizes != int(field.element_size)
    elif type(field) is RGBImageField:
        raw = metadata["mode"] == RAW
        pixels = metadata["width"].astype(np.uint64) * metadata["height"].astype(np.uint64)
        wrong = (raw & (sizes != pixels * np.uint64(3))) | (metadata["mode"] > RAW) | (pixels == 0)
    elif metadata.dtype.names == ("ptr", "size"):
        # An empty value of stock FFCV shares its pointer with the next one: only the metadata know that it is empty.
        wrong = metadata["size"] > sizes
        sizes = np.ascontiguousarray(metadata["size"])
    if wrong.any():
        sample = np.flatnonzero(wrong)[0]
        raise BetonError(f"is damaged: sample {sample}, field {name!r} has a size that cannot be right; {AGAIN}")
    return sizes
