"""Normalisation of images, as arrays and as tensors: (x - mean) / std per channel, in levels of 0 to 255."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.images.array_changes import normalize_float32, normalize_int16, normalize_uint16
from ffcv_hydra.operations.arguments import numbers
from ffcv_hydra.operations.dtypes import floating_dtype
from ffcv_hydra.operations.finish import finish_function
from ffcv_hydra.operations.image_chain import ImageFunction, ImageFunctionOperation
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.tensor_operation import TensorOperation

_NORMALIZE = {np.uint16: normalize_uint16, np.int16: normalize_int16, np.float32: normalize_float32}
_ARRAY_DTYPES = {torch.float32: np.dtype(np.float32), torch.float16: np.dtype(np.float16)}


def _mean_and_std(operation: str, mean: Any, std: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    means, stds = numbers(operation, "mean", mean), numbers(operation, "std", std)
    if len(means) != len(stds) or not all(value > 0 for value in stds):
        raise PipelineError(
            f"{operation}: mean and std have one number per channel each, std above 0; got {mean} and {std}"
        )
    return means, stds


def _check_channels(count: int, channels: int) -> None:
    if count != channels:
        raise PipelineError(
            f"mean and std are of {count} channel{'s'[: count != 1]}, and images have {channels}: give one number for"
            " each"
        )


class NormalizeImage(ImageFunctionOperation):
    """Normalise arrays (N, H, W, C) of uint8, uint16, int16 or float32; before `ToTensor`.

    The results are (x - mean) / std, computed in float64 and rounded once; as FFCV's `NormalizeImage`, but float16 is
    float16 at once. Those of uint8 come from a table of 256 values per channel. For tensors there is `NormalizeTensor`.

    Args:
        mean, std: one number per channel, in the images' own unit, which for uint8 is levels of 0 to 255: ImageNet's
            are [123.675, 116.28, 103.53] and [58.395, 57.12, 57.375]. For uint8 images the loader refuses those that
            can only be of images of 0 to 1 (means up to 1, stds up to 0.5).
        type: float32, or for uint8 images also float16; as a name or as the dtype of torch or NumPy.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], type: Any = "float32") -> None:
        super().__init__()
        self.mean, self.std = _mean_and_std("NormalizeImage", mean, std)
        dtype = _ARRAY_DTYPES.get(floating_dtype("NormalizeImage", "type", type))
        if dtype is None:
            raise PipelineError(f"NormalizeImage: type is float32 or float16; got {type}")
        self.table = ((np.arange(256)[:, None] - np.array(self.mean)) / np.array(self.std)).astype(dtype)
        self.type = self.table.dtype
        self.normalization: tuple[Sequence[float], Sequence[float]] | None = (self.mean, self.std)

    @classmethod
    def of_table(
        cls, table: np.ndarray, normalization: tuple[Sequence[float], Sequence[float]] | None = None
    ) -> "NormalizeImage":
        """The operation that looks each value up in `table`, float32 or float16 (256, C).

        Args:
            table: what it does, whatever it was made by.
            normalization: mean and std that made the table, as far as they are known.
        """
        channels = table.shape[1]
        operation = cls([0.0] * channels, [1.0] * channels, table.dtype)
        operation.table, operation.normalization = table.copy(), normalization
        return operation

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """The same shape, of the new dtype.

        Raises:
            PipelineError: for anything but images of these dtypes with a channel per mean.
        """
        shape, dtype = tuple(before.shape), np.dtype(before.dtype)
        if len(shape) == 3:
            _check_channels(self.table.shape[1], shape[2])
        is_known = dtype == np.uint8 or (dtype.type in _NORMALIZE and self.normalization is not None)
        if len(shape) != 3 or not is_known:
            known = ", ".join(np.dtype(one).name for one in (np.uint8, *_NORMALIZE))
            raise PipelineError(f"takes images (H, W, C) of {known}; got {dtype} {shape}")
        if dtype != np.uint8 and self.type != np.float32:
            raise PipelineError(f"type float16 takes uint8 images; got {dtype}; use Convert behind ToTensor")
        return shape, self.table.dtype

    def as_normalization(self) -> tuple[Sequence[float], Sequence[float]] | None:
        """Mean and std per channel; None if only the table is known."""
        return self.normalization

    def as_table(self, values: torch.Tensor) -> torch.Tensor:
        """What becomes of every byte in each channel, (256, C); `values`, uint8 (256, C), are these bytes."""
        return torch.from_numpy(self.table)

    def image_functions(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[ImageFunction, ...]:
        """The one that normalises."""
        if dtype != np.uint8:
            pixels, constants = shape[0] * shape[1], np.array([self.mean, self.std])
            parameters = pixels, shape[2], constants
            return (ImageFunction(_NORMALIZE[np.dtype(dtype).type], parameters, pixels * shape[2] * 4),)
        return (finish_function(shape, self.table, channels_first=False),)


class NormalizeTensor(TensorOperation):
    """Normalise a batch of images (N, C, H, W) where it is, on the CPU or a GPU; after `ToTorchImage`.

    The results are (x - mean) / std, computed in float32 and then rounded to the dtype. The memory format stays. It
    does what FFCV's `NormalizeImage` does on a GPU, and needs no cupy.

    Args:
        mean, std: one number per channel, in the images' own unit: levels of 0 to 255, or 0 to 1 behind
            `DivideImage255`. The loader refuses those that can only be of the other one.
        type: a floating dtype, as its name (float32, float16, bfloat16) or as the dtype of torch or NumPy.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], type: Any = "float32") -> None:
        self.mean, self.std = _mean_and_std("NormalizeTensor", mean, std)
        self.type = self.dtype = floating_dtype("NormalizeTensor", "type", type)
        self._constants = torch.tensor([self.mean, self.std]).view(2, -1, 1, 1)

    def after(self, before: State) -> State:
        """Of the new dtype."""
        shape = tuple(before.shape)
        if before.jit_mode or len(shape) != 3 or shape[0] != len(self.mean) == shape[2]:
            raise PipelineError(f"takes tensors (C, H, W); got {shape}: put ToTensor and ToTorchImage before it")
        _check_channels(len(self.mean), shape[0])
        return replace(before, dtype=self.dtype)

    def as_normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and std per channel."""
        return self.mean, self.std

    def as_table(self, values: torch.Tensor) -> torch.Tensor:
        """What becomes of `values` (256, C), one column per channel."""
        return self.apply(values[:, :, None, None])[:, :, 0, 0]

    def apply(self, batch: torch.Tensor) -> torch.Tensor:
        """The normalised images."""
        if self._constants.device != batch.device:
            self._constants = self._constants.to(batch.device)
        mean, std = self._constants
        return batch.to(torch.float32, copy=True).sub_(mean).div_(std).to(self.dtype)
