"""Messages from conversion workers: tables are pickled, data sent as they are, which pickling would copy twice."""

from __future__ import annotations

import os
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from ffcv_hydra.beton.tables import Tables
from ffcv_hydra.beton.writing.encoding import Part


@dataclass(frozen=True)
class _Announcement:
    """Of a part, whose data follow: so many bytes."""

    tables: Tables
    num_bytes: int


def send(connection: Connection, message: Any) -> None:
    """Send a part, or anything that can be pickled."""
    if not isinstance(message, Part):
        connection.send(message)
        return
    connection.send(_Announcement(message.tables, len(message.data)))
    rest = memoryview(message.data)
    while rest:
        rest = rest[os.write(connection.fileno(), rest) :]


def receive(connection: Connection) -> Any:
    """What `send` was given. Raises `EOFError` or `OSError` if the other end is closed before all of it is there."""
    message = connection.recv()
    if not isinstance(message, _Announcement):
        return message
    data = bytearray(message.num_bytes)
    rest = memoryview(data)
    while rest:
        count = os.readv(connection.fileno(), [rest])
        if count == 0:
            raise EOFError
        rest = rest[count:]
    return Part(message.tables, data)
