"""Reading of exactly the bytes that are asked for."""

import os
from typing import Any


def read_at(descriptor: int, offset: int, target: Any) -> int:
    """Fill a buffer of bytes with what a file has from `offset` on, in as many calls as that takes.

    Linux reads at most 2,147,479,552 bytes at once.

    Returns:
        How many bytes there were: fewer than asked for only where the file ends. Raises `OSError` as `os.preadv` does.
    """
    view, done = memoryview(target), 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], offset + done)
        if count == 0:
            break
        done += count
    return done
