"""Where betons are: one path, or several."""

import os
from collections.abc import Sequence
from pathlib import Path

from ffcv_hydra.urls import is_url

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def located(path: str | os.PathLike[str]) -> Path | str:
    """A URL as it is, and of anything else the path from the root on."""
    return path if is_url(path) else absolute(path)


def absolute(path: str | os.PathLike[str]) -> Path:
    """The path from the root on, without a `~`."""
    return Path(os.path.abspath(os.path.expanduser(path)))
