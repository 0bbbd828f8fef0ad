"""How samples are cut into shards."""

from __future__ import annotations

from typing import Any

from ffcv_hydra.beton.writing.limit import Limit
from ffcv_hydra.beton.writing.source import IndexedSource, Place, Source
from ffcv_hydra.errors import ConversionError
from ffcv_hydra.sizes import parse_size


class ShardLimits:
    """Where each shard ends; asked for one of `shards` and `shard_size`.

    Args:
        source: What is converted.
        shards: How many shards there are, of as equal numbers of samples as can be, larger ones first.
        shard_size: Bytes of samples; a shard ends with the sample that reaches them. Also a text such as `500MB`.

    Raises:
        ConversionError: if both or neither are given, one is impossible, or there are not enough samples.

    Attributes:
        num_shards: How many shards there are; None if that shows only at the end.
        num_bytes: Of a shard; None if they are cut by numbers of samples.
    """

    _source: IndexedSource

    def __init__(self, source: Source, shards: Any, shard_size: Any) -> None:
        if (shards is None) == (shard_size is None):
            raise ConversionError("give either shards or shard_size, not both")
        self.num_shards: int | None = shards
        self.num_bytes: int | None = None
        if shards is None:
            try:
                self.num_bytes = parse_size(shard_size)
            except ValueError as error:
                raise ConversionError(f"shard_size is {error}") from None
            return
        if isinstance(shards, bool) or not isinstance(shards, int) or shards < 1:
            raise ConversionError(f"shards is {shards!r}; use a whole number from 1 on")
        if not isinstance(source, IndexedSource):
            kind = type(source.dataset).__name__
            raise ConversionError(f"shards={shards}: {kind} has no length; use shard_size, such as 1GB")
        if shards > source.num_samples:
            raise ConversionError(f"shards={shards}: there are only {source.num_samples} samples; use fewer shards")
        self._source = source

    def __getitem__(self, number: int) -> Limit:
        if self.num_shards is None:
            return Limit(num_bytes=self.num_bytes)
        return Limit(num_samples=self._start(number + 1) - self._start(number))

    def place(self, number: int) -> Place | None:
        """Where in the source a shard begins; None if only the end of the one before it tells."""
        return None if self.num_shards is None else self._source.place(self._start(number))

    def _start(self, number: int) -> int:
        """Samples before a shard."""
        each, rest = divmod(self._source.num_samples, self.num_shards or 1)
        return number * each + min(number, rest)
