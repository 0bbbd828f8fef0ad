"""Which shards were compared with their index on this machine, so that it is done once and not by every process."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import xxhash

from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.collection.index import STILL_SECONDS, ShardEntry

MOST_BYTES = 1 << 22  # then it begins anew: 240,000 shards


class CheckedShards:
    """A file of this machine's user, with a line for each shard: its path, size, times and the digest of its tables.

    Where it cannot be kept, nothing is known.
    """

    def __init__(self) -> None:
        base = os.environ.get("FFCV_HYDRA_CACHE")
        if base is None:
            base = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "ffcv_hydra")
        self.path = Path(base) / "checked-shards"

    def key(self, path: Path, entry: ShardEntry, custom_fields: Mapping[str, type[Field]]) -> str | None:
        """What the line of a shard says; None if it is too young. Raises `OSError` if the file is not there.

        It tells apart what the index says of the shard, and the classes by which its fields were read.
        """
        status = os.stat(path)
        if time.time() - max(status.st_mtime, status.st_ctime) < STILL_SECONDS:
            return None
        times = status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        told = entry.tables, entry.page_size, sorted(entry.extremes.items()), sorted(custom_fields.items(), key=str)
        return xxhash.xxh3_64_hexdigest(repr((os.path.realpath(path), *times, *told)).encode())

    def __contains__(self, key: str | None) -> bool:
        return key in self._known

    @cached_property
    def _known(self) -> set[str]:
        try:
            return set(self.path.read_text().split())
        except (OSError, ValueError):
            return set()

    def add(self, key: str) -> None:
        """Take note of a shard."""
        self._known.add(key)
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            if self.path.is_file() and self.path.stat().st_size > MOST_BYTES:
                flags |= os.O_TRUNC
            descriptor = os.open(self.path, flags, 0o600)
            try:
                os.write(descriptor, f"{key}\n".encode())
            finally:
                os.close(descriptor)
