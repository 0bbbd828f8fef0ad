"""`run.log`: what a run reported."""

import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from ffcv_hydra.redaction import redacted_text

_LIBRARIES = ("pytorch_lightning", "lightning_fabric")
"""They stop passing their records on when they are imported before logging is configured."""

_notes = logging.getLogger("ffcv_hydra.run")
"""Of what goes to `run.log` alone."""
_notes.setLevel(logging.INFO)
_notes.propagate = False


def note(text: str) -> None:
    """Write to the `run.log` of the run of this process what the terminal shows in another way, or not at all."""
    _notes.info("%s", text)


@contextmanager
def run_log(path: Path) -> Iterator[None]:
    """Append to `path` what is logged or noted within the context, warnings, and the traceback of what leaves it.

    That the file cannot be written is told once, and changes nothing else.
    """
    handler = _Handler(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in _LIBRARIES)]
    loggers = [_notes, *(logger for logger in loggers if logger is loggers[0] or not logger.propagate)]
    for logger in loggers:
        logger.addHandler(handler)
    show = warnings.showwarning

    def show_and_note(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        note(f"{category.__name__}: {message} ({filename}:{lineno})")
        show(message, category, filename, lineno, file, line)

    warnings.showwarning = show_and_note
    try:
        yield
    except BaseException as error:
        text = "".join(traceback.format_exception(error)).rstrip()
        handler.emit(logging.LogRecord("ffcv_hydra", logging.ERROR, __file__, 0, text, None, None))
        raise
    finally:
        if warnings.showwarning is show_and_note:
            warnings.showwarning = show
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()


class _Handler(logging.FileHandler):
    """Keeps what is secret to itself; outlives a full disk, or a folder that is gone."""

    _is_told = False

    def format(self, record: logging.LogRecord) -> str:
        return redacted_text(super().format(record))

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
