"""The writer's worker processes: chunks out, parts back in the order of the beton."""

from __future__ import annotations

import multiprocessing
import signal
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

import numpy as np

from ffcv_hydra.beton.encoding import Part, SampleEncoder
from ffcv_hydra.beton.worker import Failure, work
from ffcv_hydra.errors import ConversionError

CHUNKS_AHEAD = 2  # per worker: one it works on, one that waits, so that it never idles
BUFFERED_BYTES = 64 << 20  # parts that came before their turn; above this only the worker whose turn it is may send
ALIVE_CHECK_SECONDS = 1.0
EXIT_SECONDS = 5.0


@dataclass
class _Chunk:
    start: int
    stop: int
    received: int = 0
    parts: deque[Part] = field(default_factory=deque)

    @property
    def is_received(self) -> bool:
        return self.received == self.stop - self.start


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    chunks: deque[_Chunk] = field(default_factory=deque)


class WorkerPool:
    """Processes that encode a dataset's samples; a context manager that leaves no process behind.

    Args:
        encoder: Encodes the samples.
        dataset: A map-style dataset. Where the platform can fork it need not be picklable.
        indices: int64; the index in the dataset of each sample of the beton.
        num_workers: How many processes, at least 1.
    """

    def __init__(self, encoder: SampleEncoder, dataset: Any, indices: np.ndarray, num_workers: int) -> None:
        self._job = (encoder, dataset, indices)
        self._num_workers = num_workers
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
        self._stop(gracefully=kind is None)

    def encode(self, chunksize: int) -> Iterator[Part]:
        """Encode all samples in chunks of `chunksize` and yield the parts in the order of the beton.

        Raises:
            ConversionError: if a sample fails (its message names it; the worker's traceback is attached as a note), or
                a worker process dies (names the indices it had).
        """
        num_samples = len(self._job[2])
        waiting = (_Chunk(at, min(at + chunksize, num_samples)) for at in range(0, num_samples, chunksize))
        handed_out: deque[_Chunk] = deque()
        while True:
            handed_out.extend(self._hand_out(waiting))
            if not handed_out:
                return
            chunk = handed_out[0]
            while chunk.parts:
                part = chunk.parts.popleft()
                self._buffered -= part.nbytes
                yield part
            if chunk.is_received:
                handed_out.popleft()
            else:
                self._receive(chunk)

    def _start_worker(self) -> None:
        can_fork = "fork" in multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("fork" if can_fork else None)
        ours, theirs = context.Pipe()
        inherited = [*(worker.connection for worker in self._workers), ours] if can_fork else []
        process = context.Process(target=work, args=(theirs, inherited, *self._job), daemon=True)
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

    def _hand_out(self, waiting: Iterator[_Chunk]) -> Iterator[_Chunk]:
        for depth in range(CHUNKS_AHEAD):
            for worker in self._workers:
                if len(worker.chunks) > depth or (chunk := next(waiting, None)) is None:
                    continue
                worker.chunks.append(chunk)
                with suppress(OSError):  # the worker is dead; receiving from it tells how
                    worker.connection.send((chunk.start, chunk.stop))
                yield chunk

    def _receive(self, needed: _Chunk) -> None:
        """Take what workers have sent; from others than the one that has `needed` only while there is room."""
        busy = [worker for worker in self._workers if worker.chunks]
        if self._buffered >= BUFFERED_BYTES:
            busy = [worker for worker in busy if worker.chunks[0] is needed]
        by_connection = {worker.connection: worker for worker in busy}
        ready = wait(list(by_connection), timeout=ALIVE_CHECK_SECONDS)
        for connection in ready:
            self._receive_from(by_connection[connection])  # type: ignore[index]
        if not ready:
            # A process that a dead worker had started may still hold its end of the pipe open.
            for worker in busy:
                if not worker.process.is_alive() and not worker.connection.poll():
                    raise self._death(worker)

    def _receive_from(self, worker: _Worker) -> None:
        try:
            message: Part | Failure = worker.connection.recv()
        except (EOFError, OSError):
            raise self._death(worker) from None
        if isinstance(message, Failure):
            error = ConversionError(message.message)
            error.add_note(f"In a worker process:\n{message.traceback}")
            raise error
        chunk = worker.chunks[0]
        chunk.parts.append(message)
        chunk.received += len(message.records)
        self._buffered += message.nbytes
        if chunk.is_received:
            worker.chunks.popleft()

    def _death(self, worker: _Worker) -> ConversionError:
        worker.process.join(EXIT_SECONDS)
        code = worker.process.exitcode
        chunk = worker.chunks[0]
        indices = self._job[2][chunk.start + chunk.received : chunk.stop]
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
            what_to_do = "if memory ran out, use fewer workers; else look at these samples with num_workers=0"
        else:
            how = f"ended with status {code}"
            what_to_do = "look at these samples with num_workers=0"
        return ConversionError(
            f"a worker process {how} while it converted samples {indices[0]} to {indices[-1]}; {what_to_do}"
        )

    def _stop(self, *, gracefully: bool) -> None:
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
