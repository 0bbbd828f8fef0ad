"""What must hold before a beton's tables are trusted: a wrong pointer read by compiled code ends the process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from ffcv_hydra.beton import appendix, layout
from ffcv_hydra.beton.allocations import BLOCK_ROWS
from ffcv_hydra.beton.appendix import Appendix
from ffcv_hydra.beton.fields.array_fields import NDArrayField
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.image_fields import RAW
from ffcv_hydra.beton.fields.inference import STORABLE_KINDS
from ffcv_hydra.beton.fields.own_field import OwnField, describes_itself
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.beton.fields.stored_types import TYPE_IDS
from ffcv_hydra.beton.format import ALLOCATION, HEADER, VERSION
from ffcv_hydra.beton.layout import CUSTOM_TYPE_ID
from ffcv_hydra.errors import BetonError
from ffcv_hydra.foreign import adapted, advice_for_unknown_classes

AGAIN = "convert the dataset again"
RESTORE = "restore the file or convert the dataset again"


def check_header(header: np.ndarray, num_bytes: int) -> np.void:
    """The header, if it can be one."""
    if num_bytes == 0:
        raise BetonError(f"is empty; {AGAIN}")
    if len(header) == 0:
        raise BetonError(f"is not a beton: it has only {num_bytes} of {HEADER.itemsize} bytes of header; {AGAIN}")
    found = header[0]
    page_size = int(found["page_size"])
    if found["version"] != VERSION or page_size == 0 or page_size & (page_size - 1):
        raise BetonError(f"is not a beton of FFCV's format {VERSION}; name another file, or {AGAIN}")
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
    num_allocations, rest = divmod(num_bytes - table_start, ALLOCATION.itemsize)
    if rest:
        raise BetonError(f"was cut short: the last entry of its allocation table is not whole; {AGAIN}")
    return num_allocations


def check_checksums(
    facts: Appendix | None, num_allocations: int, metadata_end: int, table_start: int, page_size: int
) -> np.ndarray | None:
    """The checksums, uint64 (num_allocations,), or None if the file never had any."""
    if facts is None and not layout.is_ffcvs(metadata_end, table_start, page_size):
        raise BetonError(f"is damaged: FFCV did not write it, and the appendix of this package is missing; {RESTORE}")
    if facts is None or facts.checksums is None:
        return None
    if len(facts.checksums) != num_allocations:
        raise BetonError(f"is damaged: {len(facts.checksums)} checksums for {num_allocations} allocations; {RESTORE}")
    return facts.checksums


def check_digest(file: BinaryIO, metadata_end: int, start: int) -> None:
    """Whether header and tables are those that were written."""
    file.seek(start)
    if file.read(appendix.DIGEST_BYTES) != appendix.digest(file, metadata_end, start):
        raise BetonError(f"header or tables are damaged; {RESTORE}")


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


def check_pointers(name: str, offsets: np.ndarray, pointers: np.ndarray) -> np.ndarray:
    """The row of each of a field's data, int64 (num_samples,), if the allocation table has them all.

    Args:
        name: The field's name.
        offsets: uint64 (num_samples,); the pointers in the metadata.
        pointers: uint64 (num_allocations,), sorted; of equal ones the largest allocation comes last.
    """
    rows = np.empty(len(offsets), dtype=np.int64)
    for begin in range(0, len(offsets), BLOCK_ROWS):
        wanted = offsets[begin : begin + BLOCK_ROWS]
        found = np.searchsorted(pointers, wanted, side="right") - 1
        lost = np.flatnonzero((found < 0) | (pointers[found] != wanted if len(pointers) else True))
        if lost.size:
            sample = begin + lost[0]
            raise BetonError(f"is damaged: sample {sample}, field {name!r} is not in its allocation table; {AGAIN}")
        rows[begin : begin + BLOCK_ROWS] = found
    return rows


def check_sizes(name: str, field: Field, metadata: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The sizes of a field's data that the metadata imply, uint64 (num_samples,), if the allocations hold them.

    Args:
        name: The field's name.
        field: The field.
        metadata: The field's metadata (num_samples,).
        sizes: uint64 (num_samples,); of the allocations.
    """
    for begin in range(0, len(sizes), BLOCK_ROWS):
        block = slice(begin, begin + BLOCK_ROWS)
        wrong = np.flatnonzero(_has_wrong_size(field, metadata[block], sizes[block]))
        if wrong.size:
            sample = begin + wrong[0]
            raise BetonError(f"is damaged: sample {sample}, field {name!r} has a size that cannot be right; {AGAIN}")
    return told_sizes(metadata, sizes)


