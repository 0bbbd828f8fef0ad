"""Sizes in bytes, as users give them and as they are shown."""

import re
from typing import Any

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b", re.IGNORECASE)


def parse_size(size: Any) -> int:
    """Bytes, of a number or a text such as `500MB` (10**6) or `1GiB` (2**30).

    Raises:
        ValueError: it is none; with what was given, and what to give instead.
    """
    if isinstance(size, str) and size.strip().isdecimal():
        size = int(size)
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size
    found = _SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    if found is not None:
        number, unit, binary = found.groups()
        size_of_unit = (1024 if binary else 1000) ** " kmgt".index(unit.lower() or " ")
        if (num_bytes := int(float(number) * size_of_unit)) > 0:
            return num_bytes
    raise ValueError(f"{size!r}; use a number of bytes from 1 on, or a text such as 500MB or 1GB")


def shown_size(num_bytes: float) -> str:
    """`3.4 GB` (10**9), `850 MB` or `0 MB`."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"
