"""The signals that ask a run to stop: the first one politely, the second one at once."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
EXIT_STATUS = 130
"""Exit status of a run that was stopped by a signal."""

_BURST_SECONDS = 0.5
"""`timeout` and SLURM may send one request twice within milliseconds; what comes within this time is the same one."""

_END = b"\0"  # no signal has this number

_active: "StopSignals | None" = None


class RunInterrupted(BaseException):
    """A signal stopped the run.

    No `Exception`, so that nothing on the way swallows it, and no `KeyboardInterrupt`, on which Lightning exits with 1.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.signum = signum


class StopSignals:
    """Handles SIGINT, SIGTERM and SIGUSR1 while it is entered; restores the previous handlers when it is left.

    The first signal raises `RunInterrupted` in the main thread or, while `deferred` is true, only sets `signum` for
    `GracefulStop` to act on. The second one calls `abort` and ends the process with status 130, whatever the main
    thread is doing: it is a watching thread that sees it, because a main thread that waits in a collective never
    returns to Python to run a handler. Entered in another thread than the main one, it does nothing.

    Signals that are ignored stay so, as SIGINT is in what a script starts in the background: Ctrl-C is for others then.

    Args:
        abort: called in the watching thread before the process ends; ends child processes, records the interruption.
    """

    def __init__(self, abort: Callable[[], None]) -> None:
        self.signum = 0
        self.deferred = False
        self._abort = abort
        self._previous: dict[int, Any] = {}
        self._entered = False

    def __enter__(self) -> Self:
        global _active
        if threading.current_thread() is not threading.main_thread():
            return self
        handlers = {signum: signal.getsignal(signum) for signum in STOP_SIGNALS}
        self._previous = {signum: handler for signum, handler in handlers.items() if handler is not signal.SIG_IGN}
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        self._watcher = threading.Thread(target=self._watch, daemon=True, name="stop-signals")
        self._watcher.start()
        self._previous_wakeup = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        self._entered = True
        self.install()
        _active = self
        return self

    def __exit__(self, *exception: object) -> None:
        global _active
        if not self._entered:
            return
        _active = None
        self._entered = False
        signal.set_wakeup_fd(self._previous_wakeup)
        for signum, handler in self._previous.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        os.write(self._write_end, _END)  # whoever else may hold the pipe
        self._watcher.join()
        self._close()

    def _close(self) -> None:
        os.close(self._write_end)
        os.close(self._read_end)

    def install(self) -> None:
        """Set the handlers; needed again after Lightning has put its own in front of the one for SIGTERM."""
        if self._entered:
            for signum in self._previous:
                signal.signal(signum, self._handle)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self.signum = self.signum or signum
        if not self.deferred:
            raise RunInterrupted(self.signum)

    def _watch(self) -> None:
        first = 0.0
        while (received := os.read(self._read_end, 1)) != _END:
            if received[0] not in STOP_SIGNALS:
                continue
            now = time.monotonic()
            if not first:
                first = now
                name = signal.Signals(received[0]).name
                _say(f"{name}: stopping after this batch; the same again ends the run at once.")
            elif now - first > _BURST_SECONDS:
                try:
                    self._abort()
                finally:
                    _say("Ended at once.")
                    os._exit(EXIT_STATUS)


def _say(line: str) -> None:
    # Below Python's buffered streams, whose locks the interrupted main thread may hold. A progress bar that ends here
    # leaves the cursor hidden: show it again.
    show_cursor = "\x1b[?25h" if os.isatty(2) else ""
    os.write(2, f"{show_cursor}\n{line}\n".encode())


def _reset_in_child() -> None:
    """Worker processes made by fork share the pipe: what they receive is not for the run. They outlive Ctrl-C."""
    global _active
    if _active is not None:
        signal.set_wakeup_fd(-1)
        for signum in STOP_SIGNALS:
            signal.signal(signum, signal.SIG_IGN if signum == signal.SIGINT else signal.SIG_DFL)
        _active._entered = False
        _active._close()
        _active = None


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_reset_in_child)
