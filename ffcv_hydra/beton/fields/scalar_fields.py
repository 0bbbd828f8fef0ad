"""Fields of one number, which stands in the metadata itself."""

from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.beton.fields.base import Field, Malloc


class _ScalarField(Field):
    dtype: ClassVar[np.dtype]

    @property
    def metadata_type(self) -> np.dtype:
        """The number."""
        return self.dtype

    def encode(self, destination: np.ndarray, value: Any, malloc: Malloc) -> None:
        """Store a number."""
        destination[0] = value


class FloatField(_ScalarField):
    """Floats of 64 bits."""

    type_id = 0
    called: ClassVar[str] = "float"
    dtype = np.dtype("<f8")


class IntField(_ScalarField):
    """Integers of 64 bits."""

    type_id = 1
    called: ClassVar[str] = "int"
    dtype = np.dtype("<i8")
