"""Shapes and layouts of tensors, where FFCV's operations of the same names can go wrong."""

from dataclasses import replace

import torch

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations.operation import Layout, State
from ffcv_hydra.operations.tensor_operation import TensorOperation, check_is_tensor


class ToTorchImage(TensorOperation):
    """Images (N, H, W, C) as (N, C, H, W): a view in channels-last memory, or a contiguous copy.

    FFCV's reinterprets every int16 image as float16, which is right after its `NormalizeImage` alone; this one keeps
    the dtype.

    Args:
        channels_last: keep the memory as it is (`torch.channels_last`), or copy it into `torch.contiguous_format`.
    """

    keeps_levels = True

    def __init__(self, channels_last: bool = True) -> None:
        self.channels_last = channels_last

    def as_layout(self) -> Layout:
        """Channels before height and width."""
        return Layout.CHANNELS_LAST if self.channels_last else Layout.CHANNELS_FIRST

    def after(self, before: State) -> State:
        """With the axes moved."""
        check_is_tensor(before)
        if len(before.shape) != 3:
            raise PipelineError(f"takes tensors of images (H, W, C); got {tuple(before.shape)}: leave it out")
        height, width, channels = before.shape
        return replace(before, shape=(channels, height, width))

    def apply(self, batch: torch.Tensor) -> torch.Tensor:
        """The images with channels first."""
        image = batch.permute(0, 3, 1, 2)
        return image if self.channels_last else image.contiguous()


class Squeeze(TensorOperation):
    """Remove axes of size 1, but never the batch's: FFCV's turns a batch of one sample into no batch.

    Args:
        dims: axes to remove, counted with the batch as axis 0; all of size 1 by default.
    """

    keeps_levels = True

    def __init__(self, *dims: int) -> None:
        self.dims = dims

    def as_layout(self) -> Layout:
        """The same memory."""
        return Layout.TENSOR

    def after(self, before: State) -> State:
        """Without those axes."""
        check_is_tensor(before)
        shape = tuple(before.shape)
        gone = self._axes(shape)
        return replace(before, shape=tuple(side for axis, side in enumerate(shape, start=1) if axis not in gone))

    def _axes(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The axes of a batch of such samples that are removed."""
        count = len(shape) + 1
        wanted = [dim % count for dim in self.dims if -count <= dim < count] if self.dims else range(1, count)
        if len(wanted) < len(self.dims):
            raise PipelineError(f"Squeeze: a batch of samples {shape} has {count} axes; got dims {self.dims}")
        return tuple(axis for axis in wanted if axis > 0 and shape[axis - 1] == 1)

    def apply(self, batch: torch.Tensor) -> torch.Tensor:
        """The batch without those axes."""
        return batch.squeeze(self._axes(tuple(batch.shape[1:])))
