"""One file at a URL: what is known of it, downloading and uploading it, over any protocol that fsspec knows.

Errors that may pass are tried again; all others, and the last of these, are one line. Nothing of fsspec's errors is
repeated but their kinds, and they are no causes of ours: their texts have URLs in them, with what is secret there.
"""

from __future__ import annotations

import errno
import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

from ffcv_hydra.errors import RemoteError
from ffcv_hydra.urls import shown

TRIES = 5
BACKOFF_SECONDS = 0.5  # before the second try; twice as long before each further one
STALL_SECONDS = 30.0  # without a byte

_TAGS = ("ETag", "etag", "e_tag", "md5Hash", "content_md5", "Last-Modified", "LastModified", "last_modified", "mtime")
_PACKAGES = {
    "s3": "'ffcv_hydra[s3]'", "s3a": "'ffcv_hydra[s3]'", "http": "aiohttp", "https": "aiohttp", "gs": "gcsfs",
    "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "hf": "huggingface_hub", "sftp": "paramiko", "ssh": "paramiko",
}  # fmt: skip
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError")  # botocore, google.auth
_ADVICE = "; see that the server is up and takes what is asked of it, then give the same command again"
_MAY_PASS = (408, 425, 429)  # of the HTTP statuses below 500
_Result = TypeVar("_Result")


