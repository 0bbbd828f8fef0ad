"""The threads of one pass over the data.

Threads take the first task of the earliest batch that has one, so all cores stay busy across the border between two
batches and batches still come out in order. At most `batches_ahead` batches are under way or waiting for the consumer.
An error ends the pass where its batch would have come; nothing waits for a thread that is gone.

Who owns what:

- **A pass belongs to the process that began it.** A forked child has copies of its locks, as they were held, and none
  of its threads: there it raises `LoaderError`. The loader itself may be used in the child; it begins anew there, with
  locks, memory and scratch of its own, and the same file, which is read at given places.
- **Threads may share a pass and a loader.** `next` holds the pass's lock: each batch goes to one thread, none is lost.
- **Finalizers set a flag.** The garbage collector runs them in any thread, whatever locks that one holds. So they never
  lock, and never wait: they set `stopped` and open the gates that threads sleep at (`_Shared.stop`). The threads end
  after their present task.
- **Scratch belongs to its thread until that is joined**: by the end of the pass or, if that was collected, by the
  loader's next pass.
- **A batch's memory belongs to whoever holds it**, here or in another process. It is lent again when its storage has
  no reference but the pool's, and never once it was moved to memory that processes share (see `buffers`).
- **A descriptor has one owner.** Copies, pickled or not, open the file again; a pass has no copies.
"""

import atexit
import os
import threading
from _thread import LockType, allocate_lock
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

import torch

from ffcv_hydra.collection.remote_shards import Ahead
from ffcv_hydra.loader.engine.batch_job import BatchJob
from ffcv_hydra.loader.engine.execution import Executor
from ffcv_hydra.loader.plan.step import Step
from ffcv_hydra.operations.base import Scratch

_left_to_parent: list[list[Scratch]] = []
"""Kept by a forked child, since the parent's threads may have been in the middle of a call into them."""


class _Shared:
    """What consumer and threads share; threads refer to it alone, so that an abandoned `Engine` is collected."""

    def __init__(self, executor: Executor, jobs: Iterator[BatchJob], batches_ahead: int, ahead: Ahead | None) -> None:
        self.executor = executor
        self.upcoming = jobs
        self.ahead = ahead
        self.batches_ahead = batches_ahead
        self.lock = threading.Lock()
        self.work: deque[LockType] = deque()  # where threads sleep until there may be something to do
        self.delivery: deque[LockType] = deque()  # where the consumer sleeps until the next batch may be done
        self.under_way: deque[BatchJob] = deque()
        self.exhausted = False
        self.stopped = False

    def next_task(self) -> tuple[BatchJob, tuple[Step, int, int]] | None:
        """Wait for something to do; None when there will be nothing more. The lock must be held."""
        while not self.stopped:
            found = self._first_task()
            if found is not None:
                return found
            if not self.exhausted and len(self.under_way) < self.batches_ahead:
                self._admit()
                continue
            if self.exhausted and all(job.done for job in self.under_way):
                return None
            self.deliver()
            self.sleep(self.work)
        self.under_way.clear()  # nobody will take them
        return None

    def _first_task(self) -> tuple[BatchJob, tuple[Step, int, int]] | None:
        for job in self.under_way:
            if job.tasks and job.error is None:
                return job, job.tasks.popleft()
        return None

    def deliver(self) -> None:
        """Wake the consumer if there is something for it: a batch, or the end. The lock must be held."""
        if self.under_way[0].done if self.under_way else self.exhausted:
            self.wake(self.delivery)

    def _admit(self) -> None:
        try:
            job = next(self.upcoming, None)
        except BaseException as error:  # no batch can follow, and the consumer must learn why
            job = BatchJob.failed(error)
            self.exhausted = True
        if job is None:
            self.exhausted = True
            self.wake(self.work)
            return
        self.under_way.append(job)
        if job.error is None:
            try:
                self.executor.start(job)
            except BaseException as error:
                job.error = error
        self.announce(job)

    def announce(self, job: BatchJob) -> None:
        """Wake threads that can go on because of what has become of a job; the caller itself takes a task next.

        Of small images, waking threads in vain costs as much as the work.
        """
        if job.done and self.exhausted:
            self.wake(self.work)
        elif len(job.tasks) > 1:
            self.wake(self.work, len(job.tasks) - 1)

    def sleep(self, where: deque[LockType]) -> None:
        """Let go of the lock, which must be held, until somebody wakes this thread."""
        gate = allocate_lock()
        gate.acquire()
        where.append(gate)
        if self.stopped:  # maybe by a finalizer that looked for gates before this one was there
            return
        self.lock.release()
        try:
            gate.acquire()
        finally:
            self.lock.acquire()

    @staticmethod
    def wake(where: deque[LockType], count: int = -1) -> None:
        """Wake some of those that sleep there, or all; needs no lock, since each gate is taken by one thread alone."""
        with suppress(IndexError):  # somebody else has just taken the last one
            while where and count:
                where.popleft().release()
                count -= 1

    def stop(self) -> None:
        """Let every thread end after its present task; may be called anywhere, by finalizers too, and never waits."""
        self.stopped = True
        if self.ahead is not None:
            self.ahead.stop()
        self.wake(self.work)
        self.wake(self.delivery)


