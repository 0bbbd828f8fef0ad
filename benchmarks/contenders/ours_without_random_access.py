"""This project's writer, storing JPEGs without restart markers; for conversion and file sizes."""

from pathlib import Path

from benchmarks.contenders import ours
from benchmarks.work import Work

PACKAGES = ours.PACKAGES


def write(work: Work, path: Path) -> None:
    """Convert the photographs."""
    ours.write(work, path, random_access=False)
