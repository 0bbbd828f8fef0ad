"""The threads of one pass over the data.

Threads take the first task of the earliest batch that has one, so all cores stay busy across the border between two
batches and batches still come out in order. At most `batches_ahead` batches are under way or waiting for the consumer.
An error ends the pass where its batch would have come; nothing waits for a thread that is gone.
"""

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ffcv_hydra.loader.execution import Executor
from ffcv_hydra.loader.job import Job
from ffcv_hydra.loader.plan import Step
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

    def next_task(self) -> tuple[Job, tuple[Step, int, int]] | None:
        """Wait for something to do; None when there will be nothing more. The lock must be held."""
        while not self.stopped:
            found = self._first_task()
            if found is not None:
                return found
            if not self.exhausted and len(self.under_way) < self.batches_ahead:
                self._admit()
                continue
            if self.exhausted and all(job.done for job in self.under_way):
                break
            self.deliver()
            self.work.wait()
        return None

    def _first_task(self) -> tuple[Job, tuple[Step, int, int]] | None:
        for job in self.under_way:
            if job.tasks and job.error is None:
                return job, job.tasks.popleft()
        return None

    def deliver(self) -> None:
        """Wake the consumer if there is something for it: a batch, or the end. The lock must be held."""
        if self.under_way[0].done if self.under_way else self.exhausted:
            self.delivery.notify_all()

    def _admit(self) -> None:
        try:
            job = next(self.upcoming, None)
        except BaseException as error:  # no batch can follow, and the consumer must learn why
            job = Job.failed(error)
            self.exhausted = True
        if job is None:
            self.exhausted = True
            self.work.notify_all()
            return
        self.under_way.append(job)
        if job.error is None:
            try:
                self.executor.start(job)
            except BaseException as error:
                job.error = error
        self.announce(job)

    def announce(self, job: Job) -> None:
        """Wake threads that can go on because of what has become of a job; the caller itself takes a task next.

        Of small images, waking threads in vain costs as much as the work.
        """
        if job.done and self.exhausted:
            self.work.notify_all()
        elif len(job.tasks) > 1:
            self.work.notify(len(job.tasks) - 1)

    def stop(self) -> None:
        """Let every thread end after its present task."""
        with self.lock:
            self.stopped = True
            self.under_way.clear()
            self.work.notify_all()
            self.delivery.notify_all()


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
    executor: Executor, job: Job, task: tuple[Step, int, int], scratch: Scratch
) -> tuple[list[Step], BaseException | None]:
    """Do a task; the steps that `Executor.run` gives, and what it raised."""
    try:
        return executor.run(job, *task, scratch), None
    except BaseException as error:
        return [], error


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
