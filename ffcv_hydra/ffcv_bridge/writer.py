"""FFCV's `DatasetWriter`, by this package's conversion."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from ffcv import fields as ffcv_fields
from ffcv.types import get_metadata_type
from ffcv.utils import is_power_of_2
from ffcv.writer import MAX_PAGE_SIZE, MIN_PAGE_SIZE, from_shard

from ffcv_hydra.beton import write_beton
from ffcv_hydra.cores import usable_cores
from ffcv_hydra.errors import ConversionError
from ffcv_hydra.ffcv_bridge.both_errors import also_built_in
from ffcv_hydra.ffcv_bridge.wrapping import Wrapping

_DEFAULT_PAGE_SIZE = 4 * MIN_PAGE_SIZE


class DatasetWriter:
    """Writes a beton, with FFCV's arguments. What it does otherwise, docs/coming-from-ffcv.md says.

    Args:
        fname: the file, which appears once it is whole.
        fields: FFCV's, this package's, or a user's, by name.
        page_size: bytes, a power of two from 2 MiB to 2 GiB; where it is not given, larger samples get larger pages.
        num_workers: processes that encode; one per usable core if it is below 1.

    Raises:
        ValueError: if the page size is impossible.
        ConversionError: if there are no fields, or one is none.
    """

    def __init__(
        self, fname: str, fields: Mapping[str, Any], page_size: int = _DEFAULT_PAGE_SIZE, num_workers: int = -1
    ) -> None:
        if not is_power_of_2(page_size) or not MIN_PAGE_SIZE <= page_size < MAX_PAGE_SIZE:
            raise ValueError(f"page_size is a power of two from 2 MiB to 2 GiB; got {page_size}")
        with also_built_in():
            if not isinstance(fields, Mapping) or not fields:
                raise ConversionError(f"fields are a mapping with a Field for each name; got {fields!r}")
            for name, field in fields.items():
                if not hasattr(field, "metadata_type"):
                    raise ConversionError(f"field '{name}': expected a Field, got {field!r}")
        self.fname, self.fields, self.page_size = fname, fields, page_size
        self.num_workers = usable_cores() if num_workers < 1 else int(num_workers)
        self.metadata_type = get_metadata_type(list(fields.values()))

    def from_indexed_dataset(
        self, dataset: Any, indices: Any = None, chunksize: int = 100, shuffle_indices: bool = False
    ) -> None:
        """Write `dataset[index]` of all indices, or of some.

        Args:
            dataset: has `__getitem__`, and `__len__` unless there are `indices`.
            indices: of the dataset, in the order they are stored in.
            chunksize: samples that a worker gets at a time; up to 100 where each gets some 100 times even so, as once
                costs as much as ten small samples.
            shuffle_indices: shuffle them by NumPy's global generator; given ones in place, as FFCV does.

        Raises:
            ConversionError: if a sample cannot be stored; names its index, and the field.
        """
        if indices is None:
            indices = np.arange(len(dataset))
        if shuffle_indices:
            np.random.shuffle(indices)
        chunksize = max(int(chunksize), min(100, len(indices) // (100 * self.num_workers)))
        self._write(_Items(dataset, indices, self.fields), indices=np.asarray(indices), chunksize=chunksize)

    def from_webdataset(self, shards: Sequence[str], pipeline: Callable[[Any], Any]) -> None:
        """Write the samples of webdataset's shards, each read as `pipeline(WebDataset(shard))`.

        Raises as `from_indexed_dataset`.
        """
        self._write(_WebShards(shards, pipeline, self.fields))

    def _write(self, dataset: Any, **options: Any) -> None:
        page_size = None if self.page_size == _DEFAULT_PAGE_SIZE else int(self.page_size)
        stored = {name: _as_written(field) for name, field in self.fields.items()}
        with also_built_in():
            write_beton(dataset, self.fname, stored, page_size=page_size, num_workers=self.num_workers, **options)


class _Items(Wrapping):
    """A dataset's items, as FFCV would store them."""

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray, fields: Mapping[str, Any]) -> None:
        super().__init__(dataset)
        self._length = len(dataset) if hasattr(dataset, "__len__") else max(indices, default=-1) + 1
        self._fields = fields

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        return _as_taken(self._fields, self.original[index])


class _WebShards:
    def __init__(self, shards: Sequence[str], pipeline: Callable[[Any], Any], fields: Mapping[str, Any]) -> None:
        self.shard_names, self._pipeline, self._fields = list(shards), pipeline, fields

    def read_shard(self, number: int) -> Iterator[Any]:
        return (_as_taken(self._fields, item) for item in from_shard(self.shard_names[number], self._pipeline))


def _as_written(field: Any) -> Any:
    """The field that writes what FFCV's does: without a threshold, its `smart` images are raw."""
    if isinstance(field, ffcv_fields.RGBImageField) and field.write_mode == "smart" and field.smart_threshold is None:
        field = copy.copy(field)
        field.write_mode = "raw"
    return field


def _as_taken(fields: Mapping[str, Any], item: Any) -> Any:
    """An item as its fields take it: FFCV's are told what they take by the number of bytes, and not by shape."""
    if not isinstance(item, list | tuple) or len(item) != len(fields):
        return item
    return tuple(_value(field, value) for field, value in zip(fields.values(), item, strict=True))


def _value(field: Any, value: Any) -> Any:
    is_array = isinstance(value, np.ndarray | np.generic)
    size = value.size if is_array else getattr(value, "numel", int)()
    if isinstance(field, ffcv_fields.IntField | ffcv_fields.FloatField):
        number = value.item() if size == 1 else value
        is_whole = isinstance(field, ffcv_fields.IntField) and isinstance(number, float) and number.is_integer()
        return int(number) if is_whole else number
    if type(field) in (ffcv_fields.NDArrayField, ffcv_fields.TorchTensorField) and size == np.prod(field.shape):
        return value.reshape(tuple(field.shape))
    if type(field) is ffcv_fields.BytesField and is_array:
        return np.atleast_1d(value).astype(np.uint8, copy=False)
    return value
