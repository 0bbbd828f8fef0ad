"""The data cache: files that came from URLs, for all processes of this machine.

Each has a folder of its own, named by a digest of its URL, and appears there as a whole or not at all: one process
downloads it under a lock, which ends with that process, and the others wait. When it was last used is the time of what
is noted beside it, set whenever it is asked for; what is not in use is evicted when there is a limit (`cache_room`).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ffcv_hydra.atomic_file import write_whole, written_beside
from ffcv_hydra.collection.cache_locks import Uses, downloading
from ffcv_hydra.collection.cache_room import ABOUT, LIMIT, has_come, make_room
from ffcv_hydra.collection.remote_file import RemoteFile, RemoteInfo, Stop, Stopped
from ffcv_hydra.errors import BetonError, RemoteError
from ffcv_hydra.urls import name_of, shown, without_user

DIR = "FFCV_HYDRA_DATA_CACHE"
ADVICE = f"choose another folder by cache.dir or {DIR}"
Advance = Callable[[int], None]


_before: dict[str, str | None] = {}
"""What variables had for values where this process was given others."""


def choose_cache(dir: str | None = None, limit: int | str | None = None) -> None:
    """Have this process, and those that it starts, use another folder or limit; None: what the environment says."""
    for name, value in ((DIR, dir and os.path.abspath(os.path.expanduser(dir))), (LIMIT, limit)):
        if name in _before:
            os.environ.pop(name, None)
            if (before := _before.pop(name)) is not None:
                os.environ[name] = before
        if value is not None:
            _before[name] = os.environ.get(name)
            os.environ[name] = str(value)


def data_cache() -> Path:
    """The folder: `FFCV_HYDRA_DATA_CACHE`, or one in the user's cache folder."""
    base = os.environ.get(DIR)
    if base is None:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "ffcv_hydra", "data")
    return Path(os.path.abspath(os.path.expanduser(base)))


def uses_of(paths: Iterable[Path]) -> Uses:
    """Those of who reads files, some of which may lie in the cache."""
    uses, cache = Uses(), data_cache()
    for path in paths:
        if path.parent.parent == cache:
            uses.begin(path.parent)
    return uses


def folder_of(url: str, content: str = "") -> Path:
    """The folder of a file; by its content, too, where that is known beforehand. Users and passwords do not count."""
    return data_cache() / hashlib.sha256(f"{without_user(url)}\n{content}".encode()).hexdigest()[:32]


def write_about(folder: Path, url: str, **facts: int | str | None) -> None:
    """Write beside what comes from a URL what that is, without what is secret in it."""
    write_whole(folder / ABOUT, json.dumps({"url": shown(url), **facts}, indent=1) + "\n")


