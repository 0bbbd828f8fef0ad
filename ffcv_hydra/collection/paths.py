"""Where betons are: one path, or several."""

import os
from collections.abc import Sequence
from pathlib import Path

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def absolute(path: str | os.PathLike[str]) -> Path:
    """The path from the root on, without a `~`."""
    return Path(os.path.abspath(os.path.expanduser(path)))
