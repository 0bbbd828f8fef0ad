"""Fields of bytes of any number, and of what can be written as JSON."""

import json
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.beton.fields.base import Field, Malloc


class BytesField(Field):
    """Arrays uint8 (n,) of any n."""

    type_id = 3
    called: ClassVar[str] = "bytes"

    @property
    def metadata_type(self) -> np.dtype:
        """Where the bytes lie, and how many they are."""
        return np.dtype([("ptr", "<u8"), ("size", "<u8")])

    def encode(self, destination: np.ndarray, value: Any, malloc: Malloc) -> None:
        """Store an array uint8 (n,)."""
        destination["ptr"], storage = malloc(value.size)
        storage[:] = value
        destination["size"] = value.size


class JSONField(BytesField):
    """What JSON can hold, as UTF-8 that ends with a zero."""

    type_id = 5
    called: ClassVar[str] = "json"

    def encode(self, destination: np.ndarray, value: Any, malloc: Malloc) -> None:
        """Store a dict or a list. Raises `TypeError` or `ValueError` for what JSON cannot hold."""
        text = (json.dumps(value) + "\0").encode()
        super().encode(destination, np.frombuffer(text, dtype=np.uint8), malloc)
