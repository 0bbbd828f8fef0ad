"""How samples are cut into shards."""

from __future__ import annotations

from typing import Any

from ffcv_hydra.beton.writing.limit import Limit
from ffcv_hydra.beton.writing.source import Source
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
    """

    def __init__(self, source: Source, shards: Any, shard_size: Any) -> None:
        if (shards is None) == (shard_size is None):
            raise ConversionError("give either shards or shard_size, not both")
        self.num_shards: int | None = shards
        self._num_samples = source.num_samples
        if shards is None:
            try:
                self._num_bytes = parse_size(shard_size)
            except ValueError as error:
                raise ConversionError(f"shard_size is {error}") from None
            return
        if isinstance(shards, bool) or not isinstance(shards, int) or shards < 1:
            raise ConversionError(f"shards is {shards!r}; use a whole number from 1 on")
        if source.num_samples is None:
            kind = type(source.dataset).__name__
            raise ConversionError(f"shards={shards}: {kind} has no length; use shard_size, such as 1GB")
        if shards > source.num_samples:
            raise ConversionError(f"shards={shards}: there are only {source.num_samples} samples; use fewer shards")

    def __getitem__(self, number: int) -> Limit:
        if self.num_shards is None or self._num_samples is None:
            return Limit(num_bytes=self._num_bytes)
        each, rest = divmod(self._num_samples, self.num_shards)
        return Limit(num_samples=each + (number < rest))

    @property
    def identity(self) -> tuple:
        """Plain values that tell these limits from others of the same source."""
        return (self.num_shards,) if self.num_shards is not None else (None, self._num_bytes)