def told_sizes(metadata: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The sizes of a field's data (num_samples,), of those of its allocations: what the metadata say, if they do."""
    # An empty value of stock FFCV shares its pointer with the next one: only the metadata know that it is empty.
    return metadata["size"] if metadata.dtype.names == ("ptr", "size") else sizes


def pointer_column(field: Field, metadata: np.ndarray) -> np.ndarray | None:
    """The pointers to a field's data, a view (num_samples,) of its metadata; None if it has none."""
    pointer = np.dtype("<u8")
    for column in ("data_ptr", "ptr"):
        if metadata.dtype.fields is not None and column in metadata.dtype.fields:
            return metadata[column] if metadata.dtype.fields[column][0] == pointer else None
    return metadata if isinstance(field, NDArrayField) and metadata.dtype == pointer else None


def _build_field(name: str, descriptor: np.void, custom_field: type[Field] | None) -> Field:
    type_id = int(descriptor["type_id"])
    field_class = adapted(custom_field) or TYPE_IDS.get(type_id)
    if custom_field is not None and not hasattr(field_class, "from_binary"):
        raise BetonError(f"custom_fields has for field {name!r} {custom_field!r}, which is no class of a field")
    if field_class is None and type_id == CUSTOM_TYPE_ID and describes_itself(descriptor["arguments"]):
        field_class = OwnField
    if field_class is None:
        what = "of a class that FFCV does not know" if type_id == CUSTOM_TYPE_ID else f"of unknown type {type_id}"
        raise BetonError(f"field {name!r} is {what}; name its class in custom_fields{advice_for_unknown_classes()}")
    try:
        field = field_class.from_binary(descriptor["arguments"])
        itemsize = field.metadata_type.itemsize
    except BetonError as error:
        raise BetonError(f"field {name!r} {error}, or name its class in custom_fields") from error
    except Exception as error:  # whatever a field makes of damaged bytes
        if isinstance(error.__cause__, ImportError):
            raise BetonError(f"field {name!r}: {error}") from error
        raise BetonError(f"field {name!r} cannot be read from its description; {AGAIN}") from error
    if (isinstance(field, NDArrayField) and field.dtype.kind not in STORABLE_KINDS) or itemsize == 0:
        raise BetonError(f"field {name!r} has a dtype that cannot be stored; {AGAIN}")
    if isinstance(field, NDArrayField) and field.element_size > layout.MAX_PAGE_SIZE:
        raise BetonError(f"field {name!r} has a shape that cannot be right; {AGAIN}")
    return field


def _has_wrong_size(field: Field, metadata: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Whether each size contradicts the metadata, bool (N,)."""
    if isinstance(field, OwnField):
        return field.has_wrong_size(metadata, sizes)
    if isinstance(field, NDArrayField):
        return sizes != int(field.element_size)
    if type(field) is RGBImageField:
        raw = metadata["mode"] == RAW
        pixels = metadata["width"].astype(np.uint64) * metadata["height"].astype(np.uint64)
        return (raw & (sizes != pixels * np.uint64(3))) | (metadata["mode"] > RAW) | (pixels == 0)
    if metadata.dtype.names == ("ptr", "size"):
        return metadata["size"] > sizes
    return np.zeros(len(sizes), dtype=bool)
