"""Fields of the package's own: betons say what they are, so that they open without `custom_fields`.

FFCV gives every class that it does not know the type id 255 and leaves it to the reader to name the class. Own fields
keep that id and put into the descriptor's arguments (1,024 bytes) what they are:

    magic (8) | length of the JSON ('<u2') | JSON {"kind": ..., "parameters": {...}} | zeros
"""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.format import ARGUMENTS
from ffcv_hydra.errors import BetonError, ConversionError

MAGIC = b"FFCVHYDF"
_PREFIX_BYTES = len(MAGIC) + 2
_KINDS: dict[str, type[OwnField]] = {}


class OwnField(Field):
    """Base of the fields that describe themselves.

    A subclass names its `kind`, takes plain values as parameters and checks them, and stores a value in `encode`, which
    raises `ConversionError` for what does not fit. Subclasses that name no kind of their own are read back as the class
    that they extend.

    Attributes:
        kind: What the file calls the class; also in default names, summaries and errors.
    """

    kind: ClassVar[str]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "kind" in cls.__dict__:
            _KINDS[cls.kind] = cls

    @property
    def label(self) -> str:
        """`called`, or the `kind`."""
        return vars(type(self)).get("called") or self.kind

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments that readers need, as JSON can hold them."""

    def description(self) -> str:
        """The kind and what else a summary tells of the field, on one line."""
        return self.kind

    def has_wrong_size(self, metadata: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Whether the size of each sample's data contradicts its metadata.

        Args:
            metadata: The field's metadata (N,).
            sizes: uint64 (N,), bytes.

        Returns:
            bool (N,).
        """
        return np.zeros(len(sizes), dtype=bool)

    def to_binary(self) -> np.void:
        """FFCV's hook: the arguments to store.

        Raises:
            ConversionError: if they do not fit.
        """
        text = json.dumps({"kind": self.kind, "parameters": self.parameters()}, separators=(",", ":")).encode()
        content = MAGIC + len(text).to_bytes(2, "little") + text
        if len(content) > ARGUMENTS.itemsize:
            room = ARGUMENTS.itemsize - _PREFIX_BYTES
            raise ConversionError(
                f"the parameters of {type(self).__name__} take {len(text)} bytes of JSON, over {room}"
            )
        result = np.zeros(1, dtype=ARGUMENTS)[0]
        result[0][: len(content)] = np.frombuffer(content, dtype=np.uint8)
        return result

    @classmethod
    def from_binary(cls, binary: np.ndarray) -> Field:  # a static method in FFCV
        """The field that the arguments, uint8 (1024,), describe: of this class, or for `OwnField` of the stored kind.

        Raises:
            BetonError: if the kind is unknown.
            Exception: of any class, if the arguments are damaged.
        """
        if not describes_itself(binary):
            raise ValueError("no description")
        length = int.from_bytes(binary[len(MAGIC) : _PREFIX_BYTES].tobytes(), "little")
        content = json.loads(binary[_PREFIX_BYTES:][:length].tobytes())
        kind, parameters = content["kind"], content["parameters"]
        field_class = _KINDS.get(kind) if cls is OwnField else cls
        if field_class is None:
            known = ", ".join(_KINDS)
            raise BetonError(
                f"is of kind {kind!r}, which is not known here ({known}); import the module of its class, or update "
                "this package"
            )
        return field_class(**parameters)

    def get_decoder_class(self) -> type:
        """FFCV's hook: a class that refuses to decode."""
        return NoDecoderOfFFCV


class NoDecoderOfFFCV:
    """What an own field names to FFCV's loader as its decoder, which cannot be made.

    Raises:
        TypeError: always.
    """

    def __new__(cls) -> NoDecoderOfFFCV:
        raise TypeError("the fields of ffcv_hydra are decoded by ffcv_hydra.Loader only, not by FFCV's")


def describes_itself(arguments: np.ndarray) -> bool:
    """Whether a descriptor's arguments, uint8 (1024,), are those of an own field."""
    return arguments[: len(MAGIC)].tobytes() == MAGIC
