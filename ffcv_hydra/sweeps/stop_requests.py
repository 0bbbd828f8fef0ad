"""Ctrl-C and its like, counted instead of raised, so that a sweep can end its jobs in order."""

import signal
import threading
import time
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BURST_SECONDS = 0.5
"""`timeout` and the like send one request twice, to the process and to its group."""


class StopRequests:
    """Counts SIGINT, SIGTERM and SIGHUP while it is entered; the handlers before are back when it is left.

    Those that are ignored stay so, as SIGHUP does under `nohup`. Entered in another thread than the main one, it does
    nothing.
    """

    def __init__(self) -> None:
        self.count = 0
        self._last = -_BURST_SECONDS
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for signum in _SIGNALS:
                if signal.getsignal(signum) is not signal.SIG_IGN:
                    self._previous[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        self.count += now - self._last > _BURST_SECONDS
        self._last = now
