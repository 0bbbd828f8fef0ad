"""`run.log`: what a run reported."""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LIBRARIES = ("pytorch_lightning", "lightning_fabric")
"""They stop passing their records on when they are imported before logging is configured."""


@contextmanager
def run_log(path: Path) -> Iterator[None]:
    """Append to `path` what is logged within the context, and the traceback of an exception that leaves it.

    That the file cannot be written is told once, and changes nothing else.
    """
    handler = _Handler(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in _LIBRARIES)]
    loggers = [logger for logger in loggers if logger is loggers[0] or not logger.propagate]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    except BaseException as error:
        text = "".join(traceback.format_exception(error)).rstrip()
        handler.emit(logging.LogRecord("ffcv_hydra", logging.ERROR, __file__, 0, text, None, None))
        raise
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()


class _Handler(logging.FileHandler):
    """Outlives a full disk, or a folder that is gone."""

    _is_told = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # the file cannot be opened
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._is_told:
            self._is_told = True
            print(f"{self.baseFilename} cannot be written: {sys.exc_info()[1]}", file=sys.stderr)

    def close(self) -> None:
        with suppress(OSError):  # what could not be written is tried again
            super().close()
