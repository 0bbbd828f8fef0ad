"""The last touch to images: their bytes become other values, their channels come first."""

import math
from typing import Any

import numpy as np

from ffcv_hydra.kernels.colour.finish import finish_image
from ffcv_hydra.operations.image_chain import ImageFunction, ImageFunctionOperation
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.table_lines import table_lines


class Finish(ImageFunctionOperation):
    """What the loader puts in the place of normalisations and layouts of uint8 images (N, H, W, C).

    Args:
        table: (256, C), what each byte becomes, of 2 to 8 bytes; uint8 for the bytes themselves.
        channels_first: whether to give (N, C, H, W).
    """

    def __init__(self, table: np.ndarray, channels_first: bool) -> None:
        self.table, self.channels_first = table, channels_first

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """Of the table's dtype."""
        height, width, channels = before.shape
        shape = (channels, height, width) if self.channels_first else (height, width, channels)
        return shape, self.table.dtype

    def image_functions(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[ImageFunction, ...]:
        """The one that does both."""
        return (finish_function(shape, self.table, self.channels_first),)


def finish_function(shape: tuple[int, ...], table: np.ndarray, channels_first: bool) -> ImageFunction:
    """The function that makes of bytes what a table says, and may put channels first.

    Args:
        shape: (H, W, C), of uint8 images.
        table: (256, C), what each byte becomes; one of uint8 is not looked at.
        channels_first: whether to write (C, H, W).
    """
    values = np.ascontiguousarray(table.T)
    bits = values.view(np.dtype(f"u{table.itemsize}")).astype(np.uint64)
    parameters = *shape, bits, table_lines(values), table.itemsize, int(channels_first)
    return ImageFunction(finish_image, parameters, math.prod(shape) * table.itemsize)
