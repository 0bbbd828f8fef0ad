"""A file that appears at its path only when it is whole, and what is left of it when its making is interrupted.

`NAME.partial` is the beton that is being written; `NAME.partial.journal` says how much of it is finished, and is also
the lock that lets only one process write. Data reach the disk before the journal speaks of them. So a process may be
killed at any moment, and the machine lose power: the path itself holds what it held before, or the whole file.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ffcv_hydra.beton.tables import Tables
from ffcv_hydra.beton.writing.journal import Entry, Journal
from ffcv_hydra.beton.writing.placing import check_is_ours, mend, put_in_place
from ffcv_hydra.beton_path import is_sharded
from ffcv_hydra.errors import ConversionError
from ffcv_hydra.locks import lock, unlock

COMMIT_SECONDS = 2.0  # how much work a kill may cost
COMMIT_SHARE = 20  # commits take at most one part in so many of the time, however slow the disk

logger = logging.getLogger(__name__)


class Partial:
    """The right to write a beton, and its unfinished file; `locked` makes one.

    Attributes:
        path: Where the beton will be.
        file: The unfinished beton, open for reading and writing once `open` was called.
    """

    file: BinaryIO

    def __init__(self, path: Path, journal_file: BinaryIO) -> None:
        self.path = path
        self._journal_file = journal_file
        self._is_worth_keeping = os.fstat(journal_file.fileno()).st_size > 0
        self._fingerprint: bytes | None = None
        self._portion: list[Tables] = []
        # how many portions are finished, and what of them is not committed: set at once, since Ctrl-C may come anywhere
        self._finished: tuple[int, tuple[Tables, ...]] = 0, ()
        self._next_commit = 0.0

    @staticmethod
    @contextmanager
    def locked(path: Path) -> Iterator[Partial]:
        """Hold the right to write the beton at `path`, after any other process that has it.

        What is unfinished when the block ends is kept for a later conversion if it can go on from it; not so if writing
        failed, as on a full disk.

        If `path` is a symbolic link, the file that it leads to is written.

        Raises:
            ConversionError: if the file cannot be written: no permission, disk full, `path` is a directory that is no
                sharded beton, a device, ..., or what stands beside it as `NAME.partial` may be somebody else's.
        """
        with _writable(path) as target, _lock(target) as file, Partial._held(target, file) as partial:
            yield partial

    @staticmethod
    @contextmanager
    def if_free(path: Path) -> Iterator[Partial | None]:
        """The same; None, at once, while another process has the right."""
        with _writable(path) as target, suppress(_IsTaken):
            with _lock(target, wait=False) as file, Partial._held(target, file) as partial:
                yield partial
            return
        yield None

    @staticmethod
    @contextmanager
    def _held(path: Path, journal_file: BinaryIO) -> Iterator[Partial]:
        mend(path)
        partial = Partial(path, journal_file)
        try:
            yield partial
        except OSError:
            partial._is_worth_keeping = False
            raise
        finally:
            partial._leave()

    def open(self, fingerprint: bytes | None, itemsize: int, *, resume: bool) -> list[Entry]:
        """Open the unfinished file; a new one unless an earlier conversion of the same thing left it.

        Args:
            fingerprint: Of the conversion. None: nothing can go on from what this one leaves.
            itemsize: Bytes of one sample's metadata.
            resume: Whether to go on from what is there.

        Returns:
            What an earlier conversion has finished.
        """
        self._fingerprint = fingerprint
        self._journal = Journal(self._journal_file, itemsize)
        if self._is_worth_keeping and resume and fingerprint and _data_path(self.path).exists():
            if self._journal.is_of(fingerprint):
                entries = list(self._journal.entries())
                self.file = _open_own(_data_path(self.path))
                self._finished = (entries[-1].num_portions if entries else 0), ()
                return entries
            logger.warning("%s is of another conversion; it is replaced", _data_path(self.path))
        self._begin()
        return []

    def begin_anew(self, reason: str) -> None:
        """Drop what an earlier conversion has finished; `reason` is told."""
        logger.warning("%s: %s; all is converted anew", _data_path(self.path), reason)
        self.file.close()
        self._begin()

    def discard(self) -> None:
        """Remove what a conversion into one file has left."""
        if self._is_worth_keeping:
            logger.warning("%s is of another conversion; it is removed", _data_path(self.path))
            self._is_worth_keeping = False
            self._journal_file.truncate(0)
            _data_path(self.path).unlink(missing_ok=True)

    def add(self, tables: Tables) -> None:
        """Note samples whose data were written."""
        self._portion.append(tables)

    def end_portion(self) -> None:
        """Note that a portion is finished."""
        num_portions, tables = self._finished
        self._finished, self._portion = (num_portions + 1, (*tables, *self._portion)), []
        if time.monotonic() >= self._next_commit:
            self.commit()

    def end_last_portion(self) -> None:
        """Bring all to the disk; samples of a portion that goes on in another file count as one."""
        if self._portion:
            self.end_portion()
        self.commit()

    def commit(self) -> None:
        """Bring the finished portions to the disk, and the journal's entry of them after them."""
        began = time.monotonic()
        num_portions, tables = self._finished
        if tables:
            self._finished = num_portions, ()  # not twice, should this be interrupted
            self._sync()
            self._journal.append(Entry(num_portions, Tables.joined(tables)))
            self._is_worth_keeping = self._fingerprint is not None
        now = time.monotonic()
        self._next_commit = now + max(COMMIT_SECONDS, COMMIT_SHARE * (now - began))

    def num_bytes(self) -> int:
        """How large the unfinished file is."""
        return os.fstat(self.file.fileno()).st_size

    def entries(self) -> Iterator[Entry]:
        """All that was committed, from the beginning."""
        return self._journal.entries()

    def note_moved(self) -> None:
        """Note, after the last portion, that the data which stood in the way of the metadata were copied."""
        self._sync()
        self._journal.append(Entry(self._finished[0] + 1, self._journal.no_tables()))

    def appear(self) -> None:
        """Let the file, which is whole, appear at its path."""
        self._sync()
        self.file.close()
        put_in_place(_data_path(self.path), self.path)
        self._is_worth_keeping = False

    def _begin(self) -> None:
        self._is_worth_keeping = False
        self._finished = 0, ()
        # Emptied before the file that it speaks of. Without a fingerprint, it begins with one that nothing has.
        self._journal.begin(self._fingerprint or bytes(32))
        self.file = _open_own(_data_path(self.path))
        self.file.truncate()

    def _sync(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())

    def _leave(self) -> None:
        """Close the unfinished file, and remove it unless a later conversion can go on from it."""
        is_open = hasattr(self, "file")  # else what is there, if anything, may be somebody's
        if is_open:
            with suppress(OSError):  # what is still in the buffer belongs to no finished portion
                self.file.close()
        if not self._is_worth_keeping:
            if is_open:
                _data_path(self.path).unlink(missing_ok=True)
            journal_path(self.path).unlink(missing_ok=True)