class CachedFile:
    """A file at a URL, in the cache.

    Args:
        url: the URL.
        content: tells this content from others that the URL may have; empty if that is not known beforehand.
        num_bytes: its size; None: what the server says.
        check: raises `BetonError` if the file that it is given is not what is wanted.
        path: where it is, once it is there. None: in the folder of this URL and content.

    Attributes:
        path: the path.
        num_bytes: the size.
    """

    def __init__(
        self,
        url: str,
        content: str = "",
        num_bytes: int | None = None,
        check: Callable[[Path], None] | None = None,
        path: Path | None = None,
    ) -> None:
        self.url = url
        self.path = path or folder_of(url, content) / name_of(url)
        self.num_bytes = num_bytes
        self._is_known = bool(content) and num_bytes is not None
        self._check = check

    def is_there(self) -> bool:
        """Whether it is in the cache, as a whole."""
        try:
            return self.num_bytes in (None, self.path.stat().st_size)
        except OSError:
            return False

    def is_current(self, now: RemoteInfo) -> bool:
        """Whether the server has the same content still, as far as sizes and tags can tell."""
        try:
            then = json.loads((self.path.parent / ABOUT).read_bytes())
            then = RemoteInfo(then["num_bytes"], then["tag"])
        except (OSError, ValueError, KeyError, TypeError):
            return True  # nothing is known
        return then == now

    def take(self, advance: Advance, stop: Stop, uses: Uses, anew: bool = False) -> Path:
        """The file in the cache, downloaded if it is not there.

        Args:
            advance: told of bytes that came; of fewer than none when a download begins anew.
            stop: ends it, with `Stopped`.
            uses: of the caller, to which it is added: it stays until these end.
            anew: download it in any case.

        Raises:
            RemoteError: it cannot be had, or cannot be kept.
        """
        begun = time.time_ns()
        uses.begin(self.path.parent)
        while not (self.is_there() and not (anew and self.path.stat().st_mtime_ns < begun)):
            with self._locks() as has_it:
                if has_it and (anew or not self.is_there()):
                    self._download(advance, stop)
                    break
            if not has_it and stop.wait(0.1):
                raise Stopped
        self.touch()
        return self.path

    def touch(self) -> None:
        """Note that it is used now."""
        now = time.time_ns()  # finer than the kernel's own stamps, which several files of one moment share
        with suppress(OSError):  # a cache that cannot be written to is enough
            os.utime(self.path.parent / ABOUT, ns=(now, now))

    @contextmanager
    def _locks(self) -> Iterator[bool]:
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with downloading(folder) as has_it:
                yield has_it
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise RemoteError(f"{shown(self.url)}: no room in {folder}; make some, or {ADVICE}") from None
            raise RemoteError(
                f"{shown(self.url)}: cannot be kept in {folder}: {error.strerror or error}; {ADVICE}"
            ) from error

    def _download(self, advance: Advance, stop: Stop) -> None:
        folder, remote = self.path.parent, RemoteFile(self.url, stop)
        for abandoned in folder.glob(".*.writing"):  # of processes that were killed: the lock is ours
            abandoned.unlink(missing_ok=True)
        info = RemoteInfo(self.num_bytes, "") if self._is_known else self._asked(remote)
        num_bytes = info.num_bytes if self.num_bytes is None else self.num_bytes
        free = shutil.disk_usage(folder).free
        if num_bytes is not None and num_bytes > free:
            raise RemoteError(
                f"{shown(self.url)}: no room for its {num_bytes:,} bytes in {folder}, which has {free:,}; make some, or"
                f" {ADVICE}"
            )
        make_room(folder, num_bytes or 0, shown(self.url))
        try:
            remote.retried(lambda: self._download_once(remote, info, num_bytes, advance))
        finally:
            has_come(folder)

    def _asked(self, remote: RemoteFile) -> RemoteInfo:
        """What the server says, if that can be what is wanted."""
        info = remote.info()
        if info is None:
            raise RemoteError(f"{shown(self.url)}: there is no such file; correct the URL")
        if None not in (self.num_bytes, info.num_bytes) and self.num_bytes != info.num_bytes:
            raise RemoteError(
                f"{shown(self.url)}: has changed: it has {info.num_bytes:,} bytes, its index says {self.num_bytes:,};"
                " upload it again"
            )
        return info

    def _download_once(self, remote: RemoteFile, info: RemoteInfo, num_bytes: int | None, advance: Advance) -> None:
        num_told = 0

        def came(size: int) -> None:
            nonlocal num_told
            advance(size - num_told)
            num_told = size

        try:
            with written_beside(self.path) as file:
                path = Path(file.name)
                remote.download(path, came)
                size = os.fstat(file.fileno()).st_size
                if num_bytes not in (None, size):
                    self._asked(remote)  # says so if the server's is of another size for good
                    raise remote.incomplete(f"{size:,} bytes came, not {num_bytes:,}")
                came(size)
                if num_bytes is None:
                    make_room(self.path.parent, size, shown(self.url))
                self._check_content(path)
                os.fsync(file.fileno())
                write_about(self.path.parent, self.url, num_bytes=info.num_bytes, tag=info.tag)
        except BaseException:
            came(0)
            raise

    def _check_content(self, path: Path) -> None:
        if self._check is None:
            return
        try:
            self._check(path)
        except BetonError as error:
            raise RemoteError(str(error).replace(str(path), shown(self.url))) from None
