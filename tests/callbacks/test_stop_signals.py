"""The signals that stop a run."""

import multiprocessing
import os
import signal
import threading

import pytest

from ffcv_hydra.callbacks import RunInterrupted, StopSignals
from ffcv_hydra.callbacks.stop_signals import STOP_SIGNALS

pytestmark = pytest.mark.timeout(60)


def never():
    raise AssertionError("aborted")


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_the_first_signal_raises(signum):
    with pytest.raises(RunInterrupted) as caught, StopSignals(never):
        os.kill(os.getpid(), signum)
    assert caught.value.signum == signum


def test_F57_a_signal_that_is_ignored_stays_so_as_in_the_background_of_a_script():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals(never) as signals:
            os.kill(os.getpid(), signal.SIGINT)
            signals.install()
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert not signals.signum
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_a_deferred_signal_is_only_noted(signum):
    with StopSignals(never) as signals:
        signals.deferred = True
        os.kill(os.getpid(), signum)
        assert signals.signum == signum


def test_a_burst_of_signals_is_one_request():
    with StopSignals(never) as signals:
        signals.deferred = True
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert signals.signum == signal.SIGTERM


def test_handlers_and_threads_are_gone_afterwards():
    threads = threading.active_count()
    before = [signal.getsignal(signum) for signum in STOP_SIGNALS]
    for _ in range(20):
        with StopSignals(never) as signals:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signals.install()
    assert [signal.getsignal(signum) for signum in STOP_SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1
    assert threading.active_count() == threads


def test_no_library_swallows_an_interruption():
    assert not issubclass(RunInterrupted, (Exception, KeyboardInterrupt))


def test_in_another_thread_nothing_is_handled():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def enter():
        with StopSignals(never):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize("closes", [True, False])
def test_F29_a_child_that_lives_on_keeps_neither_the_run_nor_the_pipe(closes, monkeypatch):
    def ends(pipe):
        links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
        return sum(os.path.lexists(link) and os.readlink(link) == pipe for link in links)

    def child(connection, pipe):
        connection.send(ends(pipe))
        connection.recv()

    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    if not closes:  # as a child that was forked without Python's knowledge
        monkeypatch.setattr(StopSignals, "_close", lambda self: None)
    with StopSignals(never) as signals:
        pipe = os.readlink(f"/proc/self/fd/{signals._read_end}")
        assert ends(pipe) == 2
        worker = context.Process(target=child, args=(theirs, pipe), daemon=True)
        worker.start()
    assert "stop-signals" not in [thread.name for thread in threading.enumerate()]
    assert worker.is_alive()
    assert ours.recv() == (0 if closes else 2)
    ours.send(None)
    worker.join()
    assert worker.exitcode == 0


def test_signals_to_worker_processes_are_not_taken_for_the_runs():
    with StopSignals(never) as signals:
        signals.deferred = True
        worker = multiprocessing.get_context("fork").Process(target=signal.pause)
        worker.start()
        os.kill(worker.pid, signal.SIGINT)
        worker.join(0.2)
        assert worker.is_alive()
        worker.terminate()
        worker.join()
        assert worker.exitcode == -signal.SIGTERM
        assert signals.signum == 0
        # A byte in the pipe would count as the first signal, and this one as the second, which aborts.
        os.kill(os.getpid(), signal.SIGTERM)
    assert signals.signum == signal.SIGTERM
