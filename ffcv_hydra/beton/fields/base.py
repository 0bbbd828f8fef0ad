"""What a field is: how one entry of a dataset's items is stored."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import numpy as np

from ffcv_hydra.beton.format import ARGUMENTS

# Gives, for a number of bytes, the pointer to store in the metadata and a uint8 array of them to fill.
Malloc: TypeAlias = Callable[[int], tuple[int, np.ndarray]]


class Field(ABC):
    """Base of the fields, with FFCV's names and meanings.

    A class that says a `type_id` is stored under that number of FFCV's; all others, those derived from it included,
    are told apart by what opens the file.

    Attributes:
        called: what default names, summaries and errors call the class, but none that is derived from it.
        holds_places: whether values are places in an image, as masks and boxes are; None if nobody has said.
    """

    holds_places: ClassVar[bool | None] = None

    @property
    def label(self) -> str:
        """`called`, or the class's name without `Field`, in lowercase."""
        return vars(type(self)).get("called") or self.name.removesuffix("Field").lower() or "field"

    @property
    def name(self) -> str:
        """What messages call the class."""
        return type(self).__name__

    @property
    @abstractmethod
    def metadata_type(self) -> np.dtype:
        """What is stored of each sample in the beton's tables: its value, or where its data lies."""

    @abstractmethod
    def encode(self, destination: np.ndarray, value: Any, malloc: Malloc) -> None:
        """Store a value: its metadata into `destination` (1,), its data where `malloc` says."""

    def to_binary(self) -> np.void:
        """A record of `ARGUMENTS`: what `from_binary` needs."""
        return np.zeros(1, dtype=ARGUMENTS)[0]

    @classmethod
    def from_binary(cls, binary: np.ndarray) -> "Field":
        """The field that stored arguments, uint8 (1024,), describe."""
        return cls()

    def get_decoder_class(self) -> type | None:
        """The operation that a pipeline begins with if it names none; None where the loader knows one."""
        return None
