"""Text of any length."""

from __future__ import annotations

from typing import Any

import numpy as np

from ffcv_hydra.beton.fields.base import Malloc
from ffcv_hydra.beton.fields.bytes_fields import BytesField
from ffcv_hydra.beton.fields.coercion import describe_value
from ffcv_hydra.beton.fields.own_field import OwnField
from ffcv_hydra.errors import ConversionError


class TextField(OwnField):
    """`str` of any length, stored as UTF-8; `ffcv_hydra.beton.unpack_text` gives it back from a batch."""

    kind = "text"

    @property
    def metadata_type(self) -> np.dtype:
        """FFCV's hook: the columns `ptr` and `size`, of bytes."""
        return BytesField().metadata_type

    def parameters(self) -> dict[str, Any]:
        """None."""
        return {}

    def encode(self, destination: np.ndarray, value: Any, malloc: Malloc) -> None:
        """FFCV's hook: store one text. Raises `ConversionError` if it is none, or not valid Unicode."""
        if not isinstance(value, str):
            raise ConversionError(f"expected a str, got {describe_value(value)}")
        try:
            content = value.encode()
        except UnicodeEncodeError as error:
            raise ConversionError(
                f"the text has a lone surrogate at position {error.start}; decode it with errors='replace'"
            ) from error
        BytesField().encode(destination, np.frombuffer(content, dtype=np.uint8), malloc)
