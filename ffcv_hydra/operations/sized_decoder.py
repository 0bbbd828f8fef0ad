"""Base of the image decoders whose output has a size that is chosen."""

import copy
from collections.abc import Sequence
from typing import Self

from ffcv_hydra.operations.arguments import size_pair
from ffcv_hydra.operations.image_decoder import ImageDecoder


class SizedDecoder(ImageDecoder):
    """Base of the decoders whose output has a size that is chosen.

    Args:
        size: (height, width) of the output in pixels, or one number for both.
        interpolation, scaled_decoding: as in `ImageDecoder`.

    Both `size` and FFCV's name for it, `output_size`, may be set between two epochs.
    """

    def __init__(self, size: int | Sequence[int], interpolation: str = "area", scaled_decoding: bool = False) -> None:
        super().__init__(interpolation, scaled_decoding)
        self.size = size

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the output, in pixels; may be set to one number for both."""
        return self._size

    @size.setter
    def size(self, size: int | Sequence[int]) -> None:
        self._size = size_pair(type(self).__name__, size)

    output_size = size

    def with_size(self, size: int | Sequence[int]) -> Self:
        """A copy with another output size, which is random in the same way."""
        other = copy.copy(self)
        other.size = size
        return other
