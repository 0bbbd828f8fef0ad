"""What is converted, in portions that can be encoded independently: of a map-style dataset, or its shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ffcv_hydra.beton.writing.encoding import Part, SampleEncoder, blamed, load_item
from ffcv_hydra.errors import ConversionError
from ffcv_hydra.loaded_torch import loaded_torch

PORTION_BYTES = 16 << 20  # of encoded samples: a portion has no more of them, whatever the `chunksize`


@runtime_checkable
class Shards(Protocol):
    """A dataset without a length, in several parts that can be read independently.

    Attributes:
        shard_names: What to call each shard in errors.
    """

    shard_names: Sequence[str]

    def read_shard(self, number: int) -> Iterator[tuple]:
        """The items of one shard, always in the same order."""
        ...


@dataclass(frozen=True)
class PortionEnd:
    """Comes after the last part of a portion."""


@dataclass(frozen=True)
class Place:
    """A place in a source.

    Attributes:
        portion: The portion.
        sample: Samples of the portion that come before it.
    """

    portion: int = 0
    sample: int = 0


class Source(Protocol):
    """A dataset, cut into portions.

    Attributes:
        num_portions: How many there are.
        num_samples: In all of them; None if that shows only at the end.
        is_sequential: Whether one process has to encode all, in order.
        identity: Plain values that tell apart what is stored of one and the same dataset.
        dataset: What is converted.
        order: The index of each sample's item; None if it is the sample's own.
    """

    num_portions: int
    is_sequential: bool
    identity: tuple
    dataset: Any
    order: list[int] | None

    @property
    def num_samples(self) -> int | None: ...

    def first(self) -> tuple[Any, Any]:
        """The label of the first sample, for errors, and its item."""
        ...

    def encode(self, encoder: SampleEncoder, portion: int) -> Iterator[Part]:
        """Encode one portion. Raises `ConversionError` naming the sample that failed."""
        ...

    def label(self, portion: int, position: int) -> str:
        """What errors call a sample of a portion."""
        ...

    def label_rest(self, portion: int, position: int) -> str:
        """What errors call the samples of a portion from `position` on."""
        ...


class IndexedSource:
    """Samples of a map-style dataset.

    Args:
        dataset: The dataset.
        indices: int64; the index in the dataset of each sample of the beton.
        chunksize: Samples per portion.
    """

    is_sequential = False

    def __init__(self, dataset: Any, indices: np.ndarray, chunksize: int) -> None:
        self.dataset = dataset
        self.num_samples = len(indices)
        self.order: list[int] | None = None if np.array_equal(indices, np.arange(len(dataset))) else indices.tolist()
        self._indices = indices
        self._cut(chunksize)

    def _cut(self, chunksize: int) -> None:
        self._chunksize = chunksize
        self.num_portions = -(-len(self._indices) // chunksize)
        self.identity: tuple = (chunksize, self._indices.tobytes())

    def keep_portions_below(self, sample_bytes: int) -> None:
        """Let portions of samples of about so many bytes have no more than `PORTION_BYTES`, or one sample."""
        self._cut(min(self._chunksize, max(1, PORTION_BYTES // sample_bytes)))

    def place(self, sample: int) -> Place:
        """Where a sample is, the one after the last included."""
        return Place(*divmod(sample, self._chunksize))

    def first(self) -> tuple[Any, Any]:
        index = int(self._indices[0])
        return index, load_item(self.dataset, index)

    def encode(self, encoder: SampleEncoder, portion: int) -> Iterator[Part]:
        start = portion * self._chunksize
        stop = min(start + self._chunksize, len(self._indices))
        return encoder.encode_portion(self.dataset, self._indices, start, stop)

    def label(self, portion: int, position: int) -> str:
        return str(self._indices[portion * self._chunksize + position])

    def label_rest(self, portion: int, position: int) -> str:
        last = min((portion + 1) * self._chunksize, len(self._indices)) - 1
        start = min(portion * self._chunksize + position, last)  # a worker may die after its last sample
        return f"samples {self._indices[start]} to {self._indices[last]}"


class ShardedSource:
    """A dataset in shards, each of which is a portion."""

    is_sequential = False
    num_samples: int | None = None
    order: list[int] | None = None

    def __init__(self, dataset: Shards) -> None:
        self.dataset = dataset
        self.num_portions = len(dataset.shard_names)
        self.identity: tuple = tuple(dataset.shard_names)

    def first(self) -> tuple[Any, Any]:
        labelled = (found for portion in range(self.num_portions) for found in self._labelled(portion))
        return _first(labelled)

    def encode(self, encoder: SampleEncoder, portion: int) -> Iterator[Part]:
        return encoder.encode_items(self._labelled(portion), portion)

    def label(self, portion: int, position: int) -> str:
        return f"{position} of {self.dataset.shard_names[portion]}"

    def label_rest(self, portion: int, position: int) -> str:
        return f"{self.dataset.shard_names[portion]} from its sample {position} on"

    def _labelled(self, portion: int) -> Iterator[tuple[str, Any]]:
        items = _iterate(self.dataset.read_shard(portion), lambda position: self.label(portion, position))
        return ((self.label(portion, position), item) for position, item in enumerate(items))


class IterableSource:
    """Any other iterable, which can only be read from its beginning to its end: a single portion."""

    is_sequential = True
    num_samples: int | None = None
    num_portions = 1
    identity: tuple = ()
    order: list[int] | None = None

    def __init__(self, dataset: Iterable) -> None:
        self.dataset = dataset
        self._labelled: Iterator[tuple[int, Any]] = enumerate(_iterate(dataset, str))

    def first(self) -> tuple[Any, Any]:
        found = _first(self._labelled)
        self._labelled = chain([found], self._labelled)
        return found

    def encode(self, encoder: SampleEncoder, portion: int) -> Iterator[Part]:
        return encoder.encode_items(self._labelled, portion)

    def label(self, portion: int, position: int) -> str:
        return str(position)

    def label_rest(self, portion: int, position: int) -> str:
        return f"samples from {position} on"


def is_iterable_only(dataset: Any) -> bool:
    """Whether a dataset has no length and is read by iterating: shards, an `IterableDataset`, any other iterable."""
    torch = loaded_torch()
    if isinstance(dataset, Shards) or (torch and isinstance(dataset, torch.utils.data.IterableDataset)):
        return True
    return hasattr(dataset, "__iter__") and not hasattr(dataset, "__len__")


def iterable_source(dataset: Any) -> ShardedSource | IterableSource:
    """The source for a dataset that `is_iterable_only`."""
    return ShardedSource(dataset) if isinstance(dataset, Shards) else IterableSource(dataset)


def encode_serially(source: Source, encoder: SampleEncoder, portions: range) -> Iterator[Part | PortionEnd]:
    """Encode portions in this process."""
    for portion in portions:
        yield from source.encode(encoder, portion)
        yield PortionEnd()


def _first(labelled: Iterator[tuple[Any, Any]]) -> tuple[Any, Any]:
    found = next(labelled, None)
    if found is None:
        raise ConversionError("the dataset is empty; a beton needs at least one sample")
    return found


def _iterate(items: Iterable, label: Any) -> Iterator[Any]:
    """The items; an exception among them becomes a `ConversionError` that names the sample."""
    iterator: Iterator[Any] | None = None
    for position in count():
        try:
            iterator = iter(items) if iterator is None else iterator
            item = next(iterator)
        except StopIteration:
            return
        except BaseException as error:
            raise blamed(error, f"sample {label(position)}", "the dataset raised ") from error
        yield item