@contextmanager
def kept_from_others(path: Path) -> Iterator[Path]:
    """Let nobody have the right to write the beton at `path`, but others who keep it as well; gives what links lead to.

    Raises:
        ConversionError: as `Partial.locked`, and if the file system has no locks.
    """
    with _writable(path) as target, _lock(target, shared=True):
        yield target


def journal_path(path: Path) -> Path:
    """Where the journal of an unfinished beton is."""
    return path.with_name(f"{path.name}.partial.journal")


def _data_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


@contextmanager
def _writable(path: Path) -> Iterator[Path]:
    """The file to write, with errors in words: what a link at `path` leads to."""
    try:
        with suppress(FileNotFoundError):
            mode = path.stat().st_mode
            if is_sharded(path):
                check_is_ours(path)
            elif not stat.S_ISREG(mode):
                what = "directory; name a file in it" if stat.S_ISDIR(mode) else "device, pipe or socket; name a file"
                raise ConversionError(f"cannot write {path}: it is a {what}")
        if path.is_symlink():
            path = Path(os.path.realpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path
    except OSError as error:
        raise ConversionError(f"cannot write {path}: {error.strerror or error}; choose another path") from error


class _IsTaken(Exception):
    """Another process has the lock."""


@contextmanager
def _lock(path: Path, *, wait: bool = True, shared: bool = False) -> Iterator[BinaryIO]:
    """The journal's file, locked; what it holds is left as it is. Raises `_IsTaken` where it would have to `wait`."""
    while True:
        with _open_own(journal_path(path)) as file:
            try:
                if not lock(file, shared=shared):
                    if not wait:
                        raise _IsTaken
                    logger.info("waiting for another process that converts %s", path)
                    lock(file, wait=True, shared=shared)
            except OSError as error:
                if error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP):
                    raise
                if shared:
                    raise ConversionError(
                        f"{path}: this file system has no locks, without which only one process can convert"
                    ) from error
                logger.warning("%s: this file system has no locks; let only one process convert", path)
            if _is_at(file, journal_path(path)):
                try:
                    yield file
                finally:
                    with suppress(OSError):
                        unlock(file)
                return


def _open_own(path: Path) -> BinaryIO:
    """Open or make an unfinished file for reading and writing, unless what is there may be something of somebody's."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EISDIR):  # a link, a socket, a directory
            raise
        raise ConversionError(f"cannot write {path}: it is no plain file; remove it") from error
    status = os.fstat(descriptor)
    is_foreign = status.st_uid != os.geteuid() and path.parent.stat().st_mode & stat.S_IWOTH
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1 or is_foreign:
        os.close(descriptor)
        what = "is another user's" if is_foreign else "is no plain file, or has a second name"
        raise ConversionError(f"cannot write {path}: it {what}; remove it")
    return open(descriptor, "r+b")


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether a file still has its name: who had the lock before may have removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