def _work(shared: _Shared, scratch: Scratch) -> None:
    with torch.no_grad():
        with shared.lock:
            found = shared.next_task()
            shared.deliver()
        while found is not None:
            job, task = found
            done, failure = _run(shared.executor, job, task, scratch)
            with shared.lock:
                try:
                    if failure is None:
                        shared.executor.finish(job, done)
                except BaseException as error:
                    failure = error
                job.error = job.error or failure
                shared.announce(job)
                # Nothing is held while waiting: a batch is free as soon as the consumer lets go.
                del found, job, task, done, failure
                found = shared.next_task()
                shared.deliver()  # as late as possible: the consumer would wait for the GIL


def _run(
    executor: Executor, job: BatchJob, task: tuple[Step, int, int], scratch: Scratch
) -> tuple[list[Step], BaseException | None]:
    """Do a task; the steps that `Executor.run` gives, and what it raised."""
    try:
        return executor.run(job, *task, scratch), None
    except BaseException as error:
        return [], error


class _Worker(threading.Thread):
    def __init__(self, shared: _Shared, scratch: Scratch, number: int) -> None:
        super().__init__(target=_work, args=(shared, scratch), name=f"ffcv_hydra-{number}", daemon=True)
        self.stop = shared.stop


@atexit.register
def _end_all() -> None:
    """Threads must be gone before the interpreter takes away what they use."""
    workers = [thread for thread in threading.enumerate() if isinstance(thread, _Worker)]
    for worker in workers:
        worker.stop()
    for worker in workers:
        worker.join()


class Engine:
    """One pass: an iterator over finished batch jobs, in order. Its threads end after it was collected; see `join`.

    Args:
        executor: runs the steps.
        jobs: gives the batches to be made; read under a lock, by any thread.
        scratches: one per thread; nobody else's until `join` has returned.
        batches_ahead: how many batches may be under way or waiting.
        ahead: what fetches files for them, and ends with it.
    """

    def __init__(
        self,
        executor: Executor,
        jobs: Iterator[BatchJob],
        scratches: list[Scratch],
        batches_ahead: int,
        ahead: Ahead | None = None,
    ) -> None:
        self.executor = executor
        self.scratches = scratches
        self.ahead = ahead
        self._process = os.getpid()
        self._shared = _Shared(executor, jobs, batches_ahead, ahead)
        self._threads = [_Worker(self._shared, scratch, number) for number, scratch in enumerate(scratches)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the threads end after their present task. For finalizers too: it neither locks nor waits."""
        self._shared.stop()

    def __del__(self) -> None:
        if self._process == os.getpid():
            self.stop()
        else:
            _left_to_parent.append(self.scratches)

    def join(self) -> list[Scratch]:
        """Stop, wait for the threads, and give their scratch back. Not for finalizers."""
        self.stop()
        for thread in self._threads:
            thread.join()
        if self.ahead is not None:
            self.ahead.close()
        return self.scratches

    def take(self) -> BatchJob | None:
        """Wait for the next batch; None after the last one, or when stopped.

        Raises:
            Exception: what a thread raised while it made this batch.
        """
        shared = self._shared
        with shared.lock:
            while not shared.stopped:
                if shared.under_way and shared.under_way[0].done:
                    job = shared.under_way.popleft()
                    shared.wake(shared.work, 1)  # there is room for another one
                    break
                if shared.exhausted and not shared.under_way:
                    return None
                shared.sleep(shared.delivery)
            else:
                return None
        if job.error is not None:
            raise job.error
        return job
