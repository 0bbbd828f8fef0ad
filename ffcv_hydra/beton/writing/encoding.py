"""From samples of a dataset to parts of a beton: records, data, and where in the records the pointers stand.

A field's `encode` asks a `malloc` for room and writes the pointer it gets into its metadata. Where the data ends up in
the file is only known to the process that writes it, so the `malloc` here hands out placeholders: numbers that occur in
no metadata by chance. They are searched for afterwards, in all of a part's records at once, and replaced by the writer.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import xxhash

from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.coercion import coerce
from ffcv_hydra.beton.fields.encoded_jpeg import EncodedJpeg
from ffcv_hydra.beton.fields.inference import check_is_tuple
from ffcv_hydra.beton.fields.places import PlacesField
from ffcv_hydra.beton.fields.ragged_field import RaggedArrayField
from ffcv_hydra.beton.fields.source_image import NotingDamage
from ffcv_hydra.beton.format import record_type
from ffcv_hydra.beton.layout import room
from ffcv_hydra.beton.tables import Tables
from ffcv_hydra.beton.writing.frame import Framing, pictures_of
from ffcv_hydra.beton.writing.seeding import load_torch_for, seeded
from ffcv_hydra.beton.writing.stored_value import StoredValue
from ffcv_hydra.errors import ConversionError, describe_error

OnWarning = Literal["keep", "error"]

FIRST_PLACEHOLDER = 0x5FC5_BE70_0000_0000  # below 2**63: a field may keep it in a signed integer meanwhile
PART_BYTES = 4 << 20  # a part is handed on once it holds this much, so that memory stays bounded
PART_SAMPLES = 1024  # or so many


@dataclass(frozen=True)
class Part:
    """Consecutive encoded samples.

    Attributes:
        tables: What is known of the samples besides their data.
        data: The allocations one after another; an empty one takes one byte, so that its pointer is its own.
    """

    tables: Tables
    data: bytes | bytearray

    @property
    def nbytes(self) -> int:
        return self.tables.records.nbytes + len(self.data)

    def piece(self, start: int, stop: int) -> Part:
        """The samples from `start` to `stop`."""
        before, through = (self.tables.piece(0, end).sizes for end in (start, stop))
        begin, end = (int(room(sizes).sum()) for sizes in (before, through))
        return Part(self.tables.piece(start, stop), self.data[begin:end])


class SampleEncoder:
    """Encodes items of a dataset with the fields of a beton.

    Args:
        fields: The fields by name, in the order of the items.
        seed: Seeds the global generators before each portion, for datasets and fields that draw from them
            (`RGBImageField(write_mode="proportion")` does), so that a file does not depend on the number of workers.
        on_warning: Whether to keep what can be read of a damaged image, with a warning, or to raise an error.

    Raises:
        ConversionError: if a field follows one that is not there, or is no field of items.
    """

    def __init__(self, fields: Mapping[str, Field], seed: int = 0, on_warning: OnWarning = "keep") -> None:
        load_torch_for(*fields.values())
        self.names = list(fields)
        self.fields = list(fields.values())
        self.seed = seed
        self.on_warning = on_warning
        self.dtype = record_type(self.fields)
        columns = (self.dtype.fields or {}).values()
        offsets = [list(_pointer_offsets(*column[:2])) for column in columns]
        self.followed = _followed(fields)
        self.pictures = pictures_of(self.fields)
        self._pointers = [(position, offset) for position, found in enumerate(offsets) for offset in found]

    def encode_portion(self, dataset: Any, indices: np.ndarray, start: int, stop: int) -> Iterator[Part]:
        """Encode `dataset[indices[start]]` to `dataset[indices[stop - 1]]` into one or more parts.

        Raises:
            ConversionError: naming the index in the dataset, and the field where one failed to encode.
        """
        chosen = indices[start:stop].tolist()
        return self.encode_items(((index, load_item(dataset, index)) for index in chosen), start)

    def encode_items(self, items: Iterable[tuple[int | str, Any]], portion: int) -> Iterator[Part]:
        """Encode items, each with what errors call it, into one or more parts. `portion` goes into the seed."""
        with seeded(self.seed, portion):
            building = _PartBuilder(self)
            for index, item in items:
                building.add(index, item)
                if building.num_bytes >= PART_BYTES or building.num_samples == PART_SAMPLES:
                    yield building.finish()
                    building = _PartBuilder(self)
            if building.num_samples:
                yield building.finish()

    def encode_item(self, item: Any, index: int | str) -> Part:
        """Encode one item on its own."""
        building = _PartBuilder(self)
        building.add(index, item)
        return building.finish()

    def pointer_offsets(self, name: str) -> list[int]:
        """Where in a record a field's pointers may stand."""
        return [offset for position, offset in self._pointers if self.names[position] == name]

    def owner(self, location: int) -> str:
        """The field to whose metadata a byte of the flattened records belongs."""
        offset = location % self.dtype.itemsize
        return next(self.names[position] for position, found in self._pointers if found == offset)

    def find_pointers(self, records: np.ndarray, owners: np.ndarray, indices: Sequence[int | str]) -> np.ndarray:
        """Where each allocation's placeholder stands.

        Args:
            records: uint8 (num_samples, itemsize).
            owners: int64 (num_allocations, 2): record and field that asked for each allocation.
            indices: What errors call each record: its index in the dataset.

        Returns:
            int64 (num_allocations,): byte offsets into the flattened records.

        Raises:
            ConversionError: if a placeholder does not stand exactly once in its own field's metadata.
        """
        locations = np.full(len(owners), -1, dtype=np.int64)
        times_found = np.zeros(len(owners), dtype=np.int64)
        for position, offset in self._pointers:
            column = np.ndarray(len(records), "<u8", records.data, offset, (records.strides[0],))
            allocations = column - np.uint64(FIRST_PLACEHOLDER)  # wraps around to huge numbers for all else
            rows = np.flatnonzero(allocations < len(owners))
            found = allocations[rows].astype(np.int64)
            mine = (owners[found, 0] == rows) & (owners[found, 1] == position)
            locations[found[mine]] = rows[mine] * self.dtype.itemsize + offset
            np.add.at(times_found, found, 1)
        lost = np.flatnonzero((locations < 0) | (times_found != 1))
        if lost.size:
            record, position = owners[lost[0]]
            raise ConversionError(
                f"sample {indices[record]}, field {self.names[position]!r}: encode must store each pointer from malloc "
                f"unchanged in one '<u8' entry of its metadata"
            )
        return locations


