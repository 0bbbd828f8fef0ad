"""Text of others in matplotlib's pictures: names of classes, of keys and of metrics."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ffcv_hydra.printable import printable


def in_print(text: str) -> str:
    """`text` with nothing in it that hides or reorders, or that matplotlib takes for mathematics."""
    return printable(text).replace("$", r"\$")


@contextmanager
def any_script() -> Iterator[None]:
    """Let text be drawn in scripts that the font has no letters of, without a warning for each of these."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .*missing from ", category=UserWarning)
        yield
