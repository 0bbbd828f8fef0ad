"""The index of a sharded beton: what shards there are, and what is in them.

A sharded beton is a folder: its shards, each a beton, and `index.json`, which is written last. Whoever has the index
knows all that the shards' tables say together: how many samples there are, where each shard begins, and the digest of
the data. How the source looked stands in a file beside it, which the index names.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ffcv_hydra.atomic_file import written_beside
from ffcv_hydra.beton.appendix import fingerprint as fingerprint_of
from ffcv_hydra.beton.data_digest import DataDigest
from ffcv_hydra.beton_path import INDEX_NAME
from ffcv_hydra.beton_path import is_sharded as is_sharded
from ffcv_hydra.errors import BetonError

MANIFEST_SUFFIX = ".zz"  # of a file whose name says what is in it
VERSION = 1
STILL_SECONDS = 2  # a file that was changed less than so long ago may change again without a new time
AGAIN = "restore it, or convert or merge again"

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ShardEntry:
    """What an index says of one shard.

    Attributes:
        file: Where it is: relative to the index's folder, absolute, or a URL.
        num_samples: Samples in it.
        num_bytes: Its size.
        tables: `Beton.checksum`.
        data: The text of its `DataDigest`; empty if it has none.
        page_size: Of its pages, in bytes; 0 if that is not known.
        extremes: The least and the largest of each of its columns of whole numbers, see `entries.shard_entry`; of those
            that are not there it is not known.
    """

    file: str
    num_samples: int
    num_bytes: int
    tables: str
    data: str
    page_size: int = 0
    extremes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def location(self, folder: str | os.PathLike[str]) -> str:
        """Where the shard of an index in `folder` is: a path, or a URL."""
        return self.file if "://" in self.file else os.path.normpath(os.path.join(folder, self.file))


@dataclass(frozen=True)
class Index:
    """What a sharded beton holds.

    Attributes:
        shards: In the order of the samples.
        fields: `fields_identity` of each of them.
        kinds: The fields' kinds by name, as `describe_fields` gives them.
        description: What it was made from; None if that is not known.
        fingerprint: Hash of the description.
        manifest: The file in the folder that says how the source looked, encoded as in a beton; empty if none does.
    """

    shards: tuple[ShardEntry, ...]
    fields: str
    kinds: dict[str, str]
    description: dict[str, Any] | None = None
    fingerprint: str | None = None
    manifest: str = ""

    @property
    def num_samples(self) -> int:
        """Samples in all shards."""
        return sum(shard.num_samples for shard in self.shards)

    @property
    def num_bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.num_bytes for shard in self.shards)

    @cached_property
    def data(self) -> DataDigest | None:
        """The digest of all samples; None if a shard has none."""
        whole = DataDigest()
        for shard in self.shards:
            if not shard.data:
                return None
            whole = whole.then(DataDigest.parse(shard.data))
        return whole

    @cached_property
    def starts(self) -> np.ndarray:
        """The id of each shard's first sample, and at the end the number of all: int64 (num_shards + 1,)."""
        return np.cumsum([0, *(shard.num_samples for shard in self.shards)], dtype=np.int64)


def write_index(folder: str | os.PathLike[str], index: Index) -> None:
    """Write the index of a folder: as a whole or not at all, and the same to the byte for the same content."""
    content = {
        "version": VERSION,
        "num_samples": index.num_samples,
        "num_bytes": index.num_bytes,
        "data": "" if index.data is None else str(index.data),
        **{name: getattr(index, name) for name in ("fields", "kinds", "description", "fingerprint", "manifest")},
    }
    shards = ",\n  ".join(json.dumps(asdict(shard)) for shard in index.shards)
    text = json.dumps(content, indent=1).removesuffix("\n}") + f',\n "shards": [\n  {shards}\n ]\n}}\n'
    with written_beside(Path(folder) / INDEX_NAME) as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())  # before it appears


def write_manifest(folder: Path, encoded: bytes) -> str:
    """Write an encoded manifest beside an index; returns its name, which tells it from others."""
    name = f"manifest-{hashlib.sha256(encoded).hexdigest()[:16]}{MANIFEST_SUFFIX}"
    with open(folder / name, "wb") as file:
        file.write(encoded)
        file.flush()
        os.fsync(file.fileno())
    return name