class _PartBuilder:
    """Collects encoded samples, at most `PART_SAMPLES`, until they are enough for a part."""

    def __init__(self, encoder: SampleEncoder) -> None:
        self.encoder = encoder
        self.num_samples = 0
        self.num_bytes = 0
        self._records = np.zeros(PART_SAMPLES, dtype=encoder.dtype)
        self._columns = [self._records[name] for name in encoder.dtype.names or ()]
        self._indices: list[int | str] = []
        self._owners: list[tuple[int, int]] = []
        self._sizes: list[int] = []
        self._buffers: list[np.ndarray] = []
        self._warnings: list[str] = []

    def add(self, index: int | str, item: Any) -> None:
        encoder = self.encoder
        check_is_tuple(item, index)
        if len(item) != len(encoder.fields):
            raise ConversionError(f"sample {index}: expected {len(encoder.fields)} items, got {len(item)}")
        row = slice(self.num_samples, self.num_samples + 1)
        metadata = [column[row] for column in self._columns]
        position, told = 0, list[str]()
        try:
            with NotingDamage() as damage:
                for position, (field, value) in enumerate(zip(encoder.fields, item, strict=True)):
                    malloc = partial(self._allocate, position)  # kept by nobody: buffers go with their part
                    coerced = value if isinstance(value, StoredValue) else coerce(field, value)
                    if isinstance(coerced, (EncodedJpeg, StoredValue)):
                        coerced.store(metadata[position], malloc)
                    elif encoder.pictures and isinstance(field, PlacesField):
                        with Framing(encoder.pictures, item, damage):
                            field.encode(metadata[position], coerced, malloc)
                    else:
                        field.encode(metadata[position], coerced, malloc)
                    if damage and encoder.on_warning == "error":
                        raise ConversionError(f"{damage[0]}; replace it, or leave this sample out")
                    told += [f"field {encoder.names[position]!r}: {line}" for line in damage]
                    damage.clear()
        except BaseException as error:
            raise blamed(error, f"sample {index}, field {encoder.names[position]!r}") from error
        for follower, followed in encoder.followed:
            self._compare_items(metadata, item, index, follower, followed)
        if told:
            self._warnings.append(f"sample {index}, {'; '.join(told)}")
        self._indices.append(index)
        self.num_samples += 1
        self.num_bytes += encoder.dtype.itemsize

    def _compare_items(
        self, metadata: Sequence[np.ndarray], item: Sequence[Any], index: int | str, follower: int, followed: int
    ) -> None:
        """Refuse a sample whose field `follower` has not as many items as field `followed`, both by their places."""
        if isinstance(item[follower], StoredValue):
            return  # it was looked at when it was made
        encoder = self.encoder
        fields: list[Any] = encoder.fields
        mine, theirs = (fields[place].num_owners(item[place], metadata[place]) for place in (follower, followed))
        if mine != theirs:
            name, followed_name = encoder.names[follower], encoder.names[followed]
            raise ConversionError(
                f"sample {index}, field {name!r}: {mine} items, but {followed_name!r}, which it follows, has {theirs}; "
                "give one for each"
            )

    def _allocate(self, position: int, size: int) -> tuple[int, np.ndarray]:
        size = int(size)
        placeholder = FIRST_PLACEHOLDER + len(self._sizes)
        buffer = np.zeros(max(size, 1), dtype=np.uint8)
        self._owners.append((self.num_samples, position))
        self._sizes.append(size)
        self._buffers.append(buffer)
        self.num_bytes += buffer.nbytes
        return placeholder, buffer[:size]

    def finish(self) -> Part:
        # bytes: NumPy does not copy the gaps between columns
        records = self._records[: self.num_samples].view(np.uint8).reshape(self.num_samples, -1).copy()
        owners = np.array(self._owners, dtype=np.int64).reshape(-1, 2)
        filled = zip(self._buffers, self._sizes, strict=True)
        checksums = [xxhash.xxh64_intdigest(buffer[:size].data) for buffer, size in filled]
        tables = Tables(
            records=records,
            locations=self.encoder.find_pointers(records, owners, self._indices),
            sizes=np.array(self._sizes, dtype=np.uint64),
            checksums=np.array(checksums, dtype=np.uint64),
            warnings=tuple(self._warnings),
        )
        return Part(tables, b"".join(buffer.data for buffer in self._buffers))


