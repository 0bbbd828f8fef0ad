"""Where things stand in a beton.

    header | field descriptors | metadata | data ... | appendix | allocation table

The table never begins at a page's border, where FFCV puts it: a file that has it elsewhere must have an appendix.
Stock FFCV reads the allocation table to the end of the file, so nothing may follow it. Its loader can also read a file
by pages, and finds an allocation's page as `pointer >> log2(page_size)`: no allocation may cross a page's border, and
a sample that is in one page takes one to read. So small samples are kept whole, and large ones where that costs little.
FFCV's own writer starts a new page for each worker and pads the last one (25 MB for 256 tiny images); here data begins
right after the metadata and only leaves the gaps that the borders force.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.format import ALLOCATION, DESCRIPTOR, HEADER, VERSION
from ffcv_hydra.errors import ConversionError

MIN_PAGE_SIZE = 1 << 21
MAX_PAGE_SIZE = 1 << 31  # the largest power of two that the header's 32 bits hold
DEFAULT_PAGE_SIZE = 1 << 23
CUSTOM_TYPE_ID = 255
MAX_GAP_SHARE = 16  # a page in so many is the most that is left free to keep a sample in one page
MAX_ARRAY_DIMS = 32  # the room that FFCV's array field has for a shape


def header(num_fields: int, num_samples: int, page_size: int, alloc_table_ptr: int) -> bytes:
    """The first bytes of the file."""
    record = np.zeros(1, dtype=HEADER)
    record["version"] = VERSION
    record["num_fields"] = num_fields
    record["num_samples"] = num_samples
    record["page_size"] = page_size
    record["alloc_table_ptr"] = alloc_table_ptr
    return record.tobytes()


def descriptors(names: Sequence[str], fields: Sequence[Field]) -> bytes:
    """The field descriptors, which follow the header."""
    table = np.zeros(len(fields), dtype=DESCRIPTOR)
    for row, name, field in zip(table, names, fields, strict=True):
        row["type_id"] = vars(type(field)).get("type_id", CUSTOM_TYPE_ID)  # not what a derived class inherits
        row["name"][: len(name)] = np.frombuffer(name.encode("ascii"), dtype=np.uint8)
        row["arguments"][:] = field.to_binary()[0]
    return table.tobytes()


def alloc_table(allocations: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> bytes:
    """The allocation table, from sample ids, pointers and sizes; uint64 (num_allocations,) each."""
    table = np.zeros(sum(len(sizes) for _, _, sizes in allocations), dtype=ALLOCATION)
    if len(table):
        table["sample_id"], table["ptr"], table["size"] = map(np.concatenate, zip(*allocations, strict=True))
    return table.tobytes()


def metadata_start(num_fields: int) -> int:
    """Where the metadata begins."""
    return HEADER.itemsize + num_fields * DESCRIPTOR.itemsize


def room(sizes: np.ndarray) -> np.ndarray:
    """The bytes that allocations take: an empty one takes one, so that no other shares its pointer (TRAPS W7)."""
    return np.maximum(sizes, np.uint64(1))


def place(sizes: np.ndarray, sample_ids: np.ndarray, start: int, page_size: int) -> tuple[np.ndarray, int]:
    """Pointers for allocations that follow one another from `start` on without crossing a page's border.

    Those of one sample lie in one page, since FFCV reads a page for each it finds, unless that would leave a gap of
    more than `page_size / MAX_GAP_SHARE`: samples of up to that size always do.

    Args:
        sizes: uint64 (num_allocations,); bytes, each at most `page_size`.
        sample_ids: uint64 (num_allocations,); in order. Whose they are.
        start: The first free byte.
        page_size: Bytes, a power of two.

    Returns:
        The pointers, uint64 (num_allocations,), and the next free byte.
    """
    ends = np.cumsum(room(sizes), dtype=np.uint64)
    begins = ends - room(sizes)
    firsts = np.searchsorted(sample_ids, sample_ids)  # of the sample of each allocation
    pointers = np.empty(len(sizes), dtype=np.uint64)
    done = 0
    while done < len(sizes):  # once per page
        shift = np.uint64(start) - begins[done]
        border = (start // page_size + 1) * page_size
        stop = int(np.searchsorted(ends, np.uint64(border) - shift, side="right"))
        if stop < len(sizes) and firsts[stop] >= done:
            gap = border - int(begins[firsts[stop]] + shift)
            stop = int(firsts[stop]) if gap <= page_size // MAX_GAP_SHARE else stop
        pointers[done:stop] = begins[done:stop] + shift
        start = border if stop < len(sizes) else int(ends[-1] + shift)
        done = stop
    return pointers, start


def appendix_start(end: int, size: int, page_size: int) -> int:
    """Where an appendix of `size` bytes goes if the data end at `end`: the table after it must not begin a page."""
    return end + ((end + size) % page_size == 0)


def is_ffcvs(metadata_end: int, table_start: int, page_size: int) -> bool:
    """Whether the allocation table stands where FFCV puts it: after the last page, or after the metadata alone."""
    return table_start == metadata_end or table_start % page_size == 0


def page_size_for(largest: int) -> int:
    """A page size that keeps the gaps before page borders below 5 % for samples of up to `largest` bytes."""
    return min(max(DEFAULT_PAGE_SIZE, _next_power_of_two(20 * largest)), MAX_PAGE_SIZE)


def check_page_size(page_size: int) -> None:
    """Raise `ConversionError` unless FFCV can use the page size."""
    if page_size & (page_size - 1) or not MIN_PAGE_SIZE <= page_size <= MAX_PAGE_SIZE:
        raise ConversionError(f"page_size is {page_size}; use a power of two from {MIN_PAGE_SIZE} to {MAX_PAGE_SIZE}")


def too_large(label: str, size: int, page_size: int) -> ConversionError:
    """The error for an allocation that does not fit into a page."""
    needed = _next_power_of_two(size)
    advice = f"use page_size={needed}" if needed <= MAX_PAGE_SIZE else f"a beton holds at most {MAX_PAGE_SIZE}"
    return ConversionError(f"{label}: {size} bytes do not fit into a page of {page_size}; {advice}")


def _next_power_of_two(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()
