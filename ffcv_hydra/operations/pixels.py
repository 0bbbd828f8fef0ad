"""Images of any dtype as bytes, so that kernels that only move pixels need one signature; and colours to fill them."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations.arguments import numbers
from ffcv_hydra.operations.operation import State


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Contiguous images (N, H, W) or (N, H, W, C) of any dtype as uint8 (N, H, W, B), B bytes per pixel; a view."""
    return images.view(np.uint8).reshape(*images.shape[:3], -1)


def colour(operation: str, argument: str, values: Any) -> tuple[float, ...]:
    """One number for all channels, or a list of one for each, as a tuple of 1 or C floats.

    Raises:
        PipelineError: it is neither.
    """
    try:
        return numbers(operation, argument, (values,) if isinstance(values, Real) else values)
    except PipelineError:
        what = "a number, or a list of one per channel"
        raise PipelineError(f"{operation}: {argument} is {what}; got {values}") from None


def check_colour(argument: str, values: Sequence[float], state: State) -> None:
    """Whether images (H, W, C) of `state` can hold a colour.

    Raises:
        PipelineError: it has another number of channels, or the dtype does not hold its values.
    """
    channels, dtype = state.shape[2], np.dtype(state.dtype)
    if len(values) not in (1, channels):
        raise PipelineError(f"{argument} has {len(values)} values, but images have {channels} channels")
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        if any(value != int(value) or not limits.min <= value <= limits.max for value in values):
            wanted = ", ".join(f"{value:g}" for value in values)
            raise PipelineError(f"{argument} {wanted}: {dtype.name} images hold integers up to {limits.max}")


def pixel_sizes(shape: Sequence[int], dtype: Any) -> tuple[int, int, int]:
    """Height, width and bytes per pixel of images (H, W) or (H, W, C)."""
    height, width, *channels = (int(side) for side in shape)
    return height, width, math.prod(channels) * np.dtype(dtype).itemsize


def row_of(values: Sequence[float], width: int, channels: int, dtype: Any) -> np.ndarray:
    """A row (width, C) of pixels of one colour."""
    return np.ascontiguousarray(np.broadcast_to(np.asarray(values).astype(dtype), (width, channels)))
