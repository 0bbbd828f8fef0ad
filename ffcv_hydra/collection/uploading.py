"""A beton from this machine to a URL: its shards first, its index last, so that who finds an index finds them all."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from ffcv_hydra.beton.appendix import DIGEST_BYTES
from ffcv_hydra.beton.reading.reader import Beton, read_appendix
from ffcv_hydra.collection.index import INDEX_NAME, MANIFEST_SUFFIX, Index, is_sharded, read_index
from ffcv_hydra.collection.remote_file import NoPermission, RemoteFile
from ffcv_hydra.collection.remote_shards import CONNECTIONS
from ffcv_hydra.errors import BetonError, RemoteError
from ffcv_hydra.urls import is_url, joined, shown

_ANOTHER = "there is another beton; choose another URL, or replace it by --overwrite (overwrite=True)"


def upload(
    path: str | os.PathLike[str], url: str, overwrite: bool = False, progress: bool | None = None
) -> tuple[int, int]:
    """Write a beton, a file or the folder of a sharded one, to a URL, by several connections.

    What is there with the same size and the same digest of tables and checksums is taken for the same; the index is
    always written. One that has fewer shards, because it was uploaded before more were appended, is gone on with.

    Args:
        path: the beton.
        url: where it is to be.
        overwrite: write all of it, over another beton, too.
        progress: Show a progress bar on stderr. None: if stderr is a terminal.

    Returns:
        How many files were written, and how many were there.

    Raises:
        BetonError: it is none, or has shards that are not in its folder.
        RemoteError: it cannot be written there, or another beton is there.
    """
    path = Path(os.path.abspath(os.path.expanduser(path)))
    if not is_url(url):
        raise RemoteError(f"{url} is no URL; write it with its protocol, such as s3://bucket/{path.name}")
    if not is_sharded(path):
        Beton(path)  # raises if it is none
        if not overwrite:
            _check_unused(url, path)
        return _written({path: url}, overwrite, shown(url), progress)
    index = read_index(path)
    names = [shard.file for shard in index.shards if not is_url(shard.file)]
    elsewhere = next((name for name in names if os.path.isabs(name) or os.path.normpath(name).startswith("..")), None)
    if elsewhere is not None:
        raise BetonError(f"{path}: its shard {elsewhere} is not in the folder; upload the folder that it is in")
    if not overwrite:
        _check_continued(url, index)
    if index.manifest:
        names.append(index.manifest)
    written, were_there = _written({path / name: joined(url, name) for name in names}, overwrite, shown(url), progress)
    RemoteFile(joined(url, INDEX_NAME)).upload(path / INDEX_NAME)
    return written + 1, were_there


def _check_unused(url: str, path: Path) -> None:
    """Raise `RemoteError` if something is at the URL that is not what the file at `path` is."""
    remote = RemoteFile(url)
    info = remote.info()
    is_another = info is not None and (info.num_bytes != path.stat().st_size or not _has_same_digest(remote, path))
    if is_another or _shards_at(url) is not None:
        raise RemoteError(f"{shown(url)}: {_ANOTHER}")


def _check_continued(url: str, index: Index) -> None:
    """Raise `RemoteError` if a beton is at the URL whose shards are not the first ones of an index."""
    shards = _shards_at(url)
    is_another = RemoteFile(url).info() is not None if shards is None else shards != _named(index)[: len(shards)]
    if is_another:
        raise RemoteError(f"{shown(url)}: {_ANOTHER}")


def _shards_at(url: str) -> list[tuple[str, str]] | None:
    """The names and the tables of the shards of what is at the URL; None if there is no index."""
    with suppress(NoPermission, FileNotFoundError), TemporaryDirectory() as folder:
        remote = RemoteFile(joined(url, INDEX_NAME))
        info = remote.info()
        if info is not None:
            (Path(folder) / INDEX_NAME).write_bytes(remote.read(0, info.num_bytes or 1 << 30))
            try:
                return _named(read_index(folder))
            except BetonError:  # it is none that anybody could read
                return []
    return None


def _named(index: Index) -> list[tuple[str, str]]:
    return [(shard.file, shard.tables) for shard in index.shards]


def _written(files: dict[Path, str], overwrite: bool, name: str, progress: bool | None) -> tuple[int, int]:
    for path in files:
        if not path.is_file():
            raise BetonError(f"{path}: no such file; restore it, or convert again")
    stop = threading.Event()

    def write(path: Path, url: str) -> bool:
        remote, size = RemoteFile(url, stop), path.stat().st_size
        info = None if overwrite else remote.info()
        is_there = info is not None and info.num_bytes == size and _has_same_digest(remote, path)
        if not is_there:
            remote.upload(path)
        bar.update(size)
        return not is_there

    hide = None if progress is None else not progress
    total = sum(path.stat().st_size for path in files)
    pool = ThreadPoolExecutor(min(CONNECTIONS, len(files)))
    with tqdm(total=total, desc=name, unit="B", unit_scale=True, dynamic_ncols=True, disable=hide, leave=False) as bar:
        try:
            is_written = list(pool.map(write, files.keys(), files.values()))
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    return sum(is_written), len(is_written) - sum(is_written)


def _has_same_digest(remote: RemoteFile, path: Path) -> bool:
    """Whether a file of the same size has the same content, by the digest that a beton has of its checksums.

    Betons of stock FFCV have none, and are written again. A manifest is known by its name.
    """
    if path.suffix == MANIFEST_SUFFIX:
        return True
    facts = read_appendix(path)
    if facts is None:
        return False
    place = facts.start, facts.start + DIGEST_BYTES
    with open(path, "rb") as file:
        file.seek(place[0])
        return remote.read(*place) == file.read(DIGEST_BYTES)
