"""Which files are taken for images by their names."""

from __future__ import annotations

from functools import cache

NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
"""Formats that Pillow knows but needs other programs for, or that hold something else as a rule."""


@cache
def image_suffixes() -> frozenset[str]:
    """The suffixes, such as `.jpg`, of all formats that the installed Pillow reads."""
    from PIL import Image

    formats = Image.registered_extensions().items()
    return frozenset(suffix for suffix, name in formats if name in Image.OPEN and name not in NO_PICTURES)
