"""A beton from this machine to a URL: its shards first, its index last, so that who finds an index finds them all."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from ffcv_hydra.beton.appendix import DIGEST_BYTES
from ffcv_hydra.beton.reading.reader import Beton, read_appendix
from ffcv_hydra.collection.index import INDEX_NAME, MANIFEST_SUFFIX, is_sharded, read_index
from ffcv_hydra.collection.remote_file import RemoteFile
from ffcv_hydra.collection.remote_shards import CONNECTIONS
from ffcv_hydra.errors import BetonError, RemoteError
from ffcv_hydra.urls import is_url, joined, shown


def upload(
    path: str | os.PathLike[str], url: str, overwrite: bool = False, progress: bool | None = None
) -> tuple[int, int]:
    """Write a beton, a file or the folder of a sharded one, to a URL, by several connections.

    What is there with the same size and the same digest of tables and checksums is taken for the same; the index is
    always written.

    Args:
        path: the beton.
        url: where it is to be.
        overwrite: write all of it.
        progress: Show a progress bar on stderr. None: if stderr is a terminal.

    Returns:
        How many files were written, and how many were there.

    Raises:
        BetonError: it is none, or has shards that are not in its folder.
        RemoteError: it cannot be written there.
    """
    path = Path(os.path.abspath(os.path.expanduser(path)))
    if not is_url(url):
        raise RemoteError(f"{url} is no URL; write it with its protocol, such as s3://bucket/{path.name}")
    if not is_sharded(path):
        Beton(path)  # raises if it is none
        return _written({path: url}, overwrite, shown(url), progress)
    index = read_index(path)
    names = [shard.file for shard in index.shards if not is_url(shard.file)]
    elsewhere = next((name for name in names if os.path.isabs(name) or os.path.normpath(name).startswith("..")), None)
    if elsewhere is not None:
        raise BetonError(f"{path}: its shard {elsewhere} is not in the folder; upload the folder that it is in")
    if index.manifest:
        names.append(index.manifest)
    written, were_there = _written({path / name: joined(url, name) for name in names}, overwrite, shown(url), progress)
    RemoteFile(joined(url, INDEX_NAME)).upload(path / INDEX_NAME)
    return written + 1, were_there


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
