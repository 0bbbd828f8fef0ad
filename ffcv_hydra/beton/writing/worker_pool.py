"""The conversion workers: portions out, parts back in the order of the beton."""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any

from ffcv_hydra.beton.writing.encoding import Part, SampleEncoder
from ffcv_hydra.beton.writing.source import PortionEnd, Source
from ffcv_hydra.beton.writing.spool import Spool, SpooledPart
from ffcv_hydra.beton.writing.transport import receive
from ffcv_hydra.beton.writing.worker import Failure, work
from ffcv_hydra.errors import ConversionError
from ffcv_hydra.process_ends import how_it_ended

SHARDS_AHEAD = 4  # per worker: so many may wait on the disk for one that takes longer
PORTIONS_AHEAD = 2  # per worker: one it works on, one that waits, so that it never idles
BUFFERED_BYTES = 64 << 20  # parts that came before their turn; above this only the worker whose turn it is may send
ALIVE_CHECK_SECONDS = 1.0
EXIT_SECONDS = 5.0


@dataclass
class _Portion:
    number: int
    parts: deque[Part | SpooledPart] = field(default_factory=deque)
    num_received: int = 0
    is_received: bool = False
    failure: ConversionError | None = None


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    portions: deque[_Portion] = field(default_factory=deque)


class WorkerPool:
    """Processes that encode a dataset's samples; a context manager that leaves no process behind.

    Args:
        encoder: Encodes the samples.
        source: What is converted. Where the platform can fork it need not be picklable.
        num_workers: How many processes, at least 1.
        spool_directory: Where parts of shards wait for their turn. Portions of a map-style dataset are small: there, a
            worker that is ahead waits instead.
    """

    def __init__(self, encoder: SampleEncoder, source: Source, num_workers: int, spool_directory: Path) -> None:
        self._job = (encoder, source)
        self._source = source
        self._num_workers = num_workers
        self._spools = source.num_samples is None
        self._spool = Spool(spool_directory)
        self._workers: list[_Worker] = []
        self._buffered = 0

    def __enter__(self) -> WorkerPool:
        try:
            for _ in range(self._num_workers):
                self._start_worker()
        except BaseException:
            self._stop(gracefully=False)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        is_at_work = any(worker.portions for worker in self._workers)  # on what nobody wants any more
        self._stop(gracefully=kind is None and not is_at_work)

    def encode(self, portions: range) -> Iterator[Part | PortionEnd]:
        """Encode portions; yield their parts in order, a `PortionEnd` behind each.

        Raises:
            ConversionError: if a sample fails (its message names it; the worker's traceback is attached as a note),
                after what comes before its portion; or at once if a worker process dies (names the samples it had).
        """
        waiting = (_Portion(number) for number in portions)
        handed_out: deque[_Portion] = deque()
        while True:
            has_room = not self._spools or len(handed_out) < SHARDS_AHEAD * self._num_workers
            if has_room and not any(portion.failure for portion in handed_out):
                handed_out.extend(self._hand_out(waiting))
            if not handed_out:
                return
            portion = handed_out[0]
            while portion.parts:
                yield self._take(portion.parts.popleft())
            if portion.failure is not None:
                raise portion.failure
            if portion.is_received:
                handed_out.popleft()
                self._spool.forget(portion.number)
                yield PortionEnd()
            else:
                self._receive(portion)

    def _take(self, part: Part | SpooledPart) -> Part:
        if isinstance(part, SpooledPart):
            return part.read()
        self._buffered -= part.nbytes
        return part

    def _start_worker(self) -> None:
        can_fork = "fork" in multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("fork" if can_fork else None)
        ours, theirs = context.Pipe()
        inherited = [*(worker.connection for worker in self._workers), ours] if can_fork else []
        process = context.Process(target=work, args=(theirs, inherited, os.getpid(), *self._job), daemon=True)
        try:
            with warnings.catch_warnings():
                # Python 3.12 warns of every fork beside threads. Fork is meant: it is what lets a dataset class that is
                # defined in a script without a main guard work; the child starts no thread before its own code runs.
                warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
                process.start()
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):  # no memory, or too many processes
                raise ConversionError(f"cannot start a worker process: {error.strerror}; use fewer workers") from error
            raise
        finally:
            theirs.close()  # so that the child holds the only copy, and its death reads as the end of the pipe
        self._workers.append(_Worker(process, ours))

    def _hand_out(self, waiting: Iterator[_Portion]) -> Iterator[_Portion]:
        for depth in range(PORTIONS_AHEAD):
            for worker in self._workers:
                if len(worker.portions) > depth or (portion := next(waiting, None)) is None:
                    continue
                worker.portions.append(portion)
                with suppress(OSError):  # the worker is dead; receiving from it tells how
                    worker.connection.send(portion.number)
                yield portion

    def _receive(self, needed: _Portion) -> None:
        """Take what workers have sent; from others than the one that has `needed` only while there is room."""
        busy = [worker for worker in self._workers if worker.portions]
        if self._buffered >= BUFFERED_BYTES and not self._spools:
            busy = [worker for worker in busy if worker.portions[0] is needed]
        by_connection = {worker.connection: worker for worker in busy}
        ready = wait(list(by_connection), timeout=ALIVE_CHECK_SECONDS)
        for connection in ready:
            self._receive_from(by_connection[connection], needed)  # type: ignore[index]
        if not ready:
            # A process that a dead worker had started may still hold its end of the pipe open.
            for worker in busy:
                if not worker.process.is_alive() and not worker.connection.poll():
                    raise self._death(worker)

    def _receive_from(self, worker: _Worker, needed: _Portion) -> None:
        try:
            message: Part | PortionEnd | Failure = receive(worker.connection)
        except (EOFError, OSError):
            raise self._death(worker) from None
        portion = worker.portions[0]
        if isinstance(message, Failure):
            # Raised in its turn: portions before it are finished meanwhile, and so kept. Those after it are not needed.
            portion.failure = ConversionError(message.message)
            portion.failure.add_note(f"In a worker process:\n{message.traceback}")
            worker.portions.clear()
            return
        if isinstance(message, PortionEnd):
            portion.is_received = True
            worker.portions.popleft()
            return
        portion.num_received += message.tables.num_samples
        if self._spools and self._buffered >= BUFFERED_BYTES and portion is not needed:
            portion.parts.append(self._spool.put(message, portion.number))
        else:
            portion.parts.append(message)
            self._buffered += message.nbytes

    def _death(self, worker: _Worker) -> ConversionError:
        worker.process.join(EXIT_SECONDS)
        code = worker.process.exitcode
        portion = worker.portions[0]
        how = "its pipe is closed" if code is None else how_it_ended(code)
        samples = self._source.label_rest(portion.number, portion.num_received)
        memory = "if memory ran out, use fewer workers; else " if code == -signal.SIGKILL else ""
        return ConversionError(
            f"a worker process ended while it converted {samples} ({how}); {memory}look at these samples with "
            f"num_workers=0"
        )

    def _stop(self, *, gracefully: bool) -> None:
        self._spool.close()
        for worker in self._workers:
            if gracefully:
                with suppress(OSError):  # dead already, with its work done
                    worker.connection.send(None)
            else:
                worker.process.terminate()
        for worker in self._workers:
            worker.process.join(EXIT_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
            worker.process.close()
        self._workers.clear()
