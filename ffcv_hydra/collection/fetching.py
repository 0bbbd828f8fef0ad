"""Betons at URLs: from there into the data cache, where all that reads betons finds paths.

Of a sharded beton the cache has an index that names the shards there, and each of these as soon as it was needed. So
whoever was given its path, a copy of a loader in another process too, asks no server for what is there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from ffcv_hydra.atomic_file import write_whole, written_beside
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.beton.reading.verification import verify
from ffcv_hydra.collection.cache_locks import Uses
from ffcv_hydra.collection.cache_room import cache_limit
from ffcv_hydra.collection.data_cache import ADVICE, CachedFile, folder_of, write_about
from ffcv_hydra.collection.index import INDEX_NAME, Index, ShardEntry, read_index, write_index
from ffcv_hydra.collection.remote_file import NoPermission, RemoteFile, Stopped
from ffcv_hydra.collection.remote_shards import CONNECTIONS
from ffcv_hydra.errors import BetonError, RemoteError
from ffcv_hydra.urls import has_secrets, is_url, joined, shown

_URLS = ".urls.json"

CustomFields = Mapping[str, type[Field]]

logger = logging.getLogger(__name__)


def local(
    path: str | Path,
    custom_fields: CustomFields | None = None,
    anew: bool = False,
    progress: bool | None = None,
    uses: Uses | None = None,
    whole: bool = True,
) -> Path:
    """The path of a beton on this machine: of one at a URL, or of shards at URLs, in the cache.

    What is in the cache is compared with the server's sizes and tags, and taken as it is if the server cannot be asked.

    Args:
        path: a path, or a URL.
        custom_fields: as those of `Beton`.
        anew: take what the URL has now, if it has changed.
        progress: Show a progress bar on stderr. None: if stderr is a terminal.
        uses: of who is to read it, which keep it in the cache. None: it may be evicted at once.
        whole: with all shards. Else who reads them has to fetch them, see `remote_files`. They do come now if a URL has
            a user or a query, which nothing in the cache may tell.

    Raises:
        RemoteError: it cannot be had, or cannot be kept, or has changed since it was fetched.
        BetonError: it is none.
    """
    uses = uses or Uses()
    if not is_url(path):
        here = Path(path)
        return _with_shards_here(here, str(path), custom_fields, progress, uses, whole) if _names_urls(here) else here
    index, single = (
        CachedFile(joined(path, INDEX_NAME)),
        CachedFile(path, check=lambda file: _check(file, custom_fields)),
    )
    is_sharded = index.is_there() or (not single.is_there() and _has_index(index.url))
    found = index if is_sharded else single
    has_changed = found.is_there() and _has_changed(found)
    if has_changed and not anew:
        raise RemoteError(
            f"{shown(path)}: changed since it was fetched; python -m ffcv_hydra fetch --anew URL takes what is new"
        )
    with _bar(path, progress) as bar:
        stop = threading.Event()
        [file] = _taken([found], bar, stop, uses, anew=has_changed)
    return _with_shards_here(file.parent, path, custom_fields, progress, uses, whole) if is_sharded else file


def _names_urls(folder: Path) -> bool:
    """Whether an index has shards at URLs; where it cannot be read, it is told when it is opened."""
    with suppress(BetonError):
        return any(is_url(shard.file) for shard in read_index(folder).shards)
    return False


def _has_index(url: str) -> bool:
    try:
        return RemoteFile(url).info() is not None
    except NoPermission:  # S3 has no permission for what is not there, unless one may list it; told of the beton itself
        return False


def _has_changed(file: CachedFile) -> bool:
    try:
        now = RemoteFile(file.url).info(tries=1)
    except RemoteError as error:
        logger.warning("%s; going on with what is in the cache", error)
        return False
    if now is None:
        logger.warning("%s: is there no longer; going on with what is in the cache", shown(file.url))
        return False
    return not file.is_current(now)


def _with_shards_here(
    folder: Path, base: str, custom_fields: CustomFields | None, progress: bool | None, uses: Uses, whole: bool
) -> Path:
    """The folder of an index of the same shards in the cache, where they are now.

    Args:
        folder: of the index as it is.
        base: the URL, or the path, of that folder, for names that are relative to it.
        custom_fields, progress, uses, whole: as for `local`.
    """
    index = _read_index(folder, base)
    here = folder_of(base, hashlib.sha256((folder / INDEX_NAME).read_bytes()).hexdigest())
    locations = [_location(shard, base) for shard in index.shards]
    shards = {
        number: _cached_shard(url, index.shards[number], custom_fields)
        for number, url in enumerate(locations)
        if is_url(url)
    }
    files = list(shards.values())
    if index.manifest and is_url(base):
        files.append(CachedFile(joined(base, index.manifest), here.name))
    on_demand = not whole and not any(has_secrets(url) for url in locations)
    num_bytes = 0 if on_demand else sum(index.shards[number].num_bytes for number in shards)
    limit = cache_limit()
    if limit is not None and num_bytes > limit:
        raise RemoteError(
            f"{shown(base)}: has {num_bytes:,} bytes, and the cache's limit is {limit:,}; raise cache.limit"
        )
    if on_demand:
        files = files[len(shards) :]
    with _bar(base, progress, num_bytes) as bar:
        if not on_demand:
            bar.update(sum(index.shards[number].num_bytes for number, file in shards.items() if file.is_there()))
        taken = _taken(files, bar, threading.Event(), uses)
    if (here / INDEX_NAME).is_file():
        return here
    urls = [url if is_url(url) else None for url in locations]
    for number, file in shards.items():
        locations[number] = os.path.relpath(file.path, here)
    entries = (replace(shard, file=file) for shard, file in zip(index.shards, locations, strict=True))
    try:
        here.mkdir(parents=True, exist_ok=True)
        manifest = (taken[-1] if is_url(base) else folder / index.manifest) if index.manifest else None
        if manifest is not None and manifest.is_file():  # else told when it is read
            with written_beside(here / index.manifest) as copy:
                copy.write(manifest.read_bytes())
        write_about(here, base)
        if not any(url and has_secrets(url) for url in urls):
            write_whole(here / _URLS, json.dumps(urls))
        write_index(here, replace(index, shards=tuple(entries)))
    except OSError as error:
        raise RemoteError(f"{shown(base)}: cannot be kept in {here}: {error.strerror or error}; {ADVICE}") from error
    return here


def remote_files(folder: Path, index: Index, custom_fields: CustomFields | None = None) -> list[CachedFile | None]:
    """The shards of an index that come into the cache when they are needed; None for each that is there anyhow."""
    try:
        urls = json.loads((folder / _URLS).read_bytes())
    except FileNotFoundError:
        return [None] * len(index.shards)
    return [
        url and _cached_shard(url, shard, custom_fields, Path(shard.location(folder)))
        for url, shard in zip(urls, index.shards, strict=True)
    ]


def _read_index(folder: Path, base: str) -> Index:
    try:
        return read_index(folder)
    except BetonError as error:
        raise BetonError(str(error).replace(str(folder), shown(base))) from None


def _location(shard: ShardEntry, base: str) -> str:
    if not is_url(base):
        return shard.location(base)
    if os.path.isabs(shard.file):
        raise RemoteError(
            f"{shown(base)}: its index names {shard.file}, a path of the machine that wrote it; name a URL, or upload"
            " a folder that has its shards in it"
        )
    return joined(base, shard.file)


def _cached_shard(
    url: str, shard: ShardEntry, custom_fields: CustomFields | None, path: Path | None = None
) -> CachedFile:
    def check(path: Path) -> None:
        if Beton(path, custom_fields).checksum != shard.tables:
            raise BetonError(f"{path}: has changed: its tables are not those that its index says; upload it again")
        _check(path, custom_fields)

    return CachedFile(url, shard.tables, shard.num_bytes, check, path)


def _check(path: Path, custom_fields: CustomFields | None) -> None:
    """Raise `BetonError` unless a file is a beton, with all bytes as they were written."""
    findings = verify(path, num_workers=1, custom_fields=custom_fields).findings
    if findings:
        raise BetonError(f"{findings[0]}; upload it again" if "checksum" in findings[0] else findings[0])


def _taken(files: Sequence[CachedFile], bar: tqdm, stop: threading.Event, uses: Uses, anew: bool = False) -> list[Path]:
    """The files in the cache, downloaded by some threads in their order. The first error, or Ctrl-C, ends all."""
    lock = threading.Lock()

    def advance(num_bytes: int) -> None:
        with lock:
            bar.update(num_bytes)

    pool = ThreadPoolExecutor(CONNECTIONS)
    try:
        futures = [pool.submit(file.take, advance, stop, uses, anew) for file in files]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        if error := _first_error(done):
            raise error
        return [future.result() for future in futures]
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _first_error(done: set[Future[Path]]) -> BaseException | None:
    errors = [error for future in done if (error := future.exception()) is not None]
    return next((error for error in errors if not isinstance(error, Stopped)), errors[0] if errors else None)


def _bar(url: str, progress: bool | None, total: int | None = None) -> tqdm:
    hide = None if progress is None else not progress  # None: hide where stderr is no terminal
    return tqdm(total=total, desc=shown(url), unit="B", unit_scale=True, dynamic_ncols=True, disable=hide, leave=False)
