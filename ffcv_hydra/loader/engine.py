"""The threads of one pass over the data.

Threads take the first task of the earliest batch that has one, so all cores stay busy across the border between two
batches and batches still come out in order. At most `batches_ahead` batches are under way or waiting for the consumer.
An error ends the pass where its batch would have come; nothing waits for a thread that is gone.
"""

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ffcv_hydra.loader.execution import Executor
from ffcv_hydra.loader.job import Job
from ffcv_hydra.operations.base import Scratch


class _Shared:
    """What consumer and threads share; threads refer to it alone, so that an abandoned `Engine` is collected."""

    def __init__(self, executor: Executor, jobs: Iterator[Job], batches_ahead: int) -> None:
        self.executor = executor
        self.upcoming = jobs
        self.batches_ahead = batches_ahead
        self.lock = threading.RLock()
        self.work = threading.Condition(self.lock)  # for threads: there may be something to do
        self.delivery = threading.Condition(self.lock)  # for the consumer: the next batch may be done
        self.under_way: deque[Job] = deque()
        self.exhausted = False
        self.stopped = False

    def next_task(self) -> tuple[Job, Any] | None:
        """Wait for something to do; None when there will be nothing more. The lock must be held."""
        while not self.stopped:
            for job in self.under_way:
                if job.tasks and job.error is None:
                    return job, job.tasks.popleft()
            if not self.exhausted and len(self.under_way) < self.batches_ahead:
                self._admit()
                continue
            if self.exhausted and all(job.done for job in self.under_way):
                break
            self.work.wait()
        return None

    def _admit(self) -> None:
        try:
            job = next(self.upcoming, None)
        except BaseException as error:  # no batch can follow, and the consumer must learn why
            job = Job.failed(error)
            self.exhausted = True
        if job is None:
            self.exhausted = True
        else:
            self.under_way.append(job)
            if job.error is None:
                self.attempt(job, partial(self.executor.start, job))
        self.announce(job)

    def announce(self, job: Job | None) -> None:
        """Wake those who wait for what has become of a job (None: there will be none any more), and nobody else.

        Of small images, waking threads in vain costs as much as the work.
        """
        done = job is None or job.done
        if done:
            self.delivery.notify_all()
        if (done and self.exhausted) or (job is not None and job.tasks):
            self.work.notify_all()

    def attempt(self, job: Job, action: Callable[[], None]) -> bool:
        """Call `action`; what it raises becomes the job's error. Gives whether it went well."""
        try:
            action()
        except BaseException as error:
            job.error = job.error or error
            return False
        return True

    def stop(self) -> None:
        """Let every thread end after its present task."""
        with self.lock:
            self.stopped = True
            self.under_way.clear()
            self.work.notify_all()
            self.delivery.notify_all()


def _work(shared: _Shared, scratch: Scratch) -> None:
    executor = shared.executor
    while True:
        with shared.lock:
            found = shared.next_task()
        if found is None:
            return
        job, (step, start, stop) = found
        went_well = shared.attempt(job, partial(executor.run, job, step, start, stop, scratch))
        with shared.lock:
            if went_well:
                shared.attempt(job, partial(executor.finish, job, step))
            shared.announce(job)
        del found, job, step  # nothing is held while waiting: a batch is free as soon as the consumer lets go


def _shut_down(shared: _Shared, threads: list[threading.Thread]) -> None:
    shared.stop()
    # The garbage collector may run this in one of the threads, which then must not wait for those that wait for it.
    if threading.current_thread() not in threads:
        for thread in threads:
            thread.join()


class Engine:
    """One pass: an iterator over finished jobs, in order.

    Args:
        executor: runs the steps.
        jobs: gives the batches to be made; read under a lock, by any thread.
        scratches: one per thread.
        batches_ahead: how many batches may be under way or waiting.
    """

    def __init__(self, executor: Executor, jobs: Iterator[Job], scratches: list[Scratch], batches_ahead: int) -> None:
        self.executor = executor
        self._shared = _Shared(executor, jobs, batches_ahead)
        threads = [
            threading.Thread(target=_work, args=(self._shared, scratch), name=f"ffcv_hydra-{number}", daemon=True)
            for number, scratch in enumerate(scratches)
        ]
        self.close: Callable[[], Any] = weakref.finalize(self, _shut_down, self._shared, threads)
        for thread in threads:
            thread.start()

    def take(self) -> Job | None:
        """Wait for the next batch; None after the last one, or when closed.

        Raises:
            Exception: what a thread raised while it made this batch.
        """
        shared = self._shared
        with shared.lock:
            while not shared.stopped:
                if shared.under_way and shared.under_way[0].done:
                    job = shared.under_way.popleft()
                    shared.work.notify()  # there is room for another one
                    break
                if shared.exhausted and not shared.under_way:
                    return None
                shared.delivery.wait()
            else:
                return None
        if job.error is not None:
            self.close()
            raise job.error
        return job