def read_index(folder: str | os.PathLike[str]) -> Index:
    """The index of a folder.

    Raises:
        BetonError: if there is none, it cannot be read, was cut short, is of a newer version, or contradicts itself.
    """
    path = Path(os.path.expanduser(folder)) / INDEX_NAME
    try:
        status = os.stat(path)
        if time.time() - status.st_mtime < STILL_SECONDS:  # it may change again, and have the same time
            return _read(path)
        return _read_once(path, status.st_ino, status.st_size, status.st_mtime_ns)
    except FileNotFoundError as error:
        raise BetonError(f"{path}: no such file; name a .beton file or a folder that has an index") from error
    except OSError as error:
        raise BetonError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read(path: Path) -> Index:
    try:
        content = json.loads(path.read_bytes())
        if isinstance(content, dict) and isinstance(content.get("version"), int) and content["version"] > VERSION:
            raise BetonError(f"{path}: is of version {content['version']}, which is newer than this package; update it")
        return _checked(content)
    except (ValueError, RecursionError) as error:  # JSON's and Unicode's errors are ValueErrors
        what = "is no index" if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)) else "is damaged"
        raise BetonError(f"{path}: {what}: {error}; {AGAIN}") from error


@lru_cache(maxsize=8)  # that of 10,000 shards takes a second
def _read_once(path: Path, *_: int) -> Index:
    return _read(path)


def _checked(content: Any) -> Index:
    """The index, if it is one and says nothing against itself. Raises `ValueError` in words."""
    _check_type(content, dict, "the whole")
    if content.get("version") != VERSION:
        raise ValueError(f"version is {content.get('version')!r}, not {VERSION}")
    _check_type(content.get("shards"), list, "shards")
    shards = tuple(_shard(found, f"shards[{number}]") for number, found in enumerate(content["shards"]))
    if not shards:
        raise ValueError("shards: there is none")
    _check_distinct([os.path.normpath(shard.file) for shard in shards])
    for name, kind in (("fields", str), ("kinds", dict), ("manifest", str), ("data", str)):
        _check_type(content.get(name), kind, name)
    if os.path.basename(content["manifest"]) != content["manifest"]:
        raise ValueError(f"manifest is {content['manifest']!r}, which is no file of its folder")
    for name, kind in content["kinds"].items():
        _check_type(kind, str, f"kinds.{name}")
    description, fingerprint = content.get("description"), content.get("fingerprint")
    if description is not None:
        _check_type(description, dict, "description")
    if fingerprint != (None if description is None else fingerprint_of(description)):
        raise ValueError("fingerprint is not that of the description")
    index = Index(shards, content["fields"], content["kinds"], description, fingerprint, content["manifest"])
    data = "" if index.data is None else str(index.data)
    for name, found in (("num_samples", index.num_samples), ("num_bytes", index.num_bytes), ("data", data)):
        if content.get(name) != found:
            raise ValueError(f"{name} is {content.get(name)!r}, but its shards have {found!r} together")
    return index


def _shard(found: Any, where: str) -> ShardEntry:
    _check_type(found, dict, where)
    for name in ("file", "tables", "data"):
        _check_type(found.get(name), str, f"{where}.{name}")
    for name in ("num_samples", "num_bytes"):
        _check_type(found.get(name), int, f"{where}.{name}")
        if not 0 < found[name] < 1 << 63:
            raise ValueError(f"{where}.{name} is {found[name]}")
    page_size, extremes = found.get("page_size", 0), found.get("extremes", {})
    _check_type(page_size, int, f"{where}.page_size")
    _check_type(extremes, dict, f"{where}.extremes")
    if page_size < 0 or page_size & (page_size - 1):
        raise ValueError(f"{where}.page_size is {page_size}")
    for key, both in extremes.items():
        if not (isinstance(both, list) and [type(one) for one in both] == [int, int] and both[0] <= both[1]):
            raise ValueError(f"{where}.extremes.{key} is {both!r}")
    shard = ShardEntry(
        **{name: found[name] for name in ("file", "num_samples", "num_bytes", "tables", "data")},
        page_size=page_size,
        extremes={key: (both[0], both[1]) for key, both in extremes.items()},
    )
    if not shard.file:
        raise ValueError(f"{where}.file is empty")
    if not _SHA256.fullmatch(shard.tables):
        raise ValueError(f"{where}.tables is no SHA-256")
    try:
        told = DataDigest.parse(shard.data).num_samples if shard.data else shard.num_samples
    except ValueError as error:
        raise ValueError(f"{where}.data is {error}") from error
    if told != shard.num_samples:
        raise ValueError(f"{where}.num_samples is {shard.num_samples}, but its digest is of {told} samples")
    return shard


def _check_type(value: Any, kind: type, where: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{where} is {'missing' if value is None else f'no {kind.__name__}'}")


def _check_distinct(files: Sequence[str]) -> None:
    seen: set[str] = set()
    for number, file in enumerate(files):
        if file in seen:
            raise ValueError(f"shards[{number}].file is {file!r}, which is there before")
        seen.add(file)