class Stop(Protocol):
    """Says when to give up; a `threading.Event` does."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool: ...


class Stopped(Exception):
    """A transfer was given up because another one failed, or the user wants it."""


class NoPermission(RemoteError):
    """A store refuses us."""


class _Transient(Exception):
    """What may be better at the next try; its text says what it was."""


@dataclass(frozen=True)
class RemoteInfo:
    """What a server says of a file.

    Attributes:
        num_bytes: its size; None if it does not say.
        tag: what changes with the content: an ETag, a digest, or a time; empty if it says none.
    """

    num_bytes: int | None
    tag: str


class RemoteFile:
    """A file at a URL.

    Args:
        url: the URL.
        stop: gives up what goes on when it is set.
    """

    def __init__(self, url: str, stop: Stop | None = None) -> None:
        self.url = url
        self._stop = stop or threading.Event()

    def info(self, tries: int | None = None) -> RemoteInfo | None:
        """What the server says; None if there is no such file.

        Raises:
            RemoteError: it cannot be asked, or does not say it to us.
        """

        def ask() -> RemoteInfo | None:
            found = self._call(lambda store, path: store.info(path))
            if found["type"] == "directory":
                return None
            tag = next((str(found[name]) for name in _TAGS if found.get(name)), "")
            return RemoteInfo(found.get("size"), tag)

        try:
            return self._again_and_again(ask, tries)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def download(self, path: Path, came: Callable[[int], None]) -> None:
        """Write its bytes to a file, once: `retried` tries again.

        Args:
            path: an empty file; nobody else may have it.
            came: told how many bytes there are now.

        Raises:
            RemoteError: it cannot be had.
        """
        self._call(lambda store, place: store.get_file(place, str(path)), path, came)

    def read(self, start: int, stop: int) -> bytes:
        """Some of its bytes; fewer if it ends before. Raises `RemoteError` or `FileNotFoundError`."""
        span = {"start": start, "end": stop}  # by name: stores disagree about their order
        return self._again_and_again(lambda: self._call(lambda store, place: store.cat_file(place, **span)))

    def upload(self, path: Path) -> None:
        """Write a file's bytes to the URL. Raises `RemoteError` if they cannot be."""
        try:
            self._again_and_again(lambda: self._call(lambda store, place: store.put_file(str(path), place), path))
        except FileNotFoundError:
            raise RemoteError(f"{shown(self.url)}: there is no such bucket or folder; make it first") from None

    def retried(self, work: Callable[[], _Result]) -> _Result:
        """What `work`, which downloads, gives; called again after errors that may pass.

        Raises:
            RemoteError: it cannot be had.
        """
        try:
            return self._again_and_again(work)
        except FileNotFoundError:
            raise RemoteError(f"{shown(self.url)}: there is no such file; correct the URL") from None

    def incomplete(self, what: str) -> Exception:
        """An error that may pass, for `retried`."""
        return _Transient(what)

    def _again_and_again(self, work: Callable[[], _Result], tries: int | None = None) -> _Result:
        tries = tries or TRIES
        for number in range(1, tries + 1):
            try:
                return work()
            except _Transient as error:
                if number == tries:
                    often = f", {tries} times{_ADVICE}" if tries > 1 else ""
                    raise RemoteError(f"{shown(self.url)}: {error}{often}") from None
            if self._stop.wait(BACKOFF_SECONDS * 2 ** (number - 1) * random.uniform(0.5, 1.5)):
                break
        raise Stopped

    def _call(
        self, work: Callable[[Any, str], _Result], path: Path | None = None, came: Callable[[int], None] | None = None
    ) -> _Result:
        """What `work` gives, in a thread of its own, which is left alone if it is stopped or stalls.

        Stores have no time limits in common, and calls into them none at all. An upload has no such limit, because what
        is sent shows nowhere.
        """
        outcome: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        is_left = threading.Event()

        def run() -> None:
            try:
                outcome.put((work(*_store(self.url)), None))
            except BaseException as error:
                outcome.put((None, error))
            if is_left.is_set() and came is not None and path is not None:
                with suppress(OSError):
                    path.unlink()  # made after all

        thread = threading.Thread(target=run, daemon=True, name="remote file")
        thread.start()
        try:
            result, error = self._outcome(outcome, path, came)
        except BaseException:
            is_left.set()
            raise
        if error is not None:
            raise self._explained(error) from None
        return result

    def _outcome(
        self, outcome: SimpleQueue[tuple[Any, BaseException | None]], path: Path | None, came: Callable | None
    ) -> tuple[Any, BaseException | None]:
        last_size, last_time = 0, time.monotonic()
        while True:
            with suppress(Empty):
                return outcome.get(timeout=0.05)
            if self._stop.is_set():
                raise Stopped
            if came is not None and path is not None and (size := _size(path)) != last_size:
                last_size, last_time = size, time.monotonic()
                came(size)
            if (came is not None or path is None) and time.monotonic() - last_time > STALL_SECONDS:
                what = "no byte came" if path is not None else "no answer came"
                raise _Transient(f"{what} for {STALL_SECONDS:g} seconds")

    def _explained(self, error: BaseException) -> BaseException:
        """An error of a store as one of ours, or as `FileNotFoundError`, which says enough."""
        cause: Any = error.__cause__ if isinstance(error, FileNotFoundError) else None
        if isinstance(cause, (TimeoutError, ConnectionError)) or type(cause).__module__.startswith("aiohttp"):
            error = cause  # whatever goes wrong when fsspec asks an HTTP server is no file to it
        status = getattr(error, "status", None)
        names = {kind.__name__ for kind in type(error).__mro__}
        where = shown(self.url)
        if isinstance(error, RemoteError):
            return error
        if status in (404, 410) or isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)):
            return FileNotFoundError(where)
        if status == 401 or not names.isdisjoint(_NO_CREDENTIALS):
            return RemoteError(
                f"{where}: credentials are missing or not accepted; set those of the store where its own tools look for"
                " them (for S3 AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for HTTP ~/.netrc)"
            )
        if status == 403 or isinstance(error, PermissionError):
            return NoPermission(f"{where}: no permission; ask for it, or use other credentials")
        number = getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT):
            return OSError(number, os.strerror(number))
        kind = type(error).__name__
        what = f"HTTP status {status}" if status else f"{kind} ({os.strerror(number)})" if number else kind
        refused = isinstance(status, int) and 400 <= status < 500 and status not in _MAY_PASS
        if refused or isinstance(error, (ValueError, TypeError, NotImplementedError)):
            return RemoteError(f"{where}: failed with {what}")
        return _Transient(f"failed with {what}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _store(url: str) -> tuple[Any, str]:
    """fsspec's file system for a URL, and the path in it. Raises `RemoteError` if there is none."""
    from fsspec.core import url_to_fs  # slow to import

    protocol = url.partition("://")[0].rpartition("::")[2]
    options: dict[str, Any] = {}
    if protocol in ("http", "https"):
        options = {"client_kwargs": _http_options(protocol)}
    elif protocol in ("file", "local"):
        options = {"auto_mkdir": True}
    try:
        return url_to_fs(url, **options)
    except ImportError:
        package = _PACKAGES.get(protocol, f"the package that fsspec wants for {protocol}")
        raise RemoteError(f"{shown(url)}: {protocol}:// needs a package; pip install {package}") from None
    except ValueError:
        raise RemoteError(f"{shown(url)}: fsspec knows no protocol {protocol!r}, or this is no URL of it") from None


def _http_options(protocol: str) -> dict[str, Any]:
    """For aiohttp, which would end every download after five minutes, and look at no proxy and no ~/.netrc."""
    from fsspec.config import conf

    try:
        from aiohttp import ClientTimeout
    except ImportError:
        return {}
    timeout = ClientTimeout(total=None, sock_connect=STALL_SECONDS, sock_read=STALL_SECONDS)
    return {"timeout": timeout, "trust_env": True, **conf.get(protocol, {}).get("client_kwargs", {})}
