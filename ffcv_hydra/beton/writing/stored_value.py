"""A field's value as a beton has it, to be put into another one without being encoded anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ffcv_hydra.beton.fields.base import Field, Malloc
from ffcv_hydra.beton.reading.checks import pointer_column


@dataclass(frozen=True)
class StoredValue:
    """One sample's value of a field.

    Attributes:
        field: The field.
        metadata: (1,) of the field's metadata type.
        data: What its pointer leads to; None if it has none.
    """

    field: Field
    metadata: np.ndarray
    data: bytes | None

    def store(self, destination: np.ndarray, malloc: Malloc) -> None:
        """As `Field.encode`."""
        destination[...] = self.metadata
        pointers = pointer_column(self.field, destination)
        if self.data is not None and pointers is not None:
            pointers[0], storage = malloc(len(self.data))
            storage[:] = np.frombuffer(self.data, dtype=np.uint8)