def load_item(dataset: Any, index: int) -> Any:
    """`dataset[index]`, whose failures become a `ConversionError` that names the index."""
    try:
        return dataset[index]
    except BaseException as error:
        raise blamed(error, f"sample {index}", "the dataset raised ") from error


def blamed(error: BaseException, where: str, what: str = "") -> ConversionError:
    """What to raise for whatever was raised: an error that says where. An interrupt of the user's is raised here."""
    if isinstance(error, ConversionError):
        return ConversionError(f"{where}: {error}")
    # SystemExit, the panics of Rust's packages, ...; and where Ctrl-C is ignored, as in a worker, nobody but the
    # dataset has raised it.
    if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        raise error
    return ConversionError(f"{where}: {what}{describe_error(error)}")


def _followed(fields: Mapping[str, Field]) -> list[tuple[int, int]]:
    """The places of fields with items, and of those whose items these go with."""
    leading = [name for name, field in fields.items() if isinstance(field, RaggedArrayField) and field.follows is None]
    names, found = list(fields), []
    for name, field in fields.items():
        if isinstance(field, RaggedArrayField) and field.follows is not None:
            if field.follows not in leading:
                known = f"use one of {', '.join(leading)}" if leading else "add a BoundingBoxesField"
                raise ConversionError(f"field {name!r} follows {field.follows!r}, no field with items; {known}")
            found.append((names.index(name), names.index(field.follows)))
    return found


def _pointer_offsets(dtype: np.dtype, offset: int) -> Iterator[int]:
    """Byte offsets of the '<u8' leaves of a metadata dtype."""
    if dtype.fields is not None:
        for name in dtype.names or ():
            inner, inner_offset = dtype.fields[name][:2]
            yield from _pointer_offsets(inner, offset + inner_offset)
    elif dtype.subdtype is not None:
        base, _ = dtype.subdtype
        for start in range(0, dtype.itemsize, base.itemsize):
            yield from _pointer_offsets(base, offset + start)
    elif dtype == np.dtype("<u8"):
        yield offset
